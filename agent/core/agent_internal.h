/* SPDX-License-Identifier: Apache-2.0 */
/* The structures that the parts of the agent's core share. For agent/core/ only. */
#ifndef PF_AGENT_CORE_AGENT_INTERNAL_H
#define PF_AGENT_CORE_AGENT_INTERNAL_H

#include <sys/queue.h>
#include "agent/core/agent.h"
#include "common/base/heap.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "schemas/launcher.h"
#include "schemas/rows.h"

enum {
    AGENT_FORMAT = 1,            /* of the rows */
    AGENT_LINKS_MAX = 16,        /* masters */
    AGENT_IDLE_FRAMEWORKS = 256, /* infos kept of frameworks without a task */
    AGENT_HISTORY_TASKS = 1000,
    AGENT_FIRES_PER_STEP = 64, /* deadlines of tasks handled in one step */
    AGENT_SIGKILL = 9,
    AGENT_SIGTERM = 15,
    AGENT_TOKEN_LEN = 32,
    AGENT_HEARD_MAX = 8, /* uuids of updates kept per task of an executor */
};
#define AGENT_GC_DELAY_MS   (INT64_C(7) * 24 * 3600 * 1000) /* when no option says */
#define AGENT_NEVER         INT64_MAX
#define AGENT_GRACE_MS      PF_KILL_GRACE_MS
#define AGENT_LAST_WORDS_MS 30000 /* an agent that leaves waits so long for acknowledgements */
#define AGENT_GRACE_MAX_MS  (INT64_C(30) * 24 * 3600 * 1000)
#define AGENT_RESEND_MAX_MS 600000
#define AGENT_TELL_END_MS   1000 /* an end behind an update that nobody acknowledges */
#define AGENT_REKILL_MS     5000         /* SIGKILL again when the end does not come */
#define AGENT_REGISTER_MS   10000        /* ask again when no answer comes */
#define AGENT_REFUSED_MS    5000         /* ask again after a refusal */
#define AGENT_SUBSCRIBE_MS   60000  /* an executor's first words, when no option says */
#define AGENT_RESUBSCRIBE_MS 2000   /* after a restart of the agent, likewise */
#define AGENT_SHUTDOWN_MS    5000   /* between SHUTDOWN and SIGKILL, likewise */
#define AGENT_RECOVERY_MS    900000 /* an executor may be without its link */
#define AGENT_HEARTBEAT_MS   1800000
#define AGENT_BATCH_BYTES   (768u << 10) /* of AgentTasks; with its last task below 1 MiB */

/* Why a run is being ended (Row_AgentTask.kill_reason, Row_AgentExecutor.kill_reason). */
enum kill_reason {
    KILL_NONE = 0,
    KILL_REQUEST = 1,
    KILL_TEARDOWN = 2,
    KILL_COMPLETION = 3,
    KILL_NOT_SUBSCRIBED = 4,   /* an executor that never did */
    KILL_NOT_RESUBSCRIBED = 5, /* or not again */
    KILL_GROUP = 6,            /* another task of its group has failed */
    KILL_DRAINING = 7,
    KILL_LEAVING = 8,
    KILL_CLEANUP = 9,
    KILL_STOPPED = 10, /* the agent was cut off, and its partition policy says so */
    KILL_REPLACED = 11,
    KILL_HEALTH = 16,          /* its health check has failed too often */
};

/* How far a start went since this core exists. */
enum start_phase { START_NONE = 0, START_SANDBOX, START_FETCH, START_READY, START_SENT };

enum run_kind { RUN_TASK = 0, RUN_EXECUTOR };

/* Something that masters must hear of; told.c. */
struct untold {
    TAILQ_ENTRY(untold) link; /* agent.untold */
    uint64_t number;          /* 0: the leader was told */
};

TAILQ_HEAD(untold_list, untold);

/* One update of a task's stream; `status` is a TaskStatus. */
struct update {
    TAILQ_ENTRY(update) link; /* task.updates */
    struct task *task;
    struct untold untold;
    uint32_t number;
    int32_t state; /* TaskState */
    struct pf_uuid uuid;
    uint32_t len;
    uint8_t status[];
};

TAILQ_HEAD(update_list, update);

struct framework {
    char *id;
    uint8_t *info; /* FrameworkInfo, NULL = never told */
    uint32_t info_len;
    uint32_t n_runs; /* live tasks and executors */
    uint64_t told;   /* agent.list_number of the list that told its info */
    bool stored;
    bool torn_down;              /* goes with its last run */
    bool wants_killing;          /* has TASK_KILLING_STATE */
    TAILQ_ENTRY(framework) link; /* agent.idle when n_runs is 0 */
};

TAILQ_HEAD(task_list, task);

/* What tasks and executors share: a process that the launcher starts and ends; run.c. */
struct run {
    uint8_t kind;  /* run_kind */
    uint8_t phase; /* start_phase */
    uint8_t kill_reason;
    uint8_t kill_signal; /* the first one */
    bool keeps_stdin;
    bool old_boot; /* its row is of another boot */
    bool has_wait_status;
    bool was_fetched;      /* all that its URIs name */
    uint8_t oom_kills;     /* processes in its container that the kernel killed for their memory */
    struct pf_uuid launch; /* key in agent.by_launch */
    struct pf_sm sm;       /* RunState */
    struct framework *fw;  /* NULL in the history */
    char *name;            /* framework id, NUL, its own id, NUL */
    uint32_t fw_len, id_len;
    char *user;
    uint32_t info_len;
    uint8_t *info;             /* of a task: TaskInfo until it runs; of an executor: ExecutorInfo */
    char *launcher;            /* recovered: instance that was to start it */
    uint32_t signalled;        /* agent.list_generation when the first signal was sent */
    uint32_t start_generation; /* agent.launcher_generation that the row names */
    uint32_t seen;             /* agent.list_generation of the list that named it */
    int32_t wait_status;       /* -1 = unknown */
    int64_t pid;
    uint64_t start_time;
    int64_t accepted_ms, started_ms, finished_ms; /* wall */
    int64_t kill_wall_ms;                         /* deadline as stored */
    int64_t kill_at;                              /* monotonic, AGENT_NEVER = none */
    uint64_t memory_peak_bytes;                   /* 0 = unknown */
    struct pf_heap_node timer;                    /* the least of its deadlines */
};

/* A process that runs tasks for its framework (executor API), or (`is_default`) the agent itself on
 * behalf of task groups: then it has no process, and its tasks have their own. */
struct executor {
    struct run run;
    TAILQ_ENTRY(executor) link; /* agent.executors or agent.past_executors */
    struct task_list tasks;     /* that have not ended */
    uint32_t n_tasks;           /* of all that are known, ended ones too */
    bool is_default, counted;
    bool resubscribes; /* it runs since before this agent's start, or was subscribed */
    bool is_told;      /* of its end, or nobody is to be */
    char token[AGENT_TOKEN_LEN + 1];
    uint64_t peer; /* subscribed, 0 = none */
    int64_t grace_ms;
    int64_t subscribe_at, heartbeat_at, expire_at; /* monotonic, AGENT_NEVER = none */
    struct untold untold;                          /* that it ended */
};

TAILQ_HEAD(executor_list, executor);

struct task {
    struct run run;
    TAILQ_ENTRY(task) link; /* agent.live or agent.history */
    struct executor *executor; /* NULL: a command task */
    TAILQ_ENTRY(task) of_executor; /* executor.tasks */
    struct pf_uuid executor_uuid; /* as its row says */
    struct pf_uuid group;      /* nil = none */
    struct pf_uuid *heard;     /* the latest updates of its executor, n_heard <= AGENT_HEARD_MAX */
    uint8_t n_heard;
    char *kill_text;           /* why it is being killed, NULL = nothing to say */
    uint8_t *summary;       /* Task: what never changes, without ids; NULL in the history */
    uint32_t summary_len;
    bool counted; /* its resources are taken out of agent.free */
    bool in_history;
    bool lost_sandbox;     /* somebody removed it while it ran */
    int8_t healthy;        /* by its health check, -1 = unknown */
    int8_t final_state;    /* TaskState, -1 = none yet */
    int8_t told_state;     /* TaskState of the last update made, -1 = none */
    int64_t completion_ms; /* allowed run time, AGENT_NEVER = any */
    int64_t grace_ms;
    int64_t complete_at, resend_at; /* monotonic, AGENT_NEVER = none */
    int64_t cut_at; /* its partition policy ends it then, AGENT_NEVER = not */
    int64_t resend_ms;              /* current back-off */
    struct checks *checks;          /* NULL = has none */
    struct states *states;          /* told so far, NULL = none */
    struct update_list updates;
    struct untold untold; /* that it was taken: told with its first update */
    uint32_t next_update;
};

TAILQ_HEAD(framework_list, framework);

enum link_state { LINK_STANDBY = 0, LINK_REGISTERING, LINK_REGISTERED, LINK_REFUSED };

/* A link to a master. */
struct master_link {
    uint64_t peer;
    bool leads;
    struct pf_uuid incarnation;
    uint64_t epoch;
    char *instance;
};

/* What the agent as a whole is to do, and what is known of the time without a leader; leave.c,
 * partition.c. In the identity's row but for the second line. */
struct orders {
    bool is_leaving, is_gone, has_grace;
    bool cleans, is_done;
    int64_t grace_ms;   /* leaving: the most that a task gets */
    uint64_t request;   /* of AgentUnregister, 0 = not asked */
    int64_t until;      /* monotonic: for acknowledgements, AGENT_NEVER = not yet */
    int64_t cut_off_ms; /* wall, 0 = a leader knows us */
    bool is_cut_stored;
    int64_t unreachable_ms; /* after that the master calls us so */
    uint8_t *info;          /* AgentInfo of the former start */
    uint32_t info_len;
    char *misfit; /* why this start may not be, NULL = it may */
};

TAILQ_HEAD(session_list, session);

struct client {
    uint64_t peer;
    bool trusted, is_operator;
    bool is_executor;
    bool is_http; /* each of its calls has a client of its own */
    char *token;  /* of a call by HTTP, NULL = none */
    struct executor *executor; /* that subscribed with it */
};

struct pf_agent {
    struct pf_agent_options opt; /* its texts are owned */
    struct pf_resources total, free;
    struct pf_rng rng;

    bool booted;
    char id[PF_UUID_TEXT_LEN + 1];
    char *row_machine_id, *row_boot_id;
    struct pf_uuid incarnation; /* nil = none adopted yet */
    uint64_t epoch;

    struct task_list live;    /* in the order of acceptance; ended ones until acknowledged */
    struct task_list history; /* in the order of their ends */
    struct pf_map by_launch;  /* of run */
    struct pf_map by_name, by_update, by_check;
    struct pf_map executors_by_name;     /* live ones */
    struct executor_list executors;      /* live, in the order of their first tasks */
    struct executor_list past_executors; /* ended, in that order: their sandboxes stand */
    uint32_t n_executors, n_past_executors;
    struct pf_map frameworks;
    struct framework_list idle;
    uint32_t n_idle, n_live, n_running, n_history, n_updates;
    int64_t gc_at;        /* when the first of the history goes, AGENT_NEVER = never */
    uint32_t n_uncounted; /* live tasks that the resources given at this start do not hold */
    struct pf_heap timers;

    bool launcher_up, listing;
    char *launcher; /* instance, NULL = unknown */
    int64_t launcher_pid;
    uint32_t launcher_generation, list_generation;
    bool has_free_bytes;
    uint64_t free_bytes;

    struct master_link links[AGENT_LINKS_MAX];
    uint32_t n_links;
    uint64_t leader;                      /* peer, 0 = none */
    struct pf_sm link;                    /* link_state */
    uint64_t sequence, register_sequence; /* now; as the last registration said it */
    struct untold_list untold;
    uint64_t register_request, list_number;
    int64_t register_at;
    struct task *batch_next; /* next to tell while registering */
    struct executor *batch_executor; /* likewise, before the tasks */
    bool batches_open;
    char *refusal;
    struct pf_uuid foreign; /* last other incarnation while no master of ours is linked */
    char *problem;          /* for people, NULL = none */
    struct pf_map clients;
    struct orders orders;
    struct session_list sessions;
    uint32_t n_sessions;
    int64_t sessions_at; /* the nearest of their deadlines, AGENT_NEVER = none */

    /* of the step */
    struct pf_turn *turn;
    int64_t now_ms, wall_ms;

    uint64_t n_launches, n_refused, n_sent, n_resent, n_bad, n_lost_sandboxes;
};

#endif
