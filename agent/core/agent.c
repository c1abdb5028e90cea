/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the agent's core: each event to the file that knows it, and the deadlines. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

static const char *own_text(const char *text)
{
    return pf_strdup(text ? text : "");
}

static void own_options(struct pf_agent_options *o)
{
    o->instance = own_text(o->instance);
    o->hostname = own_text(o->hostname);
    o->address = own_text(o->address);
    o->http_address = own_text(o->http_address);
    o->machine_id = own_text(o->machine_id);
    o->boot_id = own_text(o->boot_id);
    o->attributes = own_text(o->attributes);
    o->work_dir = own_text(o->work_dir);
    o->isolation = own_text(o->isolation);
    o->default_user = own_text(o->default_user);
    o->task_user = own_text(o->task_user);
    o->cache_dir = own_text(o->cache_dir);
    if (o->gc_delay_ms <= 0) {
        o->gc_delay_ms = AGENT_GC_DELAY_MS;
    }
    o->resend_ms = o->resend_ms > 0 ? o->resend_ms : 10000;
    if (o->executor_subscribe_ms <= 0) {
        o->executor_subscribe_ms = AGENT_SUBSCRIBE_MS;
    }
    if (o->executor_resubscribe_ms <= 0) {
        o->executor_resubscribe_ms = AGENT_RESUBSCRIBE_MS;
    }
    if (o->executor_shutdown_ms <= 0) {
        o->executor_shutdown_ms = AGENT_SHUTDOWN_MS;
    }
}

struct pf_agent *pf_agent_create(const struct pf_agent_options *options)
{
    struct pf_agent *a = PF_NEW(struct pf_agent);

    a->opt = *options;
    own_options(&a->opt);
    a->total = pf_res_dup(options->total);
    a->free = pf_res_dup(options->total);
    a->opt.total = &a->total;
    pf_rng_seed(&a->rng, options->seed);
    a->by_launch.seed = pf_rng_next(&a->rng);
    a->by_name.seed = pf_rng_next(&a->rng);
    a->by_update.seed = pf_rng_next(&a->rng);
    a->by_check.seed = pf_rng_next(&a->rng);
    a->executors_by_name.seed = pf_rng_next(&a->rng);
    a->frameworks.seed = pf_rng_next(&a->rng);
    a->clients.seed = pf_rng_next(&a->rng);
    TAILQ_INIT(&a->live);
    TAILQ_INIT(&a->history);
    TAILQ_INIT(&a->executors);
    TAILQ_INIT(&a->past_executors);
    TAILQ_INIT(&a->idle);
    TAILQ_INIT(&a->untold);
    TAILQ_INIT(&a->sessions);
    a->sessions_at = AGENT_NEVER;
    a->register_at = AGENT_NEVER;
    a->gc_at = AGENT_NEVER;
    a->orders.until = AGENT_NEVER;
    pf_sm_init(&a->link, &ag_link_table, LINK_STANDBY, a->id, "created", &a->opt.tracer);
    return a;
}

static void free_options(struct pf_agent_options *o)
{
    const char *const texts[] = {o->hostname,     o->address,    o->http_address, o->machine_id,
                                 o->boot_id,      o->attributes, o->work_dir,     o->isolation,
                                 o->default_user, o->task_user,  o->instance,     o->cache_dir};

    for (size_t i = 0; i < PF_ARRAY_LEN(texts); i++) {
        pf_free((void *)(uintptr_t)texts[i]);
    }
}

void pf_agent_destroy(struct pf_agent *a)
{
    uint32_t cursor = 0;
    struct client *c = NULL;

    if (!a) {
        return;
    }
    while (!TAILQ_EMPTY(&a->live)) {
        ag_task_free(a, TAILQ_FIRST(&a->live));
    }
    while (!TAILQ_EMPTY(&a->history)) {
        ag_task_free(a, TAILQ_FIRST(&a->history));
    }
    while (!TAILQ_EMPTY(&a->executors)) {
        ag_executor_free(a, TAILQ_FIRST(&a->executors));
    }
    while (!TAILQ_EMPTY(&a->past_executors)) {
        ag_executor_free(a, TAILQ_FIRST(&a->past_executors));
    }
    while (!TAILQ_EMPTY(&a->idle)) {
        ag_framework_free(a, TAILQ_FIRST(&a->idle));
    }
    while ((c = pf_map_next(&a->clients, &cursor)) != NULL) {
        pf_free(c->token);
        pf_free(c);
    }
    for (uint32_t i = 0; i < a->n_links; i++) {
        pf_free(a->links[i].instance);
    }
    pf_map_fini(&a->clients);
    ag_sessions_fini(a);
    pf_map_fini(&a->by_launch);
    pf_map_fini(&a->by_name);
    pf_map_fini(&a->by_update);
    pf_map_fini(&a->by_check);
    pf_map_fini(&a->executors_by_name);
    pf_map_fini(&a->frameworks);
    pf_heap_fini(&a->timers);
    pf_res_fini(&a->total);
    pf_res_fini(&a->free);
    ag_orders_fini(a);
    pf_free(a->launcher);
    pf_free(a->refusal);
    pf_free(a->problem);
    pf_free(a->row_machine_id);
    pf_free(a->row_boot_id);
    free_options(&a->opt);
    pf_free(a);
}

/* A call by HTTP says so, and its token, among the capabilities. */
static void client_learn(struct client *c, struct Hello hello)
{
    struct pf_str prefix = PF_STR("token:");

    c->is_operator = Hello_kind(hello) == PeerKind_OPERATOR;
    c->is_executor = Hello_kind(hello) == PeerKind_EXECUTOR;
    for (uint32_t i = 0; c->is_executor && i < Hello_capabilities__len(hello); i++) {
        struct pf_str text = Hello_capabilities__at(hello, i);
        c->is_http = c->is_http || pf_str_is(text, "http");
        if (pf_str_has_prefix(text, prefix) && !c->token) {
            c->token = pf_strndup(text.at + prefix.len, text.len - prefix.len);
        }
    }
}

static void client_free(struct client *c)
{
    if (c) {
        pf_free(c->token);
        pf_free(c);
    }
}

static void on_peer_up(struct pf_agent *a, const struct pf_agent_event *ev)
{
    if (ev->peer_up.is_master) {
        ag_on_master_up(a, ev);
        return;
    }
    struct client *c = PF_NEW(struct client);

    c->peer = ev->peer;
    c->trusted = ev->peer_up.trusted;
    client_learn(c, Envelope_body_as_Hello(Envelope__root(ev->peer_up.hello)));
    pf_map_put(&a->clients, &c->peer, sizeof c->peer, c);
}

static void on_peer_down(struct pf_agent *a, const struct pf_agent_event *ev)
{
    if (ag_on_link_down(a, ev->peer)) {
        return;
    }
    struct client *c = pf_map_get_u64(&a->clients, &ev->peer);

    ag_sessions_peer_down(a, ev->peer);
    if (c && c->executor) {
        ag_executor_unsubscribe(a, c->executor);
    }
    (void)pf_map_del(&a->clients, &ev->peer, sizeof ev->peer);
    client_free(c);
}

static void on_message(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct Envelope env = Envelope__root(ev->message);

    if (ag_on_link_message(a, env, ev->peer)) {
        return;
    }
    struct client *c = pf_map_get_u64(&a->clients, &ev->peer);

    if (c) {
        ag_on_client_message(a, env, c);
    } else {
        a->n_bad++; /* it went meanwhile */
    }
}

/* A kill goes on, when the launcher can be told. */
static void kill_fires(struct pf_agent *a, struct run *r)
{
    if (!ag_launcher_is_ready(a) || r->kill_at > a->now_ms) {
        return;
    }
    if (r->sm.state == RunState_KILLING) {
        ag_run_kill_advance(a, r);
    } else if (r->phase == START_FETCH) {
        ag_fetch_kill(a, r);
    }
    if (r->kill_at <= a->now_ms) {
        r->kill_at = a->now_ms + AGENT_REKILL_MS; /* nothing to signal yet */
    }
}

/* The nearest deadline of one task has come: whatever of it is due. */
static void task_fires(struct pf_agent *a, struct task *t)
{
    if (ag_launcher_is_ready(a)) {
        ag_checks_deadline(a, t);
    }
    if (ag_launcher_is_ready(a) && t->complete_at <= a->now_ms) {
        t->complete_at = AGENT_NEVER;
        ag_task_kill(a, t, KILL_COMPLETION, 0, AGENT_SIGKILL);
    } else {
        kill_fires(a, &t->run);
    }
    if (ag_launcher_is_ready(a) && t->cut_at <= a->now_ms) {
        ag_partition_fires(a, t);
    }
    if (ag_is_registered(a) && t->resend_at <= a->now_ms) {
        a->n_resent++;
        ag_update_send_head(a, t);
    }
    ag_run_rearm(a, &t->run);
}

static void run_fires(struct pf_agent *a, struct run *r)
{
    if (r->kind == RUN_TASK) {
        task_fires(a, ag_run_task(r));
    } else {
        kill_fires(a, r);
        ag_executor_fires(a, ag_run_executor(r));
    }
}

static void on_deadline(struct pf_agent *a)
{
    ag_link_deadline(a);
    ag_sessions_deadline(a);
    if (a->gc_at <= a->now_ms) {
        ag_gc_deadline(a);
    }
    for (int i = 0; i < AGENT_FIRES_PER_STEP; i++) {
        struct pf_heap_node *first = pf_heap_first(&a->timers);
        if (!first || first->key > a->now_ms) {
            break;
        }
        run_fires(a, PF_CONTAINER(first, struct run, timer));
    }
}

static void run_event(struct pf_agent *a, const struct pf_agent_event *ev)
{
    switch (ev->type) {
    case PF_AGENT_ROW: ag_on_row(a, ev); break;
    case PF_AGENT_BOOT: ag_on_boot(a); break;
    case PF_AGENT_LAUNCHER_UP: ag_on_launcher_up(a, ev); break;
    case PF_AGENT_LAUNCHER_DOWN: ag_on_launcher_down(a); break;
    case PF_AGENT_PROCESS: ag_on_process(a, ev); break;
    case PF_AGENT_PROCESSES_END: ag_on_processes_end(a); break;
    case PF_AGENT_SANDBOX: ag_on_sandbox(a, ev); break;
    case PF_AGENT_PEER_UP: on_peer_up(a, ev); break;
    case PF_AGENT_PEER_DOWN: on_peer_down(a, ev); break;
    case PF_AGENT_MESSAGE: on_message(a, ev); break;
    case PF_AGENT_DISK: ag_on_disk(a, ev->free_bytes); break;
    case PF_AGENT_CHECKED: ag_on_checked(a, ev); break;
    case PF_AGENT_SESSION: ag_on_session(a, ev); break;
    case PF_AGENT_SANDBOX_GONE: ag_on_sandbox_gone(a, ev->launch); break;
    case PF_AGENT_DEADLINE: on_deadline(a); break;
    }
}

void pf_agent_step(struct pf_agent *a, const struct pf_agent_event *ev, struct pf_turn *turn)
{
    PF_ASSERT(a->booted || ev->type == PF_AGENT_ROW || ev->type == PF_AGENT_BOOT);
    a->turn = turn;
    a->now_ms = ev->now_ms;
    a->wall_ms = ev->wall_ms;
    run_event(a, ev);
    if (a->booted) {
        ag_orders_advance(a);
    }
    a->turn = NULL;
}

int64_t pf_agent_deadline(const struct pf_agent *a)
{
    const struct pf_heap_node *first = pf_heap_first(&a->timers);
    int64_t link_at = ag_link_next(a);

    link_at = a->sessions_at < link_at ? a->sessions_at : link_at;
    link_at = a->gc_at < link_at ? a->gc_at : link_at;
    link_at = ag_orders_next(a) < link_at ? ag_orders_next(a) : link_at;
    return first && first->key < link_at ? first->key : link_at;
}

const char *pf_agent_id(const struct pf_agent *a)
{
    return a->booted ? a->id : "";
}

const char *pf_agent_misfit(const struct pf_agent *a)
{
    return a->orders.misfit;
}

const char *pf_agent_problem(const struct pf_agent *a)
{
    return a->problem;
}

void pf_agent_stats(const struct pf_agent *a, struct pf_agent_stats *out)
{
    *out = (struct pf_agent_stats){
        .n_tasks_live = a->n_running,
        .n_tasks_ended = a->n_history + (a->n_live - a->n_running),
        .n_updates_pending = a->n_updates,
        .launches = a->n_launches,
        .refused = a->n_refused,
        .updates_sent = a->n_sent,
        .resends = a->n_resent,
        .bad_messages = a->n_bad,
        .lost_sandboxes = a->n_lost_sandboxes,
        .epoch = a->epoch,
        .registered = ag_is_registered(a),
        .launcher_up = a->launcher_up,
    };
}
