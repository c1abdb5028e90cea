/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the agent's core share: its structures and the calls between its files. For
 * agent/core/ only. */
#ifndef PF_AGENT_CORE_AGENT_INTERNAL_H
#define PF_AGENT_CORE_AGENT_INTERNAL_H

#include <sys/queue.h>
#include "agent/core/agent.h"
#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "schemas/launcher.h"
#include "schemas/rows.h"

enum {
    AGENT_FORMAT = 1,            /* of the rows */
    AGENT_LINKS_MAX = 16,        /* masters */
    AGENT_IDLE_FRAMEWORKS = 256, /* infos kept of frameworks without a task */
    AGENT_HISTORY_TASKS = 1000,
    AGENT_FIRES_PER_STEP = 64,   /* deadlines of tasks handled in one step */
    AGENT_SIGKILL = 9,
    AGENT_SIGTERM = 15,
};
#define AGENT_HISTORY_MS    (INT64_C(7) * 24 * 3600 * 1000)
#define AGENT_NEVER         INT64_MAX
#define AGENT_GRACE_MS      3000             /* between SIGTERM and SIGKILL when nobody says */
#define AGENT_GRACE_MAX_MS  (INT64_C(30) * 24 * 3600 * 1000)
#define AGENT_RESEND_MAX_MS 600000
#define AGENT_REKILL_MS     5000             /* SIGKILL again when the end does not come */
#define AGENT_REGISTER_MS   10000            /* ask again when no answer comes */
#define AGENT_REFUSED_MS    5000             /* ask again after a refusal */
#define AGENT_BATCH_BYTES   (768u << 10)     /* of AgentTasks; with its last task below 1 MiB */

/* Why a task is being killed (Row_AgentTask.kill_reason). */
enum kill_reason { KILL_NONE = 0, KILL_REQUEST = 1, KILL_TEARDOWN = 2, KILL_COMPLETION = 3 };

/* How far a start went since this core exists. */
enum start_phase { START_NONE = 0, START_SANDBOX, START_READY, START_SENT };

/* One update of a task's stream; `status` is a TaskStatus. */
struct update {
    TAILQ_ENTRY(update) link; /* task.updates */
    struct task *task;
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
    uint32_t n_tasks; /* live ones */
    uint64_t told;      /* agent.register_request that told its info */
    bool stored;
    bool torn_down;     /* goes with its last task */
    bool wants_killing; /* has TASK_KILLING_STATE */
    TAILQ_ENTRY(framework) link; /* agent.idle when n_tasks is 0 */
};

struct task {
    TAILQ_ENTRY(task) link; /* agent.live or agent.history */
    struct framework *fw;   /* NULL in the history */
    char *name;             /* framework id, NUL, task id, NUL: key in by_name */
    uint32_t fw_len, id_len;
    struct pf_uuid launch;
    char *user;
    uint8_t *summary; /* Task: what never changes, without ids; NULL in the history */
    uint32_t summary_len;
    uint32_t info_len;
    uint8_t *info;            /* TaskInfo until it runs */
    char *launcher;           /* recovered: instance that was to start it */
    struct pf_sm run;         /* RunState */
    uint8_t phase;            /* start_phase */
    uint8_t kill_reason;
    uint8_t kill_signal;      /* the first one */
    uint32_t signalled;       /* agent.list_generation when the first signal was sent */
    bool counted;             /* its resources are taken out of agent.free */
    bool keeps_stdin, in_history;
    bool old_boot;            /* its row is of another boot */
    uint32_t start_generation; /* agent.launcher_generation that the row names */
    uint32_t seen;            /* agent.list_generation of the list that named it */
    int32_t wait_status;      /* -1 = unknown */
    bool has_wait_status;
    int8_t final_state;       /* TaskState, -1 = none yet */
    int8_t told_state;        /* TaskState of the last update made, -1 = none */
    int64_t pid;
    uint64_t start_time;
    int64_t accepted_ms, started_ms, finished_ms; /* wall */
    int64_t completion_ms;    /* allowed run time, AGENT_NEVER = any */
    int64_t grace_ms;
    int64_t kill_wall_ms;     /* deadline as stored */
    int64_t kill_at, complete_at, resend_at, expire_at; /* monotonic, AGENT_NEVER = none */
    int64_t resend_ms;        /* current back-off */
    struct pf_heap_node timer; /* the least of them */
    struct update_list updates;
    uint32_t next_update;
};

TAILQ_HEAD(task_list, task);
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

struct client {
    uint64_t peer;
    bool trusted;
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

    struct task_list live;      /* in the order of acceptance; ended ones until acknowledged */
    struct task_list history;   /* in the order of their ends */
    struct pf_map by_launch, by_name, by_update;
    struct pf_map frameworks;
    struct framework_list idle;
    uint32_t n_idle, n_live, n_running, n_history, n_updates;
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
    uint64_t leader; /* peer, 0 = none */
    struct pf_sm link; /* link_state */
    uint64_t register_request;
    int64_t register_at;
    struct task *batch_next; /* next to tell while registering */
    bool batches_open;
    char *refusal;
    struct pf_map clients;

    /* of the step */
    struct pf_turn *turn;
    int64_t now_ms, wall_ms;

    uint64_t n_launches, n_refused, n_sent, n_resent, n_bad;
};

/* tables.c: state tables and texts */
extern const struct pf_sm_table ag_run_table, ag_link_table;
struct pf_str ag_errno_text(struct pf_arena *arena, int error);
struct pf_str ag_signal_text(struct pf_arena *arena, int signal);

/* values.c: resources and attributes of messages */
PF_MUST_USE int ag_resources_of(struct TaskInfo info, struct pf_resources *out,
                                   struct pf_err *err);
PF_MUST_USE int ag_resources_of_summary(struct Task task, struct pf_resources *out,
                                           struct pf_err *err);
struct pf_refs ag_put_resources(struct pf_fb_builder *b, struct pf_arena *arena,
                                   const struct pf_resources *r);
struct pf_refs ag_put_attributes(struct pf_fb_builder *b, struct pf_arena *arena,
                                    const char *text);

/* tasks.c */
struct pf_str ag_task_framework_id(const struct task *t);
struct pf_str ag_task_id(const struct task *t);
struct Task ag_task_summary(const struct task *t);
bool ag_task_is_ended(const struct task *t);
struct task *ag_task_create(struct pf_agent *a, struct pf_uuid launch);
void ag_task_set_name(struct task *t, struct pf_str framework_id, struct pf_str id);
void ag_task_init_state(struct pf_agent *a, struct task *t, uint32_t state, const char *why);
void ag_task_move(struct pf_agent *a, struct task *t, uint32_t state, const char *why);
void ag_task_set_info(struct pf_agent *a, struct task *t, struct pf_bytes info);
void ag_task_drop_info(struct task *t);
void ag_task_index_name(struct pf_agent *a, struct task *t);
void ag_task_count(struct pf_agent *a, struct task *t);
void ag_task_uncount(struct pf_agent *a, struct task *t);
void ag_task_retire(struct pf_agent *a, struct task *t);
void ag_task_remove(struct pf_agent *a, struct task *t);
void ag_task_free(struct pf_agent *a, struct task *t);
struct task *ag_task_by_launch(const struct pf_agent *a, struct pf_bytes launch);
struct task *ag_task_by_name(struct pf_agent *a, struct pf_str framework_id, struct pf_str id);
struct pf_str ag_task_sandbox(const struct pf_agent *a, const struct task *t);
void ag_task_rearm(struct pf_agent *a, struct task *t);

/* frameworks.c */
struct framework *ag_framework_need(struct pf_agent *a, struct pf_str id);
void ag_framework_set_info(struct framework *fw, struct pf_bytes info);
void ag_framework_join(struct pf_agent *a, struct task *t, struct framework *fw);
void ag_framework_leave(struct pf_agent *a, struct task *t);
void ag_framework_free(struct pf_agent *a, struct framework *fw);

/* rows.c */
void ag_row_put_identity(struct pf_agent *a);
void ag_row_put_framework(struct pf_agent *a, struct framework *fw);
void ag_row_del_framework(struct pf_agent *a, struct framework *fw);
void ag_row_put_task(struct pf_agent *a, const struct task *t);
void ag_row_put_info(struct pf_agent *a, const struct task *t, struct pf_bytes info);
void ag_row_put_update(struct pf_agent *a, const struct update *u);
void ag_row_del_update(struct pf_agent *a, const struct update *u);
void ag_row_del_task(struct pf_agent *a, const struct task *t);

/* recover.c */
void ag_on_row(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_boot(struct pf_agent *a);

/* summary.c: the part of a TaskInfo that is told to masters */
struct pf_msg ag_summary_build(struct pf_agent *a, struct TaskInfo info);
struct pf_ref ag_summary_put(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t);

/* launch.c */
void ag_on_launch(struct pf_agent *a, struct AgentLaunch launch);
void ag_on_sandbox(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_task_begin(struct pf_agent *a, struct task *t);
void ag_task_start(struct pf_agent *a, struct task *t);

/* validate.c: NULL = fine, else a state, a reason and a text */
struct refusal {
    enum TaskState state;
    enum TaskStatus_Reason reason;
    struct pf_str text;
};
const struct refusal *ag_launch_refusal(struct pf_agent *a, struct AgentLaunchTask task,
                                        const struct task *twin);

/* command.c */
const struct pf_agent_act_start *ag_command_start(struct pf_agent *a, const struct task *t);

/* process.c */
bool ag_launcher_is_ready(const struct pf_agent *a); /* connected, and its list is complete */
void ag_on_launcher_up(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_launcher_down(struct pf_agent *a);
void ag_on_process(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_processes_end(struct pf_agent *a);

/* end.c */
struct ending {
    enum TaskState state;
    bool has_reason;
    enum TaskStatus_Reason reason;
    bool by_agent; /* source */
    struct pf_str text;
    bool has_exit;
    int32_t exit_status;
    bool has_signal;
    int32_t signal;
    int64_t at_wall_ms; /* 0 = now */
};
void ag_task_end(struct pf_agent *a, struct task *t, const struct ending *e, const char *why);
void ag_task_end_status(struct pf_agent *a, struct task *t, int32_t wait_status, int64_t at_wall_ms);
void ag_task_end_unknown(struct pf_agent *a, struct task *t, const char *text);
void ag_task_end_killed_early(struct pf_agent *a, struct task *t);
void ag_task_end_unborn(struct pf_agent *a, struct task *t, int error, struct pf_str stage);

/* kill.c */
void ag_on_kill(struct pf_agent *a, struct AgentKill kill);
void ag_on_teardown(struct pf_agent *a, struct AgentTeardown teardown);
void ag_task_kill(struct pf_agent *a, struct task *t, enum kill_reason reason, int64_t grace_ms,
               int signal);
void ag_task_kill_advance(struct pf_agent *a, struct task *t);

/* updates.c */
void ag_update_add(struct pf_agent *a, struct task *t, enum TaskState state, const struct ending *e);
bool ag_update_restore(struct pf_agent *a, struct task *t, uint32_t number, struct pf_bytes status);
void ag_update_send_head(struct pf_agent *a, struct task *t);
void ag_updates_drop(struct pf_agent *a, struct task *t);
void ag_on_acknowledge(struct pf_agent *a, struct AgentAcknowledge ack);
void ag_updates_tell_gone(struct pf_agent *a, struct AgentKill kill, const struct task *past);

/* master.c: links to masters, registration */
void ag_on_master_up(struct pf_agent *a, const struct pf_agent_event *ev);
bool ag_on_link_down(struct pf_agent *a, uint64_t peer);
bool ag_on_link_message(struct pf_agent *a, struct Envelope env, uint64_t peer);
void ag_link_deadline(struct pf_agent *a);
const char *ag_link_leader(const struct pf_agent *a);
bool ag_is_registered(const struct pf_agent *a);
int64_t ag_link_next(const struct pf_agent *a);

/* clients.c */
void ag_on_client_message(struct pf_agent *a, struct Envelope env, const struct client *c);

/* message.c: envelopes */
void ag_send(struct pf_agent *a, uint64_t peer, struct pf_fb_builder *b, enum Body type,
                struct pf_ref body, uint64_t request_id);
void ag_reply(struct pf_agent *a, uint64_t peer, uint64_t request_id, enum ReplyCode code,
                 struct pf_str text);
void ag_reply_body(struct pf_agent *a, uint64_t peer, uint64_t request_id,
                      struct pf_fb_builder *b, enum Body type, struct pf_ref body);
bool ag_uuid_of(struct pf_bytes bytes, struct pf_uuid *out);

#endif
