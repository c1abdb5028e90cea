/* SPDX-License-Identifier: Apache-2.0 */
/* An executor driver whose agent says anything, and an owner who calls in any order. Lines:
 *   o N        options, first line only: 1 without a token, 2 gives up after 2 s, 4 grace 0
 *   s, q       START, STOP                    t N  N ms pass
 *   u          the link comes up              d    it breaks
 *   m 0 text   the agent says this Envelope
 *   p N id     UPDATE of the task to state N, with data
 *   f N        a message of N bytes for the scheduler
 * $t: the last task launched, $u: uuid of the last update that was sent. */
#include "common/base/limits.h"
#include "framework/driver/executor.h"
#include "schemas/proffer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

struct target {
    struct fuzz_world w;
    struct pf_executor_driver *d;
    bool wanted;   /* CONNECT waits for its answer */
    uint64_t link; /* peer of the link that is up, 0 = none */
    bool has_ended;
};

static void on_act(struct target *x, const struct pf_effect *e)
{
    const struct pf_executor_launch *launch = e->data;

    PF_ASSERT(!x->has_ended); /* nothing follows the last words */
    switch ((enum pf_executor_act)e->act) {
    case PF_EXECUTOR_CONNECT:
        PF_ASSERT(!x->wanted && x->link == 0);
        x->wanted = true;
        break;
    case PF_EXECUTOR_LAUNCH:
        PF_ASSERT(launch->n > 0);
        fuzz_set_var(&x->w, 't', TaskID_value(TaskInfo_task_id(launch->task[0])));
        break;
    case PF_EXECUTOR_KILL:
        PF_ASSERT(((const struct pf_executor_kill *)e->data)->task_id.len > 0);
        break;
    case PF_EXECUTOR_SHUTDOWN:
        PF_ASSERT(((const struct pf_executor_shutdown *)e->data)->why.len > 0);
        break;
    case PF_EXECUTOR_ERROR:
    case PF_EXECUTOR_STOPPED: x->has_ended = true; break;
    case PF_EXECUTOR_SUBSCRIBED:
    case PF_EXECUTOR_DISCONNECTED:
    case PF_EXECUTOR_TOLD: break;
    }
}

static void on_send(struct target *x, struct pf_msg msg)
{
    struct Executor_Call call = Envelope_body_as_Executor_Call(Envelope__root(msg));

    if (Executor_Call_type(call) == Executor_Call_Type_UPDATE) {
        struct TaskStatus s = Executor_Call_Update_status(Executor_Call_update(call));

        PF_ASSERT(TaskStatus_uuid(s).len == 16);
        fuzz_set_var_base64(&x->w, 'u', TaskStatus_uuid(s));
    }
}

static void on_effect(void *ctx, const struct pf_effect *e, struct pf_msg msg)
{
    struct target *x = ctx;

    if (e->kind == PF_EFFECT_ACT) {
        on_act(x, e);
    } else if (e->kind == PF_EFFECT_SEND) {
        on_send(x, msg);
    } else {
        PF_ASSERT(e->peer == x->link);
        x->link = 0;
        fuzz_peer_down(&x->w, e->peer);
    }
}

static void step(struct target *x, struct pf_executor_event ev)
{
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_executor_driver_step(x->d, &ev, pf_turns_open(x->w.turns));
    pf_executor_driver_check(x->d);
    fuzz_settle(&x->w);
    PF_ASSERT(x->has_ended == pf_executor_driver_is_ended(x->d));
}

static void pass(struct target *x, uint32_t ms)
{
    int64_t end_ms = x->w.now_ms + ms;

    for (int i = 0; i < 200 && pf_executor_driver_deadline(x->d) <= end_ms; i++) {
        int64_t at_ms = pf_executor_driver_deadline(x->d);

        x->w.now_ms = at_ms > x->w.now_ms ? at_ms : x->w.now_ms;
        step(x, (struct pf_executor_event){.type = PF_EXECUTOR_DEADLINE});
        /* A deadline leads to another, later one. */
        PF_ASSERT(pf_executor_driver_deadline(x->d) > x->w.now_ms);
    }
    x->w.now_ms = end_ms;
}

static void link_up(struct target *x)
{
    if (x->wanted) {
        x->wanted = false;
        x->link = ++x->w.last_peer;
        step(x, (struct pf_executor_event){.type = PF_EXECUTOR_LINK_UP, .peer = x->link});
    }
}

static void link_down(struct target *x)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_LINK_DOWN};

    if (!x->wanted && x->link == 0) {
        return;
    }
    if (x->link != 0) {
        fuzz_peer_down(&x->w, x->link);
    }
    x->wanted = false;
    x->link = 0;
    (void)pf_err_set(&ev.down, PF_ECONN, "broken");
    step(x, ev);
}

static void hear(struct target *x, struct pf_str text)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_MESSAGE};

    if (x->link != 0 && fuzz_message(&x->w, text, &Envelope__desc, &ev.message) &&
        fuzz_asks(&x->w, x->link, ev.message)) {
        step(x, ev);
    }
}

static void call(struct target *x, const struct fuzz_line *line)
{
    static const uint8_t zeros[1000] = {0};
    struct pf_executor_event ev = {0};

    if (line->op == 'p') {
        ev.type = PF_EXECUTOR_UPDATE;
        ev.update.task_id = line->text.len == 2 && line->text.at[0] == '$'
                                ? pf_str(x->w.var['t' - 'a'])
                                : line->text;
        ev.update.state = (enum TaskState)(line->n % 14);
        ev.update.data = (struct pf_bytes){zeros, line->n % sizeof zeros};
    } else {
        ev.type = PF_EXECUTOR_SEND;
        ev.data = (struct pf_bytes){zeros, line->n % sizeof zeros};
    }
    step(x, ev);
}

static void create(struct target *x, uint32_t bits)
{
    struct pf_executor_driver_options o = {
        .seed = 1,
        .agent = PF_STR("127.0.0.1:5051"),
        .framework_id = PF_STR("f1"),
        .executor_id = PF_STR("e1"),
        .recovery_ms = bits & 2 ? 2000 : 900000,
        .grace_ms = bits & 4 ? 0 : 5000,
    };

    if ((bits & 1) == 0) {
        o.token = PF_STR("secret");
    }
    x->d = pf_executor_driver_create(&o);
}

static uint64_t run(struct pf_str script)
{
    struct target x = {.d = NULL};
    struct fuzz_line line;
    bool is_started = false;

    fuzz_world_init(&x.w, on_effect, &x);
    for (int i = 0; i < FUZZ_LINES_MAX && fuzz_next_line(&script, &line); i++) {
        if (x.d == NULL) {
            create(&x, line.op == 'o' ? line.n : 0);
        }
        switch (line.op) {
        case 't': pass(&x, line.n); break;
        case 'u': link_up(&x); break;
        case 'd': link_down(&x); break;
        case 'm': hear(&x, line.text); break;
        case 'p':
        case 'f': call(&x, &line); break;
        case 'q': step(&x, (struct pf_executor_event){.type = PF_EXECUTOR_STOP}); break;
        case 's':
            if (!is_started && !x.has_ended) { /* once, as the library does */
                is_started = true;
                step(&x, (struct pf_executor_event){.type = PF_EXECUTOR_START});
            }
            break;
        default: break;
        }
        fuzz_world_end_line(&x.w);
    }
    pf_executor_driver_destroy(x.d);
    fuzz_world_fini(&x.w);
    return x.w.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_twice(data, size, run);
}
