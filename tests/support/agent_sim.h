/* SPDX-License-Identifier: Apache-2.0 */
/* An agent's core with a small world around it for tests: turns, a memory store whose image
 * outlives crashes, a launcher that outlives the agent, a master, a clock that tests move. It keeps
 * the oracle: what the master was told of each launch, how often the launcher started it. */
#ifndef PF_TESTS_SUPPORT_AGENT_SIM_H
#define PF_TESTS_SUPPORT_AGENT_SIM_H

#include "agent/core/agent.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/store/store.h"
#include "schemas/launcher.h"
#include "schemas/rows.h"
#include "tests/support/msg.h"

enum { SIM_MASTER = 1000, SIM_CLIENT = 2000, SIM_EXECUTOR = 3000, SIM_STATES_MAX = 16 };

/* What the launcher holds of one launch. */
struct sim_process {
    struct pf_uuid launch;
    uint8_t state; /* LauncherState */
    int64_t pid;
    int32_t wait_status, error;
    const char *stage;
    bool ignores_term;
    bool forgotten;
    bool is_beside;     /* a check, a session */
    const char *report; /* of a fetcher */
    uint64_t oom_kills, memory_peak_bytes;
    uint32_t n_starts, n_kills;
    int last_signal;
};

enum { SIM_EXECUTOR_TASKS_MAX = 16, SIM_EXECUTOR_UPDATES_MAX = 32 };

struct sim_executor_task {
    char id[64];
    bool is_acknowledged; /* an update of it was: the agent knows that it is here */
    bool is_over;
};

struct sim_executor_update {
    char task_id[64];
    int32_t state;
    uint8_t uuid; /* all its bytes */
};

/* A process that is an executor; see agent_sim_executors.c. */
struct sim_executor {
    struct pf_uuid launch;
    int64_t pid;
    char framework_id[64], id[64], token[64];
    uint64_t peer; /* 0 = no link */
    bool is_mute, is_idle, is_stubborn;
    bool stays_away; /* does not come back after a restart of the agent */
    struct sim_executor_task tasks[SIM_EXECUTOR_TASKS_MAX];
    struct sim_executor_update updates[SIM_EXECUTOR_UPDATES_MAX]; /* unacknowledged */
    uint32_t n_tasks, n_updates;
    uint32_t n_subscribed, n_launches, n_groups, n_kills, n_shutdowns;
};

struct sim_group_task {
    const char *task_id;
    uint8_t n;           /* all bytes of its launch uuid */
    const char *command; /* NULL = none */
};

/* What the master was told of one launch: states in order, repeated uuids left out. */
struct sim_told {
    struct pf_uuid launch;
    char framework_id[64], task_id[64];
    int32_t states[SIM_STATES_MAX];
    uint32_t n_states;
    struct pf_uuid last_uuid;
    uint32_t n_repeated;
};

struct agent_sim {
    struct pf_agent_options options;
    struct pf_resources total;
    struct pf_agent *core;
    struct pf_turns *turns;
    struct pf_store_image *image;
    struct pf_store *store;
    int64_t now_ms, wall_ms;
    char instance[32];
    uint32_t n_lives;

    struct pf_ptrs queue; /* of struct sim_event */
    uint32_t events_per_turn;
    bool is_store_slow; /* a batch becomes durable one turn later */
    uint64_t in_flight;

    bool launcher_up;
    char launcher_instance[32];
    int64_t next_pid;
    struct pf_ptrs processes;
    struct pf_ptrs executors; /* of struct sim_executor, dead ones too */
    uint64_t next_peer;
    uint8_t next_update;
    uint32_t n_exited; /* AgentExecutorExited that the master heard */

    bool master_up, registers, acknowledges;
    int64_t unreachable_ms; /* told at each registration; 0: not */
    uint32_t n_left;        /* how often the core wanted to end */
    uint64_t epoch;
    struct pf_uuid incarnation;
    uint64_t register_request;
    uint32_t n_registrations, n_lists;
    /* What the leader heard last: a registration with these needs no list. */
    char heard_instance[32];
    uint64_t heard_sequence, heard_peer;
    struct pf_ptrs told;
    struct pf_buf registered; /* names and states of the tasks told by the last registration */

    struct pf_buf log;   /* every effect, one line each */
    struct pf_buf trace; /* moves of the state tables */
    uint64_t n_ops;      /* batches stored and effects carried out, over all lives */
    uint64_t crash_at;   /* crash before this one; 0 = never */
    bool crashed;
    int sandbox_error;
    const char *sandbox_stage;
    int session_error; /* errno of opening the next sessions, 0 = none */
    int32_t answer; /* to checks by TCP and HTTP: a status, -1 = refused, 0 = silence */
};

struct agent_sim *agent_sim_create(void);
void agent_sim_destroy(struct agent_sim *s);

/* A life of the agent: load, BOOT, launcher. */
void agent_sim_start(struct agent_sim *s);
void agent_sim_kill(struct agent_sim *s); /* SIGKILL: what is not stored is lost */
void agent_sim_reboot(struct agent_sim *s, const char *boot_id); /* kill, and every process dies */
/* Delivers queued events, stores, carries out effects, until nothing is left or it crashed. */
void agent_sim_run(struct agent_sim *s);
/* Moves the clock to `ms` later, firing deadlines on the way. */
void agent_sim_pass(struct agent_sim *s, int64_t ms);

void agent_sim_master_up(struct agent_sim *s, uint64_t epoch);
void agent_sim_foreign_master_up(struct agent_sim *s, uint64_t epoch);
/* A peer of `role` ("LEADER", "STANDBY") whose Welcome says so; queued. `is_again`: on a link that
 * stands. Incarnation as base64. */
void agent_sim_welcome(struct agent_sim *s, uint64_t peer, const char *role,
                       const char *incarnation, uint64_t epoch, bool is_again);
#define SIM_OURS    "q6urq6urq6urq6urq6urqw=="
#define SIM_FOREIGN "AQEBAQEBAQEBAQEBAQEBAQ=="
void agent_sim_master_down(struct agent_sim *s);
/* A client goes. */
void agent_sim_peer_down(struct agent_sim *s, uint64_t peer);
/* Envelope bodies as JSON, {'AgentLaunch': {...}}, with the incarnation and epoch of the master. */
void agent_sim_say(struct agent_sim *s, const char *body);
void agent_sim_say_as(struct agent_sim *s, uint64_t peer, uint64_t request_id, uint64_t epoch,
                      const char *body);
/* The master's answer to the last registration, queued. */
void agent_sim_answer(struct agent_sim *s, const char *code, const char *body);
void agent_sim_client_up(struct agent_sim *s, uint64_t peer, bool trusted); /* an operator */
void agent_sim_scheduler_up(struct agent_sim *s, uint64_t peer);            /* a trusted one */
/* Launches with the uuid whose bytes are all `n`: `command` is a CommandInfo. */
void agent_sim_launch(struct agent_sim *s, const char *framework_id, const char *task_id, uint8_t n,
                      const char *command);
void agent_sim_launch_more(struct agent_sim *s, const char *framework_id, const char *task_id,
                           uint8_t n, const char *command, const char *more);
void agent_sim_launch_uuid(struct agent_sim *s, const char *framework_id, const char *task_id,
                           struct pf_uuid launch, const char *command, const char *more);

/* A task of an executor, and a group; `executor` is an ExecutorInfo. */
void agent_sim_launch_on(struct agent_sim *s, const char *framework_id, const char *task_id,
                         uint8_t n, const char *executor);
void agent_sim_launch_group(struct agent_sim *s, const char *framework_id, uint8_t group,
                            const char *executor, const struct sim_group_task *tasks, uint32_t n);
/* The last that was started under this id, NULL = none. What it does is queued. */
struct sim_executor *agent_sim_executor(struct agent_sim *s, const char *id);
void agent_sim_exit_executor(struct agent_sim *s, const struct sim_executor *x,
                             int32_t wait_status);
void agent_sim_executor_cut(struct agent_sim *s, struct sim_executor *x); /* its link breaks */
/* A client that says `hello`, queued. */
void agent_sim_peer_up(struct agent_sim *s, uint64_t peer, const char *hello);
void agent_sim_executor_connect(struct agent_sim *s, struct sim_executor *x);
/* On a new link; `token` NULL: its own. */
void agent_sim_executor_subscribe(struct agent_sim *s, struct sim_executor *x, const char *token);
/* `call`: members of an Executor_Call. */
void agent_sim_executor_call(struct agent_sim *s, struct sim_executor *x, uint64_t request_id,
                             const char *call);
void agent_sim_executor_update(struct agent_sim *s, struct sim_executor *x, const char *task_id,
                               int32_t state);

void agent_sim_launcher_down(struct agent_sim *s);
void agent_sim_launcher_up(struct agent_sim *s, const char *instance);
void agent_sim_exit(struct agent_sim *s, uint8_t n, int32_t wait_status);
/* The same, after the kernel killed some of it for its memory. */
void agent_sim_exit_oom(struct agent_sim *s, uint8_t n, int32_t wait_status, uint64_t oom_kills,
                        uint64_t peak_bytes);
/* Of launch `n`, NULL = none. A URI that begins with "slow" takes until it is told, "bad" fails. */
struct sim_process *agent_sim_fetcher(struct agent_sim *s, uint8_t n);
void agent_sim_fetched(struct agent_sim *s, uint8_t n, int32_t wait_status, const char *report);
/* The process beside a task that was started last, NULL = none. */
struct sim_process *agent_sim_beside(struct agent_sim *s);
void agent_sim_disk(struct agent_sim *s, uint64_t free_bytes);
void agent_sim_sandbox_gone(struct agent_sim *s, uint8_t n);
struct sim_process *agent_sim_process(struct agent_sim *s, uint8_t n);
struct sim_told *agent_sim_told(struct agent_sim *s, uint8_t n);
/* "TASK_RUNNING TASK_FINISHED", what was told of launch `n`; borrowed until the next call. */
const char *agent_sim_states(struct agent_sim *s, uint8_t n);
uint32_t agent_sim_rows(struct agent_sim *s, uint8_t table);
void agent_sim_stats(const struct agent_sim *s, struct pf_agent_stats *out);
/* Since the last call the log has a line that contains each of the texts, in this order. */
void agent_sim_expect_log(struct agent_sim *s, const char *const *texts, size_t n);
#define AGENT_SIM_EXPECT(s, ...)                                                                   \
    agent_sim_expect_log((s), (const char *const[]){__VA_ARGS__},                                  \
                         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
void agent_sim_clear_log(struct agent_sim *s);

#endif
