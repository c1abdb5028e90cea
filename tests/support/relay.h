/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of proffer-relay (relay_main.c says what it is). */
#ifndef PF_TESTS_SUPPORT_RELAY_H
#define PF_TESTS_SUPPORT_RELAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "common/base/buf.h"

enum { QUEUE_MAX = 256 << 10, CHUNK = 64 << 10, PROBE_MS = 5, NAME_BYTES = 64, PEER_BYTES = 320 };

enum mode { MODE_PASS, MODE_DROP, MODE_DELAY };
enum { UP, DOWN, DIRS };

struct rule {
    char route[NAME_BYTES], peer[PEER_BYTES];
    bool dir[DIRS];
    enum mode mode;
    int64_t ms;
};

struct chunk {
    STAILQ_ENTRY(chunk) link;
    int64_t due_ms;
    size_t len, done;
    uint8_t data[];
};

enum kind { KIND_LISTENER, KIND_SIDE, KIND_PROBE, KIND_CONTROL, KIND_ASKER };

/* What epoll gives back. */
struct source {
    enum kind kind;
    int fd;
    uint32_t events; /* that are watched; 0 = not in the set */
    void *owner;
};

struct route {
    char name[NAME_BYTES];
    struct sockaddr_in at, target;
    struct source listener, probe;           /* the listener's socket is bound, listening or not */
    bool is_listening, is_refusing, is_dead; /* dead: nobody listens at the target */
    int64_t probe_ms;
    uint32_t n_conns;
};

struct conn {
    LIST_ENTRY(conn) link;
    struct route *route;
    struct source side[DIRS]; /* [UP]: the client, whose bytes go up; [DOWN]: the target */
    STAILQ_HEAD(, chunk) queue[DIRS];
    size_t queued[DIRS];
    bool is_connected, has_eof[DIRS], is_shut[DIRS], is_dying;
    char peer[PEER_BYTES];
    struct pf_buf hello; /* until the first frame of the client is whole */
    bool is_known;
};

struct asker {
    LIST_ENTRY(asker) link;
    struct source source;
    struct pf_buf in;
    bool is_dying;
};

struct relay {
    int epoll_fd;
    struct source control;
    struct route *route;
    uint32_t n_routes;
    struct rule *rule;
    uint32_t n_rules;
    LIST_HEAD(, conn) conns;
    LIST_HEAD(, asker) askers;
};

void pf_relay_watch(struct relay *r, struct source *s, uint32_t events);
void pf_relay_source_close(struct relay *r, struct source *s);
int pf_relay_route_bind(struct route *t);
void pf_relay_route_update(struct relay *r, struct route *t);
void pf_relay_probe_start(struct relay *r, struct route *t);
void pf_relay_probe_done(struct relay *r, struct route *t);
bool pf_relay_fits(const char *pattern, const char *text);
void pf_relay_conn_free(struct conn *c);
void pf_relay_update(struct relay *r, struct conn *c);
void pf_relay_flush(struct relay *r, struct conn *c, int dir);
void pf_relay_side_ready(struct relay *r, struct conn *c, int dir, uint32_t events);
void pf_relay_accept_one(struct relay *r, struct route *t);
void pf_relay_conn_end(struct relay *r, struct conn *c, bool by_rst);

#endif
