/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a pure state machine: registration, launches, the life of command tasks, update
 * streams, recovery. One door, pf_agent_step. The daemon keeps links to masters and clients, the
 * launcher, files and the store, and only translates. */
#ifndef PF_AGENT_CORE_AGENT_H
#define PF_AGENT_CORE_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/core/acts.h"
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/resources.h"
#include "common/base/sm.h"
#include "common/fb/fb.h"
#include "common/turn/turn.h"

/* What the leader knows. Each launch taken (refused ones too) and each update made has a number,
 * one more than the one before, from 1 at each start of the program (`instance`).
 * AgentRegister.sequence is the number of the latest. AgentUpdate.sequence is the highest N such
 * that all up to N was told to this leader: by the registration (numbers up to its `sequence`), or
 * by an update sent since, this one included; a launch is told of by its first update. So a master
 * keeps the greatest it heard, beginning with that of a registration, and whoever holds all that
 * such a master held, and finds AgentRegister with this instance and sequence, knows every task of
 * the agent without a list, if no command stands out: a launch without an update, a teardown sent
 * since. When every update was sent, N is the agent's own number. */

struct pf_agent;

/* Copied by pf_agent_create. */
struct pf_agent_options {
    uint64_t seed;
    uint64_t token_key[2];    /* secret, random: tokens of executors are made by it */
    const char *instance;     /* uuid text, new at each start of the program */
    const char *hostname;
    const char *address;      /* native host:port told to others */
    const char *http_address;
    int32_t http_port;
    int64_t pid;
    const char *machine_id, *boot_id;
    const struct pf_resources *total;
    const char *attributes;   /* Mesos's text: "rack:a;zone:west" */
    const char *work_dir;     /* absolute; sandboxes lie below it */
    const char *isolation;    /* "accounted, not enforced" */
    const char *default_user; /* of tasks that name none; "" = the agent's own */
    const char *task_user;    /* for launches of untrusted peers */
    bool allow_any_user, runs_as_root;
    uint64_t min_free_bytes;  /* refuse launches below */
    const char *cache_dir;    /* of fetched files, absolute; "" = none */
    uint64_t cache_max_bytes;
    uint64_t log_max_bytes;   /* kept of each output of a task; 0 = all */
    bool limits_cpu_hard;     /* a task never gets more cpu than its resources say */
    uint64_t task_pids_max;   /* processes and threads of a task; 0 = any */
    int64_t gc_delay_ms;      /* sandboxes of ended tasks go after this (7 days), sooner when a */
    uint64_t disk_bytes;      /* disk of this size gets full */
    int64_t executor_subscribe_ms, executor_resubscribe_ms; /* 60 s, 2 s */
    bool authenticates_executors; /* HTTP calls of executors need their token; native ones always */
    int64_t executor_shutdown_ms; /* SHUTDOWN to SIGKILL, where the executor says none (5 s) */
    bool cleans_up;           /* --recover=cleanup: what a former start left is ended */
    /* What may change of hostname, resources and attributes from one start to the next. */
    enum pf_agent_reconfiguration {
        PF_AGENT_MAY_CHANGE = 0, /* all; where tasks hold more than there is, launches wait */
        PF_AGENT_MAY_GROW,       /* resources and attributes may be added */
        PF_AGENT_MAY_NOT_CHANGE,
    } reconfiguration;
    int64_t resend_ms;        /* first resend of an update (10 s), doubling to 10 min */
    struct pf_sm_tracer tracer;
};

enum pf_agent_event_type {
    PF_AGENT_ROW = 1,        /* a recovered row */
    PF_AGENT_BOOT,           /* all rows are in; makes the identity when there was none */
    PF_AGENT_LAUNCHER_UP,    /* `launcher` is its hello; the daemon has sent LauncherList */
    PF_AGENT_LAUNCHER_DOWN,
    PF_AGENT_PROCESS,        /* a LauncherProcess: started, failed, exited, or entry of the list */
    PF_AGENT_PROCESSES_END,  /* the list is complete: what it lacks the launcher does not know */
    PF_AGENT_SANDBOX,        /* outcome of ACT_SANDBOX */
    PF_AGENT_PEER_UP,        /* a client, or (`is_master`) our link to a master */
    PF_AGENT_PEER_DOWN,
    PF_AGENT_MESSAGE,
    PF_AGENT_DISK,           /* free bytes of the work directory, measured now and then */
    PF_AGENT_CHECKED,        /* outcome of ACT_CHECK */
    PF_AGENT_SESSION,        /* ACT_SESSION_OPEN failed */
    PF_AGENT_SANDBOX_GONE,   /* somebody removed the sandbox of a live task */
    PF_AGENT_DEADLINE,
};

struct pf_agent_event {
    enum pf_agent_event_type type;
    int64_t now_ms, wall_ms;
    uint64_t peer;
    union {
        struct {
            uint8_t table;
            struct pf_bytes key;
            struct pf_msg row;
        } row;
        /* Root LauncherHello. What a launcher of the same `instance` does not list, it never
         * started; of an absent or another instance nothing is concluded. */
        struct {
            struct pf_msg launcher;
            const char *isolation; /* what limits tasks from now on; NULL = as it was */
        };
        /* Root LauncherProcess. EXITED with wait_status -1: it is gone, nobody saw its status.
         * `report`: what a fetcher said on its standard output (at most 1 KiB). */
        struct {
            struct pf_msg process;
            struct pf_str report;
        };
        struct {
            struct pf_uuid check; /* of the act */
            bool is_done;         /* it connected, and (HTTP) answered */
            uint32_t status_code; /* HTTP */
            struct pf_str text;   /* why not */
        } checked;
        struct {
            struct pf_uuid session;
            int error; /* errno of */
            const char *stage; /* static */
        } session;
        struct pf_uuid launch; /* SANDBOX_GONE */
        struct {
            struct pf_uuid launch;
            int error;          /* errno, 0 = made */
            const char *stage;  /* "mkdir", "chown", "script", "user" (does not exist) */
        } sandbox;
        struct {
            struct pf_msg hello; /* Envelope with Hello (client) or Welcome (master) */
            bool is_master, trusted;
        } peer_up;
        struct pf_msg message;
        uint64_t free_bytes;
    };
};

/* The schema of the rows in an AgentTable; NULL = no such table. */
const struct pf_fb_table_desc *pf_agent_row_desc(uint8_t table);

struct pf_agent *pf_agent_create(const struct pf_agent_options *options);
void pf_agent_destroy(struct pf_agent *a);
void pf_agent_step(struct pf_agent *a, const struct pf_agent_event *ev, struct pf_turn *turn);
int64_t pf_agent_deadline(const struct pf_agent *a); /* INT64_MAX = none */
void pf_agent_check(const struct pf_agent *a);
/* Uuid text of this agent, "" before BOOT. Borrowed. */
const char *pf_agent_id(const struct pf_agent *a);
/* After BOOT: why it may not start as it was told to (its resources or attributes changed against
 * the policy), NULL = it may. Nothing of its turn is to be stored then. */
const char *pf_agent_misfit(const struct pf_agent *a);
/* What keeps it from registering until a person does something, NULL = nothing: every master that
 * it is linked to serves another registry. Borrowed until the next step. */
const char *pf_agent_problem(const struct pf_agent *a);

/* Appends the sandbox of a launch that it knows; false: it knows none. */
bool pf_agent_sandbox(const struct pf_agent *a, struct pf_uuid launch, struct pf_buf *out);

struct pf_agent_stats {
    uint64_t n_tasks_live, n_tasks_ended, n_updates_pending;
    uint64_t launches, refused, updates_sent, resends;
    uint64_t bad_messages; /* unknown, malformed, of a stale epoch, not allowed */
    uint64_t lost_sandboxes; /* removed by somebody under a live task */
    uint64_t epoch;
    bool registered, launcher_up;
};
void pf_agent_stats(const struct pf_agent *a, struct pf_agent_stats *out);

#endif
