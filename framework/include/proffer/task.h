/* SPDX-License-Identifier: Apache-2.0 */
/* What a scheduler says and hears: tasks, offers, statuses, demands. Part of <proffer/proffer.h>.
 *
 * Units: CPUs and GPUs in thousandths ("milli": 1500 = one and a half), memory and disk in bytes,
 * times in milliseconds. The cluster counts memory and disk in units of 2^20 bytes with three
 * decimals; amounts are rounded up to that.
 *
 * Structures that you fill begin with `size`, which must be sizeof the structure: begin with
 * PF_TASK_SPEC_INIT and the like, which also zero the rest. NULL and 0 mean "not said". */
#ifndef PROFFER_TASK_H
#define PROFFER_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The states of a task, with Mesos's numbers. */
enum pf_task_state {
    PF_TASK_STARTING = 0,
    PF_TASK_RUNNING = 1,
    PF_TASK_FINISHED = 2, /* final: exit status 0 */
    PF_TASK_FAILED = 3,   /* final */
    PF_TASK_KILLED = 4,   /* final */
    PF_TASK_LOST = 5,     /* final: never started, or gone with its agent */
    PF_TASK_STAGING = 6,
    PF_TASK_ERROR = 7,    /* final: refused, the message says why */
    PF_TASK_KILLING = 8,
    PF_TASK_DROPPED = 9,  /* final: never started */
    PF_TASK_UNREACHABLE = 10, /* its agent is cut off; it may come back */
    PF_TASK_GONE = 11,        /* final */
    PF_TASK_GONE_BY_OPERATOR = 12, /* final */
    PF_TASK_UNKNOWN = 13      /* final: the cluster knows nothing of it */
};

/* A range of numbers, both ends included. */
struct pf_port_range {
    uint64_t begin, end;
};

/* --- launching ------------------------------------------------------------------------------- */

/* A file that is brought to the sandbox before its command starts. */
struct pf_uri {
    const char *value;       /* "https://...", "ftp://...", "file:///..." or a path of the agent */
    bool is_executable;      /* gets its executable bit; never unpacked */
    bool is_kept_packed;     /* archives are unpacked but for this */
    bool is_cached;          /* by the agent, for the next task that wants it */
    const char *output_file; /* its name in the sandbox; NULL: that of the URI */
};

/* Says whether a task is well; one that is not is killed. Exactly one of command, http_port and
 * tcp_port. Times of 0: delay 15 s, interval 10 s, timeout 20 s, grace 10 s. */
struct pf_health_check {
    size_t size;
    const char *command;     /* a line for /bin/sh: well if it ends with 0 */
    uint16_t http_port;      /* on 127.0.0.1: well if the status is 200 to 399 */
    const char *http_path;   /* NULL: "/" */
    uint16_t tcp_port;       /* well if it can be connected to */
    int64_t delay_ms;        /* before the first; negative: none */
    int64_t interval_ms;
    int64_t timeout_ms;      /* of one */
    int64_t grace_ms;        /* failures do not count for so long after the start; negative: none */
    uint32_t max_failures;   /* in a row; 0: 3 */
};
#define PF_HEALTH_CHECK_INIT {sizeof(struct pf_health_check), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* A process of yours that runs tasks: see <proffer/executor.h>. It is started with its first task
 * on an agent and runs there until it ends, or until it is shut down. All tasks that name its id
 * must describe it alike. */
struct pf_executor_spec {
    size_t size;
    const char *executor_id;  /* required */
    const char *name;         /* for people; NULL: the id */
    const char *command;      /* a line for /bin/sh ... */
    const char *const *argv;  /* ... or a program and its arguments, ended by NULL */
    const char *const *env;   /* "NAME=VALUE", ended by NULL */
    const char *user;         /* NULL: the framework's */
    const struct pf_uri *uris;
    size_t n_uris;
    int64_t cpus_milli;       /* its own, on top of those of its tasks, and of the same offers */
    int64_t mem_bytes;        /* that of a group at least 10 and 32 MiB, ... */
    int64_t disk_bytes;       /* ... and some disk, as in Mesos */
    const void *data;         /* it gets to see */
    size_t data_bytes;
    int64_t shutdown_grace_ms; /* between SHUTDOWN and SIGKILL; 0: the agent's default */
    const char *const *labels; /* "KEY=VALUE", ended by NULL */
    /* Fields of Mesos's ExecutorInfo as a JSON object: what they say counts, not what stands
     * above. For what has no field here. */
    const char *merge_json;
};
#define PF_EXECUTOR_SPEC_INIT \
    {sizeof(struct pf_executor_spec), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* A command to run. Everything is copied by the call that takes it. */
struct pf_task_spec {
    size_t size;
    const char *task_id;      /* required; unique among the live tasks of the framework */
    const char *name;         /* for people; NULL: the id */
    int64_t cpus_milli;
    int64_t mem_bytes;
    int64_t disk_bytes;
    int64_t gpus_milli;
    uint32_t n_ports;         /* so many ports of the offer, told to the task
                               * as PROFFER_PORT_0, ... */

    const char *command;      /* a line for /bin/sh ... */
    const char *const *argv;  /* ... or a program and its arguments, ended by NULL */
    const char *const *env;   /* "NAME=VALUE", ended by NULL */
    const char *user;         /* NULL: the framework's */
    const char *cwd;          /* NULL: the sandbox */
    const void *script;       /* ... or a file's contents, `argv` being its arguments */
    size_t script_bytes;
    bool keeps_stdin;         /* its standard input can be written; else it is /dev/null */
    int64_t kill_grace_ms;    /* between the first signal and SIGKILL; 0: the agent's default */
    int64_t max_run_ms;       /* ended after it ran so long; 0: never */
    const char *const *labels; /* "KEY=VALUE", ended by NULL */

    /* A whole TaskInfo of Mesos's v1 API as JSON text instead of all fields above (but task_id,
     * which must agree). Its agent_id is that of the offer. */
    const char *json;

    const struct pf_executor_spec *executor; /* runs the task; then it has no command of its own */
    const void *data;         /* for the executor */
    size_t data_bytes;
    const struct pf_uri *uris; /* for the command */
    size_t n_uris;
    const struct pf_health_check *health_check;
    /* Fields of TaskInfo as a JSON object: what they say counts, not what stands above. For what
     * has no field here: {"discovery": ...}, {"check": ...}, {"partition_policy": ...}. */
    const char *merge_json;
};
#define PF_TASK_SPEC_INIT {sizeof(struct pf_task_spec), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
                           false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* --- offers ---------------------------------------------------------------------------------- */

struct pf_attribute {
    const char *name;
    const char *text; /* numbers and ranges as people write them */
};

/* Resources of one agent, offered to you until you accept, decline, or they are rescinded.
 * Everything is borrowed for the callback. */
struct pf_offer_view {
    const char *id;
    const char *agent_id;
    const char *hostname;
    const char *agent_address;      /* its native port, "host:port"; NULL if not told */
    const char *demand_id;          /* the demand it is for; NULL: for none */
    uint32_t demand_count;          /* how many instances of the demand it holds */
    int64_t cpus_milli, mem_bytes, disk_bytes, gpus_milli;
    const struct pf_port_range *ports;
    size_t n_ports;                 /* ranges */
    const struct pf_attribute *attributes;
    size_t n_attributes;
    const void *impl;               /* for pf_offer_json() */
};

/* --- statuses -------------------------------------------------------------------------------- */

/* News of a task. Everything is borrowed for the callback. */
struct pf_task_status {
    const char *task_id;
    const char *agent_id;   /* NULL if not known */
    enum pf_task_state state;
    bool is_final;
    const char *message;    /* for people; NULL: none */
    const char *reason;     /* "REASON_..." of Mesos's v1 API; NULL: none */
    bool has_exit_status;
    int exit_status;        /* of a task that exited */
    int signal;             /* that ended the task; 0: none */
    int64_t time_ms;        /* since 1970; 0: not known */
    bool wants_ack;         /* with explicit_acks: acknowledge it, or it comes again */
    uint8_t uuid[16];       /* what to acknowledge */
    const void *impl;       /* for pf_task_status_json() */
    const char *executor_id; /* NULL: none */
    const void *data;       /* from its executor */
    size_t data_bytes;
    bool has_healthy;       /* it has a health check that said something */
    bool is_healthy;
};

/* An executor has ended, or (without its id) an agent is gone. Borrowed for the callback. */
struct pf_failure {
    const char *agent_id;
    const char *executor_id; /* NULL: the agent */
    bool has_exit_status;    /* of an executor that exited */
    int exit_status;
    int signal;              /* that ended the executor; 0: none */
};

/* --- demands --------------------------------------------------------------------------------- */

enum pf_constraint_op {
    PF_CONSTRAINT_EQUALS = 0,
    PF_CONSTRAINT_NOT_EQUALS = 1,
    PF_CONSTRAINT_EXISTS = 2,
    PF_CONSTRAINT_NOT_EXISTS = 3,
    PF_CONSTRAINT_GLOB = 4 /* shell pattern with * and ? */
};

/* On an attribute of the agent; "hostname" is one of every agent. */
struct pf_constraint {
    const char *attribute;
    enum pf_constraint_op op;
    const char *value; /* of EQUALS, NOT_EQUALS, GLOB */
};

/* What you want: `count` more instances of these resources. The master then offers what fits, and
 * nothing else. Launching on an offer of the demand counts down; a task that failed is yours to
 * demand again. */
struct pf_demand {
    size_t size;
    const char *id;          /* required; offers and statuses of the demand name it */
    uint32_t count;
    int64_t cpus_milli, mem_bytes, disk_bytes, gpus_milli;
    uint32_t n_ports;
    const struct pf_constraint *constraints; /* all must hold */
    size_t n_constraints;
    const char *id_prefix;   /* for people who ask what waits: ids of its tasks, ... */
    const char *name;
    const char *command;
    const char *role;        /* NULL: the framework's */
};
#define PF_DEMAND_INIT {sizeof(struct pf_demand), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

enum pf_demand_state {
    PF_DEMAND_WAITING = 0,
    PF_DEMAND_OFFERED = 1,
    PF_DEMAND_PLACED = 2,
    PF_DEMAND_REFUSED = 3 /* no agent could ever hold it */
};

/* Why a demand waits: told after a second, and when the reason changes. Borrowed. */
struct pf_demand_status {
    const char *demand_id;
    enum pf_demand_state state;
    uint32_t waiting;   /* instances */
    const char *text;   /* "2 agents; 1 too little cpu (short 0.5)" */
    int64_t waited_ms;
    const void *impl;   /* for pf_demand_status_json() */
};

#ifdef __cplusplus
}
#endif
#endif
