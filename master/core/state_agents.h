/* SPDX-License-Identifier: Apache-2.0 */
/* What state.h remembers of agents, and of executors on them. */
#ifndef PF_MASTER_CORE_STATE_AGENTS_H
#define PF_MASTER_CORE_STATE_AGENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "common/base/heap.h"
#include "common/base/id.h"
#include "common/base/map.h"
#include "common/base/resources.h"
#include "common/base/sm.h"
#include "master/core/state_quorum.h"

struct m_framework;
struct m_peer;
struct m_task;
struct pf_al_agent;
TAILQ_HEAD(m_tasks, m_task);

/* Bytes of a finished buffer of our own; owned. */
struct m_blob {
    uint8_t *at;
    uint32_t len;
};

enum m_agent_state { /* order of pf_m_agent_table */
                     M_AGENT_INVALID = 0,
                     M_AGENT_RECOVERED,   /* from a row; not heard of since */
                     M_AGENT_REGISTERING, /* tells its tasks */
                     M_AGENT_REGISTERED,
                     M_AGENT_DISCONNECTED, /* link broken a moment ago */
                     M_AGENT_UNREACHABLE,
                     M_AGENT_GONE, /* for good: an operator said so */
                     M_AGENT_LEFT, /* for good: forgotten but for the history of its tasks */
                     M_AGENT_COUNT
};

/* What an operator wants of it; in its row. */
struct m_drain {
    bool is_on, is_done, marks_gone, has_grace;
    int64_t grace_ms;   /* the most that a task gets */
    int64_t started_ms; /* wall */
};

/* A launch that an agent told of and that may not be: killed as soon as it is registered. */
struct m_doomed {
    char *framework_id, *task_id;
    struct pf_uuid launch;
    bool has_own_grace; /* else none */
    STAILQ_ENTRY(m_doomed) link;
};

struct m_agent {
    struct pf_sm sm;
    uint64_t number;
    char *id;
    struct m_blob info; /* AgentInfo */
    char *hostname, *address, *http_address, *version, *isolation, *task_user;
    int64_t pid;
    bool runs_as_root, allows_any_user;
    struct pf_al_agent *al; /* from registering until unreachable */
    struct m_peer *peer;    /* REGISTERING and REGISTERED */
    uint64_t registration;  /* how many times it began to register */
    uint64_t request_id;    /* of the registration under way */
    char *instance;         /* of the agent's process that told its tasks */
    uint64_t sequence;      /* all that it counted up to here was heard */
    bool is_learnt;         /* it told its tasks to this core */
    bool is_listing;        /* its list began and did not come to its end */
    enum m_doubt doubt;
    bool is_seen;     /* another master said that it is linked there */
    bool is_given_up; /* ... nobody did: unreachable at its deadline */
    enum m_hold hold; /* why it is not unreachable though its time is over */
    TAILQ_ENTRY(m_agent) of_doubt;
    bool needs_list;   /* it may not have heard a command that its list would show undone */
    bool is_returning; /* it registers and was unreachable */
    bool is_deactivated, is_leaving;
    struct m_drain drain;
    bool is_drain_due; /* in m->drains */
    TAILQ_ENTRY(m_agent) of_drains;
    STAILQ_HEAD(, m_doomed) doomed;
    uint32_t n_known; /* tasks that point to it, those in the history too */
    int64_t gone_ms;  /* wall */
    LIST_ENTRY(m_agent) of_left;
    int64_t admitted_ms, registered_ms, reregistered_ms, seen_ms, unreachable_ms; /* wall */
    struct pf_heap_node deadline;
    struct m_tasks tasks;
    uint32_t n_tasks; /* not ended ones */
    LIST_HEAD(, m_link) links;
    struct pf_map links_by_framework;
    struct pf_map executors; /* live ones, by their key */
};

/* The agent knows the framework. */
struct m_link {
    uint64_t key; /* the framework's number */
    struct m_agent *agent;
    struct m_framework *framework;
    bool info_sent; /* since the agent's registration */
    LIST_HEAD(, m_executor) executors;
    LIST_ENTRY(m_link) of_agent, of_framework;
};

/* A live one; its resources are in use. */
struct m_executor {
    uint64_t number; /* of m->executors */
    struct m_link *link;
    uint64_t registration; /* of the agent's that named it */
    bool is_shut_down;     /* its framework wants it to end */
    struct pf_resources resources;
    struct m_blob info; /* ExecutorInfo as pf_m_executor_info makes it */
    LIST_ENTRY(m_executor) of_link;
    uint32_t key_len;
    char key[]; /* the framework's number, then the id with a NUL */
};

#endif
