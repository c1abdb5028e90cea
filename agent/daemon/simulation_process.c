/* SPDX-License-Identifier: Apache-2.0 */
/* The fake launcher: processes that are only entries with a time. */
#include "agent/daemon/simulation_internal.h"

#include <signal.h>

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "schemas/launcher.h"
#include "schemas/proffer.h"

#define FAKE_PID_FIRST (INT64_C(1) << 22) /* Linux gives none that high */
#define FAKE_RUN_MS_MAX (INT64_C(100) * 366 * 24 * 3600 * 1000)

/* --- commands --------------------------------------------------------------------------------- */

/* The next word of a command line, absent at its end; quotes and operators only part words. */
static struct pf_str word_next(struct pf_str text, uint32_t *at)
{
    static const char between[] = " \t\r\n;&|()<>'\"`{}";
    uint32_t begin = *at;

    while (begin < text.len && strchr(between, text.at[begin]) != NULL) {
        begin++;
    }
    uint32_t end = begin;
    while (end < text.len && strchr(between, text.at[end]) == NULL) {
        end++;
    }
    *at = end;
    return (struct pf_str){end > begin ? text.at + begin : NULL, end - begin};
}

static struct pf_str base_name(struct pf_str path)
{
    for (uint32_t i = path.len; i > 0; i--) {
        if (path.at[i - 1] == '/') {
            return (struct pf_str){path.at + i, path.len - i};
        }
    }
    return path;
}

static void run_sleep(struct pf_fake_run *run, struct pf_str word)
{
    int64_t ms;

    if (pf_str_is(word, "infinity")) {
        run->run_ms = FAKE_RUN_MS_MAX;
    } else if (pf_parse_duration_ms(word, &ms, NULL) == 0) {
        run->run_ms = ms < FAKE_RUN_MS_MAX - run->run_ms ? run->run_ms + ms : FAKE_RUN_MS_MAX;
    }
}

static void run_exit(struct pf_fake_run *run, struct pf_str word)
{
    uint64_t status;

    if (pf_parse_u64(word, &status, NULL) == 0) {
        run->status = (int)(status & 0xff);
    }
}

struct pf_fake_run pf_fake_run_of(const struct pf_str *args, uint32_t n_args)
{
    struct pf_fake_run run = {0};
    struct pf_str before = {NULL, 0};

    for (uint32_t i = 0; i < n_args; i++) {
        struct pf_str word;
        uint32_t at = 0;
        while ((word = word_next(args[i], &at)).at != NULL) {
            if (pf_str_is(before, "sleep")) {
                run_sleep(&run, word);
            } else if (pf_str_is(before, "exit")) {
                run_exit(&run, word);
            }
            before = base_name(word);
        }
    }
    return run;
}

/* --- processes -------------------------------------------------------------------------------- */

static struct pf_msg process_msg(const struct sim_process *p, enum LauncherState state,
                                 int64_t ended_ms)
{
    struct pf_fb_builder *b = &p->agent->sim->builder;

    pf_fb_builder_reset(b);
    struct pf_ref root = LauncherProcess__put(
        b, &(struct LauncherProcess__args){
               .uuid = {p->launch.b, sizeof p->launch.b},
               .state = state,
               .pid = p->pid,
               .start_time = (uint64_t)p->pid,
               .wait_status = p->wait_status,
               .started_ms = p->started_ms,
               .ended_ms = ended_ms,
           });
    return LauncherProcess__finish(b, root);
}

static struct sim_process *process_find(const struct pf_simulation *s, struct pf_uuid launch)
{
    return pf_map_get(&s->by_launch, launch.b, sizeof launch.b);
}

static void act_start(struct sim_agent *a, const struct pf_agent_act_start *start)
{
    struct pf_simulation *s = a->sim;
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};

    if (process_find(s, start->launch) != NULL) {
        return; /* said twice */
    }
    struct pf_fake_run run = pf_fake_run_of(start->args, start->n_args);
    struct sim_process *p = PF_NEW(struct sim_process);
    p->agent = a;
    p->launch = start->launch;
    p->pid = FAKE_PID_FIRST + (int64_t)s->stats.started++;
    p->started_ms = pf_wall_ms();
    p->end.kind = SIM_TIMER_PROCESS;
    pf_map_put(&s->by_launch, p->launch.b, sizeof p->launch.b, p);
    ev.process = process_msg(p, LauncherState_RUNNING, 0);
    sim_agent_event(a, &ev);
    p->wait_status = run.status << 8;
    sim_timer_set(s, &p->end, pf_loop_now_ms(s->loop) + run.run_ms);
}

/* Signals that end no process by default. */
static bool signal_is_harmless(int signo)
{
    return signo == SIGCHLD || signo == SIGCONT || signo == SIGURG || signo == SIGWINCH ||
           signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

static void act_signal(struct sim_agent *a, const struct pf_agent_act_signal *act)
{
    struct sim_process *p = process_find(a->sim, act->launch);

    a->sim->stats.signals++;
    if (p == NULL || signal_is_harmless(act->signal)) {
        return;
    }
    p->wait_status = act->signal & 0x7f;
    sim_timer_set(a->sim, &p->end, pf_loop_now_ms(a->sim->loop));
}

void sim_process_end(struct sim_process *p)
{
    struct sim_agent *a = p->agent;
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};

    (void)pf_map_del(&a->sim->by_launch, p->launch.b, sizeof p->launch.b); /* it is this one */
    a->sim->stats.ended++;
    ev.process = process_msg(p, LauncherState_EXITED, pf_wall_ms());
    pf_free(p);
    sim_agent_step(a, &ev);
}

/* --- acts ------------------------------------------------------------------------------------- */

void sim_reply(struct pf_simulation *s, uint64_t peer, uint64_t request_id, uint8_t code,
               const char *text)
{
    pf_fb_builder_reset(&s->builder);
    struct pf_msg msg = pf_envelope_reply(&s->builder, request_id, code, pf_str(text));
    pf_peer_send(s->net, peer, pf_msg_bytes(msg));
}

void sim_reply_read(struct pf_simulation *s, uint64_t peer, uint64_t request_id)
{
    struct pf_fb_builder *b = &s->builder;

    s->stats.reads++;
    pf_fb_builder_reset(b);
    struct pf_ref body = FileData__put(b, &(struct FileData__args){.eof = true});
    const struct pf_envelope e = {.request_id = request_id,
                                  .is_reply = true,
                                  .code = ReplyCode_OK,
                                  .body_type = Body_FileData};
    pf_peer_send(s->net, peer, pf_msg_bytes(pf_envelope_finish(b, &e, body)));
}

/* Everything there is to fetch is there. */
static void act_fetch(struct sim_agent *a, const struct pf_agent_act_fetch *act)
{
    int64_t now_ms = pf_wall_ms();
    const struct sim_process fetcher = {.agent = a,
                                        .launch = act->launch,
                                        .pid = FAKE_PID_FIRST + (int64_t)a->sim->stats.started,
                                        .started_ms = now_ms};
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};

    ev.process = process_msg(&fetcher, LauncherState_EXITED, now_ms);
    sim_agent_event(a, &ev);
}

/* And everybody is well. */
static void act_check(struct sim_agent *a, const struct pf_agent_act_check *act)
{
    struct pf_agent_event ev = {.type = PF_AGENT_CHECKED};

    ev.checked.check = act->check;
    ev.checked.is_done = true;
    ev.checked.status_code = act->is_http ? 200 : 0;
    sim_agent_event(a, &ev);
}

static void act_sandbox(struct sim_agent *a, const struct pf_agent_act_sandbox *act)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX, .sandbox = {.launch = act->launch}};

    sim_agent_event(a, &ev);
}

void sim_act(struct sim_agent *a, uint32_t act, const void *data)
{
    const struct pf_agent_act_read *read;
    const struct pf_agent_act_stdin *input;

    switch ((enum pf_agent_act)act) {
    case PF_AGENT_ACT_SANDBOX:
        act_sandbox(a, data);
        break;
    case PF_AGENT_ACT_START:
        act_start(a, data);
        break;
    case PF_AGENT_ACT_SIGNAL:
        act_signal(a, data);
        break;
    case PF_AGENT_ACT_READ:
        read = data;
        sim_reply_read(a->sim, read->peer, read->request_id);
        break;
    case PF_AGENT_ACT_STDIN:
        input = data;
        sim_reply(a->sim, input->peer, input->request_id, ReplyCode_OK, "");
        break;
    case PF_AGENT_ACT_FETCH:
        act_fetch(a, data);
        break;
    case PF_AGENT_ACT_CHECK:
        act_check(a, data);
        break;
    case PF_AGENT_ACT_FORGET: /* it does so by itself */
    case PF_AGENT_ACT_ENDED:
    case PF_AGENT_ACT_REMOVE:
    case PF_AGENT_ACT_LIMIT:
    case PF_AGENT_ACT_FILES:
    case PF_AGENT_ACT_SESSION_OPEN:
    case PF_AGENT_ACT_SESSION_INPUT:
    case PF_AGENT_ACT_SESSION_END:
    case PF_AGENT_ACT_TERMINAL:
    case PF_AGENT_ACT_CLOSE_LAUNCHER:
    case PF_AGENT_ACT_LEFT:
        break;
    }
}
