/* SPDX-License-Identifier: Apache-2.0 */
/* Between bench_registry.c and bench_quorum.c: a registry log over whoever stands for ZooKeeper. */
#ifndef PF_TESTS_BENCH_BENCH_REGISTRY_H
#define PF_TESTS_BENCH_BENCH_REGISTRY_H

#include "common/elect/replog.h"
#include "common/elect/replog_import.h"

enum { AGENTS = 50000, ROW_BYTES = 300, KEY_BYTES = 36, BATCH_ROWS = 64 };

struct side;

/* Who stands for ZooKeeper. */
struct side_ops {
    /* Copies the request. */
    void (*submit)(struct side *s, const struct pf_zk_request *q);
    /* Tells what has come by side_session() and side_reply(), waiting for it if need be; false:
     * nothing is under way. */
    bool (*turn)(struct side *s);
};

struct side {
    const struct side_ops *ops;
    struct pf_replog *log; /* that is driven now */
    struct pf_outbox out;
    uint64_t rows, stored, bytes;
};

void side_step(struct side *s, struct pf_replog_event *ev);
void side_session(struct side *s, uint8_t session, enum pf_zk_state state);
void side_reply(struct side *s, const struct pf_zk_reply *r);
/* Makes a log and reads until it is ready, or nothing comes any more. */
void side_follow(struct side *s);
/* Follows, leads and stores; prints a line. `where`: ", one server". 0, or 1: it came to a stop. */
int side_admissions(struct side *s, const char *where, uint32_t n_rows, uint32_t n_agents,
                    int32_t epoch_version);

typedef void bench_send_fn(void *ctx, const struct pf_zk_request *q, struct pf_replog_import *i);
/* Writes the rows of so many agents as the registry of an empty path: `send` carries out each
 * request and tells the import its reply. */
void bench_publish(uint32_t n_agents, bench_send_fn *send, void *ctx);

/* All of it over real servers. */
int bench_quorum(void);

#endif
