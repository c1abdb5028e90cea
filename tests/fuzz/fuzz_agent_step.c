/* SPDX-License-Identifier: Apache-2.0 */
/* An agent whose masters and clients say anything, whose launcher comes and goes, and which dies
 * and recovers from its rows. Lines:
 *   o N        options, first line only: 1 runs as root, 2 allow any user, 4 little memory
 *   w N text   the link to a master comes up with this Welcome
 *   u N text   a client comes up with this Hello; U: a trusted one     d N  a peer goes
 *   m N text   a peer says this Envelope          t N  N ms pass       f N  N MiB of disk are free
 *   l 0 text   the launcher of this instance comes up       L  it goes      e  its list ends
 *   p N text   a LauncherProcess                  b N  the oldest sandbox gets errno N
 *   x N        bit 1: sandboxes are made at once, bit 2: what starts runs at once (both at first)
 *   c N        the last check by TCP or HTTP is answered by status N, 0 = refused
 *   g 0        the sandbox of $l is gone
 *   h N        bit 1: a slow store                K  SIGKILL and recovery
 * $a: id of the agent, $l: uuid of the last launch started or fetched for, $u: of the last update,
 * $r: number of the request to register, $t: token of the last executor started. */
#include <stdio.h>
#include "agent/core/agent.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "schemas/launcher.h"
#include "schemas/proffer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

enum { PENDING_MAX = 256, AUTO_SANDBOX = 1, AUTO_RUN = 2 };

struct target {
    struct fuzz_world w;
    struct pf_resources total;
    struct pf_agent_options options;
    struct pf_agent *a;
    bool launcher_up, is_listing;
    uint32_t automatic;
    struct pf_uuid sandbox[PENDING_MAX], start[PENDING_MAX];
    uint32_t n_sandboxes, n_starts;
    struct pf_uuid started, check; /* the last ones */
    uint64_t closing[FUZZ_PEERS * 2];
    uint32_t n_closing;
};

static void learn_token(struct target *x, const struct pf_agent_act_start *start)
{
    struct pf_str prefix = PF_STR("PROFFER_EXECUTOR_TOKEN=");
    for (uint32_t i = 0; i < start->n_env; i++) {
        if (pf_str_has_prefix(start->env[i], prefix)) {
            fuzz_set_var(&x->w, 't', pf_str(start->env[i].at + prefix.len));
        }
    }
}

static void on_act(struct target *x, const struct pf_effect *e)
{
    const struct pf_agent_act_sandbox *sandbox = e->data;
    const struct pf_agent_act_start *start = e->data;
    const struct pf_agent_act_read *file = e->data;
    const struct pf_agent_act_stdin *in = e->data;
    const struct pf_agent_act_fetch *fetch = e->data;
    const struct pf_agent_act_check *check = e->data;
    switch ((enum pf_agent_act)e->act) {
    case PF_AGENT_ACT_SANDBOX:
        PF_ASSERT(sandbox->path.at[0] == '/');
        fuzz_mix(&x->w, sandbox->path.at, sandbox->path.len);
        if (x->n_sandboxes < PENDING_MAX) {
            x->sandbox[x->n_sandboxes++] = sandbox->launch;
        }
        break;
    case PF_AGENT_ACT_START:
        PF_ASSERT(start->n_args > 0 && start->path.len > 0);
        x->started = start->launch;
        fuzz_mix(&x->w, start->launch.b, sizeof start->launch.b);
        fuzz_set_var_base64(&x->w, 'l', (struct pf_bytes){start->launch.b, 16});
        learn_token(x, start);
        if (x->n_starts < PENDING_MAX && (x->automatic & AUTO_RUN) != 0) {
            x->start[x->n_starts++] = start->launch;
        }
        break;
    case PF_AGENT_ACT_FETCH:
        PF_ASSERT(fetch->plan.len > 0 && fetch->sandbox.at[0] == '/');
        fuzz_mix(&x->w, fetch->launch.b, sizeof fetch->launch.b);
        fuzz_set_var_base64(&x->w, 'l', (struct pf_bytes){fetch->launch.b, 16});
        break;
    case PF_AGENT_ACT_CHECK:
        PF_ASSERT(check->port > 0 && check->timeout_ms > 0);
        x->check = check->check;
        break;
    case PF_AGENT_ACT_READ: fuzz_answered(&x->w, file->peer, file->request_id); break;
    case PF_AGENT_ACT_STDIN: fuzz_answered(&x->w, in->peer, in->request_id); break;
    case PF_AGENT_ACT_SIGNAL:
    case PF_AGENT_ACT_FORGET:
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

static void on_effect(void *ctx, const struct pf_effect *e, struct pf_msg msg)
{
    struct target *x = ctx;
    if (e->kind == PF_EFFECT_ACT) {
        on_act(x, e);
    } else if (e->kind == PF_EFFECT_CLOSE) {
        if (x->n_closing < PF_ARRAY_LEN(x->closing)) {
            x->closing[x->n_closing++] = e->peer;
        }
    } else if (Envelope_body_type(Envelope__root(msg)) == Body_AgentRegister) {
        char number[24];
        (void)snprintf(number, sizeof number, "%u",
                       (unsigned)Envelope_request_id(Envelope__root(msg)));
        fuzz_set_var(&x->w, 'r', pf_str(number));
    } else if (Envelope_body_type(Envelope__root(msg)) == Body_AgentUpdate) {
        struct AgentUpdate u = Envelope_body_as_AgentUpdate(Envelope__root(msg));
        fuzz_set_var_base64(&x->w, 'u', TaskStatus_uuid(AgentUpdate_status(u)));
    }
}

static void step_once(struct target *x, struct pf_agent_event ev)
{
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_agent_step(x->a, &ev, pf_turns_open(x->w.turns));
    pf_agent_check(x->a);
    fuzz_settle(&x->w);
}

static void tell_process(struct target *x, struct pf_uuid launch, enum LauncherState state)
{
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
    struct pf_fb_builder b;
    struct LauncherProcess__args args = {
        .uuid = {launch.b, sizeof launch.b}, .state = state, .pid = 7, .start_time = 70,
        .started_ms = 1700000000000 + x->w.now_ms};
    pf_fb_builder_init(&b, NULL);
    ev.process = LauncherProcess__finish(&b, LauncherProcess__put(&b, &args));
    step_once(x, ev);
    pf_fb_builder_fini(&b);
}

static void sandbox_done(struct target *x, int error)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX};
    ev.sandbox.launch = x->sandbox[0];
    ev.sandbox.error = error;
    ev.sandbox.stage = error != 0 ? "mkdir" : NULL;
    x->n_sandboxes--;
    memmove(x->sandbox, x->sandbox + 1, x->n_sandboxes * sizeof x->sandbox[0]);
    step_once(x, ev);
}

/* What follows from an event: the rest of the world answers. */
static void step(struct target *x, struct pf_agent_event ev)
{
    step_once(x, ev);
    for (int i = 0; i < 1000; i++) {
        if (x->n_closing > 0) {
            struct pf_agent_event down = {.type = PF_AGENT_PEER_DOWN,
                                          .peer = x->closing[--x->n_closing]};
            fuzz_peer_down(&x->w, down.peer);
            step_once(x, down);
        } else if (x->n_sandboxes > 0 && (x->automatic & AUTO_SANDBOX) != 0) {
            sandbox_done(x, 0);
        } else if (x->n_starts > 0) {
            struct pf_uuid launch = x->start[--x->n_starts];
            if (x->launcher_up) {
                tell_process(x, launch, LauncherState_RUNNING);
            }
        } else {
            break;
        }
    }
}

static void pass(struct target *x, uint32_t ms)
{
    int64_t end_ms = x->w.now_ms + ms;
    int n_at_once = 0;
    for (int i = 0; i < 500 && pf_agent_deadline(x->a) <= end_ms; i++) {
        int64_t at_ms = pf_agent_deadline(x->a);
        n_at_once = at_ms > x->w.now_ms ? 0 : n_at_once + 1;
        PF_ASSERT(n_at_once < 100); /* a deadline leads to another, later one */
        x->w.now_ms = at_ms > x->w.now_ms ? at_ms : x->w.now_ms;
        step(x, (struct pf_agent_event){.type = PF_AGENT_DEADLINE});
    }
    x->w.now_ms = end_ms;
}

/* --- lives --- */

static int on_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct target *x = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_ROW, .row = {.table = table, .key = key}};
    int rc = pf_fb_verify(row, pf_agent_row_desc(table), &ev.row.row, NULL);
    PF_ASSERT(rc == 0);
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_agent_step(x->a, &ev, pf_turns_open(x->w.turns));
    return 0;
}

static void begin(struct target *x)
{
    x->options.seed++;
    x->a = pf_agent_create(&x->options);
    int rc = pf_store_load(x->w.store, on_row, x, NULL);
    PF_ASSERT(rc == 0);
    step(x, (struct pf_agent_event){.type = PF_AGENT_BOOT});
    fuzz_set_var(&x->w, 'a', pf_str(pf_agent_id(x->a)));
}

static void crash(struct target *x)
{
    pf_agent_destroy(x->a);
    fuzz_world_crash(&x->w);
    x->launcher_up = x->is_listing = false;
    x->n_sandboxes = x->n_starts = x->n_closing = 0;
    begin(x);
}

static void create(struct target *x, uint32_t bits)
{
    struct pf_str total = bits & 4 ? PF_STR("cpus:1;mem:32")
                                   : PF_STR("cpus:4;mem:4096;disk:10000;ports:[31000-31009]");
    int rc = pf_res_parse(total, &x->total, NULL);
    PF_ASSERT(rc == 0);
    x->options = (struct pf_agent_options){
        .seed = 7, .instance = "i1",
        .hostname = "h1", .address = "127.0.0.1:5056", .http_address = "127.0.0.1:5051",
        .http_port = 5051, .pid = 77, .machine_id = "m1", .boot_id = "b1", .total = &x->total,
        .attributes = "rack:a;slots:3", .work_dir = "/w", .isolation = "accounted, not enforced",
        .default_user = "", .task_user = "nobody", .runs_as_root = bits & 1,
        .allow_any_user = bits & 2, .min_free_bytes = 64 << 20, .resend_ms = 10000,
        .disk_bytes = UINT64_C(2) << 30, .cache_dir = "/cache",
    };
    x->automatic = AUTO_SANDBOX | AUTO_RUN;
    begin(x);
}

/* --- lines --- */

static void peer_up(struct target *x, const struct fuzz_line *line)
{
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP};
    uint32_t body = line->op == 'w' ? Body_Welcome : Body_Hello;
    if (!fuzz_message(&x->w, line->text, &Envelope__desc, &ev.peer_up.hello) ||
        Envelope_body_type(Envelope__root(ev.peer_up.hello)) != body) {
        return;
    }
    ev.peer = fuzz_peer_up(&x->w, line->n);
    ev.peer_up.is_master = line->op == 'w';
    ev.peer_up.trusted = line->op == 'U';
    if (ev.peer != 0) {
        step(x, ev);
    }
}

static void about_peer(struct target *x, const struct fuzz_line *line)
{
    struct pf_agent_event ev = {.peer = fuzz_peer_of(&x->w, line->n)};
    if (ev.peer == 0) {
        return;
    }
    if (line->op == 'd') {
        ev.type = PF_AGENT_PEER_DOWN;
        fuzz_peer_down(&x->w, ev.peer);
        step(x, ev);
    } else if (fuzz_message(&x->w, line->text, &Envelope__desc, &ev.message) &&
               fuzz_asks(&x->w, ev.peer, ev.message)) {
        ev.type = PF_AGENT_MESSAGE;
        step(x, ev);
    }
}

static void launcher(struct target *x, const struct fuzz_line *line)
{
    struct pf_agent_event ev = {.type = PF_AGENT_LAUNCHER_UP};
    struct pf_fb_builder b;
    if (line->op == 'l' && !x->launcher_up) {
        struct LauncherHello__args hello = {.pid = 50, .instance = line->text};
        pf_fb_builder_init(&b, &x->w.arena);
        ev.launcher = LauncherHello__finish(&b, LauncherHello__put(&b, &hello));
        x->launcher_up = x->is_listing = true;
    } else if (line->op == 'L' && x->launcher_up) {
        ev.type = PF_AGENT_LAUNCHER_DOWN;
        x->launcher_up = x->is_listing = false;
    } else if (line->op == 'e' && x->is_listing) {
        ev.type = PF_AGENT_PROCESSES_END;
        x->is_listing = false;
    } else if (line->op == 'p' && x->launcher_up &&
               fuzz_message(&x->w, line->text, &LauncherProcess__desc, &ev.process)) {
        ev.type = PF_AGENT_PROCESS;
    } else {
        return;
    }
    step(x, ev);
}

static void run_line(struct target *x, const struct fuzz_line *line)
{
    switch (line->op) {
    case 'w':
    case 'u':
    case 'U': peer_up(x, line); break;
    case 'd':
    case 'm': about_peer(x, line); break;
    case 'l':
    case 'L':
    case 'e':
    case 'p': launcher(x, line); break;
    case 't': pass(x, line->n); break;
    case 'f':
        step(x, (struct pf_agent_event){.type = PF_AGENT_DISK,
                                        .free_bytes = (uint64_t)line->n << 20});
        break;
    case 'b':
        if (x->n_sandboxes > 0) {
            sandbox_done(x, (int)line->n);
        }
        break;
    case 'c': {
        struct pf_agent_event ev = {.type = PF_AGENT_CHECKED};
        ev.checked.check = x->check;
        ev.checked.is_done = line->n != 0;
        ev.checked.status_code = line->n;
        ev.checked.text = PF_STR("refused");
        step(x, ev);
        break;
    }
    case 'g':
        step(x, (struct pf_agent_event){.type = PF_AGENT_SANDBOX_GONE, .launch = x->started});
        break;
    case 'x': x->automatic = line->n; break;
    case 'h': x->w.is_slow = line->n & 1; break;
    case 'K': crash(x); break;
    default: break;
    }
}

static uint64_t run(struct pf_str script)
{
    struct target *x = PF_NEW(struct target);
    struct fuzz_line line;
    fuzz_world_init(&x->w, on_effect, x);
    for (int i = 0; i < FUZZ_LINES_MAX && fuzz_next_line(&script, &line); i++) {
        if (x->a == NULL) {
            create(x, line.op == 'o' ? line.n : 0);
        }
        run_line(x, &line);
        if (!x->w.is_slow) {
            PF_ASSERT(fuzz_unanswered(&x->w) == 0); /* an agent answers at once */
        }
        fuzz_world_end_line(&x->w);
    }
    if (x->a != NULL) {
        crash(x);
    }
    uint64_t hash = x->w.hash;
    pf_agent_destroy(x->a);
    pf_res_fini(&x->total);
    fuzz_world_fini(&x->w);
    pf_free(x);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_twice(data, size, run);
}
