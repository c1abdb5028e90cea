/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: processes beside tasks, opened by a peer and ended with its connection (`proffer
 * exec`). Nothing of them is stored: what a former agent opened is a stray to this one. Terminals
 * of tasks are no sessions. */
#include "agent/core/clients_internal.h"

#include <errno.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"

enum { SESSIONS_MAX = 64, SESSION_ARGS_MAX = 4096, SESSION_ENV_MAX = 1024, SESSION_HANGUP = 1 };

struct session {
    TAILQ_ENTRY(session) link; /* agent.sessions, in the order of opening */
    struct pf_uuid id;         /* launch uuid of its process */
    struct pf_uuid task;
    uint64_t peer;       /* 0: gone */
    uint64_t request_id; /* of SessionOpen, 0: answered */
    uint32_t seen;       /* agent.list_generation of the list that named it */
    int64_t kill_at;     /* AGENT_NEVER = not asked to end */
};

static struct session *session_of(const struct pf_agent *a, struct pf_bytes id)
{
    struct session *x = NULL;

    TAILQ_FOREACH(x, &a->sessions, link)
    {
        if (id.len == sizeof x->id.b && memcmp(x->id.b, id.at, id.len) == 0) {
            break;
        }
    }
    return x;
}

static void session_free(struct pf_agent *a, struct session *x)
{
    TAILQ_REMOVE(&a->sessions, x, link);
    a->n_sessions--;
    pf_free(x);
}

void ag_sessions_fini(struct pf_agent *a)
{
    while (!TAILQ_EMPTY(&a->sessions)) {
        session_free(a, TAILQ_FIRST(&a->sessions));
    }
}

static void act_signal(struct pf_agent *a, const struct session *x, int signal)
{
    struct pf_agent_act_signal *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = x->id;
    act->signal = signal;
    pf_turn_act(a->turn, PF_AGENT_ACT_SIGNAL, act);
}

static void act_end(struct pf_agent *a, const struct session *x, int32_t wait_status,
                    struct pf_str text)
{
    struct pf_agent_act_session_end *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->session = x->id;
    act->is_silent = x->peer == 0;
    act->wait_status = wait_status;
    act->text = text;
    pf_turn_act(a->turn, PF_AGENT_ACT_SESSION_END, act);
}

/* --- opening ---------------------------------------------------------------------------------- */

static void tell_opened(struct pf_agent *a, struct session *x)
{
    if (x->request_id != 0 && x->peer != 0) {
        struct pf_fb_builder *b = pf_turn_builder(a->turn);
        struct SessionOpened__args args = {.session = {x->id.b, sizeof x->id.b}};

        ag_reply_body(a, x->peer, x->request_id, b, Body_SessionOpened,
                      SessionOpened__put(b, &args));
    }
    x->request_id = 0;
}

static const struct pf_str *copy_list(struct pf_agent *a, struct SessionOpen call, bool is_env,
                                      uint32_t n)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_str *list = pf_arena_alloc(arena, (n + 1) * sizeof *list);

    for (uint32_t i = 0; i < n; i++) {
        list[i] = pf_arena_strdup(arena, is_env ? SessionOpen_env__at(call, i)
                                                : SessionOpen_args__at(call, i));
    }
    return list;
}

static void open_process(struct pf_agent *a, const struct request *r, const struct task *t,
                         struct SessionOpen call)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_session *act = pf_arena_zalloc(arena, sizeof *act);
    struct session *x = PF_NEW(struct session);
    struct pf_str cwd = SessionOpen_cwd(call);

    x->id = pf_uuid_random(&a->rng);
    x->task = t->run.launch;
    x->peer = r->client->peer;
    x->request_id = r->id;
    x->seen = a->list_generation;
    x->kill_at = AGENT_NEVER;
    TAILQ_INSERT_TAIL(&a->sessions, x, link);
    a->n_sessions++;
    *act = (struct pf_agent_act_session){
        .peer = x->peer,
        .session = x->id,
        .container = ag_task_home(t)->launch,
        .pid = ag_task_home(t)->pid,
        .sandbox = ag_run_sandbox(a, ag_task_home(t)),
        .user = pf_arena_strdup(arena, pf_str(t->run.user)),
        .n_args = SessionOpen_args__len(call),
        .n_env = SessionOpen_env__len(call),
        .keeps_stdin = SessionOpen_keeps_stdin(call),
        .rows = SessionOpen_rows(call),
        .columns = SessionOpen_columns(call),
    };
    act->args = copy_list(a, call, false, act->n_args);
    act->env = copy_list(a, call, true, act->n_env);
    act->cwd = cwd.len == 0 ? PF_STR("")
               : cwd.at[0] == '/'
                   ? pf_arena_strdup(arena, cwd)
                   : pf_arena_printf(arena, "%s/%.*s", act->sandbox.at, PF_STR_ARG(cwd));
    pf_turn_act(a->turn, PF_AGENT_ACT_SESSION_OPEN, act);
}

bool ag_task_has_terminal(const struct task *t)
{
    return t->run.keeps_stdin && t->summary &&
           ContainerInfo__has_tty_info(Task_container(ag_task_summary(t)));
}

static bool has_nul(struct pf_str s)
{
    return s.len > 0 && memchr(s.at, '\0', s.len);
}

static const char *open_problem(struct SessionOpen call)
{
    bool is_bad = has_nul(SessionOpen_cwd(call));

    for (uint32_t i = 0; i < SessionOpen_args__len(call); i++) {
        is_bad = is_bad || has_nul(SessionOpen_args__at(call, i));
    }
    for (uint32_t i = 0; i < SessionOpen_env__len(call); i++) {
        is_bad = is_bad || has_nul(SessionOpen_env__at(call, i));
    }
    if (is_bad) {
        return "an argument or variable holds a NUL";
    }
    if (SessionOpen_args__len(call) > SESSION_ARGS_MAX ||
        SessionOpen_env__len(call) > SESSION_ENV_MAX) {
        return "too many arguments or variables";
    }
    return SessionOpen_args__len(call) == 0 || SessionOpen_args__at(call, 0).len == 0
               ? "there is no command"
               : NULL;
}

void ag_req_session_open(struct pf_agent *a, const struct request *r)
{
    struct SessionOpen call = Envelope_body_as_SessionOpen(r->env);
    const char *problem = open_problem(call);
    const struct task *t =
        ag_req_is_trusted(a, r)
            ? ag_req_task(a, r, SessionOpen_framework_id(call), SessionOpen_task_id(call))
            : NULL;

    if (!t) {
        return;
    }
    if (problem) {
        ag_req_refuse(a, r, ReplyCode_BAD_REQUEST, problem);
    } else if (ag_run_is_ended(&t->run)) {
        ag_req_refuse(a, r, ReplyCode_CONFLICT, "the task has ended");
    } else if (t->run.sm.state != RunState_RUNNING) {
        ag_req_refuse(a, r, ReplyCode_UNAVAILABLE, "the task does not run yet, or is being killed");
    } else if (!ag_launcher_is_ready(a)) {
        ag_req_refuse(a, r, ReplyCode_UNAVAILABLE, "there is no launcher now");
    } else if (a->n_sessions >= SESSIONS_MAX) {
        ag_req_refuse(a, r, ReplyCode_TOO_MANY, "the agent has too many open sessions");
    } else {
        open_process(a, r, t, call);
    }
}

void ag_on_session(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct pf_uuid id = ev->session.session;
    struct session *x = session_of(a, (struct pf_bytes){id.b, sizeof id.b});

    if (x) {
        struct pf_arena *arena = pf_turn_arena(a->turn);
        struct pf_str text =
            pf_arena_printf(arena, "the session could not be opened (%s): %s", ev->session.stage,
                            ag_errno_text(arena, ev->session.error).at);
        if (x->peer != 0) {
            ag_reply(a, x->peer, x->request_id, ReplyCode_UNAVAILABLE, text);
        }
        session_free(a, x);
    }
}

/* --- what its process does -------------------------------------------------------------------- */

/* It never ran: the statuses that a shell gives. */
static void session_failed(struct pf_agent *a, struct session *x, struct LauncherProcess p)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    int error = LauncherProcess_error(p);
    bool is_exec = pf_str_is(LauncherProcess_stage(p), "exec");
    int status = !is_exec ? 125 : error == ENOENT || error == ENOTDIR ? 127 : 126;

    act_end(a, x, status << 8,
            pf_arena_printf(arena, "cannot execute it (%.*s): %s",
                            PF_STR_ARG(LauncherProcess_stage(p)), ag_errno_text(arena, error).at));
}

bool ag_session_on_process(struct pf_agent *a, struct LauncherProcess p)
{
    struct session *x = session_of(a, LauncherProcess_uuid(p));
    enum LauncherState state = LauncherProcess_state(p);

    if (!x) {
        return false;
    }
    x->seen = a->list_generation;
    tell_opened(a, x);
    if (state == LauncherState_EXITED) {
        act_end(a, x, LauncherProcess_wait_status(p), PF_STR(""));
    } else if (state == LauncherState_FAILED) {
        session_failed(a, x, p);
    }
    if (state == LauncherState_EXITED || state == LauncherState_FAILED) {
        pf_turn_act(a->turn, PF_AGENT_ACT_FORGET,
                    pf_arena_memdup(pf_turn_arena(a->turn), &x->id, sizeof x->id));
        session_free(a, x);
    }
    return true;
}

/* The launcher's list is complete: what it does not know is gone. Terminals of tasks that run are
 * copied again. */
void ag_sessions_list_end(struct pf_agent *a)
{
    struct session *x = TAILQ_FIRST(&a->sessions), *next = NULL;
    const struct task *t = NULL;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (x->seen != a->list_generation) {
            tell_opened(a, x);
            act_end(a, x, -1, PF_STR("the launcher does not know it any more"));
            session_free(a, x);
        }
    }
    TAILQ_FOREACH(t, &a->live, link)
    {
        if (t->run.pid > 0 && !ag_run_is_ended(&t->run) && ag_task_has_terminal(t)) {
            ag_act_terminal(a, t, 0, 0);
        }
    }
}

void ag_act_terminal(struct pf_agent *a, const struct task *t, uint32_t rows, uint32_t columns)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_terminal *act = pf_arena_zalloc(arena, sizeof *act);

    act->launch = t->run.launch;
    act->sandbox = ag_run_sandbox(a, &t->run);
    act->user = pf_arena_strdup(arena, pf_str(t->run.user));
    act->rows = rows;
    act->columns = columns;
    pf_turn_act(a->turn, PF_AGENT_ACT_TERMINAL, act);
}

/* --- what its peer says ----------------------------------------------------------------------- */

static struct pf_agent_act_session_input *new_input(struct pf_agent *a, const struct session *x)
{
    struct pf_agent_act_session_input *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->session = x->id;
    act->peer = x->peer;
    return act;
}

void ag_req_session_input(struct pf_agent *a, const struct request *r)
{
    struct SessionInput call = Envelope_body_as_SessionInput(r->env);
    struct session *x = session_of(a, SessionInput_session(call));
    struct pf_bytes data = SessionInput_data(call);

    if (!x || x->peer != r->client->peer) {
        ag_req_refuse(a, r, ReplyCode_NOT_FOUND, "the session has ended");
    } else if (data.len > PF_STDIN_CHUNK_BYTES) {
        ag_req_refuse(a, r, ReplyCode_TOO_LARGE, "too many bytes at once");
    } else {
        struct pf_agent_act_session_input *act = new_input(a, x);
        act->request_id = r->id;
        act->data.len = data.len;
        act->data.at =
            data.len > 0 ? pf_arena_memdup(pf_turn_arena(a->turn), data.at, data.len) : NULL;
        act->eof = SessionInput_eof(call);
        pf_turn_act(a->turn, PF_AGENT_ACT_SESSION_INPUT, act);
    }
}

static uint32_t side(uint32_t n)
{
    return n > 0 && n < 1000 ? n : 1000;
}

/* Of a session, or of a task that has a terminal. */
static void on_resize(struct pf_agent *a, struct SessionResize call, const struct client *c)
{
    struct session *x = session_of(a, SessionResize_session(call));
    uint32_t rows = side(SessionResize_rows(call)), columns = side(SessionResize_columns(call));
    struct task *t =
        SessionResize_session(call).len == 0
            ? ag_task_by_name(a, SessionResize_framework_id(call), SessionResize_task_id(call))
            : NULL;

    if (x && x->peer == c->peer) {
        struct pf_agent_act_session_input *act = new_input(a, x);
        act->rows = rows;
        act->columns = columns;
        pf_turn_act(a->turn, PF_AGENT_ACT_SESSION_INPUT, act);
    } else if (t && c->trusted && !ag_run_is_ended(&t->run) && ag_task_has_terminal(t)) {
        ag_act_terminal(a, t, rows, columns);
    }
}

bool ag_on_session_word(struct pf_agent *a, struct Envelope env, const struct client *c)
{
    enum Body type = Envelope_body_type(env);
    struct session *x = NULL;

    switch ((int)type) {
    case Body_SessionResize: on_resize(a, Envelope_body_as_SessionResize(env), c); return true;
    case Body_SessionTaken:
        x = session_of(a, SessionTaken_session(Envelope_body_as_SessionTaken(env)));
        if (x && x->peer == c->peer) {
            struct pf_agent_act_session_input *act = new_input(a, x);
            act->taken = SessionTaken_acknowledged(Envelope_body_as_SessionTaken(env));
            pf_turn_act(a->turn, PF_AGENT_ACT_SESSION_INPUT, act);
        }
        return true;
    case Body_SessionSignal:
        x = session_of(a, SessionSignal_session(Envelope_body_as_SessionSignal(env)));
        if (x && x->peer == c->peer) {
            int signal = SessionSignal_signal(Envelope_body_as_SessionSignal(env));
            act_signal(a, x, signal >= 1 && signal <= 64 ? signal : AGENT_SIGTERM);
        }
        return true;
    default: return false;
    }
}

/* --- ending ----------------------------------------------------------------------------------- */

/* Its peer went: hung up, and killed if that does not end it. */
void ag_sessions_peer_down(struct pf_agent *a, uint64_t peer)
{
    struct session *x = NULL;

    TAILQ_FOREACH(x, &a->sessions, link)
    {
        if (x->peer == peer) {
            x->peer = 0;
            act_end(a, x, -1, PF_STR(""));
            act_signal(a, x, SESSION_HANGUP);
            x->kill_at = a->now_ms + AGENT_GRACE_MS;
            a->sessions_at = x->kill_at < a->sessions_at ? x->kill_at : a->sessions_at;
        }
    }
}

void ag_sessions_task_ended(struct pf_agent *a, const struct run *task)
{
    struct session *x = NULL;

    TAILQ_FOREACH(x, &a->sessions, link)
    {
        if (pf_uuid_eq(x->task, task->launch)) {
            act_signal(a, x, AGENT_SIGKILL);
        }
    }
}

void ag_sessions_deadline(struct pf_agent *a)
{
    struct session *x = NULL;

    if (a->sessions_at > a->now_ms) {
        return;
    }
    a->sessions_at = AGENT_NEVER;
    TAILQ_FOREACH(x, &a->sessions, link)
    {
        if (x->kill_at <= a->now_ms) {
            act_signal(a, x, AGENT_SIGKILL);
            x->kill_at = a->now_ms + AGENT_REKILL_MS;
        }
        a->sessions_at = x->kill_at < a->sessions_at ? x->kill_at : a->sessions_at;
    }
}
