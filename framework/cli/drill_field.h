/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill can reach to break a cluster: the processes of a local one by their pids, those of
 * others by the command of --kill-cmd, ZooKeeper servers, and the relays or the network between
 * them. */
#ifndef PF_FRAMEWORK_CLI_DRILL_FIELD_H
#define PF_FRAMEWORK_CLI_DRILL_FIELD_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/net/loop.h"
#include "framework/cli/drill_command.h"
#include "framework/cli/drill_hosts.h"

struct pf_drill_field;

struct pf_drill_field_options {
    const char *dir;      /* of a local cluster; NULL = another one */
    const char *kill_cmd; /* NULL = by pid */
    const char *zk;       /* zk://h1,h2/path of another one, NULL = not known */
    /* A command of --kill-cmd failed. */
    void (*on_wrong)(void *ctx, const char *text);
    void *ctx;
};

#define PF_DRILL_ZK_MAX 16
struct pf_drill_zk {
    char host[256], address[300]; /* of its client port */
    int64_t pid;                  /* 0 = not known */
    bool is_serving, is_leading;  /* as it said last; one alone leads */
};

/* PF_EINVAL (--zk), PF_EIO. */
PF_MUST_USE int pf_drill_field_create(struct pf_loop *loop, const struct pf_drill_field_options *o,
                                      struct pf_drill_field **out, struct pf_err *err);
void pf_drill_field_destroy(struct pf_drill_field *f); /* NULL is fine */
/* PF_NEED_* that the field gives (all but the quorum of masters). */
unsigned pf_drill_field_has(const struct pf_drill_field *f);
/* Reads anew who runs, and asks each ZooKeeper server how it is (100 ms each at most). Returns what
 * is not as it should be ("zk2 does not serve"), borrowed until the next call; NULL = nothing. */
const char *pf_drill_field_refresh(struct pf_drill_field *f);
/* Pid of the launcher of the agent that listens at `address`; 0 = not known. */
int64_t pf_drill_field_launcher(const struct pf_drill_field *f, const char *address);
const struct pf_drill_zk *pf_drill_field_zk(const struct pf_drill_field *f, uint32_t *out_n);

/* Sends a signal: at once by pid, else the command is started and not waited for. PF_ENOENT (gone,
 * or not known), PF_EACCESS, PF_EPROTO. */
PF_MUST_USE int pf_drill_field_signal(struct pf_drill_field *f, const struct pf_drill_process *p,
                                      int signo, struct pf_err *err);
/* Gives the relays a command (tests/support/relay.c). `out` (may be NULL) gets the answer's lines.
 * PF_ENOENT: there are no relays; PF_ECONN, PF_EPROTO. */
PF_MUST_USE int pf_drill_field_relay(struct pf_drill_field *f, const char *command,
                                     struct pf_buf *out, struct pf_err *err);
/* The name of the relays' route to the master that is known at `address`, "" if there is none. */
void pf_drill_field_route(struct pf_drill_field *f, const char *address, char *out, size_t size);
/* The hosts of the daemons; NULL = they have none of their own. */
struct pf_drill_hosts *pf_drill_field_hosts(struct pf_drill_field *f);

#endif
