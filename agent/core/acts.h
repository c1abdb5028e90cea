/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's core wants done by its daemon: the effects of its own beside rows and sends. */
#ifndef PF_AGENT_CORE_ACTS_H
#define PF_AGENT_CORE_ACTS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/id.h"
#include "common/fb/fb.h"

/* The core's own effects (pf_effect.act); `data` as said. All wait for the rows before them. The
 * daemon drops START, SIGNAL and FORGET while there is no launcher: after LAUNCHER_UP the core says
 * them again. So START of a uuid that the launcher knows must change nothing, and SANDBOX of one
 * that exists must succeed. */
enum pf_agent_act {
    PF_AGENT_ACT_SANDBOX = 1, /* struct pf_agent_act_sandbox: make it, then event SANDBOX */
    PF_AGENT_ACT_START,       /* struct pf_agent_act_start: to the launcher */
    PF_AGENT_ACT_SIGNAL,      /* struct pf_agent_act_signal */
    PF_AGENT_ACT_FORGET,      /* struct pf_uuid: its end is stored */
    PF_AGENT_ACT_READ,        /* struct pf_agent_act_read: serve a ReadFile and reply */
    PF_AGENT_ACT_STDIN,       /* struct pf_agent_act_stdin: write or close, then reply */
    PF_AGENT_ACT_ENDED,       /* struct pf_agent_act_ended: followers of its files reach the end */
    PF_AGENT_ACT_REMOVE,      /* struct pf_agent_act_sandbox: remove the directory */
    PF_AGENT_ACT_FETCH,       /* struct pf_agent_act_fetch: start a fetcher */
    PF_AGENT_ACT_CHECK,       /* struct pf_agent_act_check: connect or ask, then event CHECKED */
    PF_AGENT_ACT_LIMIT,       /* struct pf_agent_act_limit: of a cgroup that stands */
    PF_AGENT_ACT_FILES,       /* struct pf_agent_act_files: do it and reply */
    PF_AGENT_ACT_SESSION_OPEN,  /* struct pf_agent_act_session: start it; SESSION if not */
    PF_AGENT_ACT_SESSION_INPUT, /* struct pf_agent_act_session_input */
    PF_AGENT_ACT_SESSION_END,   /* struct pf_agent_act_session_end: drain, then tell */
    PF_AGENT_ACT_TERMINAL,      /* struct pf_agent_act_terminal */
    PF_AGENT_ACT_CLOSE_LAUNCHER, /* NULL: nothing is left to run, let it end (leave, cleanup) */
    PF_AGENT_ACT_LEFT,        /* bool *: end; true: unregistered for good, remove the identity */
};

/* What a container may use. Kernel units; 0 = no limit. */
struct pf_agent_limits {
    uint64_t cpu_shares;    /* cgroup v1: 1024 a cpu, at least 2 */
    uint64_t cpu_quota_us;  /* of each 100 ms */
    uint64_t memory_bytes;  /* at least 32 MiB */
    uint64_t pids;
};

/* A container is what is looked after as one: a command task, or an executor with its tasks. Its
 * uuid is the launch uuid of its first process. The fetcher that runs before has one that is made
 * of it, so that it is known again after a crash; checks and sessions have random ones, and end
 * with this agent's process. */
enum pf_agent_role { PF_AGENT_ROLE_MAIN = 0, PF_AGENT_ROLE_FETCH = 1 };
struct pf_uuid pf_agent_process_uuid(struct pf_uuid container, enum pf_agent_role role);

struct pf_agent_act_fetch {
    struct pf_uuid launch;    /* of the fetcher's process */
    struct pf_uuid container; /* in whose cgroup it runs */
    struct pf_str sandbox, user;
    struct pf_msg plan;       /* FetchPlan */
};

struct pf_agent_act_check {
    struct pf_uuid check;
    bool is_http, is_tls, is_ipv6;
    uint32_t port;       /* of the loopback address */
    struct pf_str path;
    int64_t timeout_ms;
};

struct pf_agent_act_limit {
    struct pf_uuid container;
    struct pf_agent_limits limits;
};

enum pf_agent_file_op { PF_AGENT_FILE_READ = 1, PF_AGENT_FILE_LIST, PF_AGENT_FILE_WRITE };

/* Of a sandbox, as the task's user; `path` is relative and never leaves it. */
struct pf_agent_act_files {
    uint64_t peer, request_id;
    enum pf_agent_file_op op;
    struct pf_str sandbox, user, path;
    uint64_t offset;
    uint32_t limit;       /* bytes, or entries */
    struct pf_str after;  /* LIST: a name */
    struct pf_bytes data; /* WRITE */
    uint32_t mode;
};

/* A session: a process of its own beside the task, in its container and with its environment. */
struct pf_agent_act_session {
    uint64_t peer;
    struct pf_uuid session;   /* also the launch uuid of its process */
    struct pf_uuid container;
    int64_t pid;              /* of the task: whose environment it gets */
    struct pf_str sandbox, user;
    struct pf_str cwd;        /* absolute; "" = the sandbox */
    const struct pf_str *args, *env; /* env "NAME=value", on top of the task's */
    uint32_t n_args, n_env;
    bool keeps_stdin;
    uint32_t rows, columns;   /* > 0: with a terminal of this size */
};

/* Exactly one of: data or eof (answered by a Reply when taken), taken, a size. */
struct pf_agent_act_session_input {
    struct pf_uuid session;
    uint64_t peer, request_id;
    struct pf_bytes data;
    bool eof;
    uint64_t taken;         /* so many bytes of its output the reader has taken in all */
    uint32_t rows, columns; /* its window has this size now */
};

struct pf_agent_act_session_end {
    struct pf_uuid session;
    bool is_silent;      /* nobody is left to tell: close at once */
    int32_t wait_status; /* -1 = unknown, or it never ran */
    struct pf_str text;
};

/* The terminal of a running task: copy what it says to its stdout (again, after a restart), and
 * give it this size (> 0). */
struct pf_agent_act_terminal {
    struct pf_uuid launch;
    struct pf_str sandbox, user;
    uint32_t rows, columns;
};

struct pf_agent_act_sandbox {
    struct pf_uuid launch;
    struct pf_str path;       /* absolute */
    struct pf_str user;       /* owner; "" = the agent's own */
    struct pf_bytes script;   /* .at NULL = none; else becomes the executable file `script` in it */
    struct pf_agent_limits limits; /* SANDBOX: of the cgroup that is made with it */
};

struct pf_agent_act_start {
    struct pf_uuid launch;
    struct pf_str sandbox, user, cwd; /* cwd "" = the sandbox */
    struct pf_str path;               /* program */
    const struct pf_str *args;        /* argv */
    uint32_t n_args;
    const struct pf_str *env;         /* "NAME=value", complete */
    uint32_t n_env;
    bool keeps_stdin;
    struct pf_uuid container;         /* whose cgroup it enters */
    bool owns_container;              /* its end is the container's end */
    bool is_session;                  /* its output is not the task's: nowhere */
    bool is_terminal;                 /* stdin, stdout, stderr are a terminal; output is copied */
    uint32_t rows, columns;
    const struct pf_agent_rlimit *rlimits;
    uint32_t n_rlimits;
};

struct pf_agent_rlimit {
    uint32_t resource;   /* the kernel's number */
    uint64_t soft, hard; /* UINT64_MAX = unlimited */
};

struct pf_agent_act_signal {
    struct pf_uuid launch;
    int signal;
};

struct pf_agent_act_read {
    uint64_t peer, request_id;
    struct pf_uuid launch;
    struct pf_str path;   /* of the file */
    uint64_t offset;
    uint32_t limit, tail_lines;
    int64_t since_ms;
    bool follow, ended;   /* ended: nothing will be added any more */
};

struct pf_agent_act_stdin {
    uint64_t peer, request_id;
    struct pf_uuid launch;
    struct pf_bytes data;
    bool eof;
};

struct pf_agent_act_ended {
    struct pf_uuid launch;
    struct pf_str sandbox;
};

#endif
