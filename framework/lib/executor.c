/* SPDX-License-Identifier: Apache-2.0 */
/* The public object: feeds the executor driver from the net, the clock and the caller, and carries
 * out what it wants. Callbacks run while effects are carried out, in a turn of the loop. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/fb/json.h"
#include "common/sys/clock.h"
#include "common/sys/random.h"
#include "framework/lib/executor_internal.h"
#include "framework/lib/scheduler_internal.h"
#include "schemas/proffer.h"

/* --- the driver's effects --------------------------------------------------------------------- */

static void show_subscribed(struct pf_executor *e, const struct pf_executor_subscribed *sub)
{
    struct pf_executor_subscription told;

    executor_subscription_view(e, sub, &told);
    if (e->callbacks.on_subscribed) {
        e->callbacks.on_subscribed(e->ctx, e, &told);
    }
}

static void refuse_task(struct pf_executor *e, const char *task_id)
{
    struct pf_task_update update = PF_TASK_UPDATE_INIT;

    update.task_id = task_id;
    update.state = PF_TASK_FAILED;
    update.message = "this executor takes no tasks";
    (void)pf_executor_update(e, &update, NULL); /* a task that just came */
}

static void show_launch(struct pf_executor *e, const struct pf_executor_launch *launch)
{
    struct pf_task_view *view = executor_task_views(&e->scratch, launch);

    if (launch->is_group && e->callbacks.on_launch_group) {
        e->callbacks.on_launch_group(e->ctx, e, view, launch->n);
        return;
    }
    for (uint32_t i = 0; i < launch->n; i++) {
        if (e->callbacks.on_launch) {
            e->callbacks.on_launch(e->ctx, e, &view[i]);
        } else {
            refuse_task(e, view[i].task_id);
        }
    }
}

static void show_shutdown(struct pf_executor *e, const struct pf_executor_shutdown *down)
{
    if (e->callbacks.on_shutdown) {
        e->callbacks.on_shutdown(e->ctx, e, down->grace_ms, down->why.at);
    } else {
        pf_executor_stop(e);
    }
}

static void carry_out_connect(struct pf_executor *e, struct pf_str address)
{
    static const struct pf_connect_options options = {.prio = PF_PRIO_NORMAL};

    e->peer = pf_net_connect(e->net, address.at, &options);
    e->n_open++;
}

/* The driver has ended: what was sent still goes out, then it is over. */
static void carry_out_end(struct pf_executor *e, const struct pf_err *why)
{
    e->is_ending = true;
    (void)scheduler_problem(&e->problem, why);
    if (e->peer) {
        pf_peer_close(e->net, e->peer, true);
        e->peer = 0;
    }
    if (why->code && e->callbacks.on_error) {
        e->callbacks.on_error(e->ctx, e, &e->problem);
    }
}

static void carry_out_act(struct pf_executor *e, enum pf_executor_act act, const void *data)
{
    const struct pf_executor_callbacks *cb = &e->callbacks;
    const struct pf_executor_kill *kill = data;
    const struct pf_bytes *bytes = data;

    switch (act) {
    case PF_EXECUTOR_CONNECT: carry_out_connect(e, *(const struct pf_str *)data); break;
    case PF_EXECUTOR_SUBSCRIBED: show_subscribed(e, data); break;
    case PF_EXECUTOR_DISCONNECTED:
        if (cb->on_disconnected) {
            cb->on_disconnected(e->ctx, e, ((const struct pf_err *)data)->msg);
        }
        break;
    case PF_EXECUTOR_LAUNCH: show_launch(e, data); break;
    case PF_EXECUTOR_KILL:
        if (cb->on_kill) {
            cb->on_kill(e->ctx, e, kill->task_id.at, kill->grace_ms);
        }
        break;
    case PF_EXECUTOR_TOLD:
        if (cb->on_message) {
            cb->on_message(e->ctx, e, bytes->at, bytes->len);
        }
        break;
    case PF_EXECUTOR_SHUTDOWN: show_shutdown(e, data); break;
    case PF_EXECUTOR_ERROR:
    case PF_EXECUTOR_STOPPED: carry_out_end(e, data); break;
    }
}

/* Also carries out what callbacks add meanwhile. */
static void executor_carry_out(struct pf_executor *e)
{
    const struct pf_effect *effect;

    PF_ASSERT(!e->is_carrying_out);
    e->is_carrying_out = true;
    (void)pf_turns_seal(e->turns); /* no rows: a batch never comes of it */
    while ((effect = pf_turns_next(e->turns))) {
        if (effect->kind == PF_EFFECT_SEND) {
            pf_peer_send(e->net, effect->peer, effect->message);
        } else if (effect->kind == PF_EFFECT_CLOSE) {
            e->peer = e->peer == effect->peer ? 0 : e->peer;
            pf_peer_close(e->net, effect->peer, true);
        } else {
            carry_out_act(e, (enum pf_executor_act)effect->act, effect->data);
        }
        pf_arena_reset(&e->scratch);
    }
    e->is_carrying_out = false;
    if (e->is_ending && e->n_open == 0) {
        e->is_over = true;
        pf_loop_stop(e->loop);
    }
    pf_timer_set(e->timer, pf_executor_driver_deadline(e->driver));
}

static void executor_step(struct pf_executor *e, struct pf_executor_event *ev)
{
    ev->now_ms = pf_now_ms();
    ev->wall_ms = pf_wall_ms();
    pf_executor_driver_step(e->driver, ev, pf_turns_open(e->turns));
}

/* A call of the owner: outside of a turn its effects wait for the next one. */
static void executor_call(struct pf_executor *e, struct pf_executor_event *ev)
{
    executor_step(e, ev);
    if (!e->is_carrying_out) {
        pf_timer_set(e->timer, 0);
    }
}

/* --- the net and the clock -------------------------------------------------------------------- */

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_executor *e = ctx;

    if (up->peer == e->peer) {
        executor_step(e,
                      &(struct pf_executor_event){.type = PF_EXECUTOR_LINK_UP, .peer = up->peer});
        executor_carry_out(e);
    }
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_executor *e = ctx;

    if (peer == e->peer) {
        executor_step(
            e, &(struct pf_executor_event){.type = PF_EXECUTOR_MESSAGE, .message = envelope});
        executor_carry_out(e);
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_executor *e = ctx;

    PF_ASSERT(e->n_open > 0);
    e->n_open--;
    pf_turns_forget_peer(e->turns, peer);
    if (peer == e->peer) {
        e->peer = 0;
        executor_step(e, &(struct pf_executor_event){.type = PF_EXECUTOR_LINK_DOWN, .down = *why});
    }
    executor_carry_out(e);
}

static void on_time(void *ctx)
{
    struct pf_executor *e = ctx;

    if (!e->is_started) {
        e->is_started = true;
        executor_step(e, &(struct pf_executor_event){.type = PF_EXECUTOR_START});
    }
    executor_step(e, &(struct pf_executor_event){.type = PF_EXECUTOR_DEADLINE});
    executor_carry_out(e);
}

/* --- life ------------------------------------------------------------------------------------- */

static int create_net(struct pf_executor *e, struct pf_err *err)
{
    static const struct pf_net_ops ops = {
        .on_up = on_up, .on_message = on_message, .on_down = on_down};
    struct pf_net_options options = {.self = &e->self, .seed = pf_random_u64()};

    pf_uuid_format(pf_random_uuid(), e->instance);
    e->self.kind = PeerKind_EXECUTOR;
    e->self.instance = e->instance;
    e->self.version = PF_VERSION;
    return pf_net_create(e->loop, &options, &ops, e, &e->net, err);
}

static int executor_init(struct pf_executor *e, const struct pf_executor_options *options,
                         const struct pf_executor_callbacks *callbacks, struct pf_err *err)
{
    struct pf_executor_driver_options o = {.seed = pf_random_u64()};
    int rc = executor_read_options(&e->scratch, options, &o, err);

    if (rc < 0) {
        return rc;
    }
    if (callbacks->size < sizeof callbacks->size) {
        return pf_err_set(err, PF_EINVAL,
                          "callbacks: size is not set (use PF_EXECUTOR_CALLBACKS_INIT)");
    }
    memcpy(&e->callbacks, callbacks,
           callbacks->size < sizeof e->callbacks ? callbacks->size : sizeof e->callbacks);
    rc = pf_loop_create(&e->loop, err);
    if (rc == 0) {
        rc = create_net(e, err);
    }
    if (rc < 0) {
        return rc;
    }
    e->executor_id = pf_strndup(o.executor_id.at, o.executor_id.len);
    e->framework_id = pf_strndup(o.framework_id.at, o.framework_id.len);
    e->driver = pf_executor_driver_create(&o);
    e->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    e->timer = pf_timer_create(e->loop, PF_PRIO_NORMAL, on_time, e);
    pf_timer_set(e->timer, 0);
    pf_arena_reset(&e->scratch);
    return 0;
}

int pf_executor_create(const struct pf_executor_options *options,
                       const struct pf_executor_callbacks *callbacks, void *ctx,
                       struct pf_executor **out, struct pf_problem *problem)
{
    struct pf_executor *e = PF_NEW(struct pf_executor);
    struct pf_err err = {0};

    e->ctx = ctx;
    if (executor_init(e, options, callbacks, &err) < 0) {
        pf_executor_destroy(e);
        return scheduler_problem(problem, &err);
    }
    *out = e;
    return 0;
}

void pf_executor_destroy(struct pf_executor *e)
{
    if (!e) {
        return;
    }
    PF_ASSERT(!e->is_carrying_out);
    if (e->timer) {
        pf_timer_destroy(e->timer);
    }
    pf_net_destroy(e->net);
    pf_loop_destroy(e->loop);
    pf_executor_driver_destroy(e->driver);
    if (e->turns) {
        pf_turns_destroy(e->turns);
    }
    pf_arena_fini(&e->scratch);
    pf_buf_fini(&e->json);
    pf_free(e->executor_id);
    pf_free(e->framework_id);
    pf_free(e);
}

static int executor_result(const struct pf_executor *e, struct pf_problem *problem)
{
    if (problem && e->problem.code) {
        *problem = e->problem;
    }
    return e->problem.code;
}

int pf_executor_run(struct pf_executor *e, struct pf_problem *problem)
{
    struct pf_err err = {0};

    PF_ASSERT(!e->is_carrying_out);
    if (!e->is_over && pf_loop_run(e->loop, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    return executor_result(e, problem);
}

int pf_executor_fd(struct pf_executor *e, int *out_fd, struct pf_problem *problem)
{
    struct pf_err err = {0};

    return pf_loop_fd(e->loop, out_fd, &err) < 0 ? scheduler_problem(problem, &err) : 0;
}

int pf_executor_wait_ms(const struct pf_executor *e)
{
    int64_t wait_ms = pf_loop_wait_ms(e->loop);

    return wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
}

int pf_executor_process(struct pf_executor *e, struct pf_problem *problem)
{
    struct pf_err err = {0};
    int rc;

    PF_ASSERT(!e->is_carrying_out);
    if (!e->is_over && pf_loop_turn(e->loop, false, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    if (!e->is_over) {
        return 0;
    }
    rc = executor_result(e, problem);
    return rc < 0 ? rc : 1;
}

/* --- calls ------------------------------------------------------------------------------------ */

void pf_executor_stop(struct pf_executor *e)
{
    executor_call(e, &(struct pf_executor_event){.type = PF_EXECUTOR_STOP});
}

int pf_executor_update(struct pf_executor *e, const struct pf_task_update *update,
                       struct pf_problem *problem)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_UPDATE};
    struct pf_task_update u = {0};
    struct pf_err err = {0};

    memcpy(&u, update, update->size < sizeof u ? update->size : sizeof u);
    if (u.data_bytes > PF_STATUS_MAX_BYTES) {
        (void)pf_err_set(&err, PF_ELIMIT, "message and data have over %u bytes",
                         PF_STATUS_MAX_BYTES);
        return scheduler_problem(problem, &err);
    }
    ev.update.task_id = pf_str(u.task_id);
    ev.update.state = (enum TaskState)u.state;
    ev.update.message = pf_str(u.message);
    ev.update.data = (struct pf_bytes){u.data, (uint32_t)u.data_bytes};
    ev.update.healthy = (struct pf_opt_bool){u.has_healthy, u.is_healthy};
    ev.update.exit_status = (struct pf_opt_i32){u.has_exit_status, u.exit_status};
    ev.update.signal = (struct pf_opt_i32){u.signal != 0, u.signal};
    if (pf_executor_driver_may_update(e->driver, &ev.update, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    executor_call(e, &ev);
    return 0;
}

int pf_executor_message(struct pf_executor *e, const void *data, size_t data_bytes,
                        struct pf_problem *problem)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_SEND};
    uint32_t bytes = data_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)data_bytes;
    struct pf_err err = {0};

    if (pf_executor_driver_may_send(e->driver, bytes, &err) < 0) {
        return scheduler_problem(problem, &err);
    }
    ev.data = (struct pf_bytes){data, bytes};
    executor_call(e, &ev);
    return 0;
}

/* --- looking ---------------------------------------------------------------------------------- */

bool pf_executor_is_subscribed(const struct pf_executor *e)
{
    return pf_executor_driver_is_subscribed(e->driver);
}

const char *pf_executor_task_json(struct pf_executor *e, const struct pf_task_view *task)
{
    e->json.limit = PF_JSON_OUT_MAX_BYTES;
    pf_buf_clear(&e->json);
    if (pf_json_write(&e->json, (struct pf_tab){task->impl}, &TaskInfo__desc, 0, NULL) < 0) {
        return "{}"; /* larger than any message can be */
    }
    return pf_buf_cstr(&e->json);
}
