/* SPDX-License-Identifier: Apache-2.0 */
/* The public object: feeds the driver from the net, the clock and the caller, and carries out what
 * it wants. Callbacks run while effects are carried out, in a turn of the loop. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/net/keyfile.h"
#include "common/sys/clock.h"
#include "common/sys/random.h"
#include "framework/lib/scheduler_internal.h"
#include "schemas/proffer.h"

_Static_assert((int)PF_ERROR_INVALID == PF_EINVAL && (int)PF_ERROR_PROTOCOL == PF_EPROTO &&
               (int)PF_ERROR_LIMIT == PF_ELIMIT && (int)PF_ERROR_NOT_FOUND == PF_ENOENT &&
               (int)PF_ERROR_EXISTS == PF_EEXIST && (int)PF_ERROR_ACCESS == PF_EACCESS &&
               (int)PF_ERROR_BUSY == PF_EBUSY && (int)PF_ERROR_IO == PF_EIO &&
               (int)PF_ERROR_CONNECTION == PF_ECONN && (int)PF_ERROR_TIMEOUT == PF_ETIMEOUT &&
               (int)PF_ERROR_KEY == PF_EAUTH && (int)PF_ERROR_VERSION == PF_EVERSION &&
               (int)PF_ERROR_REMOVED == PF_ECANCELED, "the public codes are ours");
_Static_assert((int)PF_TASK_UNKNOWN == TaskState_TASK_UNKNOWN &&
               (int)PF_TASK_STAGING == TaskState_TASK_STAGING &&
               (int)PF_CONSTRAINT_GLOB == ConstraintOperator_GLOB &&
               (int)PF_DEMAND_REFUSED == DemandState_REFUSED, "the public numbers are the wire's");

int scheduler_problem(struct pf_problem *problem, const struct pf_err *err)
{
    if (problem) {
        problem->code = err->code == PF_ENOSPC     ? PF_EIO
                        : err->code == PF_EREFUSED ? PF_ECONN
                                                   : err->code;
        memcpy(problem->text, err->msg, sizeof problem->text);
        _Static_assert(sizeof problem->text == sizeof err->msg, "texts fit");
    }
    return err->code;
}

/* --- the driver's effects --------------------------------------------------------------------- */

static void show_offers(struct pf_scheduler *s, struct Scheduler_Event_Offers offers)
{
    size_t n;
    struct pf_offer_view *view = scheduler_offer_views(&s->scratch, offers, &n);

    if (s->callbacks.on_offers) {
        s->callbacks.on_offers(s->ctx, s, view, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        pf_scheduler_decline(s, &view[i].id, 1, -1);
    }
}

static void show_update(struct pf_scheduler *s, const struct pf_driver_update *update)
{
    struct pf_task_status status;

    scheduler_status_view(update, &status);
    if (s->callbacks.on_status) {
        s->callbacks.on_status(s->ctx, s, &status);
    }
}

static void show_demand(struct pf_scheduler *s, struct Scheduler_Event_DemandStatus demand)
{
    struct pf_demand_status status;

    scheduler_demand_view(demand, &status);
    if (s->callbacks.on_demand) {
        s->callbacks.on_demand(s->ctx, s, &status);
    }
}

static void show_subscribed(struct pf_scheduler *s, const struct pf_driver_subscribed *sub)
{
    struct pf_subscription told = {.framework_id = sub->framework_id.at, .master = sub->master.at,
                                   .epoch = sub->epoch, .is_again = sub->is_again};

    if (s->callbacks.on_subscribed) {
        s->callbacks.on_subscribed(s->ctx, s, &told);
    }
}

static void show_message(struct pf_scheduler *s, struct Scheduler_Event_Message m)
{
    struct pf_bytes data = Scheduler_Event_Message_data(m);

    if (s->callbacks.on_message) {
        s->callbacks.on_message(s->ctx, s, AgentID_value(Scheduler_Event_Message_agent_id(m)).at,
                                ExecutorID_value(Scheduler_Event_Message_executor_id(m)).at,
                                data.at, data.len);
    }
}

static void show_failure(struct pf_scheduler *s, struct Scheduler_Event_Failure f)
{
    struct pf_failure failure;

    scheduler_failure_view(f, &failure);
    if (s->callbacks.on_failure) {
        s->callbacks.on_failure(s->ctx, s, &failure);
    }
}

static void carry_out_connect(struct pf_scheduler *s, const struct pf_driver_connect *c)
{
    static const struct pf_connect_options options = {.prio = PF_PRIO_NORMAL};

    s->peer[c->master] = pf_net_connect(s->net, c->address.at, &options);
    s->n_open++;
}

/* The driver has ended: what was sent still goes out, then it is over. */
static void carry_out_end(struct pf_scheduler *s, const struct pf_err *why)
{
    s->is_ending = true;
    (void)scheduler_problem(&s->problem, why);
    for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
        if (s->peer[i]) {
            pf_peer_close(s->net, s->peer[i], true);
            s->peer[i] = 0;
        }
    }
    if (why->code && s->callbacks.on_error) {
        s->callbacks.on_error(s->ctx, s, &s->problem);
    }
}

static void carry_out_act(struct pf_scheduler *s, enum pf_driver_act act, const void *data)
{
    switch (act) {
    case PF_DRIVER_CONNECT:
        carry_out_connect(s, data);
        break;
    case PF_DRIVER_SUBSCRIBED:
        show_subscribed(s, data);
        break;
    case PF_DRIVER_DISCONNECTED:
        if (s->callbacks.on_disconnected) {
            s->callbacks.on_disconnected(s->ctx, s, ((const struct pf_err *)data)->msg);
        }
        break;
    case PF_DRIVER_OFFERS:
        show_offers(s, *(const struct Scheduler_Event_Offers *)data);
        break;
    case PF_DRIVER_RESCINDED:
        if (s->callbacks.on_rescinded) {
            s->callbacks.on_rescinded(s->ctx, s, ((const struct pf_str *)data)->at);
        }
        break;
    case PF_DRIVER_UPDATE:
        show_update(s, data);
        break;
    case PF_DRIVER_DEMAND_STATUS:
        show_demand(s, *(const struct Scheduler_Event_DemandStatus *)data);
        break;
    case PF_DRIVER_TOLD:
        show_message(s, *(const struct Scheduler_Event_Message *)data);
        break;
    case PF_DRIVER_FAILURE:
        show_failure(s, *(const struct Scheduler_Event_Failure *)data);
        break;
    case PF_DRIVER_ERROR:
    case PF_DRIVER_STOPPED:
        carry_out_end(s, data);
        break;
    }
}

static void carry_out_close(struct pf_scheduler *s, uint64_t peer)
{
    for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
        if (s->peer[i] == peer) {
            s->peer[i] = 0;
        }
    }
    pf_peer_close(s->net, peer, true);
}

/* Also carries out what callbacks add meanwhile. */
static void scheduler_carry_out(struct pf_scheduler *s)
{
    const struct pf_effect *e;

    PF_ASSERT(!s->is_carrying_out);
    s->is_carrying_out = true;
    (void)pf_turns_seal(s->turns); /* no rows: a batch never comes of it */
    while ((e = pf_turns_next(s->turns))) {
        if (e->kind == PF_EFFECT_SEND) {
            pf_peer_send(s->net, e->peer, e->message);
        } else if (e->kind == PF_EFFECT_CLOSE) {
            carry_out_close(s, e->peer);
        } else {
            carry_out_act(s, (enum pf_driver_act)e->act, e->data);
        }
        pf_arena_reset(&s->scratch);
    }
    s->is_carrying_out = false;
    if (s->is_ending && s->n_open == 0) {
        s->is_over = true;
        if (s->owns_loop) {
            pf_loop_stop(s->loop);
        }
    }
    pf_timer_set(s->timer, pf_driver_deadline(s->driver));
}

static void scheduler_step(struct pf_scheduler *s, struct pf_driver_event *ev)
{
    ev->now_ms = pf_now_ms();
    ev->wall_ms = pf_wall_ms();
    pf_driver_step(s->driver, ev, pf_turns_open(s->turns));
}

void scheduler_call(struct pf_scheduler *s, struct pf_driver_event *ev)
{
    scheduler_step(s, ev);
    if (!s->is_carrying_out) {
        pf_timer_set(s->timer, 0);
    }
}

/* --- the net and the clock -------------------------------------------------------------------- */

static bool find_master(const struct pf_scheduler *s, uint64_t peer, uint32_t *out)
{
    for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
        if (s->peer[i] == peer) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_scheduler *s = ctx;
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_UP};

    if (find_master(s, up->peer, &ev.master)) {
        ev.up.peer = up->peer;
        ev.up.greeting = up->greeting;
        scheduler_step(s, &ev);
        scheduler_carry_out(s);
    }
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_scheduler *s = ctx;
    struct pf_driver_event ev = {.type = PF_DRIVER_MESSAGE};

    if (find_master(s, peer, &ev.master)) {
        ev.message = envelope;
        scheduler_step(s, &ev);
        scheduler_carry_out(s);
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_scheduler *s = ctx;
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_DOWN, .down = *why};

    PF_ASSERT(s->n_open > 0);
    s->n_open--;
    pf_turns_forget_peer(s->turns, peer);
    if (find_master(s, peer, &ev.master)) {
        s->peer[ev.master] = 0;
        scheduler_step(s, &ev);
    }
    scheduler_carry_out(s);
}

static void on_time(void *ctx)
{
    struct pf_scheduler *s = ctx;

    if (!s->is_started) {
        s->is_started = true;
        scheduler_step(s, &(struct pf_driver_event){.type = PF_DRIVER_START});
    }
    scheduler_step(s, &(struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
    scheduler_carry_out(s);
}

/* --- life ------------------------------------------------------------------------------------- */

static int create_net(struct pf_scheduler *s, struct pf_err *err)
{
    static const struct pf_net_ops ops = {
        .on_up = on_up, .on_message = on_message, .on_down = on_down};
    struct pf_net_options options = {.self = &s->self, .seed = pf_random_u64()};

    s->self.kind = PeerKind_SCHEDULER;
    s->self.instance = s->instance;
    s->self.version = PF_VERSION;
    s->self.user = s->user;
    return pf_net_create(s->loop, &options, &ops, s, &s->net, err);
}

static void create_driver(struct pf_scheduler *s, const struct scheduler_setup *setup)
{
    struct pf_driver_options options = {
        .seed = pf_random_u64(),
        .instance = pf_str(s->instance),
        .framework = setup->framework,
        .master = setup->master,
        .n_masters = setup->n_masters,
        .explicit_acks = setup->o.explicit_acks,
        .is_durable = setup->o.is_durable,
        .is_suppressed = setup->o.is_suppressed,
        .give_up_ms = setup->o.give_up_ms,
    };

    s->driver = pf_driver_create(&options);
    s->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
}

static int scheduler_init(struct pf_scheduler *s, const struct pf_scheduler_options *options,
                          const struct pf_scheduler_callbacks *callbacks, struct pf_err *err)
{
    struct scheduler_setup setup;
    int rc = scheduler_read_options(&s->scratch, options, &setup, err);

    if (rc < 0) {
        return rc;
    }
    if (callbacks->size < sizeof callbacks->size) {
        return pf_err_set(err, PF_EINVAL,
                          "callbacks: size is not set (use PF_SCHEDULER_CALLBACKS_INIT)");
    }
    memcpy(&s->callbacks, callbacks,
           callbacks->size < sizeof s->callbacks ? callbacks->size : sizeof s->callbacks);
    if (setup.key_file && setup.key_file[0] != '\0') {
        rc = pf_keyfile_read(setup.key_file, &s->key, err);
        if (rc < 0) {
            return rc;
        }
        s->self.key = &s->key;
    }
    pf_uuid_format(pf_random_uuid(), s->instance);
    s->user = pf_strdup(setup.user);
    rc = create_net(s, err);
    if (rc < 0) {
        return rc;
    }
    create_driver(s, &setup);
    s->timer = pf_timer_create(s->loop, PF_PRIO_NORMAL, on_time, s);
    pf_timer_set(s->timer, 0);
    pf_arena_reset(&s->scratch);
    return 0;
}

static int scheduler_make(struct pf_loop *loop, const struct pf_scheduler_options *options,
                          const struct pf_scheduler_callbacks *callbacks, void *ctx,
                          struct pf_scheduler **out, struct pf_problem *problem)
{
    struct pf_scheduler *s = PF_NEW(struct pf_scheduler);
    struct pf_err err = {0};
    int rc = 0;

    s->loop = loop;
    s->ctx = ctx;
    if (!loop) {
        rc = pf_loop_create(&s->loop, &err);
        s->owns_loop = rc == 0;
    }
    if (rc == 0) {
        rc = scheduler_init(s, options, callbacks, &err);
    }
    if (rc < 0) {
        pf_scheduler_destroy(s);
        return scheduler_problem(problem, &err);
    }
    *out = s;
    return 0;
}

int pf_scheduler_create(const struct pf_scheduler_options *options,
                        const struct pf_scheduler_callbacks *callbacks, void *ctx,
                        struct pf_scheduler **out, struct pf_problem *problem)
{
    return scheduler_make(NULL, options, callbacks, ctx, out, problem);
}

int pf_scheduler_create_on(struct pf_loop *loop, const struct pf_scheduler_options *options,
                           const struct pf_scheduler_callbacks *callbacks, void *ctx,
                           struct pf_scheduler **out, struct pf_problem *problem)
{
    return scheduler_make(loop, options, callbacks, ctx, out, problem);
}

void pf_scheduler_destroy(struct pf_scheduler *s)
{
    if (!s) {
        return;
    }
    PF_ASSERT(!s->is_carrying_out);
    if (s->timer) {
        pf_timer_destroy(s->timer);
    }
    pf_net_destroy(s->net);
    if (s->owns_loop) {
        pf_loop_destroy(s->loop);
    }
    pf_driver_destroy(s->driver);
    pf_turns_destroy(s->turns);
    pf_arena_fini(&s->scratch);
    pf_buf_fini(&s->json);
    pf_key_wipe(&s->key);
    pf_free(s->user);
    pf_free(s);
}

static int scheduler_result(const struct pf_scheduler *s, struct pf_problem *problem)
{
    if (problem && s->problem.code) {
        *problem = s->problem;
    }
    return s->problem.code;
}

int pf_scheduler_run(struct pf_scheduler *s, struct pf_problem *problem)
{
    struct pf_err err = {0};

    PF_ASSERT(s->owns_loop && !s->is_carrying_out);
    if (!s->is_over && pf_loop_run(s->loop, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    return scheduler_result(s, problem);
}

int pf_scheduler_fd(struct pf_scheduler *s, int *out_fd, struct pf_problem *problem)
{
    struct pf_err err = {0};

    return pf_loop_fd(s->loop, out_fd, &err) < 0 ? scheduler_problem(problem, &err) : 0;
}

int pf_scheduler_wait_ms(const struct pf_scheduler *s)
{
    int64_t wait_ms = pf_loop_wait_ms(s->loop);

    return wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
}

int pf_scheduler_process(struct pf_scheduler *s, struct pf_problem *problem)
{
    struct pf_err err = {0};
    int rc;

    PF_ASSERT(s->owns_loop && !s->is_carrying_out);
    if (!s->is_over && pf_loop_turn(s->loop, false, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    if (!s->is_over) {
        return 0;
    }
    rc = scheduler_result(s, problem);
    return rc < 0 ? rc : 1;
}

bool pf_scheduler_is_over(const struct pf_scheduler *s, int *out_code, struct pf_problem *problem)
{
    if (s->is_over) {
        *out_code = scheduler_result(s, problem);
    }
    return s->is_over;
}

void pf_scheduler_stats(const struct pf_scheduler *s, struct pf_driver_stats *out)
{
    pf_driver_stats(s->driver, out);
}

int64_t pf_scheduler_leaderless_since(const struct pf_scheduler *s, struct pf_buf *out_why)
{
    return pf_driver_leaderless_since(s->driver, out_why);
}

void pf_scheduler_check(const struct pf_scheduler *s)
{
    pf_driver_check(s->driver);
    pf_turns_check(s->turns);
}
