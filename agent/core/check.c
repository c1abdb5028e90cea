/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of the agent's core: every index agrees with every other, and free + counted tasks
 * = total. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

static void check_updates(const struct pf_agent *a, const struct task *t, uint32_t *n)
{
    const struct update *u = NULL;
    int64_t last = -1;

    TAILQ_FOREACH(u, &t->updates, link)
    {
        PF_ASSERT(u->task == t);
        PF_ASSERT((int64_t)u->number > last);
        PF_ASSERT(u->number < t->next_update);
        PF_ASSERT(pf_map_get(&a->by_update, u->uuid.b, sizeof u->uuid.b) == u);
        last = u->number;
        (*n)++;
    }
}

static void check_timer(const struct pf_agent *a, const struct task *t)
{
    bool wanted = (ag_launcher_is_ready(a) &&
                   (t->run.kill_at != AGENT_NEVER || t->complete_at != AGENT_NEVER ||
                    ag_checks_next(t) != AGENT_NEVER)) ||
                  (ag_is_registered(a) && t->resend_at != AGENT_NEVER);

    PF_ASSERT(!wanted || pf_heap_has(&t->run.timer));
}

static void check_of_executor(const struct pf_agent *a, const struct task *t)
{
    const struct executor *x = t->executor;
    bool is_ended = ag_run_is_ended(&t->run);

    if (!x) {
        return;
    }
    PF_ASSERT(pf_map_get(&a->by_launch, x->run.launch.b, sizeof x->run.launch.b) == &x->run);
    PF_ASSERT(is_ended || !ag_run_is_ended(&x->run));
    PF_ASSERT(!ag_task_is_hosted(t) || (t->run.pid == 0 && t->run.kill_at == AGENT_NEVER));
    PF_ASSERT(pf_str_eq(ag_run_framework_id(&t->run), ag_run_framework_id(&x->run)));
}

static void check_live(const struct pf_agent *a, const struct task *t)
{
    bool is_ended = ag_run_is_ended(&t->run);
    bool may_start = t->run.sm.state == RunState_ACCEPTED || t->run.sm.state == RunState_STARTING;

    PF_ASSERT(!t->in_history);
    PF_ASSERT(t->run.fw != NULL &&
              pf_map_get_str(&a->frameworks, pf_str(t->run.fw->id)) == t->run.fw);
    PF_ASSERT(pf_str_is(ag_run_framework_id(&t->run), t->run.fw->id));
    PF_ASSERT(t->summary != NULL);
    PF_ASSERT(may_start == (t->run.info != NULL));
    PF_ASSERT(!is_ended || !t->counted);
    PF_ASSERT(!is_ended || !TAILQ_EMPTY(&t->updates));
    PF_ASSERT(!is_ended || t->final_state >= 0);
    PF_ASSERT(t->run.sm.state != RunState_KILLING || t->run.kill_reason != KILL_NONE);
    PF_ASSERT(t->run.sm.state != RunState_RUNNING || t->run.kill_reason == KILL_NONE);
    PF_ASSERT(t->resend_at == AGENT_NEVER || !TAILQ_EMPTY(&t->updates));
    check_of_executor(a, t);
    if (!is_ended) {
        PF_ASSERT(pf_map_get(&a->by_name, t->run.name, t->run.fw_len + 1 + t->run.id_len) == t);
    }
}

static void check_executor(const struct pf_agent *a, const struct executor *x, uint32_t *n_tasks)
{
    const struct task *t = NULL;
    uint32_t n = 0;

    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        PF_ASSERT(t->executor == x && !ag_run_is_ended(&t->run));
        PF_ASSERT(pf_map_get(&a->by_launch, t->run.launch.b, sizeof t->run.launch.b) == &t->run);
        n++;
    }
    PF_ASSERT(x->run.info != NULL && n <= x->n_tasks);
    PF_ASSERT(!ag_run_is_ended(&x->run) || n == 0);
    PF_ASSERT(!x->is_default || (x->peer == 0 && x->run.pid == 0));
    PF_ASSERT(!x->is_default || ag_run_is_ended(&x->run) || n > 0);
    if (x->peer != 0) {
        const struct client *c = pf_map_get_u64(&a->clients, &x->peer);
        PF_ASSERT(c != NULL && c->executor == x);
    }
    if (ag_executor_next(a, x) != AGENT_NEVER ||
        (ag_launcher_is_ready(a) && x->run.kill_at != AGENT_NEVER)) {
        PF_ASSERT(pf_heap_has(&x->run.timer));
    }
    *n_tasks += x->n_tasks;
}

/* Adds what they hold to `sum`. */
static void check_executors(const struct pf_agent *a, struct pf_resources *sum, uint32_t *uncounted)
{
    const struct executor *x = NULL;
    uint32_t n = 0, n_past = 0, n_tasks = 0, n_of_tasks = 0;
    const struct task *t = NULL;

    TAILQ_FOREACH(x, &a->executors, link)
    {
        struct pf_str name = ag_run_framework_id(&x->run);
        check_executor(a, x, &n_tasks);
        PF_ASSERT(!ag_run_is_ended(&x->run) && x->run.fw != NULL);
        name.len += 1 + x->run.id_len;
        PF_ASSERT(pf_map_get(&a->executors_by_name, name.at, name.len) == x);
        *uncounted += !x->counted;
        if (x->counted) {
            struct pf_resources used = {.n_items = 0};
            int rc = ag_resources_of_executor(ag_executor_info_of(x), &used, NULL);
            PF_ASSERT(rc == 0);
            pf_res_add(sum, &used);
            pf_res_fini(&used);
        }
        n++;
    }
    TAILQ_FOREACH(x, &a->past_executors, link)
    {
        check_executor(a, x, &n_tasks);
        PF_ASSERT(ag_run_is_ended(&x->run) && x->run.fw == NULL && !x->counted && x->peer == 0);
        n_past++;
    }
    PF_ASSERT(n == a->n_executors && a->executors_by_name.len == n);
    PF_ASSERT(n_past == a->n_past_executors);
    TAILQ_FOREACH(t, &a->live, link)
    {
        n_of_tasks += t->executor != NULL;
    }
    TAILQ_FOREACH(t, &a->history, link)
    {
        n_of_tasks += t->executor != NULL;
    }
    PF_ASSERT(n_of_tasks == n_tasks);
}

static void check_tasks(const struct pf_agent *a)
{
    struct pf_resources sum = pf_res_dup(&a->free);
    const struct task *t = NULL;
    uint32_t n_live = 0, n_running = 0, n_uncounted = 0, n_updates = 0, n_asked = 0;

    TAILQ_FOREACH(t, &a->live, link)
    {
        check_live(a, t);
        check_timer(a, t);
        check_updates(a, t, &n_updates);
        n_asked += ag_checks_check(a, t);
        PF_ASSERT(pf_map_get(&a->by_launch, t->run.launch.b, sizeof t->run.launch.b) == &t->run);
        n_live++;
        n_running += !ag_run_is_ended(&t->run);
        n_uncounted += !ag_run_is_ended(&t->run) && !t->counted;
        if (t->counted) {
            struct pf_resources used = {.n_items = 0};
            int rc = ag_resources_of_summary(ag_task_summary(t), &used, NULL);
            PF_ASSERT(rc == 0);
            pf_res_add(&sum, &used);
            pf_res_fini(&used);
        }
    }
    check_executors(a, &sum, &n_uncounted);
    PF_ASSERT(n_live == a->n_live);
    PF_ASSERT(n_running == a->n_running);
    PF_ASSERT(n_asked == a->by_check.len);
    PF_ASSERT(n_uncounted == a->n_uncounted);
    PF_ASSERT(n_updates == a->n_updates && a->by_update.len == n_updates);
    PF_ASSERT(pf_res_eq(&sum, &a->total));
    pf_res_check(&a->free);
    pf_res_fini(&sum);
}

static void check_history(const struct pf_agent *a)
{
    const struct task *t = NULL;
    int64_t last_ms = INT64_MIN;
    uint32_t n = 0;

    TAILQ_FOREACH(t, &a->history, link)
    {
        PF_ASSERT(t->in_history && ag_run_is_ended(&t->run) && t->run.fw == NULL);
        PF_ASSERT(TAILQ_EMPTY(&t->updates) && t->summary == NULL && t->run.info == NULL);
        PF_ASSERT(pf_map_get(&a->by_launch, t->run.launch.b, sizeof t->run.launch.b) == &t->run);
        PF_ASSERT(t->checks == NULL && t->states == NULL && !pf_heap_has(&t->run.timer));
        PF_ASSERT(t->run.finished_ms >= last_ms);
        last_ms = t->run.finished_ms;
        n++;
    }
    PF_ASSERT(n == a->n_history && n <= AGENT_HISTORY_TASKS);
    PF_ASSERT((n == 0) == (a->gc_at == AGENT_NEVER));
    PF_ASSERT(a->by_launch.len == a->n_history + a->n_live + a->n_executors + a->n_past_executors);
}

static void check_frameworks(const struct pf_agent *a)
{
    const struct framework *fw = NULL;
    uint32_t cursor = 0, n_idle = 0, n_tasks = 0;

    TAILQ_FOREACH(fw, &a->idle, link)
    {
        PF_ASSERT(fw->n_runs == 0 && !fw->stored);
        n_idle++;
    }
    PF_ASSERT(n_idle == a->n_idle && n_idle <= AGENT_IDLE_FRAMEWORKS);
    while ((fw = pf_map_next(&a->frameworks, &cursor)) != NULL) {
        PF_ASSERT(fw->n_runs == 0 || fw->stored);
        n_tasks += fw->n_runs;
    }
    PF_ASSERT(n_tasks == a->n_live + a->n_executors);
}

void pf_agent_check(const struct pf_agent *a)
{
    if (!a->booted) {
        return;
    }
    pf_heap_check(&a->timers);
    ag_told_check(a);
    check_tasks(a);
    check_history(a);
    check_frameworks(a);
    PF_ASSERT(a->id[0] != '\0');
    PF_ASSERT(a->n_links <= AGENT_LINKS_MAX);
    PF_ASSERT((a->leader != 0) == (a->link.state != LINK_STANDBY));
    PF_ASSERT(!a->listing || a->launcher_up);
    PF_ASSERT(a->batch_next == NULL || a->batches_open);
}
