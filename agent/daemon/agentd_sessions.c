/* SPDX-License-Identifier: Apache-2.0 */
/* Acts about what people do with a task: sessions beside it, its terminal, files of its sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/daemon/agentd_internal.h"
#include "agent/daemon/sandbox_files.h"
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"

#define ENVIRON_MAX_BYTES (1u << 20)
#define ENV_VARS_MAX      4096u
#define DEFAULT_PATH      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int find_user(struct agentd *d, struct pf_str name, struct pf_user *out)
{
    return pf_users_find(&d->users, name, pf_loop_now_ms(d->loop), out);
}

/* "NAME=" of a variable, with the sign. */
static uint32_t name_len(struct pf_str var)
{
    const char *sign = var.len > 0 ? memchr(var.at, '=', var.len) : NULL;

    return sign != NULL ? (uint32_t)(sign - var.at) + 1 : var.len;
}

static bool is_overridden(struct pf_str var, const struct pf_agent_act_session *a)
{
    uint32_t len = name_len(var);

    for (uint32_t i = 0; i < a->n_env; i++) {
        if (name_len(a->env[i]) == len && memcmp(a->env[i].at, var.at, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The environment of the task's first process, without the launcher's mark; then the session's. */
static uint32_t make_env(const struct pf_agent_act_session *a, struct pf_buf *text,
                         struct pf_str *env)
{
    char path[64];
    uint32_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%lld/environ", (long long)a->pid);
    if (a->pid <= 0 || pf_file_read(path, ENVIRON_MAX_BYTES, text, NULL) != 0 || text->len == 0) {
        env[n++] = PF_STR(DEFAULT_PATH);
    }
    for (size_t at = 0; at < text->len && n < ENV_VARS_MAX;) {
        const char *var = (const char *)text->data + at;
        struct pf_str s = {var, (uint32_t)strnlen(var, text->len - at)};
        at += s.len + 1;
        if (s.len > 0 && !pf_str_has_prefix(s, PF_STR("PROFFER_LAUNCH=")) && !is_overridden(s, a)) {
            env[n++] = s;
        }
    }
    for (uint32_t i = 0; i < a->n_env; i++) {
        env[n++] = a->env[i];
    }
    return n;
}

static void session_failed(struct agentd *d, struct pf_uuid session, int error, const char *stage)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SESSION};

    ev.session.session = session;
    ev.session.error = error;
    ev.session.stage = stage;
    agentd_step(d, &ev);
}

void agentd_session_open(struct agentd *d, const struct pf_agent_act_session *a)
{
    struct pf_user user;
    int file[4] = {-1, -1, -1, -1};

    if (!pf_launcher_link_is_up(d->launcher)) {
        session_failed(d, a->session, ENOTCONN, "launcher");
        return;
    }
    int sys = find_user(d, a->user, &user);
    if (sys != 0) {
        session_failed(d, a->session, sys, "user");
        return;
    }
    sys = pf_sessions_open(d->sessions, a, file);
    if (sys != 0) {
        session_failed(d, a->session, sys, a->rows > 0 ? "terminal" : "pipes");
        return;
    }
    struct pf_buf text = {0};
    struct pf_str *env = pf_alloc((ENV_VARS_MAX + 1 + a->n_env) * sizeof *env);
    struct pf_agent_act_start start = {
        .launch = a->session,
        .sandbox = a->sandbox,
        .user = a->user,
        .cwd = a->cwd,
        .path = a->args[0],
        .args = a->args,
        .n_args = a->n_args,
        .env = env,
        .container = a->container,
        .is_session = true,
        .is_terminal = a->rows > 0,
    };
    start.n_env = make_env(a, &text, env);
    pf_launcher_link_start_with(d->launcher, &start, &user, file);
    pf_free(env);
    pf_buf_fini(&text);
}

void agentd_terminal_start(struct agentd *d, const struct pf_agent_act_start *a,
                           const struct pf_user *user)
{
    int file[4];
    const char *stage;

    int sys = pf_terminals_open(d->terminals, a, user, file, &stage);
    if (sys != 0) {
        struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
        ev.process = pf_launcher_failed(&d->builder, a->launch, sys, stage);
        agentd_step(d, &ev);
        return;
    }
    pf_launcher_link_start_with(d->launcher, a, user, file);
    pf_files_made(d->files, a->sandbox);
}

/* After a restart the launcher is asked for the near side; pf_stdin gets it for what is typed. */
void agentd_terminal(struct agentd *d, const struct pf_agent_act_terminal *a)
{
    if (a->rows > 0) {
        pf_terminals_resize(d->terminals, a->launch, a->rows, a->columns);
    } else if (!pf_terminals_has(d->terminals, a->launch)) {
        pf_terminals_expect(d->terminals, a->launch, a->sandbox, a->user);
        (void)pf_launcher_link_ask_stdin(d->launcher, a->launch); /* too many: copied no more */
    }
}

/* What the launcher kept of a launch: taken if it is a terminal that is expected. */
void agentd_terminal_back(struct agentd *d, struct pf_uuid launch, int fd)
{
    struct pf_str sandbox, user_name;
    struct pf_user user;
    struct pf_err err = {0};

    if (fd < 0 || !pf_terminals_expected(d->terminals, launch, &sandbox, &user_name)) {
        return;
    }
    int near = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int sys = near < 0 ? errno : find_user(d, user_name, &user);
    sys = sys != 0 ? sys : pf_terminals_adopt(d->terminals, launch, sandbox, &user, near);
    if (sys != 0) {
        (void)pf_err_set_sys(&err, PF_EIO, sys, "the terminal of a task");
        pf_log_err(PF_LOG_WARN, "output is not copied any more", &err);
    }
}

void agentd_files(struct agentd *d, const struct pf_agent_act_files *a)
{
    struct pf_user user;
    int sys = find_user(d, a->user, &user);

    if (sys != 0) {
        user = (struct pf_user){.is_own = true}; /* it is gone since; reading goes on */
    }
    agentd_reply(d, a->peer, pf_sandbox_files_do(a, &user, &d->builder));
}
