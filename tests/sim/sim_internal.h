/* SPDX-License-Identifier: Apache-2.0 */
/* For tests/sim only: time, nodes, net. */
#ifndef PF_TESTS_SIM_SIM_INTERNAL_H
#define PF_TESTS_SIM_SIM_INTERNAL_H

#include <setjmp.h>
#include <sys/queue.h>
#include "agent/core/agent.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/elect/quorum.h"
#include "common/fb/build.h"
#include "common/store/store.h"
#include "framework/driver/driver.h"
#include "master/core/master.h"
#include "schemas/proffer.h"
#include "tests/sim/sim.h"

#define SIM_MS INT64_C(1000) /* virtual time is in microseconds */

enum { SIM_NODES_MAX = SIM_MASTERS_MAX + SIM_AGENTS_MAX + SIM_FRAMEWORKS_MAX };
enum sim_kind { SIM_MASTER = 1, SIM_AGENT, SIM_FRAMEWORK };

struct sim;
struct sim_node;
struct sim_link;

/* How the net and the clock speak to a node; called only while it is up and not paused. */
struct sim_node_ops {
    /* `greeting`: Envelope with Hello (it was connected to) or Welcome (it connected). */
    void (*on_up)(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                  uint64_t tag);
    void (*on_message)(struct sim_node *n, uint64_t peer, struct pf_msg envelope);
    void (*on_down)(struct sim_node *n, uint64_t peer, int code, uint64_t tag);
    /* Its next deadline has come. */
    void (*on_time)(struct sim_node *n);
    /* Carries out what became visible, and tells when it wants on_time (INT64_MAX: never), us. */
    int64_t (*settle)(struct sim_node *n);
    /* Server side: the Welcome, as finished message in `b`. */
    struct pf_msg (*welcome)(struct sim_node *n, struct pf_fb_builder *b);
    void (*start)(struct sim_node *n);
    void (*kill)(struct sim_node *n); /* drops everything that a crash would */
};

struct sim_node {
    struct sim *s;
    const struct sim_node_ops *ops;
    enum sim_kind kind;
    uint32_t index; /* of its kind */
    uint32_t place; /* in sim.node */
    char name[16], address[24];
    bool is_up;
    uint32_t life;  /* grows with each start: events of an earlier life are dropped */
    int64_t paused_until_us;
    /* Its clocks beside the world's: any two hosts disagree. The monotonic one stands still while
     * the host is suspended, the boot-time one does not. */
    int64_t mono_us, boot_us, wall_skew_ms;
    int64_t jumped_us; /* when its wall clock did last */
    int64_t wake_us;
    uint64_t wake_number;
};

typedef void sim_fn(struct sim *s, struct sim_node *n, void *data);

/* What happens at a time. `data` is freed after it happened or was dropped. */
struct sim_event {
    int64_t at_us;
    uint64_t number;
    struct sim_node *node; /* NULL: of the world */
    uint32_t life;
    sim_fn *fn;
    void *data;
};

struct sim_message {
    STAILQ_ENTRY(sim_message) next;
    int64_t at_us;
    uint32_t len;
    uint8_t *bytes; /* NULL: the end of the link */
};

enum sim_link_state { SIM_LINK_CONNECTING = 1, SIM_LINK_UP, SIM_LINK_DOWN };

/* One connection; side 0 connected, side 1 accepted. */
struct sim_link {
    LIST_ENTRY(sim_link) next;
    struct sim_node *end[2];
    uint32_t life[2];
    uint64_t peer[2]; /* how each side calls the other */
    uint64_t tag;     /* of the side that connects */
    enum sim_link_state state;
    bool told_up[2], closed[2]; /* closed: that side hears nothing any more */
    struct pf_buf hello;
    STAILQ_HEAD(, sim_message) queue[2]; /* to side i */
    bool is_due[2];                      /* a delivery is scheduled */
    int64_t last_us[2], stuck_us[2];     /* last delivery; since when the head cannot pass */
};

struct sim_zk;

struct sim {
    struct sim_options o;
    struct sim_result *result;
    jmp_buf broken;
    struct pf_rng rng;
    int64_t now_us, wall0_ms;
    struct sim_event *heap;
    uint32_t n_heap, cap_heap;
    uint64_t next_number, next_peer;
    struct sim_node *node[SIM_NODES_MAX];
    uint32_t n_nodes;
    LIST_HEAD(, sim_link) links;
    struct pf_map peers; /* peer -> struct sim_link */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX]; /* from, to: packets are dropped */
    enum Body trap; /* at the next message of this sort ... (0: none) */
    void (*trap_fn)(struct sim *s, struct sim_node *from, struct sim_node *to);
    bool is_calm;
    struct pf_fb_builder builder;
    struct sim_zk *zk;
    struct sim_oracle *oracle;
    char master_address[SIM_MASTERS_MAX][24];
    struct pf_str masters[SIM_MASTERS_MAX];
};

/* sim_world.c */
_Noreturn void sim_broken(struct sim *s, const char *invariant, const char *fmt, ...)
    PF_PRINTF(3, 4);
void sim_log(struct sim *s, const char *fmt, ...) PF_PRINTF(2, 3);
/* Moves of the states of its core, as steps of the run. */
struct pf_sm_tracer sim_tracer(struct sim_node *n);
int64_t sim_now_ms(const struct sim *s);
int64_t sim_mono_ms(const struct sim_node *n);
int64_t sim_boot_ms(const struct sim_node *n);
int64_t sim_wall_ms(const struct sim_node *n);
/* When a deadline of its monotonic clock comes, us of the world; INT64_MAX: never. */
int64_t sim_mono_us(const struct sim_node *n, int64_t mono_ms);
uint64_t sim_dice(struct sim *s, uint64_t n); /* 0..n-1 */
bool sim_chance(struct sim *s, uint32_t percent);
void sim_at(struct sim *s, int64_t at_us, struct sim_node *n, sim_fn *fn, void *data);
/* After anything was told to a node. */
void sim_settle(struct sim_node *n);
void sim_node_start(struct sim_node *n);
void sim_node_kill(struct sim_node *n);
void sim_node_add(struct sim *s, struct sim_node *n, enum sim_kind kind, uint32_t index,
                  const struct sim_node_ops *ops);

/* sim_net.c */
void sim_net_start(struct sim *s);
/* Begins to connect; on_up or on_down follows with the tag. Returns the peer. `hello` is copied. */
uint64_t sim_connect(struct sim_node *n, struct pf_str address, struct pf_bytes hello,
                     uint64_t tag);
void sim_send(struct sim_node *n, uint64_t peer, struct pf_bytes message);
void sim_close(struct sim_node *n, uint64_t peer); /* no on_down for this side */
/* A Welcome to every accepted link that is up. */
void sim_welcome_again(struct sim_node *n);
void sim_net_forget(struct sim_node *n); /* it died: its links end */
void sim_reset_links(struct sim *s, const struct sim_node *a, const struct sim_node *b);
void sim_net_fini(struct sim *s);
void sim_put_hello(struct pf_fb_builder *b, enum PeerKind kind, const char *id,
                   const char *instance, struct pf_msg *out);

/* the nodes */
struct sim_node *sim_master_new(struct sim *s, uint32_t index);
struct sim_node *sim_agent_new(struct sim *s, uint32_t index);
struct sim_node *sim_framework_new(struct sim *s, uint32_t index);
void sim_master_free(struct sim_node *n);
void sim_agent_free(struct sim_node *n);
void sim_framework_free(struct sim_node *n);
bool sim_master_leads(const struct sim_node *n);
/* `to`: NULL: whoever is best. */
void sim_master_hand_over(struct sim_node *n, struct sim_node *to);
/* How the model speaks to a master, and it to the model (sim_zk.c). */
void sim_master_zk_session(struct sim_node *n, const struct pf_zk_session *x);
void sim_master_zk_reply(struct sim_node *n, const struct pf_zk_reply *x);
void sim_master_zk_watch(struct sim_node *n, const struct pf_zk_watch *x);
void sim_zk_open(struct sim_node *n);
void sim_zk_abandon(struct sim_node *n);
void sim_zk_submit(struct sim_node *n, const struct pf_zk_request *r);
bool sim_agent_is_registered(const struct sim_node *n);
/* "" = at rest, else what is missing. */
const char *sim_framework_missing(const struct sim_node *n);
uint32_t sim_master_agents(const struct sim_node *n); /* registered there */

/* sim_oracle.c: what really happened, beside what the cores believe. */
struct sim_oracle *sim_oracle_new(struct sim *s);
void sim_oracle_free(struct sim_oracle *o);
void sim_saw_lead(struct sim *s, const struct sim_node *master, uint64_t epoch);
/* What the leader of this epoch decided becomes visible. */
void sim_saw_act(struct sim *s, const struct sim_node *master, uint64_t epoch);
/* It says that a task is lost, dropped or gone, as it found at that time: fenced, so that nobody
 * led a later epoch then. */
void sim_saw_negative(struct sim *s, const struct sim_node *master, uint64_t epoch, int64_t at_us);
/* The agent comes back with this epoch. */
void sim_saw_return(struct sim *s, const struct sim_node *agent, uint64_t epoch);
void sim_saw_registered(struct sim *s, const struct sim_node *agent, uint64_t epoch);
void sim_saw_obey(struct sim *s, const struct sim_node *agent, uint64_t epoch);
void sim_saw_admitted(struct sim *s, struct pf_str agent_id);
void sim_check_rows(struct sim *s, const struct pf_quorum *q); /* durable-first */
/* `cpu_milli`: what it was launched with. */
void sim_saw_accept(struct sim *s, const struct sim_node *framework, struct pf_str task_id,
                    uint32_t cpu_milli);
void sim_saw_start(struct sim *s, const struct sim_node *agent, struct pf_str task_id);
/* No more can run on it at once. */
void sim_saw_capacity(struct sim *s, const struct sim_node *agent, uint32_t cpu_milli);
void sim_saw_exit(struct sim *s, struct pf_str task_id, int wait_status);
/* `uuid`: .at NULL: nobody is to acknowledge it. `instance`: of the scheduler that was told. */
void sim_saw_update(struct sim *s, struct pf_str task_id, enum TaskState state,
                    struct pf_bytes uuid, uint32_t instance);
void sim_check_end(struct sim *s);

/* sim_zk.c: the model of ZooKeeper among the nodes */
void sim_zk_start(struct sim *s);
void sim_zk_fini(struct sim *s);
void sim_zk_pause(struct sim_node *master, bool is_paused);
void sim_zk_cut(struct sim_node *master, bool is_cut);
void sim_zk_cut_for(struct sim_node *master, int64_t ms);
void sim_zk_kill_server(struct sim *s, int64_t ms);
void sim_zk_outage(struct sim *s, int64_t ms);
void sim_zk_lose_reply(struct sim_node *master); /* of its next write: done or not, by dice */
void sim_zk_expire(struct sim_node *master);
void sim_zk_slow(struct sim *s, int64_t max_us); /* of each way; 0: as usual */
void sim_zk_heal(struct sim *s);

/* sim_faults.c */
void sim_faults_start(struct sim *s);
void sim_heal(struct sim *s);

#endif
