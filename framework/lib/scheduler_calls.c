/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a scheduler's owner: public structures to events of the driver. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/fb/json.h"
#include "framework/lib/scheduler_internal.h"

/* --- calls ------------------------------------------------------------------------------------ */

void pf_scheduler_stop(struct pf_scheduler *s)
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_STOP});
}

void pf_scheduler_teardown(struct pf_scheduler *s)
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_TEARDOWN});
}

static struct pf_str *list_strs(struct pf_arena *arena, const char *const *list, size_t n)
{
    struct pf_str *str = pf_arena_alloc(arena, (n + 1) * sizeof *str);

    for (size_t i = 0; i < n; i++) {
        str[i] = pf_str(list[i]);
    }
    return str;
}

/* The agent of the offers and their ports together. An offer that is gone leaves a place holder:
 * the driver will drop the launch. */
static struct pf_str offers_agent(const struct pf_scheduler *s, struct pf_arena *arena,
                                  const struct pf_str *offer, size_t n, struct scheduler_ports *out,
                                  bool *out_is_gone)
{
    struct pf_driver_offer_info info;
    struct pf_str agent_id = PF_STR("unknown");
    uint32_t n_ports = 0;

    for (size_t i = 0; i < n; i++) {
        if (!pf_driver_find_offer(s->driver, offer[i], &info)) {
            *out_is_gone = true;
            return agent_id;
        }
        n_ports += info.n_ports;
    }
    out->at = pf_arena_alloc(arena, (n_ports + 1) * sizeof *out->at);
    for (size_t i = 0; i < n; i++) {
        (void)pf_driver_find_offer(s->driver, offer[i], &info);
        for (uint32_t k = 0; k < info.n_ports; k++) {
            out->at[out->n++] = info.port[k];
        }
        agent_id = info.agent_id;
    }
    return agent_id;
}

static int accept_tasks(struct pf_scheduler *s, struct pf_arena *arena,
                        const struct pf_task_spec *tasks, size_t n_tasks,
                        struct pf_driver_event *ev, struct pf_err *err)
{
    struct pf_msg *task = pf_arena_alloc(arena, (n_tasks + 1) * sizeof *task);
    struct scheduler_ports ports = {0};
    bool is_gone = false;
    size_t bytes = 0;
    struct pf_str agent_id =
        offers_agent(s, arena, ev->accept.offer, ev->accept.n_offers, &ports, &is_gone);

    for (size_t i = 0; i < n_tasks; i++) {
        const struct pf_task_spec *one = (const void *)((const char *)tasks + i * tasks[0].size);
        struct pf_task_spec without_ports;
        int rc;

        if (is_gone && tasks[0].size >= sizeof without_ports) {
            without_ports = *one; /* there are none to choose from, and it will not run */
            without_ports.n_ports = 0;
            one = &without_ports;
        }
        rc = scheduler_task_info(arena, one, ev->accept.is_group, agent_id, &ports, &task[i], err);
        if (rc < 0) {
            return rc;
        }
        bytes += task[i].len;
    }
    if (bytes > PF_TASK_INFOS_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT,
                          "the tasks' descriptions have %zu bytes together, more "
                          "than the %u of one call",
                          bytes, PF_TASK_INFOS_MAX_BYTES);
    }
    ev->accept.task = task;
    ev->accept.n_tasks = (uint32_t)n_tasks;
    return 0;
}

/* Takes the offers and tasks of a call into the event, all but the group's executor. */
static int accept_prepare(struct pf_scheduler *s, struct pf_arena *arena,
                          const char *const *offer_ids, size_t n_offers,
                          const struct pf_task_spec *tasks, size_t n_tasks,
                          struct pf_driver_event *ev, struct pf_err *err)
{
    if (n_offers > PF_OFFERS_PER_CALL_MAX || n_tasks > PF_TASKS_PER_ACCEPT_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %u offers or %u tasks in one call",
                          PF_OFFERS_PER_CALL_MAX, PF_TASKS_PER_ACCEPT_MAX);
    }
    if (n_offers == 0) {
        return pf_err_set(err, PF_EINVAL, "no offer to accept");
    }
    ev->accept.offer = list_strs(arena, offer_ids, n_offers);
    ev->accept.n_offers = (uint32_t)n_offers;
    return accept_tasks(s, arena, tasks, n_tasks, ev, err);
}

int pf_scheduler_accept(struct pf_scheduler *s, const char *const *offer_ids, size_t n_offers,
                        const struct pf_task_spec *tasks, size_t n_tasks, int64_t refuse_ms,
                        struct pf_problem *problem)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_ACCEPT, .accept = {.refuse_ms = refuse_ms}};
    struct pf_arena arena = {0};
    struct pf_err err = {0};
    int rc = accept_prepare(s, &arena, offer_ids, n_offers, tasks, n_tasks, &ev, &err);

    if (rc == 0 && n_tasks == 0) {
        ev.type = PF_DRIVER_DECLINE;
    }
    if (rc == 0) {
        scheduler_call(s, &ev);
    }
    pf_arena_fini(&arena);
    return rc < 0 ? scheduler_problem(problem, &err) : 0;
}

int pf_scheduler_launch_group(struct pf_scheduler *s, const char *const *offer_ids, size_t n_offers,
                              const struct pf_executor_spec *executor,
                              const struct pf_task_spec *tasks, size_t n_tasks, int64_t refuse_ms,
                              struct pf_problem *problem)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_ACCEPT,
                                 .accept = {.refuse_ms = refuse_ms, .is_group = true}};
    struct pf_arena arena = {0};
    struct pf_err err = {0};
    int rc = scheduler_executor_info(&arena, executor, &ev.accept.executor, &err);

    if (rc == 0 && n_tasks == 0) {
        rc = pf_err_set(&err, PF_EINVAL, "a group without tasks");
    }
    if (rc == 0) {
        rc = accept_prepare(s, &arena, offer_ids, n_offers, tasks, n_tasks, &ev, &err);
    }
    if (rc == 0) {
        scheduler_call(s, &ev);
    }
    pf_arena_fini(&arena);
    return rc < 0 ? scheduler_problem(problem, &err) : 0;
}

void pf_scheduler_decline(struct pf_scheduler *s, const char *const *offer_ids, size_t n_offers,
                          int64_t refuse_ms)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_DECLINE};
    struct pf_arena arena = {0};

    ev.accept.offer = list_strs(&arena, offer_ids, n_offers);
    ev.accept.n_offers = (uint32_t)n_offers;
    ev.accept.refuse_ms = refuse_ms;
    scheduler_call(s, &ev);
    pf_arena_fini(&arena);
}

int pf_scheduler_demand(struct pf_scheduler *s, const struct pf_demand *demands, size_t n,
                        struct pf_problem *problem)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_DEMAND};
    struct pf_arena arena = {0};
    struct pf_err err = {0};
    int rc = scheduler_demand_msg(&arena, demands, n, &ev.demand, &err);

    if (rc == 0) {
        scheduler_call(s, &ev);
    }
    pf_arena_fini(&arena);
    return rc < 0 ? scheduler_problem(problem, &err) : 0;
}

void pf_scheduler_kill(struct pf_scheduler *s, const char *task_id, int64_t grace_ms, int signal)
{
    scheduler_call(
        s, &(struct pf_driver_event){
               .type = PF_DRIVER_KILL,
               .kill = {.task_id = pf_str(task_id), .grace_ms = grace_ms, .signal = signal}});
}

void pf_scheduler_suppress(struct pf_scheduler *s)
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_SUPPRESS});
}

void pf_scheduler_revive(struct pf_scheduler *s)
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_REVIVE});
}

void pf_scheduler_acknowledge(struct pf_scheduler *s, const char *task_id, const char *agent_id,
                              const uint8_t uuid[16])
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_ACKNOWLEDGE,
                                                .acknowledge = {.task_id = pf_str(task_id),
                                                                .agent_id = pf_str(agent_id),
                                                                .uuid = {uuid, 16}}});
}

void pf_scheduler_reconcile(struct pf_scheduler *s, const char *const *task_ids, size_t n)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_RECONCILE};
    struct pf_arena arena = {0};

    ev.reconcile.task = list_strs(&arena, task_ids, n);
    ev.reconcile.n_tasks = (uint32_t)n;
    scheduler_call(s, &ev);
    pf_arena_fini(&arena);
}

int pf_scheduler_message(struct pf_scheduler *s, const char *agent_id, const char *executor_id,
                         const void *data, size_t data_bytes, struct pf_problem *problem)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_SEND_MESSAGE};
    struct pf_err err = {0};

    if (!agent_id || !agent_id[0] || !executor_id || !executor_id[0]) {
        (void)pf_err_set(&err, PF_EINVAL, "a message needs an agent and an executor");
        return scheduler_problem(problem, &err);
    }
    if (data_bytes > PF_EXECUTOR_MESSAGE_MAX_BYTES) {
        (void)pf_err_set(&err, PF_ELIMIT, "a message has at most %u bytes",
                         PF_EXECUTOR_MESSAGE_MAX_BYTES);
        return scheduler_problem(problem, &err);
    }
    ev.executor.agent_id = pf_str(agent_id);
    ev.executor.executor_id = pf_str(executor_id);
    ev.executor.data = (struct pf_bytes){data, (uint32_t)data_bytes};
    scheduler_call(s, &ev);
    return 0;
}

void pf_scheduler_shutdown_executor(struct pf_scheduler *s, const char *agent_id,
                                    const char *executor_id)
{
    scheduler_call(s, &(struct pf_driver_event){.type = PF_DRIVER_SHUTDOWN_EXECUTOR,
                                                .executor = {.agent_id = pf_str(agent_id),
                                                             .executor_id = pf_str(executor_id)}});
}

/* --- looking ---------------------------------------------------------------------------------- */

const char *pf_scheduler_framework_id(const struct pf_scheduler *s)
{
    return pf_driver_framework_id(s->driver).at;
}

bool pf_scheduler_is_subscribed(const struct pf_scheduler *s)
{
    return pf_driver_is_subscribed(s->driver);
}

const char *pf_task_state_name(enum pf_task_state state)
{
    return TaskState__str((int)state);
}

bool pf_task_state_is_final(enum pf_task_state state)
{
    return pf_driver_state_is_final((enum TaskState)state);
}

static const char *view_json(struct pf_scheduler *s, const void *impl,
                             const struct pf_fb_table_desc *desc)
{
    s->json.limit = PF_JSON_OUT_MAX_BYTES;
    pf_buf_clear(&s->json);
    if (pf_json_write(&s->json, (struct pf_tab){impl}, desc, 0, NULL) < 0) {
        return "{}"; /* larger than any message can be */
    }
    return pf_buf_cstr(&s->json);
}

const char *pf_offer_json(struct pf_scheduler *s, const struct pf_offer_view *offer)
{
    return view_json(s, offer->impl, &Offer__desc);
}

const char *pf_task_status_json(struct pf_scheduler *s, const struct pf_task_status *status)
{
    return view_json(s, status->impl, &TaskStatus__desc);
}

const char *pf_demand_status_json(struct pf_scheduler *s, const struct pf_demand_status *status)
{
    return view_json(s, status->impl, &Scheduler_Event_DemandStatus__desc);
}

const char *pf_library_version(void)
{
    return PF_VERSION;
}
