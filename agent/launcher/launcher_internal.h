/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the launcher share: its state, the processes it knows, its controller. */
#ifndef PF_AGENT_LAUNCHER_LAUNCHER_INTERNAL_H
#define PF_AGENT_LAUNCHER_LAUNCHER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "agent/launcher/cgroup_sets.h"
#include "agent/launcher/journal.h"
#include "agent/launcher/launcher.h"
#include "agent/launcher/spawn.h"
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/map.h"
#include "common/fb/build.h"
#include "schemas/launcher.h"

#define LAUNCHER_PROTOCOL      1u
#define LAUNCHER_STATUS_LOST   (-1)         /* it is gone, nobody saw its status */
#define LAUNCHER_FDS_MAX       253          /* of one message, the kernel's SCM_MAX_FD */
#define LAUNCHER_IN_FDS_MAX    1024         /* that wait for their frames */
#define LAUNCHER_OUT_FDS_MAX   64           /* that wait to be sent */
#define LAUNCHER_OUT_PAUSE_BYTES (1u << 20) /* unsent: nothing more is read */
#define LAUNCHER_QUEUE_PAUSE   256          /* starts that wait: nothing more is read */
#define LAUNCHER_STARTS_A_TURN 8
#define LAUNCHER_SWEEP_MS      50
/* A container that does not get empty is told of after this; the agent goes on ending it. */
#define LAUNCHER_ENDING_MS 10000
#define LAUNCHER_RLIMITS_MAX 64
#define LAUNCHER_ENV_NAME      "PROFFER_LAUNCH" /* first in the environment of what we start */

/* One launch, from its Start until Forget. */
struct proc {
    struct pf_uuid uuid; /* key of by_uuid */
    uint8_t state;       /* LauncherState */
    bool is_child;       /* ours to wait for; else one that outlived a dead launcher */
    bool is_reaping;     /* its end was seen; to be journaled, reaped and told */
    bool is_queued;
    bool is_ending;      /* its end was seen; what its container left is being ended */
    uint8_t cgroup_set;  /* whose container it owns, 0 = none */
    pid_t pid;           /* key of by_pid while it runs */
    uint32_t pid_key;
    int pid_fd;          /* -1: none (no descriptors left), found by the sweep */
    int stdin_fd;        /* the kept write end, -1 = none */
    uint64_t start_time;
    int32_t wait_status;
    int32_t error;
    char stage[PF_JOURNAL_STAGE_BYTES];
    int64_t started_ms, ended_ms;
    int64_t ending_since_ms; /* our clock, is_ending */
    uint64_t memory_peak_bytes, memory_limit_bytes;
    int32_t oom_kills;
    bool has_memory; /* the three before are known */
    struct pf_bytes start; /* QUEUED: its LauncherMessage, owned */
    int fd[3];             /* QUEUED: stdin, stdout, stderr */
    STAILQ_ENTRY(proc) link;
};
STAILQ_HEAD(proc_list, proc);

struct out_fd {
    size_t at; /* place in `out` of the first byte of its frame */
    int fd;
};

/* The link to the agent. */
struct controller {
    int fd;              /* -1: none */
    uint64_t generation; /* of the connection, so that a late event is told apart */
    uint32_t watched;    /* what epoll was told */
    struct pf_buf in;
    int in_fd[LAUNCHER_IN_FDS_MAX];
    uint32_t n_in_fds;
    struct pf_buf out;
    size_t sent;
    struct out_fd out_fd[LAUNCHER_OUT_FDS_MAX];
    uint32_t n_out_fds;
};

struct pf_launcher {
    int epoll_fd, dir_fd, lock_fd, listen_fd, signal_fd, inotify_fd;
    struct rlimit nofile; /* as we got it: what children get back */
    bool is_nofile_raised;
    bool is_quitting, is_forced;
    char *upgrade_path; /* to be executed, owned; NULL = nothing */
    char boot_text[PF_UUID_TEXT_LEN + 1];
    struct pf_uuid boot_id;
    char instance[PF_UUID_TEXT_LEN + 1];
    struct pf_spawn_stack stack;
    struct pf_journal journal;
    struct pf_map by_uuid, by_pid;
    struct proc_list queue;   /* to start */
    struct proc_list reaping; /* by `link` too: a queued process has not started */
    struct proc_list ending;  /* likewise */
    struct pf_cgroup_sets cgroups;
    int64_t ending_at_ms;     /* next pass over these; INT64_MAX: none */
    uint32_t n_queued, n_live; /* live: queued, or running */
    int64_t sweep_at_ms;      /* INT64_MAX: none */
    struct pf_fb_builder builder;
    struct controller ctl;
};

enum source { SOURCE_LISTEN = 1, SOURCE_SIGNAL, SOURCE_INOTIFY, SOURCE_CONTROLLER = 16 };

/* --- procs.c: the table of launches --------------------------------------------------------- */
struct proc *proc_create(struct pf_launcher *l, struct pf_uuid uuid);
void proc_destroy(struct pf_launcher *l, struct proc *p);
struct proc *proc_find(const struct pf_launcher *l, struct pf_bytes uuid); /* NULL = unknown */
/* Takes it up as running: by_pid, pidfd, epoll. */
void proc_watch(struct pf_launcher *l, struct proc *p);
bool proc_is_live(const struct proc *p);
bool proc_has_ended(const struct proc *p);
/* It ended, unseen. */
void proc_lose(struct proc *p);
/* The same, after what its container left has ended. */
void proc_lose_later(struct pf_launcher *l, struct proc *p);
/* The descriptor of `p` is ready: notes how it ended, for procs_reap. */
void proc_on_ready(struct pf_launcher *l, struct proc *p);
/* To its process group; before it runs, KILL and TERM let it fail unstarted. */
void proc_signal(struct pf_launcher *l, struct proc *p, int signo);
/* Starts some of the queue. */
void procs_start(struct pf_launcher *l);
/* Journals the ends that were noted, reaps, tells. */
void procs_reap(struct pf_launcher *l);
/* Another pass over the containers whose owner has ended. */
void procs_end_containers(struct pf_launcher *l);
void procs_kill_all(struct pf_launcher *l);
/* Writes the journal anew when it is mostly history. */
void procs_compact(struct pf_launcher *l);
PF_MUST_USE int procs_rewrite_journal(struct pf_launcher *l, struct pf_err *err);
int64_t launcher_wall_ms(void);
int64_t launcher_now_ms(void);

/* --- start.c: one start ---------------------------------------------------------------------- */
/* Looks at the Start of `p` and finds its set of cgroups, before it is journaled; what is wrong
 * with it goes to p->error and p->stage. */
void start_prepare(struct pf_launcher *l, struct proc *p);
pid_t start_spawn(struct pf_launcher *l, const struct proc *p, struct LauncherStart s,
                  struct pf_spawn_failure *failure);

/* --- upgrade.c: another program in our place -------------------------------------------------- */
/* Returns only if that fails; then all is as before. Nothing may be queued. */
void upgrade_exec(struct pf_launcher *l);
/* Asks for what our program's file is by now. */
void upgrade_to_own_file(struct pf_launcher *l);
/* In the new program, after the journal: the descriptors that came along. */
void upgrade_take(struct pf_launcher *l, int kept_fd);

/* --- stray.c: processes that lost their parent, and those of a dead launcher ------------------ */
/* Which launch a process belongs to, by its environment. */
bool stray_launch_of(pid_t pid, struct pf_uuid *out);
void strays_sweep(struct pf_launcher *l);
/* After the journal was read: finds in /proc what still runs. */
void strays_adopt(struct pf_launcher *l);

/* --- controller.c: the link ------------------------------------------------------------------- */
void controller_set(struct pf_launcher *l, int fd); /* takes fd; closes the older one */
void controller_close(struct pf_launcher *l);
void controller_on_ready(struct pf_launcher *l, uint32_t events);
void controller_flush(struct pf_launcher *l);
/* Queues one message; `fd` (-1 = none) is duplicated. */
void controller_send(struct pf_launcher *l, uint8_t type, struct pf_ref body, int fd);

/* --- protocol.c: messages --------------------------------------------------------------------- */
/* One frame of the controller. False: it is no message of ours, or lacks its descriptors. */
bool protocol_on_frame(struct pf_launcher *l, struct pf_bytes frame);
void protocol_send_hello(struct pf_launcher *l);
void protocol_send_process(struct pf_launcher *l, const struct proc *p, int fd);

#endif
