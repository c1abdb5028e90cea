/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler library over real sockets, against a master made of a listener and this test: what
 * it sends is compared as JSON, what it is sent is JSON. */
#include <poll.h>
#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/fb/json.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "framework/lib/scheduler.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

struct fixture {
    struct pf_loop *loop; /* of the master, and of the scheduler but when it owns one */
    struct pf_net *net;
    char address[PF_ADDRESS_MAX];
    struct pf_link_self self;
    uint64_t peer; /* the scheduler's link */
    unsigned epoch;
    struct pf_buf calls; /* what it sent but SUBSCRIBE, one line each */
    struct pf_scheduler *s;
    struct pf_buf told;  /* what the callbacks got, one line each */
    unsigned n_subscribed;
    bool stops_on_status;
    struct pf_task_spec task[2]; /* accepted for each offer, n_tasks of them */
    size_t n_tasks;
};

static void master_send(struct fixture *f, const char *json)
{
    struct pf_fb_builder b;
    struct pf_msg msg;
    struct pf_err err = {0};

    pf_fb_builder_init(&b, NULL);
    if (pf_json_read(pf_str(json), &Envelope__desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, &err) < 0) {
        fail_msg("%s in %s", err.msg, json);
    }
    pf_peer_send(f->net, f->peer, pf_msg_bytes(msg));
    pf_fb_builder_fini(&b);
}

static void master_on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct fixture *f = ctx;
    struct Scheduler_Call call = Envelope_body_as_Scheduler_Call(Envelope__root(envelope));
    char text[200];

    f->peer = peer;
    if (Scheduler_Call_type(call) == Scheduler_Call_Type_SUBSCRIBE) {
        (void)snprintf(text, sizeof text,
                       "{\"body\":{\"Scheduler_Event\":{\"type\":\"SUBSCRIBED\",\"subscribed\":"
                       "{\"framework_id\":{\"value\":\"f1\"},\"epoch\":%u}}}}", f->epoch);
        master_send(f, text);
        return;
    }
    assert_int_equal(pf_json_write(&f->calls, call.tab, &Scheduler_Call__desc,
                                   PF_JSON_NO_DEFAULTS, NULL), 0);
    pf_buf_add_byte(&f->calls, '\n');
    if (Envelope_request_id(Envelope__root(envelope))) {
        (void)snprintf(text, sizeof text, "{\"request_id\":%u,\"is_reply\":true,\"code\":\"OK\","
                       "\"body\":{\"Reply\":{}}}",
                       (unsigned)Envelope_request_id(Envelope__root(envelope)));
        master_send(f, text);
    }
}

static void master_on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    (void)ctx;
    (void)peer;
    (void)why;
}

static void master_on_up(void *ctx, const struct pf_peer_up *up)
{
    (void)ctx;
    (void)up;
}

static void master_on_welcome(void *ctx, struct pf_link_state *out)
{
    static const uint8_t incarnation[16] = {1};
    struct fixture *f = ctx;

    out->role = MasterRole_LEADER;
    out->epoch = f->epoch;
    out->incarnation = (struct pf_bytes){incarnation, sizeof incarnation};
}

static void master_start(struct fixture *f, const char *address)
{
    static const struct pf_net_ops ops = {.on_up = master_on_up, .on_message = master_on_message,
                                          .on_down = master_on_down,
                                          .on_welcome = master_on_welcome};
    struct pf_net_options options = {.self = &f->self};
    struct pf_err err = {0};

    f->epoch++;
    f->self.kind = PeerKind_MASTER;
    assert_int_equal(pf_net_create(f->loop, &options, &ops, f, &f->net, &err), 0);
    if (pf_net_listen(f->net, address, f->address, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void master_stop(struct fixture *f)
{
    pf_net_destroy(f->net);
    f->net = NULL;
}

static void on_subscribed(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub)
{
    struct fixture *f = ctx;

    assert_ptr_equal(f->s, s);
    f->n_subscribed++;
    pf_buf_printf(&f->told, "subscribed %s %u%s\n", sub->framework_id, (unsigned)sub->epoch,
                  sub->is_again ? " again" : "");
}

static void on_disconnected(void *ctx, struct pf_scheduler *s, const char *why)
{
    (void)s;
    assert_non_null(why);
    pf_buf_add_cstr(&((struct fixture *)ctx)->told, "disconnected\n");
}

static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct fixture *f = ctx;
    struct pf_problem problem;

    for (size_t i = 0; i < n; i++) {
        const struct pf_offer_view *o = &offers[i];

        pf_buf_printf(&f->told, "offer %s %s %s cpus=%d mem=%d demand=%s*%u", o->id, o->agent_id,
                      o->hostname, (int)o->cpus_milli, (int)o->mem_bytes,
                      o->demand_id ? o->demand_id : "-", o->demand_count);
        for (size_t k = 0; k < o->n_ports; k++) {
            pf_buf_printf(&f->told, " port=%d-%d", (int)o->ports[k].begin, (int)o->ports[k].end);
        }
        for (size_t k = 0; k < o->n_attributes; k++) {
            pf_buf_printf(&f->told, " %s=%s", o->attributes[k].name, o->attributes[k].text);
        }
        pf_buf_add_byte(&f->told, '\n');
        assert_non_null(strstr(pf_offer_json(s, o), "\"hostname\":\"h1\""));
        if (f->n_tasks > 0 &&
            pf_scheduler_accept(s, &o->id, 1, f->task, f->n_tasks, 2000, &problem) < 0) {
            pf_buf_printf(&f->told, "problem %d %s\n", problem.code, problem.text);
        }
    }
}

static void on_rescinded(void *ctx, struct pf_scheduler *s, const char *offer_id)
{
    (void)s;
    pf_buf_printf(&((struct fixture *)ctx)->told, "rescinded %s\n", offer_id);
}

static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *st)
{
    struct fixture *f = ctx;

    pf_buf_printf(&f->told, "status %s %s%s", st->task_id, pf_task_state_name(st->state),
                  st->is_final ? " final" : "");
    if (st->has_exit_status) {
        pf_buf_printf(&f->told, " exit=%d", st->exit_status);
    }
    pf_buf_printf(&f->told, " signal=%d %s %s %lld%s\n", st->signal,
                  st->reason ? st->reason : "-", st->message ? st->message : "-",
                  (long long)st->time_ms, st->wants_ack ? " wants-ack" : "");
    assert_non_null(strstr(pf_task_status_json(s, st), "\"task_id\""));
    if (st->wants_ack) {
        pf_scheduler_acknowledge(s, st->task_id, st->agent_id, st->uuid);
    }
    if (f->stops_on_status) {
        pf_scheduler_stop(s);
    }
}

static void on_demand(void *ctx, struct pf_scheduler *s, const struct pf_demand_status *d)
{
    assert_non_null(strstr(pf_demand_status_json(s, d), "d1"));
    pf_buf_printf(&((struct fixture *)ctx)->told, "demand %s state=%d %u %s\n", d->demand_id,
                  (int)d->state, d->waiting, d->text);
}

static void on_error(void *ctx, struct pf_scheduler *s, const struct pf_problem *problem)
{
    (void)s;
    pf_buf_printf(&((struct fixture *)ctx)->told, "error %d\n", problem->code);
}

static struct pf_scheduler_callbacks all_callbacks(void)
{
    struct pf_scheduler_callbacks c = PF_SCHEDULER_CALLBACKS_INIT;

    c.on_subscribed = on_subscribed;
    c.on_disconnected = on_disconnected;
    c.on_offers = on_offers;
    c.on_rescinded = on_rescinded;
    c.on_status = on_status;
    c.on_demand = on_demand;
    c.on_error = on_error;
    return c;
}

static struct pf_scheduler_options options_for(const struct fixture *f)
{
    struct pf_scheduler_options o = PF_SCHEDULER_OPTIONS_INIT;

    o.masters = f->address;
    o.name = "test";
    o.user = "ann";
    return o;
}

static void create(struct fixture *f, struct pf_scheduler_options o)
{
    struct pf_scheduler_callbacks c = all_callbacks();
    struct pf_problem problem;

    if (pf_scheduler_create_on(f->loop, &o, &c, f, &f->s, &problem) < 0) {
        fail_msg("%s", problem.text);
    }
}

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);

    assert_int_equal(pf_loop_create(&f->loop, NULL), 0);
    master_start(f, "127.0.0.1:0");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->s) {
        pf_scheduler_check(f->s);
    }
    pf_scheduler_destroy(f->s);
    master_stop(f);
    pf_loop_destroy(f->loop);
    pf_buf_fini(&f->calls);
    pf_buf_fini(&f->told);
    pf_free(f);
    return 0;
}

static void given_subscribed(struct fixture *f)
{
    create(f, options_for(f));
    test_turn_until(f->loop, f->n_subscribed == 1);
    pf_buf_clear(&f->told);
}

static bool is_over(const struct fixture *f, int expected)
{
    int code = 1;

    if (!pf_scheduler_is_over(f->s, &code, NULL)) {
        return false;
    }
    assert_int_equal(code, expected);
    return true;
}

#define OFFER                                                                                  \
    "{\"body\":{\"Scheduler_Event\":{\"type\":\"OFFERS\",\"offers\":{\"offers\":[{\"id\":"      \
    "{\"value\":\"o1\"},\"framework_id\":{\"value\":\"f1\"},\"agent_id\":{\"value\":\"a1\"},"   \
    "\"hostname\":\"h1\",\"demand_id\":\"d1\",\"demand_count\":2,\"resources\":["              \
    "{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1.5}},"                      \
    "{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":{\"value\":128.0}},"                     \
    "{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{\"range\":["                          \
    "{\"begin\":31000,\"end\":31000},{\"begin\":31005,\"end\":31009}]}}],\"attributes\":["     \
    "{\"name\":\"rack\",\"type\":\"TEXT\",\"text\":{\"value\":\"r1\"}},"                        \
    "{\"name\":\"speed\",\"type\":\"SCALAR\",\"scalar\":{\"value\":2.5}}]}]}}}}"

static const char offer_told[] = "offer o1 a1 h1 cpus=1500 mem=134217728 demand=d1*2 "
                                 "port=31000-31000 port=31005-31009 rack=r1 speed=2.5\n";

#define F1 "{\"framework_id\":{\"value\":\"f1\"},"

static void test_scheduler_launches_what_specs_say(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec one = PF_TASK_SPEC_INIT, two = PF_TASK_SPEC_INIT;
    static const char *const argv[] = {"ls", "-l", NULL}, *const env[] = {"A=1", "B=x=y", NULL};

    one.task_id = "t1";
    one.name = "first";
    one.cpus_milli = 250;
    one.mem_bytes = (32 << 20) + 1;
    one.n_ports = 2;
    one.argv = argv;
    one.env = env;
    one.kill_grace_ms = 1500;
    two.task_id = "t2";
    two.n_ports = 1;
    two.command = "exit 3";
    two.cwd = "/tmp";
    two.keeps_stdin = true;
    f->task[0] = one;
    f->task[1] = two;
    f->n_tasks = 2;
    given_subscribed(f);
    master_send(f, OFFER);
    test_turn_until(f->loop, f->calls.len > 0);
    assert_string_equal(pf_buf_cstr(&f->told), offer_told);
    assert_string_equal(pf_buf_cstr(&f->calls),
      F1 "\"type\":\"ACCEPT\",\"accept\":{\"offer_ids\":[{\"value\":\"o1\"}],\"operations\":[{"
      "\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":\"first\",\"task_id\":{\"value\":"
      "\"t1\"},\"agent_id\":{\"value\":\"a1\"},\"resources\":[{\"name\":\"cpus\",\"type\":"
      "\"SCALAR\",\"scalar\":{\"value\":0.25}},{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":"
      "{\"value\":32.001}},{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{\"range\":[{"
      "\"begin\":31000,\"end\":31000},{\"begin\":31005,\"end\":31005}]}}],\"command\":{"
      "\"environment\":{\"variables\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":"
      "\"x=y\"}]},\"shell\":false,\"value\":\"ls\",\"arguments\":[\"ls\",\"-l\"]},\"kill_policy\":"
      "{\"grace_period\":{\"nanoseconds\":1500000000}}},{\"name\":\"t2\",\"task_id\":{\"value\":"
      "\"t2\"},\"agent_id\":{\"value\":\"a1\"},\"resources\":[{\"name\":\"ports\",\"type\":"
      "\"RANGES\",\"ranges\":{\"range\":[{\"begin\":31006,\"end\":31006}]}}],\"command\":{"
      "\"shell\":true,\"value\":\"exit 3\",\"cwd\":\"/tmp\",\"keep_stdin\":true}}]}}],"
      "\"filters\":{\"refuse_seconds\":2.0}}}\n");
}

static void test_scheduler_launches_json(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec task = PF_TASK_SPEC_INIT;

    task.task_id = "t1";
    task.json = "{\"name\":\"n\",\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"},"
                "\"command\":{\"value\":\"true\"}}";
    f->task[0] = task;
    f->n_tasks = 1;
    given_subscribed(f);
    master_send(f, OFFER);
    test_turn_until(f->loop, f->calls.len > 0);
    assert_non_null(strstr(pf_buf_cstr(&f->calls), "\"command\":{\"value\":\"true\"}"));
}

static void expect_task_problem(struct fixture *f, const struct pf_task_spec *task, int code,
                                const char *words)
{
    const char *offer = "o1";
    struct pf_problem problem = {0, ""};

    assert_int_equal(pf_scheduler_accept(f->s, &offer, 1, task, 1, -1, &problem), code);
    assert_int_equal(problem.code, code);
    if (!strstr(problem.text, words)) {
        fail_msg("'%s' does not say '%s'", problem.text, words);
    }
}

static void test_scheduler_refuses_bad_specs(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec empty = PF_TASK_SPEC_INIT, t;
    static const char *const env[] = {"novalue", NULL};

    given_subscribed(f);
    master_send(f, OFFER);
    test_turn_until(f->loop, f->told.len > 0);
    expect_task_problem(f, &empty, PF_ERROR_INVALID, "task_id: missing");
    empty.task_id = "t1";
    expect_task_problem(f, &empty, PF_ERROR_INVALID, "task t1: one of command, argv and script");
    empty.command = "true";
    t = empty;
    t.size = 0;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "PF_TASK_SPEC_INIT");
    t = empty;
    t.task_id = "a/b";
    expect_task_problem(f, &t, PF_ERROR_INVALID, "task_id");
    t = empty;
    t.script = "x";
    expect_task_problem(f, &t, PF_ERROR_INVALID, "one of");
    t = empty;
    t.env = env;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "env: 'novalue' is not NAME=VALUE");
    t = empty;
    t.labels = env;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "labels: 'novalue'");
    t = empty;
    t.cpus_milli = -1;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "cpus: out of range");
    t = empty;
    t.mem_bytes = INT64_MIN;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "mem: out of range");
    t = empty;
    t.n_ports = 8;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "n_ports: the offers have 2 too few");
    t = empty;
    t.kill_grace_ms = INT64_MAX;
    expect_task_problem(f, &t, PF_ERROR_INVALID, "far too long");
    t = empty;
    t.command = NULL;
    t.script = "x";
    t.script_bytes = (256 << 10) + 1;
    expect_task_problem(f, &t, PF_ERROR_LIMIT, "script");
    t = empty;
    t.json = "{\"name\":1}";
    expect_task_problem(f, &t, PF_ERROR_INVALID, "json");
    t.json = "{\"name\":\"n\",\"task_id\":{\"value\":\"t2\"},\"agent_id\":{\"value\":\"a1\"}}";
    expect_task_problem(f, &t, PF_ERROR_INVALID, "another one");
    assert_int_equal(f->calls.len, 0);
}

static void test_scheduler_drops_launches_on_lost_offers(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec t = PF_TASK_SPEC_INIT;
    const char *offer = "never-was";

    t.task_id = "t1";
    t.command = "true";
    t.n_ports = 3;
    given_subscribed(f);
    assert_int_equal(pf_scheduler_accept(f->s, &offer, 1, &t, 1, -1, NULL), 0);
    assert_int_equal(f->told.len, 0); /* no callback inside the call */
    test_turn_until(f->loop, f->told.len > 0);
    assert_int_equal(strncmp(pf_buf_cstr(&f->told),
                             "status t1 TASK_LOST final signal=0 REASON_INVALID_OFFERS", 56), 0);
}

static void test_scheduler_declines_without_a_callback(void **state)
{
    struct fixture *f = *state;
    struct pf_scheduler_options o = options_for(f);
    struct pf_scheduler_callbacks c = PF_SCHEDULER_CALLBACKS_INIT;

    c.on_subscribed = on_subscribed;
    assert_int_equal(pf_scheduler_create_on(f->loop, &o, &c, f, &f->s, NULL), 0);
    test_turn_until(f->loop, f->n_subscribed == 1);
    master_send(f, OFFER);
    test_turn_until(f->loop, f->calls.len > 0);
    assert_string_equal(pf_buf_cstr(&f->calls), F1 "\"type\":\"DECLINE\",\"decline\":{"
                        "\"offer_ids\":[{\"value\":\"o1\"}]}}\n");
}

static void test_scheduler_tells_statuses(void **state)
{
    struct fixture *f = *state;
    struct pf_scheduler_options o = options_for(f);

    o.explicit_acks = true;
    create(f, o);
    test_turn_until(f->loop, f->n_subscribed == 1);
    pf_buf_clear(&f->told);
    master_send(f, "{\"body\":{\"Scheduler_Event\":{\"type\":\"UPDATE\",\"update\":{\"status\":"
                   "{\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"},\"state\":"
                   "\"TASK_FAILED\",\"message\":\"exit status 3\",\"reason\":"
                   "\"REASON_COMMAND_EXECUTOR_FAILED\",\"exit_status\":3,\"timestamp\":"
                   "1700000000.25,\"uuid\":\"EBESExQVFhcYGRobHB0eHw==\"}}}}}");
    test_turn_until(f->loop, f->calls.len > 0);
    assert_string_equal(pf_buf_cstr(&f->told),
                        "status t1 TASK_FAILED final exit=3 signal=0 "
                        "REASON_COMMAND_EXECUTOR_FAILED exit status 3 1700000000250 wants-ack\n");
    assert_string_equal(pf_buf_cstr(&f->calls),
                        F1 "\"type\":\"ACKNOWLEDGE\",\"acknowledge\":{\"agent_id\":{\"value\":"
                        "\"a1\"},\"task_id\":{\"value\":\"t1\"},\"uuid\":"
                        "\"EBESExQVFhcYGRobHB0eHw==\"}}\n");
}

static void test_scheduler_states_demands(void **state)
{
    struct fixture *f = *state;
    struct pf_constraint c = {"rack", PF_CONSTRAINT_GLOB, "r*"};
    struct pf_demand d = PF_DEMAND_INIT, bad = PF_DEMAND_INIT;
    struct pf_problem problem;

    d.id = "d1";
    d.count = 3;
    d.cpus_milli = 1000;
    d.n_ports = 2;
    d.constraints = &c;
    d.n_constraints = 1;
    d.command = "sleep 5";
    given_subscribed(f);
    assert_int_equal(pf_scheduler_demand(f->s, &d, 1, NULL), 0);
    test_turn_until(f->loop, f->calls.len > 0);
    assert_string_equal(pf_buf_cstr(&f->calls),
                    F1 "\"type\":\"DEMAND\",\"demand\":{\"demands\":[{\"id\":\"d1\",\"count\":3,"
                    "\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{"
                    "\"value\":1.0}},{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{"
                    "\"range\":[{\"begin\":1,\"end\":2}]}}],\"constraints\":[{\"attribute\":"
                    "\"rack\",\"op\":\"GLOB\",\"value\":\"r*\"}],\"command\":\"sleep 5\"}]}}\n");
    assert_int_equal(pf_scheduler_demand(f->s, &bad, 1, &problem), PF_ERROR_INVALID);
    assert_string_equal(problem.text, "demand 0: id: missing");
    bad.id = "d1";
    assert_int_equal(pf_scheduler_demand(f->s, &bad, 1, &problem), PF_ERROR_INVALID);
    assert_string_equal(problem.text, "demand 0: it wants no resources");
    bad.count = 2000000;
    assert_int_equal(pf_scheduler_demand(f->s, &bad, 1, &problem), PF_ERROR_LIMIT);
    master_send(f, "{\"body\":{\"Scheduler_Event\":{\"type\":\"DEMAND_STATUS\",\"demand_status\":"
                   "{\"demand_id\":\"d1\",\"state\":\"REFUSED\",\"waiting\":3,\"text\":\"no\"}}}}");
    test_turn_until(f->loop, f->told.len > 0);
    assert_string_equal(pf_buf_cstr(&f->told), "demand d1 state=3 3 no\n");
}

static void test_scheduler_makes_the_other_calls(void **state)
{
    struct fixture *f = *state;
    const char *ids[] = {"t1"};

    given_subscribed(f);
    assert_string_equal(pf_scheduler_framework_id(f->s), "f1");
    assert_true(pf_scheduler_is_subscribed(f->s));
    pf_scheduler_kill(f->s, "t1", 0, 9);
    pf_scheduler_suppress(f->s);
    pf_scheduler_revive(f->s);
    pf_scheduler_reconcile(f->s, ids, 1);
    test_turn_until(f->loop, strstr(pf_buf_cstr(&f->calls), "RECONCILE"));
    assert_string_equal(pf_buf_cstr(&f->calls),
                        F1 "\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t1\"},"
                        "\"kill_policy\":{\"grace_period\":{\"nanoseconds\":0}},\"signal\":9}}\n"
                        F1 "\"type\":\"SUPPRESS\",\"suppress\":{}}\n"
                        F1 "\"type\":\"REVIVE\",\"revive\":{}}\n"
                        F1 "\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":{"
                        "\"value\":\"t1\"}}]}}\n");
    pf_buf_clear(&f->calls);
    pf_scheduler_teardown(f->s);
    test_turn_until(f->loop, is_over(f, 0));
    assert_string_equal(pf_buf_cstr(&f->calls), F1 "\"type\":\"TEARDOWN\"}\n");
}

/* The master is killed and comes back at the same address: nothing but news is told. */
static void test_scheduler_rides_through_a_master_restart(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec t = PF_TASK_SPEC_INIT;
    char address[PF_ADDRESS_MAX];

    t.task_id = "t1";
    t.command = "true";
    f->task[0] = t;
    f->n_tasks = 1;
    given_subscribed(f);
    master_send(f, OFFER);
    test_turn_until(f->loop, f->calls.len > 0);
    pf_buf_clear(&f->calls);
    pf_buf_clear(&f->told);
    memcpy(address, f->address, sizeof address);
    master_stop(f);
    test_turn_until(f->loop, strstr(pf_buf_cstr(&f->told), "disconnected"));
    master_start(f, address);
    test_turn_until(f->loop, f->n_subscribed == 2 && f->calls.len > 0);
    assert_string_equal(pf_buf_cstr(&f->told), "disconnected\nsubscribed f1 2 again\n");
    assert_string_equal(pf_buf_cstr(&f->calls),
                        F1 "\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":{"
                        "\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n");
}

static void test_scheduler_stops_from_a_callback(void **state)
{
    struct fixture *f = *state;

    f->stops_on_status = true;
    given_subscribed(f);
    master_send(f, "{\"body\":{\"Scheduler_Event\":{\"type\":\"UPDATE\",\"update\":{\"status\":"
                   "{\"task_id\":{\"value\":\"t1\"},\"state\":\"TASK_RUNNING\",\"uuid\":"
                   "\"EBESExQVFhcYGRobHB0eHw==\"}}}}}");
    test_turn_until(f->loop, is_over(f, 0));
    test_turn_until(f->loop, f->calls.len > 0); /* the acknowledgement still went out */
    assert_non_null(strstr(pf_buf_cstr(&f->calls), "ACKNOWLEDGE"));
}

static void test_scheduler_ends_with_the_masters_error(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    master_send(f, "{\"body\":{\"Scheduler_Event\":{\"type\":\"ERROR\",\"error\":{\"message\":"
                   "\"removed\"}}}}");
    test_turn_until(f->loop, is_over(f, PF_ERROR_REMOVED));
    assert_string_equal(pf_buf_cstr(&f->told), "error -16\n");
}

static void test_scheduler_gives_up_when_nobody_is_there(void **state)
{
    struct fixture *f = *state;
    struct pf_scheduler_options o = options_for(f);
    struct pf_scheduler_callbacks c = all_callbacks();
    struct pf_problem problem = {0, ""};

    master_stop(f); /* the port is free again */
    o.give_up_ms = 200;
    assert_int_equal(pf_scheduler_create(&o, &c, f, &f->s, NULL), 0);
    assert_int_equal(pf_scheduler_run(f->s, &problem), PF_ERROR_CONNECTION);
    assert_non_null(strstr(problem.text, f->address));
    assert_string_equal(pf_buf_cstr(&f->told), "error -11\n");
}

/* Inside a loop of the owner: nothing but poll, the descriptor and the time. */
static void test_scheduler_lives_in_another_loop(void **state)
{
    struct fixture *f = *state;
    struct pf_scheduler_options o = options_for(f);
    struct pf_scheduler_callbacks c = all_callbacks();
    struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int rc = 0;

    f->stops_on_status = true;
    assert_int_equal(pf_scheduler_create(&o, &c, f, &f->s, NULL), 0);
    assert_int_equal(pf_scheduler_fd(f->s, &p[0].fd, NULL), 0);
    assert_int_equal(pf_loop_fd(f->loop, &p[1].fd, NULL), 0);
    assert_int_not_equal(p[0].fd, p[1].fd);
    for (int i = 0; i < 1000 && rc == 0; i++) {
        int wait_ms = pf_scheduler_wait_ms(f->s);

        assert_true(poll(p, 2, wait_ms < 0 || wait_ms > 5000 ? 5000 : wait_ms) > 0 || wait_ms >= 0);
        rc = pf_scheduler_process(f->s, NULL);
        assert_int_equal(pf_loop_turn(f->loop, false, NULL), 0);
        if (f->n_subscribed == 1) {
            f->n_subscribed++;
            master_send(f, "{\"body\":{\"Scheduler_Event\":{\"type\":\"UPDATE\",\"update\":"
                           "{\"status\":{\"task_id\":{\"value\":\"t1\"},\"state\":"
                           "\"TASK_RUNNING\"}}}}}");
            assert_int_equal(pf_loop_turn(f->loop, false, NULL), 0);
        }
    }
    assert_int_equal(rc, 1);
    assert_int_equal(strncmp(pf_buf_cstr(&f->told), "subscribed f1 1\nstatus t1 TASK_RUNNING", 38),
                     0);
}

static void expect_create_problem(struct pf_scheduler_options o, int code, const char *words)
{
    struct pf_scheduler_callbacks c = PF_SCHEDULER_CALLBACKS_INIT;
    struct pf_scheduler *s = NULL;
    struct pf_problem problem = {0, ""};

    assert_int_equal(pf_scheduler_create(&o, &c, NULL, &s, &problem), code);
    assert_null(s);
    if (!strstr(problem.text, words)) {
        fail_msg("'%s' does not say '%s'", problem.text, words);
    }
}

static void test_scheduler_refuses_bad_options(void **state)
{
    struct fixture *f = *state;
    struct pf_scheduler_options good = options_for(f), o;

    o = good;
    o.size = 0;
    expect_create_problem(o, PF_ERROR_INVALID, "PF_SCHEDULER_OPTIONS_INIT");
    o = good;
    o.name = NULL;
    expect_create_problem(o, PF_ERROR_INVALID, "name");
    o = good;
    o.masters = "a:b";
    expect_create_problem(o, PF_ERROR_INVALID, "masters");
    o.masters = "h:1,h:2,h:3,h:4,h:5,h:6,h:7,h:8,h:9,h:10,h:11,h:12,h:13,h:14,h:15,h:16,h:17";
    expect_create_problem(o, PF_ERROR_LIMIT, "masters: more than 16");
    o = good;
    o.key_file = "/no/such/key";
    expect_create_problem(o, PF_ERROR_NOT_FOUND, "/no/such/key");
    o = good;
    o.framework_id = "a/b";
    expect_create_problem(o, PF_ERROR_INVALID, "framework_id");
    o = good;
    o.failover_ms = -1;
    expect_create_problem(o, PF_ERROR_INVALID, "negative");
    o = good;
    o.framework_json = "{\"user\":\"ann\"}";
    expect_create_problem(o, PF_ERROR_INVALID, "framework_json: name");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_scheduler_launches_what_specs_say),
        T(test_scheduler_launches_json),
        T(test_scheduler_refuses_bad_specs),
        T(test_scheduler_drops_launches_on_lost_offers),
        T(test_scheduler_declines_without_a_callback),
        T(test_scheduler_tells_statuses),
        T(test_scheduler_states_demands),
        T(test_scheduler_makes_the_other_calls),
        T(test_scheduler_rides_through_a_master_restart),
        T(test_scheduler_stops_from_a_callback),
        T(test_scheduler_ends_with_the_masters_error),
        T(test_scheduler_gives_up_when_nobody_is_there),
        T(test_scheduler_lives_in_another_loop),
        T(test_scheduler_refuses_bad_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
