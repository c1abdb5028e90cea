/* SPDX-License-Identifier: Apache-2.0 */
/* What the core wants done. What has an outcome is answered by an event at once. */
#include <errno.h>
#include <fcntl.h>

#include "agent/daemon/agentd_internal.h"
#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"

#define REMOVALS_MAX      10000 /* sandboxes that wait for their removal */
#define REMOVALS_EVERY_MS 20
#define REMOVALS_US       1000

static void act_sandbox(struct agentd *d, const struct pf_agent_act_sandbox *a)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX};
    struct pf_sandbox_failure failure = {0, NULL};
    struct pf_user owner;

    int sys = pf_users_find(&d->users, a->user, pf_loop_now_ms(d->loop), &owner);
    if (sys != 0) {
        failure = (struct pf_sandbox_failure){sys, "user"};
    } else {
        /* both say so in `failure` */
        (void)(pf_sandbox_make(a->path, &owner, a->script, &failure) &&
               pf_containers_make(d->containers, a->launch, &a->limits, &failure));
    }
    ev.sandbox.launch = a->launch;
    ev.sandbox.error = failure.error;
    ev.sandbox.stage = failure.stage;
    agentd_step(d, &ev);
}

/* A check: what it says is nobody's. */
static void start_quiet(struct agentd *d, const struct pf_agent_act_start *a,
                        const struct pf_user *user)
{
    int file[4] = {-1, -1, -1, -1};
    int sys = 0;

    for (int i = 0; i < 3 && sys == 0; i++) {
        file[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        sys = file[i] < 0 ? errno : 0;
    }
    if (sys == 0) {
        pf_launcher_link_start_with(d->launcher, a, user, file);
        return;
    }
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
    for (int i = 0; i < 3; i++) {
        pf_fd_close(&file[i]);
    }
    ev.process = pf_launcher_failed(&d->builder, a->launch, sys, "stdio");
    agentd_step(d, &ev);
}

static void act_start(struct agentd *d, const struct pf_agent_act_start *a)
{
    struct pf_user user;

    int sys = pf_users_find(&d->users, a->user, pf_loop_now_ms(d->loop), &user);
    if (sys != 0) {
        struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
        ev.process = pf_launcher_failed(&d->builder, a->launch, sys, "user");
        agentd_step(d, &ev);
        return;
    }
    if (a->is_terminal) {
        agentd_terminal_start(d, a, &user);
    } else if (a->is_session) {
        start_quiet(d, a, &user);
    } else {
        pf_launcher_link_start(d->launcher, a, &user);
    }
}

/* An endless transfer ends before the disk is full for everybody. */
static uint64_t fetch_max(const struct agentd *d)
{
    uint64_t reserve = (uint64_t)d->o->min_free_bytes;
    uint64_t room = d->free_bytes > reserve ? d->free_bytes - reserve : 1;
    uint64_t max = (uint64_t)d->o->fetch_max_bytes;

    if (d->free_bytes == 0) { /* not measured; or full, which the transfer will see */
        return max;
    }
    return max != 0 && max < room ? max : room;
}

static void act_fetch(struct agentd *d, const struct pf_agent_act_fetch *a)
{
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
    const char *stage = "user";
    struct pf_user user;

    int sys = pf_users_find(&d->users, a->user, pf_loop_now_ms(d->loop), &user);
    if (sys == 0) {
        pf_fetches_set_max(d->fetches, fetch_max(d));
        sys = pf_fetches_start(d->fetches, d->launcher, a, &user, &stage);
    }
    if (sys != 0) {
        ev.process = pf_launcher_failed(&d->builder, a->launch, sys, stage);
        agentd_step(d, &ev);
    }
}

static void act_forget(struct agentd *d, const struct pf_uuid *launch)
{
    pf_fetches_forget(d->fetches, *launch);
    pf_containers_remove(d->containers, *launch); /* of a stray; else it is none */
    pf_launcher_link_forget(d->launcher, *launch);
}

/* Removed later, a few at a time: what new tasks need comes first. */
void agentd_remove_later(struct agentd *d, struct pf_str path)
{
    pf_ptrs_push(&d->removals, pf_strndup(path.at, path.len));
    if (d->removals.len - d->n_removed >= REMOVALS_MAX) {
        agentd_remove_some(d, 1);
    }
    if (d->removals.len - d->n_removed == 1) {
        pf_timer_set(d->removal_timer, pf_loop_now_ms(d->loop) + REMOVALS_EVERY_MS);
    }
}

void agentd_remove_some(struct agentd *d, uint32_t n)
{
    for (; n > 0 && d->n_removed < d->removals.len; n--) {
        struct pf_err err = {0};
        char *path = d->removals.at[d->n_removed++];
        if (pf_remove_tree(path, &err) != 0) {
            pf_log_err(PF_LOG_WARN, "sandbox not removed", &err);
        }
        pf_free(path);
    }
    if (d->n_removed == d->removals.len) {
        pf_ptrs_fini(&d->removals);
        d->n_removed = 0;
    }
}

void agentd_on_removal_time(void *ctx)
{
    struct agentd *d = ctx;
    int64_t end_us = pf_now_us() + REMOVALS_US;

    do {
        agentd_remove_some(d, 1);
    } while (d->removals.len > 0 && pf_now_us() < end_us);
    if (d->removals.len > 0) {
        pf_timer_set(d->removal_timer, pf_loop_now_ms(d->loop) + REMOVALS_EVERY_MS);
    }
}

static void act_ended(struct agentd *d, const struct pf_agent_act_ended *a)
{
    pf_terminals_ended(d->terminals, a->launch);
    pf_files_ended(d->files, a->launch, a->sandbox);
    pf_stdin_ended(d->stdin_pipes, a->launch);
    pf_logtrim_ended(d->logtrim, a->launch);
    pf_containers_remove(d->containers, a->launch);
    pf_fetches_forget(d->fetches, pf_agent_process_uuid(a->launch, PF_AGENT_ROLE_FETCH));
}

static void act_signal(struct agentd *d, const struct pf_agent_act_signal *a)
{
    pf_launcher_link_signal(d->launcher, a->launch, a->signal);
}

static void act_limit(struct agentd *d, const struct pf_agent_act_limit *a)
{
    pf_containers_limit(d->containers, a->container, &a->limits);
}

/* The core knows that nothing is left to lose: agentd_fini removes the state. */
static void act_left(struct agentd *d, const bool *for_good)
{
    d->has_left = *for_good;
    pf_loop_stop(d->loop);
}

void agentd_on_act(void *ctx, uint32_t act, const void *data)
{
    struct agentd *d = ctx;
    bool has_launcher = d->launcher != NULL && pf_launcher_link_is_up(d->launcher);

    switch ((enum pf_agent_act)act) {
    case PF_AGENT_ACT_SANDBOX:
        act_sandbox(d, data);
        break;
    case PF_AGENT_ACT_START: /* without a launcher: dropped, the core says it again */
        if (has_launcher) {
            act_start(d, data);
        }
        break;
    case PF_AGENT_ACT_SIGNAL: /* likewise */
        if (has_launcher) {
            act_signal(d, data);
        }
        break;
    case PF_AGENT_ACT_FORGET: /* likewise */
        if (has_launcher) {
            act_forget(d, data);
        }
        break;
    case PF_AGENT_ACT_READ:
        pf_files_read(d->files, data);
        break;
    case PF_AGENT_ACT_STDIN:
        pf_stdin_write(d->stdin_pipes, data);
        break;
    case PF_AGENT_ACT_ENDED:
        act_ended(d, data);
        break;
    case PF_AGENT_ACT_REMOVE:
        agentd_remove_later(d, ((const struct pf_agent_act_sandbox *)data)->path);
        break;
    case PF_AGENT_ACT_FILES:
        agentd_files(d, data);
        break;
    case PF_AGENT_ACT_SESSION_OPEN:
        agentd_session_open(d, data);
        break;
    case PF_AGENT_ACT_SESSION_INPUT:
        pf_sessions_input(d->sessions, data);
        break;
    case PF_AGENT_ACT_SESSION_END:
        pf_sessions_end(d->sessions, data);
        break;
    case PF_AGENT_ACT_TERMINAL:
        agentd_terminal(d, data);
        break;
    case PF_AGENT_ACT_FETCH: /* likewise */
        if (has_launcher) {
            act_fetch(d, data);
        }
        break;
    case PF_AGENT_ACT_CHECK:
        pf_checks_start(d->checks, data);
        break;
    case PF_AGENT_ACT_CLOSE_LAUNCHER:
        pf_launcher_link_quit(d->launcher);
        break;
    case PF_AGENT_ACT_LEFT:
        act_left(d, data);
        break;
    case PF_AGENT_ACT_LIMIT:
        act_limit(d, data);
        break;
    }
}
