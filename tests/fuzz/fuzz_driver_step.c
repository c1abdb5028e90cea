/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduler driver whose masters say anything, and an owner who calls in any order. Lines:
 *   o N        options, first line only: 1 explicit_acks, 2 durable, 4 suppressed, 8 has an id,
 *              16 gives up
 *   s, q, x    START, STOP, TEARDOWN          r, z  REVIVE, SUPPRESS      t N  N ms pass
 *   u N text   the link to master N comes up with this greeting           d N  it breaks
 *   m N text   master N says this Envelope
 *   a N ids|task|...   ACCEPT these offers (divided by blanks) with these TaskInfos
 *   c N ids    DECLINE for N ms               e 0 text  DEMAND
 *   k N id     KILL with a grace of N ms      g N task agent  ACKNOWLEDGE the uuid of bytes N
 *   i 0 ids    RECONCILE                      l 0 ids|executor|task|...  as `a`, as one group
 *   p N agent executor   a message of N bytes  w 0 agent executor  SHUTDOWN_EXECUTOR
 * $f: the framework, $o: the last offer told, $u: uuid of the last update. */
#include "common/base/limits.h"
#include "framework/driver/driver.h"
#include "schemas/proffer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

enum { LIST_MAX = 16 };

struct target {
    struct fuzz_world w;
    struct pf_driver *d;
    bool wanted[PF_MASTERS_MAX]; /* CONNECT waits for its answer */
    uint64_t link[PF_MASTERS_MAX]; /* peer of a link that is up */
    bool has_ended;
};

static void on_act(struct target *x, const struct pf_effect *e)
{
    const struct pf_driver_connect *connect = e->data;
    const struct pf_driver_update *update = e->data;
    PF_ASSERT(!x->has_ended); /* nothing follows the last words */
    switch ((enum pf_driver_act)e->act) {
    case PF_DRIVER_CONNECT:
        PF_ASSERT(connect->master < PF_MASTERS_MAX);
        PF_ASSERT(!x->wanted[connect->master]);
        x->wanted[connect->master] = true;
        x->link[connect->master] = 0;
        break;
    case PF_DRIVER_SUBSCRIBED:
        fuzz_set_var(&x->w, 'f', ((const struct pf_driver_subscribed *)e->data)->framework_id);
        break;
    case PF_DRIVER_OFFERS: {
        struct Scheduler_Event_Offers offers = *(const struct Scheduler_Event_Offers *)e->data;
        PF_ASSERT(Scheduler_Event_Offers_offers__len(offers) > 0);
        struct Offer first = Scheduler_Event_Offers_offers__at(offers, 0);
        fuzz_set_var(&x->w, 'o', OfferID_value(Offer_id(first)));
        break;
    }
    case PF_DRIVER_UPDATE:
        PF_ASSERT(TaskID_value(TaskStatus_task_id(update->status)).at != NULL);
        fuzz_set_var_base64(&x->w, 'u', TaskStatus_uuid(update->status));
        break;
    case PF_DRIVER_ERROR:
    case PF_DRIVER_STOPPED: x->has_ended = true; break;
    case PF_DRIVER_DISCONNECTED:
    case PF_DRIVER_RESCINDED:
    case PF_DRIVER_DEMAND_STATUS:
    case PF_DRIVER_TOLD:
    case PF_DRIVER_FAILURE: break;
    }
}

static void on_effect(void *ctx, const struct pf_effect *e, struct pf_msg msg)
{
    struct target *x = ctx;
    (void)msg;
    if (e->kind == PF_EFFECT_ACT) {
        on_act(x, e);
    } else if (e->kind == PF_EFFECT_CLOSE) {
        for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
            x->link[i] = x->link[i] == e->peer ? 0 : x->link[i];
        }
        fuzz_peer_down(&x->w, e->peer);
    }
}

static void step(struct target *x, struct pf_driver_event ev)
{
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_driver_step(x->d, &ev, pf_turns_open(x->w.turns));
    pf_driver_check(x->d);
    fuzz_settle(&x->w);
}

static void pass(struct target *x, uint32_t ms)
{
    int64_t end_ms = x->w.now_ms + ms;
    for (int i = 0; i < 200 && pf_driver_deadline(x->d) <= end_ms; i++) {
        int64_t at_ms = pf_driver_deadline(x->d);
        x->w.now_ms = at_ms > x->w.now_ms ? at_ms : x->w.now_ms;
        step(x, (struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
        /* A deadline leads to another, later one. */
        PF_ASSERT(pf_driver_deadline(x->d) > x->w.now_ms);
    }
    x->w.now_ms = end_ms;
}

static void link_up(struct target *x, uint32_t n, struct pf_str text)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_UP, .master = n};
    if (!x->wanted[n] || !fuzz_message(&x->w, text, &Envelope__desc, &ev.up.greeting) ||
        Envelope_body_type(Envelope__root(ev.up.greeting)) != Body_Welcome) {
        return;
    }
    x->wanted[n] = false;
    x->link[n] = ++x->w.last_peer;
    ev.up.peer = x->link[n];
    step(x, ev);
}

static void link_down(struct target *x, uint32_t n)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_DOWN, .master = n};
    if (!x->wanted[n] && x->link[n] == 0) {
        return;
    }
    if (x->link[n] != 0) {
        fuzz_peer_down(&x->w, x->link[n]);
    }
    x->wanted[n] = false;
    x->link[n] = 0;
    (void)pf_err_set(&ev.down, PF_ECONN, "broken");
    step(x, ev);
}

static void hear(struct target *x, uint32_t n, struct pf_str text)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_MESSAGE, .master = n};
    if (x->link[n] != 0 && fuzz_message(&x->w, text, &Envelope__desc, &ev.message) &&
        fuzz_asks(&x->w, x->link[n], ev.message)) {
        step(x, ev);
    }
}

/* Texts divided by blanks, with variables. */
static uint32_t texts(struct target *x, struct pf_str list, struct pf_str out[LIST_MAX])
{
    uint32_t n = 0;
    while (n < LIST_MAX && fuzz_next_part(&list, ' ', &out[n])) {
        if (out[n].len == 2 && out[n].at[0] == '$' && out[n].at[1] >= 'a' && out[n].at[1] <= 'z') {
            out[n] = pf_arena_strdup(&x->w.arena, pf_str(x->w.var[out[n].at[1] - 'a']));
        } else {
            out[n] = pf_arena_strdup(&x->w.arena, out[n]);
        }
        n++;
    }
    return n;
}

static void accept_offers(struct target *x, struct pf_str text, bool is_group)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_ACCEPT};
    struct pf_str ids = {NULL, 0}, json, offer[LIST_MAX];
    struct pf_msg task[LIST_MAX];
    (void)fuzz_next_part(&text, '|', &ids);
    ev.accept.n_offers = texts(x, ids, offer);
    if (is_group && (!fuzz_next_part(&text, '|', &json) ||
                     !fuzz_message(&x->w, json, &ExecutorInfo__desc, &ev.accept.executor))) {
        return;
    }
    ev.accept.is_group = is_group;
    while (ev.accept.n_tasks < LIST_MAX && fuzz_next_part(&text, '|', &json)) {
        if (fuzz_message(&x->w, json, &TaskInfo__desc, &task[ev.accept.n_tasks])) {
            ev.accept.n_tasks++;
        }
    }
    ev.accept.offer = offer;
    ev.accept.task = task;
    ev.accept.refuse_ms = -1;
    step(x, ev);
}

static void call_about_ids(struct target *x, const struct fuzz_line *line)
{
    static const uint8_t zeros[1000] = {0};
    struct pf_driver_event ev = {0};
    struct pf_str id[LIST_MAX] = {{NULL, 0}};
    uint8_t uuid[16];
    uint32_t n = texts(x, line->text, id);
    memset(uuid, (int)(line->n & 0xff), sizeof uuid);
    if (line->op == 'c') {
        ev.type = PF_DRIVER_DECLINE;
        ev.accept.offer = id;
        ev.accept.n_offers = n;
        ev.accept.refuse_ms = line->n;
    } else if (line->op == 'k' && n > 0) {
        ev.type = PF_DRIVER_KILL;
        ev.kill = (struct pf_driver_kill){.task_id = id[0], .grace_ms = line->n};
    } else if (line->op == 'g' && n > 1) {
        ev.type = PF_DRIVER_ACKNOWLEDGE;
        ev.acknowledge.task_id = id[0];
        ev.acknowledge.agent_id = id[1];
        ev.acknowledge.uuid = (struct pf_bytes){uuid, sizeof uuid};
    } else if (line->op == 'i') {
        ev.type = PF_DRIVER_RECONCILE;
        ev.reconcile.task = id;
        ev.reconcile.n_tasks = n;
    } else if ((line->op == 'p' || line->op == 'w') && n > 1) {
        ev.type = line->op == 'p' ? PF_DRIVER_SEND_MESSAGE : PF_DRIVER_SHUTDOWN_EXECUTOR;
        ev.executor.agent_id = id[0];
        ev.executor.executor_id = id[1];
        ev.executor.data = (struct pf_bytes){zeros, line->n % sizeof zeros};
    } else {
        return;
    }
    step(x, ev);
}

static void call(struct target *x, const struct fuzz_line *line)
{
    struct pf_driver_event ev = {0};
    switch (line->op) {
    case 's': ev.type = PF_DRIVER_START; break;
    case 'q': ev.type = PF_DRIVER_STOP; break;
    case 'x': ev.type = PF_DRIVER_TEARDOWN; break;
    case 'r': ev.type = PF_DRIVER_REVIVE; break;
    case 'z': ev.type = PF_DRIVER_SUPPRESS; break;
    case 'e':
        ev.type = PF_DRIVER_DEMAND;
        if (!fuzz_message(&x->w, line->text, &Scheduler_Call_Demand__desc, &ev.demand)) {
            return;
        }
        break;
    default: call_about_ids(x, line); return;
    }
    step(x, ev);
}

static void create(struct target *x, uint32_t bits)
{
    static const struct pf_str masters[] = {{"m1:5055", 7}, {"m2:5055", 7}};
    struct pf_driver_options o = {
        .seed = 1, .instance = PF_STR("6a1f0b52-9d3c-4a7e-8f21-0c5d7e9b1a34"),
        .master = masters, .n_masters = 2,
        .explicit_acks = bits & 1, .is_durable = bits & 2, .is_suppressed = bits & 4,
        .give_up_ms = bits & 16 ? 5000 : 0,
    };
    struct pf_str info = (bits & 8) != 0
                             ? PF_STR("{'user':'ann','name':'demo','id':{'value':'f1'}}")
                             : PF_STR("{'user':'ann','name':'demo'}");
    bool ok = fuzz_message(&x->w, info, &FrameworkInfo__desc, &o.framework);
    PF_ASSERT(ok);
    x->d = pf_driver_create(&o);
}

static uint64_t run(struct pf_str script)
{
    struct target x = {.d = NULL};
    struct fuzz_line line;
    bool is_started = false;
    fuzz_world_init(&x.w, on_effect, &x);
    for (int i = 0; i < FUZZ_LINES_MAX && fuzz_next_line(&script, &line); i++) {
        uint32_t n = line.n % PF_MASTERS_MAX;
        if (x.d == NULL) {
            create(&x, line.op == 'o' ? line.n : 0);
        }
        switch (line.op) {
        case 't': pass(&x, line.n); break;
        case 'u': link_up(&x, n, line.text); break;
        case 'd': link_down(&x, n); break;
        case 'm': hear(&x, n, line.text); break;
        case 'a': accept_offers(&x, line.text, false); break;
        case 'l': accept_offers(&x, line.text, true); break;
        case 's':
            if (!is_started) { /* once, as the library does */
                is_started = true;
                call(&x, &line);
            }
            break;
        default: call(&x, &line); break;
        }
        fuzz_world_end_line(&x.w);
    }
    pf_driver_destroy(x.d);
    fuzz_world_fini(&x.w);
    return x.w.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_twice(data, size, run);
}
