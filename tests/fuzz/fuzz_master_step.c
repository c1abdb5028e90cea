/* SPDX-License-Identifier: Apache-2.0 */
/* A master to whom agents, schedulers, operators and other masters say anything, and which dies and
 * leads again from its rows, at once or after a while as a standby. Lines:
 *   o N        options, first line only: 1 allow any user, 2 offers last for ever, 4 half of the
 *              agents may be given up at a takeover, 8 one agent a minute
 *   u N text   a peer without the key comes up with this Hello; U: one with it     d N  it goes
 *   m N text   a peer says this Envelope          t N  N ms pass
 *   h N        bit 1: a slow store                K    SIGKILL and recovery
 *   S N        SIGKILL, then a standby that knows of N masters; rows are told twice    E  it leads
 * $f: the last framework subscribed, $o: the last offer made, $u: uuid of the last update relayed,
 * $l: uuid of the last launch. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/master.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

struct target {
    struct fuzz_world w;
    struct pf_master_options options;
    struct pf_master *m;
    bool leads;
    uint64_t epoch;
    uint64_t closing[FUZZ_PEERS * 2];
    uint32_t n_closing;
};

static void on_scheduler_event(struct target *x, struct Scheduler_Event e)
{
    struct Scheduler_Event_Offers offers = Scheduler_Event_offers(e);
    struct Scheduler_Event_Subscribed subscribed = Scheduler_Event_subscribed(e);
    if (Scheduler_Event_type(e) == Scheduler_Event_Type_SUBSCRIBED) {
        fuzz_set_var(&x->w, 'f',
                     FrameworkID_value(Scheduler_Event_Subscribed_framework_id(subscribed)));
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_OFFERS) {
        PF_ASSERT(Scheduler_Event_Offers_offers__len(offers) > 0);
        struct Offer last = Scheduler_Event_Offers_offers__at(
            offers, Scheduler_Event_Offers_offers__len(offers) - 1);
        fuzz_set_var(&x->w, 'o', OfferID_value(Offer_id(last)));
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_UPDATE) {
        struct TaskStatus status = Scheduler_Event_Update_status(Scheduler_Event_update(e));
        PF_ASSERT(TaskID_value(TaskStatus_task_id(status)).len > 0);
        fuzz_set_var_base64(&x->w, 'u', TaskStatus_uuid(status));
    }
}

static void on_effect(void *ctx, const struct pf_effect *e, struct pf_msg msg)
{
    struct target *x = ctx;
    if (e->kind == PF_EFFECT_ACT) {
        PF_ASSERT(e->act == PF_MASTER_ACT_STEP_DOWN || e->act == PF_MASTER_ACT_EPOCH_SEEN);
        PF_ASSERT(e->data != NULL && x->leads);
        return;
    }
    if (e->kind == PF_EFFECT_CLOSE) {
        if (x->n_closing < PF_ARRAY_LEN(x->closing)) {
            x->closing[x->n_closing++] = e->peer;
        }
        return;
    }
    struct Envelope env = Envelope__root(msg);
    if (Envelope_body_type(env) == Body_Scheduler_Event) {
        on_scheduler_event(x, Envelope_body_as_Scheduler_Event(env));
    } else if (Envelope_body_type(env) == Body_AgentLaunch) {
        struct AgentLaunch launch = Envelope_body_as_AgentLaunch(env);
        PF_ASSERT(AgentLaunch_tasks__len(launch) > 0);
        struct AgentLaunchTask task = AgentLaunch_tasks__at(launch, 0);
        fuzz_set_var_base64(&x->w, 'l', AgentLaunchTask_launch_uuid(task));
    }
}

static void step_once(struct target *x, struct pf_master_event ev)
{
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_master_step(x->m, &ev, pf_turns_open(x->w.turns));
    pf_master_check(x->m);
    fuzz_settle(&x->w);
}

static void step(struct target *x, struct pf_master_event ev)
{
    step_once(x, ev);
    while (x->n_closing > 0) {
        struct pf_master_event down = {.type = PF_MASTER_PEER_DOWN,
                                       .peer = x->closing[--x->n_closing]};
        fuzz_peer_down(&x->w, down.peer);
        step_once(x, down);
    }
}

static void pass(struct target *x, uint32_t ms)
{
    int64_t end_ms = x->w.now_ms + ms;
    int n_at_once = 0;
    for (int i = 0; i < 500 && pf_master_deadline(x->m) <= end_ms; i++) {
        int64_t at_ms = pf_master_deadline(x->m);
        n_at_once = at_ms > x->w.now_ms ? 0 : n_at_once + 1;
        PF_ASSERT(n_at_once < 200); /* work that is put off comes to an end */
        x->w.now_ms = at_ms > x->w.now_ms ? at_ms : x->w.now_ms;
        step(x, (struct pf_master_event){.type = PF_MASTER_DEADLINE});
    }
    x->w.now_ms = end_ms;
}

/* --- lives --- */

static int on_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    static const struct pf_fb_table_desc *const descs[] = {
        [RegistryTable_META] = &Row_Registry__desc,
        [RegistryTable_AGENTS] = &Row_Agent__desc,
        [RegistryTable_FRAMEWORKS] = &Row_Framework__desc};
    struct target *x = ctx;
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row = {.table = table, .key = key}};
    PF_ASSERT(table < PF_ARRAY_LEN(descs));
    int rc = pf_fb_verify(row, descs[table], &ev.row.row, NULL);
    PF_ASSERT(rc == 0);
    ev.now_ms = x->w.now_ms;
    ev.wall_ms = 1700000000000 + x->w.now_ms;
    pf_master_step(x->m, &ev, pf_turns_open(x->w.turns));
    return 0;
}

static void load(struct target *x)
{
    int rc = pf_store_load(x->w.store, on_row, x, NULL);
    PF_ASSERT(rc == 0);
    pf_master_check(x->m);
}

static void elect(struct target *x)
{
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED, .elected = {.epoch = ++x->epoch}};
    memset(ev.elected.incarnation.b, 0xab, sizeof ev.elected.incarnation.b);
    if (!x->leads) {
        x->leads = true;
        step(x, ev);
    }
}

static void standby(struct target *x)
{
    x->options.seed++;
    x->leads = false;
    x->m = pf_master_create(&x->options);
    load(x);
}

static void crash(struct target *x)
{
    pf_master_destroy(x->m);
    fuzz_world_crash(&x->w);
    x->n_closing = 0;
    standby(x);
}

static void tell_masters(struct target *x, uint32_t n)
{
    struct pf_master_view at[8] = {{.instance = "master-1", .address = "m1:5055", .is_self = true}};
    struct pf_master_event ev = {.type = PF_MASTER_MASTERS, .masters = {at, n % 9}};
    for (uint32_t i = 1; i < 8; i++) {
        at[i] = (struct pf_master_view){.instance = i & 1 ? "master-21" : "master-22",
                                        .address = "m2:5055", .is_leading = i == 2,
                                        .is_linked = i > 2, .trouble = i > 3 ? "slow" : NULL};
    }
    step(x, ev);
}

static void create(struct target *x, uint32_t bits)
{
    x->options = (struct pf_master_options){
        .seed = 1, .instance = "master-1", .cluster = "test", .address = "127.0.0.1:5055",
        .http_address = "127.0.0.1:5050", .hostname = "m1", .pid = 1,
        .offer_timeout_ms = bits & 2 ? 0 : 30000, .agent_unreachable_ms = 75000,
        .recovery_ms = 600000, .task_user = "nobody", .allow_any_user = bits & 1,
        .recovery_removals_percent = bits & 4 ? 50 : 100,
        .removals = bits & 8 ? 1 : 0, .removals_ms = 60000,
    };
    standby(x);
    elect(x);
}

/* --- lines --- */

/* The greetings refuse agents and masters without the key. */
static void peer_up(struct target *x, const struct fuzz_line *line)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP};
    ev.peer_up.trusted = line->op == 'U';
    if (!fuzz_message(&x->w, line->text, &Envelope__desc, &ev.peer_up.hello)) {
        return;
    }
    struct Envelope env = Envelope__root(ev.peer_up.hello);
    enum PeerKind kind = Hello_kind(Envelope_body_as_Hello(env));
    bool needs_key = kind == PeerKind_AGENT || kind == PeerKind_MASTER;
    if (Envelope_body_type(env) != Body_Hello || (needs_key && !ev.peer_up.trusted)) {
        return;
    }
    ev.peer = fuzz_peer_up(&x->w, line->n);
    if (ev.peer != 0) {
        step(x, ev);
    }
}

static void about_peer(struct target *x, const struct fuzz_line *line)
{
    struct pf_master_event ev = {.peer = fuzz_peer_of(&x->w, line->n)};
    if (ev.peer == 0) {
        return;
    }
    if (line->op == 'd') {
        ev.type = PF_MASTER_PEER_DOWN;
        fuzz_peer_down(&x->w, ev.peer);
        step(x, ev);
    } else if (fuzz_message(&x->w, line->text, &Envelope__desc, &ev.message) &&
               fuzz_asks(&x->w, ev.peer, ev.message)) {
        ev.type = PF_MASTER_MESSAGE;
        step(x, ev);
    }
}

static void run_line(struct target *x, const struct fuzz_line *line)
{
    switch (line->op) {
    case 'u':
    case 'U': peer_up(x, line); break;
    case 'd':
    case 'm': about_peer(x, line); break;
    case 't': pass(x, line->n); break;
    case 'h': x->w.is_slow = line->n & 1; break;
    case 'K':
        crash(x);
        elect(x);
        break;
    case 'S':
        crash(x);
        load(x); /* what is known already changes nothing */
        tell_masters(x, line->n);
        break;
    case 'E': elect(x); break;
    default: break;
    }
}

static uint64_t run(struct pf_str script)
{
    struct target *x = PF_NEW(struct target);
    struct fuzz_line line;
    fuzz_world_init(&x->w, on_effect, x);
    for (int i = 0; i < FUZZ_LINES_MAX && fuzz_next_line(&script, &line); i++) {
        if (x->m == NULL) {
            create(x, line.op == 'o' ? line.n : 0);
        }
        run_line(x, &line);
        fuzz_world_end_line(&x->w);
    }
    if (x->m != NULL) {
        crash(x);
    }
    uint64_t hash = x->w.hash;
    pf_master_destroy(x->m);
    fuzz_world_fini(&x->w);
    pf_free(x);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_twice(data, size, run);
}
