/* SPDX-License-Identifier: Apache-2.0 */
/* One simulated agent: a real core, a memory store, and processes that exist in a heap only. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/daemon/simulate_internal.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"
#include "schemas/launcher.h"
#include "schemas/proffer.h"

#define SIM_FREE_BYTES (UINT64_C(1) << 40)
#define SIM_RESEND_MS  10000

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* "sleep 0.5", "exit 3", "false"; anything else ends well at once. */
static int64_t script_ms(struct pf_str script, int32_t *out_wait_status)
{
    uint64_t code;
    int64_t ms;

    if (pf_str_has_prefix(script, PF_STR("sleep "))) {
        uint32_t n = 6;
        while (n < script.len && strchr(" ;&|\n", script.at[n]) == NULL) {
            n++;
        }
        struct pf_str number = {script.at + 6, n - 6};
        return pf_parse_duration_ms(number, &ms, NULL) == 0 ? ms : 0;
    }
    if (pf_str_has_prefix(script, PF_STR("exit "))) {
        struct pf_str number = {script.at + 5, script.len - 5};
        if (pf_parse_u64(number, &code, NULL) == 0) {
            *out_wait_status = (int32_t)((code & 0xff) << 8);
        }
    } else if (pf_str_is(script, "false")) {
        *out_wait_status = 1 << 8;
    }
    return 0;
}

int64_t sim_command_ms(const struct pf_str *args, uint32_t n_args, int32_t *out_wait_status)
{
    *out_wait_status = 0;
    if (n_args == 0) {
        return 0;
    }
    const char *name = base_name(args[0].at);
    if (n_args >= 3 && pf_str_is(args[1], "-c") && strstr(name, "sh") != NULL) {
        return script_ms(args[2], out_wait_status);
    }
    struct pf_buf words = {0};
    pf_buf_add_cstr(&words, name);
    if (n_args > 1) {
        pf_buf_add_byte(&words, ' ');
        pf_buf_add_str(&words, args[1]);
    }
    int64_t ms = script_ms(pf_str(pf_buf_cstr(&words)), out_wait_status);
    pf_buf_fini(&words);
    return ms;
}

void sim_step(struct sim *s, struct pf_agent_event *ev)
{
    ev->now_ms = pf_loop_now_ms(s->all->loop);
    ev->wall_ms = pf_wall_ms();
    pf_agent_step(s->core, ev, pf_turns_open(s->turns));
    if (!s->is_dirty) {
        s->is_dirty = true;
        STAILQ_INSERT_TAIL(&s->all->dirty, s, dirty);
    }
}

/* --- processes ---------------------------------------------------------------------------------- */

static void step_process(struct sim_task *t, enum LauncherState state)
{
    struct sim *s = t->sim;
    struct pf_fb_builder *b = &s->all->builder;
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};

    pf_fb_builder_reset(b);
    struct LauncherProcess__args args = {
        .uuid = {t->launch.b, sizeof t->launch.b},
        .state = state,
        .pid = t->pid,
        .start_time = (uint64_t)t->pid,
        .wait_status = state == LauncherState_EXITED ? t->wait_status : 0,
        .started_ms = t->started_ms,
        .ended_ms = state == LauncherState_EXITED ? pf_wall_ms() : 0,
    };
    ev.process = LauncherProcess__finish(b, LauncherProcess__put(b, &args));
    sim_step(s, &ev);
}

static void task_destroy(struct sim_task *t)
{
    struct sim *s = t->sim;

    pf_heap_remove(&s->all->ends, &t->end);
    (void)pf_map_del(&s->tasks, &t->launch, sizeof t->launch);
    pf_free(t);
}

void sim_task_end(struct sim_task *t)
{
    t->sim->all->ended++;
    step_process(t, LauncherState_EXITED);
    task_destroy(t);
}

static void act_start(struct sim *s, const struct pf_agent_act_start *a)
{
    struct simulation *all = s->all;

    if (pf_map_get(&s->tasks, &a->launch, sizeof a->launch) != NULL) {
        return;
    }
    struct sim_task *t = PF_NEW(struct sim_task);
    t->launch = a->launch;
    t->sim = s;
    t->pid = ++all->next_pid;
    t->started_ms = pf_wall_ms();
    int64_t ms = sim_command_ms(a->args, a->n_args, &t->wait_status);
    pf_map_put(&s->tasks, &t->launch, sizeof t->launch, t);
    pf_heap_set(&all->ends, &t->end, pf_loop_now_ms(all->loop) + ms);
    all->started++;
    step_process(t, LauncherState_RUNNING);
}

static void act_signal(struct sim *s, const struct pf_agent_act_signal *a)
{
    struct sim_task *t = pf_map_get(&s->tasks, &a->launch, sizeof a->launch);

    if (t != NULL && (a->signal == SIGKILL || a->signal == SIGTERM || a->signal == SIGINT ||
                      a->signal == SIGHUP)) {
        t->wait_status = a->signal;
        pf_heap_set(&s->all->ends, &t->end, 0);
    }
}

static void act_sandbox(struct sim *s, const struct pf_agent_act_sandbox *a)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX};

    ev.sandbox.launch = a->launch;
    sim_step(s, &ev);
}

static void carry_out(struct sim *s, const struct pf_effect *e)
{
    if (e->kind == PF_EFFECT_SEND) {
        pf_peer_send(s->all->net, e->peer, e->message);
    } else if (e->kind == PF_EFFECT_CLOSE) {
        pf_peer_close(s->all->net, e->peer, true);
    } else if (e->act == PF_AGENT_ACT_SANDBOX) {
        act_sandbox(s, e->data);
    } else if (e->act == PF_AGENT_ACT_START) {
        act_start(s, e->data);
    } else if (e->act == PF_AGENT_ACT_SIGNAL) {
        act_signal(s, e->data);
    } /* nothing else has anything to act on: no files, no ends kept */
}

void sim_advance(struct sim *s)
{
    struct pf_err err = {0};
    const struct pf_effect *e;

    for (;;) {
        const struct pf_batch *batch = pf_turns_seal(s->turns);
        if (batch != NULL) {
            uint64_t number = 0;
            pf_store_submit(s->store, batch);
            int rc = pf_store_collect(s->store, &number, &err);
            PF_ASSERT(rc == 0 && number != 0); /* memory stores at once */
            pf_turns_stored(s->turns, number);
        }
        e = pf_turns_next(s->turns);
        if (e == NULL && batch == NULL) {
            break;
        }
        for (; e != NULL; e = pf_turns_next(s->turns)) {
            carry_out(s, e);
        }
    }
    s->is_dirty = false;
    int64_t at = pf_agent_deadline(s->core);
    if (at == INT64_MAX) {
        pf_heap_remove(&s->all->deadlines, &s->deadline);
    } else {
        pf_heap_set(&s->all->deadlines, &s->deadline, at);
    }
}

/* --- life --------------------------------------------------------------------------------------- */

static void step_launcher_up(struct sim *s)
{
    struct pf_fb_builder *b = &s->all->builder;
    struct pf_agent_event up = {.type = PF_AGENT_LAUNCHER_UP};
    struct pf_agent_event end = {.type = PF_AGENT_PROCESSES_END};
    struct pf_agent_event disk = {.type = PF_AGENT_DISK};

    pf_fb_builder_reset(b);
    struct LauncherHello__args args = {.protocol = 1,
                                       .boot_id = pf_str(s->all->boot_id),
                                       .version = pf_str(PF_VERSION),
                                       .instance = pf_str(s->all->instance)};
    up.launcher = LauncherHello__finish(b, LauncherHello__put(b, &args));
    sim_step(s, &up);
    sim_step(s, &end);
    disk.free_bytes = SIM_FREE_BYTES;
    sim_step(s, &disk);
}

static void sim_make_core(struct sim *s, uint32_t i, const struct pf_resources *total)
{
    struct simulation *all = s->all;
    struct pf_hostport http = {.port = 0};
    char hostname[300];
    char machine_id[64];
    char work_dir[64];

    (void)snprintf(hostname, sizeof hostname, "%s%u",
                   all->o->hostname[0] != '\0' ? all->o->hostname : "sim", i);
    (void)snprintf(machine_id, sizeof machine_id, "simulated%u", i);
    (void)snprintf(work_dir, sizeof work_dir, "/simulated/%u", i);
    if (pf_parse_hostport(pf_str(all->http_address), 0, &http, NULL) != 0) {
        http.port = 0; /* the bound address always parses; nobody calls port 0 */
    }
    const struct pf_agent_options ao = {
        .seed = pf_random_u64(),
        .hostname = hostname,
        .address = all->native_address,
        .http_address = all->http_address,
        .http_port = http.port,
        .machine_id = machine_id,
        .boot_id = all->boot_id,
        .total = total,
        .attributes = all->o->attributes,
        .work_dir = work_dir,
        .isolation = "simulated",
        .default_user = "",
        .task_user = all->o->task_user,
        .allow_any_user = true,
        .min_free_bytes = 0,
        .resend_ms = SIM_RESEND_MS,
    };
    s->core = pf_agent_create(&ao);
}

int sim_init(struct sim *s, struct simulation *all, uint32_t i, const struct pf_resources *total,
             void (*on_connect)(void *, uint64_t), struct pf_err *err)
{
    struct pf_agent_event boot = {.type = PF_AGENT_BOOT};

    s->all = all;
    s->turns = pf_turns_create(PF_BATCH_MAX_BYTES);
    s->store = pf_store_memory_open(NULL);
    sim_make_core(s, i, total);
    if (s->store == NULL) {
        return pf_err_set(err, PF_ENOMEM, "memory store");
    }
    sim_step(s, &boot);
    step_launcher_up(s);
    s->self = all->self;
    s->self.id = pf_agent_id(s->core);
    const struct pf_masters_options mo = {
        .addresses = &all->o->masters,
        .how = {.prio = PF_PRIO_NORMAL, .self = &s->self},
        .seed = pf_random_u64(),
        .on_connect = on_connect,
        .ctx = s,
    };
    s->masters = pf_masters_create(all->loop, all->net, &mo);
    return 0;
}

void sim_fini(struct sim *s)
{
    uint32_t cursor = 0;
    struct sim_task *t;

    if (s->all == NULL) {
        return;
    }
    while ((t = pf_map_next(&s->tasks, &cursor)) != NULL) {
        task_destroy(t);
        cursor = 0;
    }
    pf_map_fini(&s->tasks);
    pf_masters_destroy(s->masters);
    pf_store_destroy(s->store);
    pf_turns_destroy(s->turns);
    pf_agent_destroy(s->core);
}
