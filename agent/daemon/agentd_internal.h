/* SPDX-License-Identifier: Apache-2.0 */
/* Between agentd.c (boot and end), agentd_events.c (into the core), agentd_acts.c (out of it). */
#ifndef PF_AGENT_DAEMON_AGENTD_INTERNAL_H
#define PF_AGENT_DAEMON_AGENTD_INTERNAL_H

#include "agent/core/agent.h"
#include "agent/daemon/agentd.h"
#include "agent/daemon/checks.h"
#include "agent/daemon/containers.h"
#include "agent/daemon/executor_api.h"
#include "agent/daemon/fetch.h"
#include "agent/daemon/files.h"
#include "agent/daemon/http.h"
#include "agent/daemon/launcher_link.h"
#include "agent/daemon/logtrim.h"
#include "agent/daemon/masters.h"
#include "agent/daemon/session.h"
#include "agent/daemon/stdin.h"
#include "agent/daemon/terminal.h"
#include "agent/daemon/users.h"
#include "common/engine/engine.h"
#include "common/sys/boot.h"

struct agentd {
    const struct pf_agentd_options *o;
    struct pf_loop *loop;
    struct pf_store *store; /* the engine's once that stands; kept for metrics */
    struct pf_engine *engine;
    struct pf_net *net;
    struct pf_http *http;
    struct pf_agent_http http_routes;
    struct pf_executor_api *executor_api;
    struct pf_agent *core;
    struct pf_launcher_link *launcher;
    struct pf_files *files;
    struct pf_stdin *stdin_pipes;
    struct pf_fetches *fetches;
    struct pf_checks *checks;
    struct pf_logtrim *logtrim;
    struct pf_sessions *sessions;
    struct pf_terminals *terminals;
    struct pf_masters *masters;
    struct pf_users users;
    struct pf_containers *containers;
    struct pf_timer *disk_timer, *removal_timer;
    struct pf_timer *begin_timer; /* looks for masters, unless the launcher came first */
    bool has_begun;
    struct pf_ptrs removals; /* char *, owned: sandboxes to be removed */
    uint32_t n_removed;      /* of these, done */
    uint64_t free_bytes;
    int lock_fd;
    uint64_t nofile; /* soft limit of descriptors that we were given: what tasks get */
    struct pf_key key;
    bool has_key;
    bool has_swept;
    bool is_up, has_told; /* everything stands; readiness was told */
    struct pf_link_self self;
    struct pf_str master_address[PF_MASTERS_MAX]; /* for Welcome */
    char instance[PF_UUID_TEXT_LEN + 1];
    char machine_id[PF_MACHINE_ID_LEN + 1], boot_id[PF_BOOT_ID_LEN + 1];
    char hostname[256];
    char native_address[PF_ADDRESS_MAX], http_address[PF_ADDRESS_MAX]; /* bound */
    char told_native[PF_ADDRESS_MAX + 256], told_http[PF_ADDRESS_MAX + 256];
    char *work_dir, *state_dir, *run_dir, *cache_dir; /* absolute */
    struct pf_fb_builder builder;         /* of processes that failed here */
    char *problem;                        /* as it was logged, NULL = none */
    bool is_ending;                       /* by a signal */
    bool has_left;                        /* the cluster, for good: the identity goes */
    struct pf_err failure;                /* ends the process */
};

/* --- agentd_events.c --- */
void agentd_step(struct agentd *d, struct pf_agent_event *ev);
extern const struct pf_net_ops agentd_net_ops;
extern const struct pf_launcher_link_ops agentd_launcher_ops;
extern const struct pf_stdin_ops agentd_stdin_ops;
extern const struct pf_agent_http_ops agentd_http_ops;
extern const struct pf_executor_api_ops agentd_executor_api_ops;
/* pf_files_reply_fn */
void agentd_reply(void *ctx, uint64_t peer, struct pf_msg reply);
/* Looks for masters, once: what limits tasks is known, or there is no launcher. */
void agentd_begin(void *ctx);
/* Measures the disk and tells the core. */
void agentd_on_disk(void *ctx);
/* pf_logtrim_options.on_gone */
void agentd_on_sandbox_gone(void *ctx, struct pf_uuid launch);
/* pf_checked_fn */
void agentd_on_checked(void *ctx, struct pf_agent_event *ev);

/* --- agentd_sessions.c --- */
void agentd_session_open(struct agentd *d, const struct pf_agent_act_session *a);
void agentd_terminal_start(struct agentd *d, const struct pf_agent_act_start *a,
                           const struct pf_user *user);
void agentd_terminal(struct agentd *d, const struct pf_agent_act_terminal *a);
/* What the launcher kept of a launch came; -1 = nothing. It stays the caller's. */
void agentd_terminal_back(struct agentd *d, struct pf_uuid launch, int fd);
void agentd_files(struct agentd *d, const struct pf_agent_act_files *a);

/* --- agentd_sweep.c --- */
/* Once, when the launcher has said what runs. */
void agentd_sweep(struct agentd *d);

/* --- agentd_acts.c --- */
/* An effect of the core (pf_engine_ops.on_act). */
void agentd_on_act(void *ctx, uint32_t act, const void *data);
/* Removed later, a few at a time. */
void agentd_remove_later(struct agentd *d, struct pf_str path);
/* Removes up to `n` of the sandboxes that wait for it. */
void agentd_remove_some(struct agentd *d, uint32_t n);
void agentd_on_removal_time(void *ctx);

#endif
