/* SPDX-License-Identifier: Apache-2.0 */
/* See drv.h. */
#include "tests/support/drv.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/fb/json.h"
#include "schemas/proffer.h"

static struct pf_msg message(struct drv *f, const struct pf_fb_table_desc *desc,
                             const char *json)
{
    struct pf_fb_builder b;
    struct pf_msg msg = {0};
    struct pf_err err = {0};

    pf_fb_builder_init(&b, &f->arena);
    if (pf_json_read(pf_str(json), desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, &err) < 0) {
        fail_msg("%s in %s", err.msg, json);
    }
    return msg;
}

void drv_create(struct drv *f, const char *framework, const char *masters, bool explicit_acks)
{
    struct pf_str master[4];
    struct pf_driver_options o = {
        .seed = 1, .instance = PF_STR(INSTANCE), .master = master,
        .explicit_acks = explicit_acks, .give_up_ms = 5000,
    };

    for (const char *p = masters; *p;) {
        size_t len = strcspn(p, " ");

        master[o.n_masters++] = (struct pf_str){p, (uint32_t)len};
        p += len + (p[len] == ' ');
    }
    o.framework = message(f, &FrameworkInfo__desc, framework);
    pf_driver_destroy(f->d);
    f->d = pf_driver_create(&o);
}

int drv_setup(void **state)
{
    struct drv *f = PF_NEW(struct drv);

    f->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    f->now_ms = 1000;
    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055", false);
    *state = f;
    return 0;
}

int drv_teardown(void **state)
{
    struct drv *f = *state;

    pf_driver_check(f->d);
    pf_driver_destroy(f->d);
    pf_turns_destroy(f->turns);
    pf_arena_fini(&f->arena);
    pf_buf_fini(&f->got);
    pf_free(f);
    return 0;
}

/* --- what the driver does, as text ------------------------------------------------------------ */

static void show_json(struct pf_buf *out, struct pf_tab t, const struct pf_fb_table_desc *desc)
{
    assert_int_equal(pf_json_write(out, t, desc, PF_JSON_NO_DEFAULTS, NULL), 0);
}

static void show_send(struct pf_buf *out, const struct pf_effect *e)
{
    struct pf_msg msg = {0};
    struct Envelope env;

    assert_int_equal(pf_fb_verify(e->message, &Envelope__desc, &msg, NULL), 0);
    env = Envelope__root(msg);
    pf_buf_printf(out, "send %u ", (unsigned)e->peer);
    if (Envelope_request_id(env)) {
        pf_buf_printf(out, "#%u ", (unsigned)Envelope_request_id(env));
    }
    show_json(out, Envelope_body_as_Scheduler_Call(env).tab, &Scheduler_Call__desc);
}

static void show_act(struct pf_buf *out, const struct pf_effect *e)
{
    const struct pf_driver_connect *connect = e->data;
    const struct pf_driver_subscribed *sub = e->data;
    const struct pf_driver_update *update = e->data;
    const struct pf_err *err = e->data;
    const struct pf_str *text = e->data;

    switch ((enum pf_driver_act)e->act) {
    case PF_DRIVER_CONNECT:
        pf_buf_printf(out, "connect %u %.*s", connect->master, PF_STR_ARG(connect->address));
        break;
    case PF_DRIVER_SUBSCRIBED:
        pf_buf_printf(out, "subscribed %.*s at %.*s epoch %u%s", PF_STR_ARG(sub->framework_id),
                      PF_STR_ARG(sub->master), (unsigned)sub->epoch, sub->is_again ? " again" : "");
        break;
    case PF_DRIVER_DISCONNECTED:
        pf_buf_printf(out, "disconnected %d %s", err->code, err->msg);
        break;
    case PF_DRIVER_OFFERS:
        pf_buf_add_cstr(out, "offers ");
        show_json(out, ((const struct Scheduler_Event_Offers *)e->data)->tab,
                  &Scheduler_Event_Offers__desc);
        break;
    case PF_DRIVER_RESCINDED:
        pf_buf_printf(out, "rescinded %.*s", PF_STR_ARG(*text));
        break;
    case PF_DRIVER_UPDATE:
        pf_buf_printf(out, "update%s%s %.*s %s", update->wants_ack ? " wants-ack" : "",
                      update->is_local ? " local" : "",
                      PF_STR_ARG(TaskID_value(TaskStatus_task_id(update->status))),
                      TaskState__str((int)TaskStatus_state(update->status)));
        break;
    case PF_DRIVER_DEMAND_STATUS:
        pf_buf_add_cstr(out, "demand-status ");
        show_json(out, ((const struct Scheduler_Event_DemandStatus *)e->data)->tab,
                  &Scheduler_Event_DemandStatus__desc);
        break;
    case PF_DRIVER_TOLD:
        pf_buf_add_cstr(out, "told ");
        show_json(out, ((const struct Scheduler_Event_Message *)e->data)->tab,
                  &Scheduler_Event_Message__desc);
        break;
    case PF_DRIVER_FAILURE:
        pf_buf_add_cstr(out, "failure ");
        show_json(out, ((const struct Scheduler_Event_Failure *)e->data)->tab,
                  &Scheduler_Event_Failure__desc);
        break;
    case PF_DRIVER_ERROR:
        pf_buf_printf(out, "error %d %s", err->code, err->msg);
        break;
    case PF_DRIVER_STOPPED:
        pf_buf_add_cstr(out, "stopped");
        break;
    }
}

/* Everything since the last time into f->got, one line for each effect. */
void drv_collect(struct drv *f)
{
    const struct pf_effect *e;

    pf_driver_check(f->d);
    assert_null(pf_turns_seal(f->turns));
    pf_buf_clear(&f->got);
    while ((e = pf_turns_next(f->turns))) {
        if (e->kind == PF_EFFECT_SEND) {
            show_send(&f->got, e);
        } else if (e->kind == PF_EFFECT_CLOSE) {
            pf_buf_printf(&f->got, "close %u", (unsigned)e->peer);
        } else {
            show_act(&f->got, e);
        }
        pf_buf_add_byte(&f->got, '\n');
    }
}

void drv_expect(struct drv *f, const char *expected)
{
    drv_collect(f);
    assert_string_equal(pf_buf_cstr(&f->got), expected);
}

/* --- what happens to it ----------------------------------------------------------------------- */

void drv_step(struct drv *f, struct pf_driver_event ev)
{
    ev.now_ms = f->now_ms;
    ev.wall_ms = 1700000000000 + f->now_ms;
    pf_driver_step(f->d, &ev, pf_turns_open(f->turns));
}

void drv_start(struct drv *f)
{
    drv_step(f, (struct pf_driver_event){.type = PF_DRIVER_START});
}

void drv_up_as(struct drv *f, uint32_t master, uint64_t peer, const char *welcome)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_UP, .master = master};

    ev.up.peer = peer;
    ev.up.greeting = message(f, &Envelope__desc, welcome);
    drv_step(f, ev);
}

void drv_up(struct drv *f, uint32_t master, uint64_t peer, unsigned epoch)
{
    char text[200];

    (void)snprintf(text, sizeof text,
                   "{\"body\":{\"Welcome\":{\"role\":\"LEADER\",\"epoch\":%u,"
                   "\"incarnation\":\"%s\"}}}", epoch, INCARNATION);
    drv_up_as(f, master, peer, text);
}

void drv_down(struct drv *f, uint32_t master, int code)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_DOWN, .master = master};

    (void)pf_err_set(&ev.down, code, "broken");
    drv_step(f, ev);
}

void drv_hear(struct drv *f, uint32_t master, const char *envelope)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_MESSAGE, .master = master};

    ev.message = message(f, &Envelope__desc, envelope);
    drv_step(f, ev);
}

void drv_hear_event_from(struct drv *f, uint32_t master, const char *event)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "{\"body\":{\"Scheduler_Event\":%s}}", event);
    drv_hear(f, master, pf_buf_cstr(&b));
    pf_buf_fini(&b);
}

void drv_hear_event(struct drv *f, const char *event)
{
    drv_hear_event_from(f, 0, event);
}

void drv_hear_subscribed(struct drv *f, unsigned epoch)
{
    char text[160];

    (void)snprintf(text, sizeof text,
                   "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{\"value\":\"f1\"},"
                   "\"epoch\":%u}}", epoch);
    drv_hear_event(f, text);
}

void drv_hear_update(struct drv *f, const char *task, const char *state, const char *more)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"%s\"},"
                  "\"agent_id\":{\"value\":\"a1\"},\"state\":\"%s\"%s}}}", task, state, more);
    drv_hear_event(f, pf_buf_cstr(&b));
    pf_buf_fini(&b);
}

void drv_hear_offer(struct drv *f, const char *id, const char *more)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "{\"type\":\"OFFERS\",\"offers\":{\"offers\":[{\"id\":{\"value\":\"%s\"},"
                  "\"framework_id\":{\"value\":\"f1\"},\"agent_id\":{\"value\":\"a1\"},"
                  "\"hostname\":\"h1\"%s}]}}", id, more);
    drv_hear_event(f, pf_buf_cstr(&b));
    pf_buf_fini(&b);
}

/* Lets time pass to the next deadline, which must be between the two (ms from now). */
void drv_wait_between(struct drv *f, int64_t least_ms, int64_t most_ms)
{
    int64_t at = pf_driver_deadline(f->d);

    assert_in_range(at - f->now_ms, least_ms, most_ms);
    f->now_ms = at;
    drv_step(f, (struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
}

static void accept_as(struct drv *f, const char *offer_id, const char *task_ids, bool is_group)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_ACCEPT};
    struct pf_str offer = pf_str(offer_id);
    struct pf_msg task[8];

    for (const char *p = task_ids; *p;) {
        int len = (int)strcspn(p, " ");
        char json[160];

        (void)snprintf(json, sizeof json,
                       "{\"name\":\"t\",\"task_id\":{\"value\":\"%.*s\"},\"agent_id\":"
                       "{\"value\":\"a1\"}}", len, p);
        task[ev.accept.n_tasks++] = message(f, &TaskInfo__desc, json);
        p += len + (p[len] == ' ');
    }
    ev.accept.offer = &offer;
    ev.accept.n_offers = 1;
    ev.accept.task = task;
    ev.accept.refuse_ms = -1;
    if (is_group) {
        ev.accept.is_group = true;
        ev.accept.executor = message(f, &ExecutorInfo__desc, "{\"type\":\"DEFAULT\","
                                     "\"executor_id\":{\"value\":\"e1\"}}");
    }
    drv_step(f, ev);
}

void drv_accept(struct drv *f, const char *offer_id, const char *task_ids)
{
    accept_as(f, offer_id, task_ids, false);
}

void drv_accept_group(struct drv *f, const char *offer_id, const char *task_ids)
{
    accept_as(f, offer_id, task_ids, true);
}

void drv_decline(struct drv *f, const char *offer_id, int64_t refuse_ms)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_DECLINE};
    struct pf_str offer = pf_str(offer_id);

    ev.accept.offer = &offer;
    ev.accept.n_offers = 1;
    ev.accept.refuse_ms = refuse_ms;
    drv_step(f, ev);
}

void drv_demand(struct drv *f, const char *json)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_DEMAND};

    ev.demand = message(f, &Scheduler_Call_Demand__desc, json);
    drv_step(f, ev);
}

void drv_kill(struct drv *f, const char *id, int64_t grace_ms, int signal)
{
    drv_step(f, (struct pf_driver_event){
        .type = PF_DRIVER_KILL,
        .kill = {.task_id = pf_str(id), .grace_ms = grace_ms, .signal = signal}});
}

void drv_acknowledge(struct drv *f, const char *id, uint8_t first_byte)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_ACKNOWLEDGE};
    uint8_t uuid[16];

    for (uint8_t i = 0; i < 16; i++) {
        uuid[i] = (uint8_t)(first_byte + i);
    }
    ev.acknowledge.task_id = pf_str(id);
    ev.acknowledge.agent_id = PF_STR("a1");
    ev.acknowledge.uuid = (struct pf_bytes){uuid, sizeof uuid};
    drv_step(f, ev);
}

void drv_call(struct drv *f, enum pf_driver_event_type type)
{
    drv_step(f, (struct pf_driver_event){.type = type});
}

void drv_drain(struct drv *f)
{
    assert_null(pf_turns_seal(f->turns));
    while (pf_turns_next(f->turns)) {
    }
}

/* Subscribed as f1 over peer 10 in epoch 1. */
void given_subscribed(struct drv *f)
{
    drv_start(f);
    drv_up(f, 0, 10, 1);
    drv_hear_subscribed(f, 1);
    drv_drain(f);
}

/* With tasks t1 and t2 launched on an offer. */
void given_launched(struct drv *f)
{
    given_subscribed(f);
    drv_hear_offer(f, "o1", "");
    drv_accept(f, "o1", "t1 t2");
    drv_drain(f);
}

void drv_expect2(struct drv *f, const char *first, const char *second)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "%s%s", first, second);
    drv_expect(f, pf_buf_cstr(&b));
    pf_buf_fini(&b);
}
