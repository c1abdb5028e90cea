/* SPDX-License-Identifier: Apache-2.0 */
/* The link to the launcher of a work directory: connects to the one that lives there, else starts
 * one (the agent's only spawn), and again when it dies. Starts wait in line, so that the files of
 * only some of them are open at a time. Callbacks come in the delivery part of a turn. */
#ifndef PF_AGENT_DAEMON_LAUNCHER_LINK_H
#define PF_AGENT_DAEMON_LAUNCHER_LINK_H

#include "agent/core/agent.h"
#include "agent/daemon/containers.h"
#include "agent/daemon/users.h"
#include "common/base/err.h"
#include "common/fb/fb.h"
#include "common/net/loop.h"

struct pf_launcher_link;

struct pf_launcher_link_ops {
    /* Connected and greeted (root LauncherHello); its list was asked for. */
    void (*on_up)(void *ctx, struct pf_msg hello);
    void (*on_down)(void *ctx); /* only after on_up; what was in line is dropped */
    void (*on_process)(void *ctx, struct pf_msg process); /* root LauncherProcess */
    void (*on_list_end)(void *ctx);
    /* The output files of a start were made; `stdin_fd` (taken, or -1) writes to its input. May
     * come within pf_launcher_link_flush. */
    void (*on_made)(void *ctx, struct pf_uuid launch, struct pf_str sandbox, int stdin_fd);
    /* Answer to pf_launcher_link_ask_stdin: the write end (taken), -1 = there is none. */
    void (*on_stdin)(void *ctx, struct pf_uuid launch, int fd);
};

struct pf_launcher_link_options {
    const char *dir;     /* of the launcher; exists */
    const char *program; /* path of proffer-launcher; NULL: somebody else starts it */
    uint64_t nofile;     /* soft limit of descriptors of tasks; 0 = ours */
    struct pf_containers *containers; /* borrowed; NULL = nobody starts in cgroups */
    const char *version; /* a launcher of another one is asked to execute `program`; NULL = ours */
};

struct pf_launcher_link_counters {
    uint64_t spawned, connected, starts, failed_starts;
    uint32_t n_waiting; /* starts in line now */
};

/* Begins to connect. */
PF_MUST_USE int pf_launcher_link_create(struct pf_loop *loop,
                                        const struct pf_launcher_link_options *o,
                                        const struct pf_launcher_link_ops *ops, void *ctx,
                                        struct pf_launcher_link **out, struct pf_err *err);
void pf_launcher_link_destroy(struct pf_launcher_link *k);
bool pf_launcher_link_is_up(const struct pf_launcher_link *k);
/* 0 while it is down. */
int64_t pf_launcher_link_pid(const struct pf_launcher_link *k);
const struct pf_launcher_link_counters *
pf_launcher_link_counters(const struct pf_launcher_link *k);

/* All of these do nothing while the link is down. They are written by pf_launcher_link_flush. */
void pf_launcher_link_start(struct pf_launcher_link *k, const struct pf_agent_act_start *s,
                            const struct pf_user *user);
/* With files of its own instead of the sandbox's: stdin, stdout, stderr, and what the launcher
 * keeps (-1 = nothing); all taken. There is no on_made for it. */
void pf_launcher_link_start_with(struct pf_launcher_link *k, const struct pf_agent_act_start *s,
                                 const struct pf_user *user, const int file[4]);
void pf_launcher_link_signal(struct pf_launcher_link *k, struct pf_uuid launch, int signo);
void pf_launcher_link_forget(struct pf_launcher_link *k, struct pf_uuid launch);
/* False: the link is down, or too many were asked. */
bool pf_launcher_link_ask_stdin(struct pf_launcher_link *k, struct pf_uuid launch);
bool pf_launcher_link_close_stdin(struct pf_launcher_link *k, struct pf_uuid launch);
/* Lets it end, for good, once nothing of what it runs is left: no other is started. */
void pf_launcher_link_quit(struct pf_launcher_link *k);
/* At the end of a turn. */
void pf_launcher_link_flush(struct pf_launcher_link *k);

/* A LauncherProcess that says FAILED, for what failed before the launcher heard of it. */
struct pf_msg pf_launcher_failed(struct pf_fb_builder *b, struct pf_uuid launch, int error,
                                 const char *stage);

#endif
