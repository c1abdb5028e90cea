/* SPDX-License-Identifier: Apache-2.0 */
/* What the master remembers: the entities and how they hang together. For master/core only; each
 * kind is changed by its own module (peers.c, agents.c, frameworks.c, offers.c, tasks.c, demand.c).
 */
#ifndef PF_MASTER_CORE_STATE_H
#define PF_MASTER_CORE_STATE_H

#include <sys/queue.h>
#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/base/sm.h"
#include "master/core/allocator.h"
#include "master/core/master.h"
#include "master/core/order.h"
#include "master/core/stamp.h"
#include "master/core/state_agents.h"
#include "master/core/state_quorum.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"

/* Of a row, beside the info in it: at most, with the key. */
enum { PF_M_ROW_EXTRA_BYTES = 512 };

struct m_offer;
struct m_demand;
TAILQ_HEAD(m_offers, m_offer);
TAILQ_HEAD(m_demands, m_demand);
struct m_history;

/* A request that waits: `wait_tasks` or `why`. In the lists of its peer and of what it waits for.
 */
struct m_wait {
    struct m_peer *peer;
    uint64_t request_id;
    uint64_t sequence; /* wait_tasks: changes after this */
    char **task_id;    /* of these tasks; none: all */
    uint32_t n_task_ids;
    TAILQ_ENTRY(m_wait) of_peer, of_target;
    struct m_waits *target;
};
TAILQ_HEAD(m_waits, m_wait);

struct m_peer {
    uint64_t id;
    enum PeerKind kind;
    bool is_trusted, is_closed; /* closed: only its PEER_DOWN is still heard */
    char *hello_id, *instance, *user;
    struct m_agent *agent;         /* it speaks for this agent */
    struct m_framework *framework; /* it is this framework's scheduler */
    struct m_waits waits;
    uint64_t asked;                 /* request of ours that it has not answered; 0: none */
    struct m_linked *linked;        /* an agent's link, registered or not */
    TAILQ_ENTRY(m_peer) of_masters; /* kind MASTER */
};
TAILQ_HEAD(m_peers, m_peer);

enum m_framework_state { /* order of pf_m_framework_table */
                         M_FRAMEWORK_INVALID = 0,
                         M_FRAMEWORK_RECOVERED, /* from a row or an agent; not heard of since */
                         M_FRAMEWORK_ACTIVE,    /* subscribed */
                         M_FRAMEWORK_DISCONNECTED,
                         M_FRAMEWORK_COMPLETED,
                         M_FRAMEWORK_COUNT
};
#define M_INSTANCES_MAX 8 /* former scheduler instances that are remembered and refused */

struct m_framework {
    struct pf_sm sm;
    uint64_t number;
    char *id;
    struct m_blob info; /* FrameworkInfo */
    char *name, *user, *role;
    bool is_partition_aware, is_multi_role;
    bool is_trusted; /* made by a peer with the key */
    char *owner;     /* else: the user that peer named */
    bool is_durable, is_suppressed, has_demands;
    bool has_count; /* `generation` counts all that there ever were */
    char *instance, *former[M_INSTANCES_MAX];
    uint64_t generation;
    int64_t failover_ms;
    int64_t registered_ms, reregistered_ms, unregistered_ms; /* wall */
    struct m_peer *peer;                                     /* ACTIVE */
    struct pf_heap_node deadline;
    struct pf_al_framework *al; /* NULL when completed */
    struct pf_map tasks;        /* by id: those not in `ended` */
    struct pf_order task_order; /* the same */
    struct pf_order ended;      /* history */
    struct m_tasks changes;     /* both, by their last change */
    uint64_t sequence;          /* of the last change */
    struct m_offers offers;
    uint32_t n_offers;
    struct m_demands demands;
    uint32_t n_demands;
    struct m_waits waits;
    LIST_HEAD(, m_link) links;
    struct m_offer **fresh; /* offers of this step, not yet told; in the turn's arena */
    uint32_t n_fresh, cap_fresh;
    bool is_woken; /* a task changed in this step and somebody waits */
    TAILQ_ENTRY(m_framework) woken, with_fresh;
};

enum m_task_state { /* order of pf_m_task_table */
                    M_TASK_INVALID = 0,
                    M_TASK_STAGING,
                    M_TASK_STARTING,
                    M_TASK_RUNNING,
                    M_TASK_KILLING,
                    M_TASK_UNREACHABLE,
                    M_TASK_FINISHED,
                    M_TASK_FAILED,
                    M_TASK_KILLED,
                    M_TASK_ERROR,
                    M_TASK_LOST,
                    M_TASK_DROPPED,
                    M_TASK_GONE,
                    M_TASK_COUNT
};

struct m_task {
    struct pf_sm sm;
    enum TaskState state;        /* the latest known */
    enum TaskState update_state; /* the last told to the framework */
    struct m_framework *framework;
    struct m_agent *agent;
    uint64_t number, registration;
    struct pf_uuid launch;
    struct pf_resources resources;
    bool uses_resources; /* they count in the allocator */
    bool is_pending;     /* `status` waits for its acknowledgement */
    bool is_ended, is_history;
    bool has_exit_status, has_signal, has_kill, has_kill_grace, has_kill_signal;
    int32_t exit_status, signal, kill_signal;
    int64_t kill_grace_ms;
    int64_t created_ms, started_ms, finished_ms; /* wall */
    int64_t unreachable_ms;
    int64_t kill_deadline_ms;   /* wall; when SIGKILL comes at the latest, 0: it is not killed */
    bool is_given_up;           /* ended here, whatever its agent says of it */
    uint64_t memory_peak_bytes; /* 0: not known */
    struct m_history *history;  /* what was told before `status`; NULL: nothing */
    struct m_blob status;       /* the last TaskStatus */
    struct m_blob summary;      /* Task: what does not change */
    uint64_t change;            /* of the framework's sequence */
    TAILQ_ENTRY(m_task) of_agent, by_change;
    uint32_t id_len;
    char id[]; /* with a NUL */
};

enum m_offer_state { /* order of pf_m_offer_table */
                     M_OFFER_INVALID = 0,
                     M_OFFER_OPEN,
                     M_OFFER_ACCEPTED,
                     M_OFFER_DECLINED,
                     M_OFFER_RESCINDED,
                     M_OFFER_EXPIRED,
                     M_OFFER_COUNT
};

struct m_offer {
    struct pf_sm sm;
    char id[PF_SHORT_ID_MAX];
    uint32_t id_len;
    uint64_t number;
    struct m_framework *framework;
    struct m_agent *agent;
    struct pf_al_hold *hold;
    int64_t created_ms; /* wall */
    struct pf_heap_node deadline;
    TAILQ_ENTRY(m_offer) of_framework;
};

struct m_demand {
    struct m_framework *framework;
    char *id, *name, *command, *id_prefix, *role;
    struct pf_al_want *want;
    bool is_stated, is_trimming; /* scratch of one step */
    bool is_waiting;             /* since waiting_*: looked everywhere, still lacks instances */
    bool is_unsettled;           /* in m->unsettled: the next allocation decides */
    TAILQ_ENTRY(m_demand) unsettled;
    int64_t waiting_since_ms, waiting_since_wall_ms;
    char *text;             /* the reason last told, without ages; NULL: none */
    struct pf_al_scan scan; /* under way, or the last one */
    bool is_scanning;
    struct pf_heap_node deadline; /* of the next scan or the next slice */
    struct m_waits whys;
    TAILQ_ENTRY(m_demand) of_framework;
};

struct pf_master {
    struct pf_master_options o; /* texts owned */
    struct pf_rng rng;
    bool is_leading, has_meta_row;
    struct pf_uuid incarnation;
    uint64_t epoch;
    uint64_t next_framework, next_offer; /* counters of short ids */
    int64_t now_ms, wall_ms, started_wall_ms, elected_wall_ms;
    struct pf_turn *turn;         /* of the step under way */
    struct pf_fb_builder *b;      /* the turn's, with the message under way */
    struct pf_master_view *views; /* of the quorum, texts owned; none: alone */
    uint32_t n_views;
    struct m_peers masters;
    struct pf_map peers, agents, frameworks, offers, linked;
    struct pf_order agent_order, framework_order, offer_order, completed, executors;
    struct pf_map completed_by_id;
    struct pf_heap agent_deadlines, framework_deadlines, offer_deadlines, demand_deadlines;
    struct pf_allocator *al;
    bool allocates_now; /* at the end of this step, not at the next deadline */
    struct m_stamps update_stamps, acknowledge_stamps;
    struct m_seen seen;
    struct m_removals removals;
    struct m_agents drains;    /* draining ones of which something changed in this step */
    LIST_HEAD(, m_agent) left; /* agents that are in no other list */
    uint32_t n_awaited;        /* agents that may hold tasks which this core does not know of */
    uint32_t n_waits, n_waiting_demands;
    struct m_demands unsettled;
    TAILQ_HEAD(m_frameworks, m_framework) woken, with_fresh; /* empty between steps */
    struct pf_master_stats stats;
};

extern const struct pf_sm_table pf_m_agent_table, pf_m_framework_table, pf_m_task_table,
    pf_m_offer_table;

static inline bool m_agent_is_registered(const struct m_agent *a)
{
    return a->sm.state == M_AGENT_REGISTERED;
}

/* Admitted, and its tasks are not known since the takeover? */
static inline bool m_agent_is_awaited(const struct m_agent *a)
{
    return !a->is_learnt && a->sm.state != M_AGENT_UNREACHABLE && a->sm.state != M_AGENT_GONE;
}

static inline bool m_framework_is_active(const struct m_framework *f)
{
    return f->sm.state == M_FRAMEWORK_ACTIVE;
}

static inline struct pf_bytes m_blob_bytes(const struct m_blob *b)
{
    return (struct pf_bytes){b->at, b->len};
}

#endif
