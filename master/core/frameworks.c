/* SPDX-License-Identifier: Apache-2.0 */
/* See frameworks.h. Subscription is in subscribe.c. */
#include "master/core/frameworks.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/demand.h"
#include "master/core/executors.h"
#include "master/core/drain.h"
#include "master/core/frameworks_internal.h"
#include "master/core/offers.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/tasks.h"

enum { TAKEOVER_FLOOR_MS = 30000 };

struct m_framework *pf_m_framework_get(const struct pf_master *m, struct pf_str id)
{
    return id.len > 0 ? pf_map_get_str(&m->frameworks, id) : NULL;
}

struct m_framework *pf_m_framework_completed(const struct pf_master *m, struct pf_str id)
{
    return id.len > 0 ? pf_map_get_str(&m->completed_by_id, id) : NULL;
}

struct m_framework *pf_m_framework_new(struct pf_master *m, struct pf_str id, struct pf_bytes info,
                                       enum m_framework_state state, const char *why)
{
    struct m_framework *f = PF_NEW(struct m_framework);

    f->id = pf_strndup(id.at, id.len);
    pf_m_text_set(&f->instance, PF_STR(""));
    pf_m_framework_set_info(f, info);
    f->tasks.seed = pf_rng_next(&m->rng);
    f->sequence = 1; /* so that 0 is before everything */
    TAILQ_INIT(&f->changes);
    TAILQ_INIT(&f->offers);
    TAILQ_INIT(&f->demands);
    TAILQ_INIT(&f->waits);
    LIST_INIT(&f->links);
    f->number = pf_order_add(&m->framework_order, f);
    f->al = pf_al_framework_add(m->al, f->number, f);
    pf_map_put(&m->frameworks, f->id, id.len, f);
    pf_sm_init(&f->sm, &pf_m_framework_table, state, f->id, why, &m->o.tracer);
    m->stats.n_frameworks++;
    m->stats.n_frameworks_connected += state == M_FRAMEWORK_ACTIVE;
    return f;
}

void pf_m_framework_move(struct pf_master *m, struct m_framework *f, enum m_framework_state next,
                         const char *why)
{
    m->stats.n_frameworks_connected -= f->sm.state == M_FRAMEWORK_ACTIVE;
    m->stats.n_frameworks_connected += next == M_FRAMEWORK_ACTIVE;
    pf_sm_move(&f->sm, next, f->id, why, &m->o.tracer);
}

void pf_m_framework_row(struct pf_master *m, struct pf_bytes key, struct Row_Framework row)
{
    struct pf_str id = {(const char *)key.at, key.len};
    struct m_framework *f = pf_m_framework_get(m, id);

    if (f) {
        pf_m_framework_set_info(f, Row_Framework_info__bytes(row));
    } else {
        f = pf_m_framework_new(m, id, Row_Framework_info__bytes(row), M_FRAMEWORK_RECOVERED, "row");
    }
    f->is_durable = true;
    f->has_count = true;
    f->generation = Row_Framework_generation(row);
    f->failover_ms = Row_Framework_failover_ms(row);
    f->registered_ms = Row_Framework_subscribed_ms(row);
}

struct pf_msg pf_m_framework_row_of(struct pf_fb_builder *b, const struct m_framework *f)
{
    struct Row_Framework__args args = {.info = m_blob_bytes(&f->info),
                                       .generation = f->generation,
                                       .failover_ms = f->failover_ms,
                                       .subscribed_ms = f->registered_ms};

    return Row_Framework__finish(b, Row_Framework__put(b, &args));
}

void pf_m_framework_put_row(struct pf_master *m, struct m_framework *f)
{
    struct pf_msg row = pf_m_framework_row_of(pf_m_builder(m), f);

    pf_turn_put(m->turn, RegistryTable_FRAMEWORKS,
                (struct pf_bytes){(const uint8_t *)f->id, (uint32_t)strlen(f->id)},
                pf_msg_bytes(row));
}

static void wait_for_scheduler(struct pf_master *m, struct m_framework *f, int64_t floor_ms)
{
    int64_t ms = f->failover_ms > floor_ms ? f->failover_ms : floor_ms;

    pf_heap_set(&m->framework_deadlines, &f->deadline, m->now_ms + ms);
}

void pf_m_frameworks_elected(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_framework *f; (f = pf_order_next(&m->framework_order, &c));) {
        wait_for_scheduler(m, f, TAKEOVER_FLOOR_MS);
    }
}

struct m_framework *pf_m_framework_learn(struct pf_master *m, struct pf_str id,
                                         struct pf_bytes info)
{
    struct m_framework *f = pf_m_framework_new(m, id, info, M_FRAMEWORK_RECOVERED, "agent");

    f->registered_ms = m->wall_ms;
    wait_for_scheduler(m, f, TAKEOVER_FLOOR_MS);
    return f;
}

/* --- the scheduler goes --- */

void pf_m_framework_link_down(struct pf_master *m, struct m_framework *f)
{
    struct m_link *l;

    PF_ASSERT(f->peer != NULL);
    f->peer->framework = NULL;
    f->peer = NULL;
    pf_m_framework_move(m, f, M_FRAMEWORK_DISCONNECTED, "link");
    f->unregistered_ms = m->wall_ms;
    pf_al_framework_set_active(m->al, f->al, false);
    pf_m_framework_end_offers(m, f, "framework_disconnected", false);
    pf_m_demands_drop(m, f);
    if (f->failover_ms == 0) {
        pf_m_framework_remove(m, f, "disconnected", NULL);
    } else {
        wait_for_scheduler(m, f, 0);
        LIST_FOREACH(l, &f->links, of_framework)
        {
            pf_m_drain_touch(m, l->agent); /* nobody is left to take the ends of its tasks */
        }
        pf_m_framework_maybe_done(m, f);
    }
}

void pf_m_framework_deadline(struct pf_master *m, struct m_framework *f)
{
    pf_m_framework_remove(m, f, "failover_timeout", NULL);
}

void pf_m_framework_maybe_done(struct pf_master *m, struct m_framework *f)
{
    if (f->sm.state == M_FRAMEWORK_DISCONNECTED && f->is_durable && f->tasks.len == 0 &&
        f->ended.n_live > 0 && m->n_awaited == 0) {
        pf_m_framework_remove(m, f, "all_tasks_ended", NULL);
    }
}

void pf_m_frameworks_all_back(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_framework *f; (f = pf_order_next(&m->framework_order, &c));) {
        pf_m_framework_maybe_done(m, f);
    }
}

/* --- the end --- */

static void framework_free(struct pf_master *m, struct m_framework *f)
{
    struct pf_order_cursor c = {0};

    for (struct m_task *t; (t = pf_order_next(&f->ended, &c));) {
        pf_m_task_free(t);
    }
    c = (struct pf_order_cursor){0};
    for (struct m_task *t; (t = pf_order_next(&f->task_order, &c));) {
        pf_m_task_free(t);
    }
    while (!LIST_EMPTY(&f->links)) {
        pf_m_link_free(LIST_FIRST(&f->links));
    }
    while (!TAILQ_EMPTY(&f->waits)) {
        pf_m_wait_free(m, TAILQ_FIRST(&f->waits));
    }
    if (f->is_woken) {
        TAILQ_REMOVE(&m->woken, f, woken);
    }
    pf_order_fini(&f->ended);
    pf_order_fini(&f->task_order);
    pf_map_fini(&f->tasks);
    pf_m_blob_fini(&f->info);
    for (uint32_t i = 0; i < M_INSTANCES_MAX; i++) {
        pf_free(f->former[i]);
    }
    pf_free(f->instance);
    pf_free(f->owner);
    pf_free(f->name);
    pf_free(f->user);
    pf_free(f->role);
    pf_free(f->id);
    pf_free(f);
}

void pf_m_framework_row_gone(struct pf_master *m, struct pf_bytes key)
{
    struct m_framework *f = pf_map_del(&m->frameworks, key.at, key.len);

    if (!f) {
        return;
    }
    PF_ASSERT(!m->is_leading && !f->peer && f->tasks.len == 0 && f->n_offers == 0);
    pf_order_del(&m->framework_order, f->number);
    pf_al_framework_remove(m->al, f->al);
    m->stats.n_frameworks--;
    framework_free(m, f);
}

/* Into the history, whose oldest gives way. */
static void framework_to_history(struct pf_master *m, struct m_framework *f)
{
    pf_map_del(&m->frameworks, f->id, (uint32_t)strlen(f->id));
    pf_order_del(&m->framework_order, f->number);
    f->number = pf_order_add(&m->completed, f);
    pf_map_put(&m->completed_by_id, f->id, (uint32_t)strlen(f->id), f);
    m->stats.n_frameworks--;
    if (m->completed.n_live > PF_HISTORY_FRAMEWORKS) {
        struct pf_order_cursor c = {0};
        struct m_framework *oldest = pf_order_next(&m->completed, &c);

        pf_order_del(&m->completed, oldest->number);
        pf_map_del(&m->completed_by_id, oldest->id, (uint32_t)strlen(oldest->id));
        framework_free(m, oldest);
    }
}

void pf_m_framework_remove(struct pf_master *m, struct m_framework *f, const char *why,
                           const char *error)
{
    struct pf_order_cursor c = {0};
    struct m_peer *p = f->peer;

    pf_turn_fence(m->turn); /* before anybody hears of it */
    pf_m_framework_move(m, f, M_FRAMEWORK_COMPLETED, why);
    pf_heap_remove(&m->framework_deadlines, &f->deadline);
    pf_al_framework_set_active(m->al, f->al, false);
    pf_m_framework_end_offers(m, f, "framework_removed", false);
    pf_m_demands_drop(m, f);
    for (struct m_task *t; (t = pf_order_next(&f->task_order, &c));) {
        pf_m_task_drop(m, t);
    }
    while (!LIST_EMPTY(&f->links)) {
        struct m_link *l = LIST_FIRST(&f->links);

        pf_m_send_teardown(m, l->agent, pf_str(f->id));
        pf_m_link_end_executors(m, l);
        pf_m_link_free(l);
    }
    if (p) {
        if (error) {
            pf_m_send_error(m, p, pf_str(error));
        }
        p->framework = NULL;
        f->peer = NULL;
        pf_m_close(m, p);
    }
    pf_al_framework_remove(m->al, f->al);
    f->al = NULL;
    f->unregistered_ms = m->wall_ms;
    f->sequence++;
    if (f->is_durable) {
        pf_turn_del(m->turn, RegistryTable_FRAMEWORKS,
                    (struct pf_bytes){(const uint8_t *)f->id, (uint32_t)strlen(f->id)});
    }
    pf_m_framework_wake(m, f);
    framework_to_history(m, f);
}

void pf_m_framework_wake(struct pf_master *m, struct m_framework *f)
{
    if (!f->is_woken && !TAILQ_EMPTY(&f->waits)) {
        f->is_woken = true;
        TAILQ_INSERT_TAIL(&m->woken, f, woken);
    }
}

void pf_m_frameworks_fini(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_framework *f; (f = pf_order_next(&m->framework_order, &c));) {
        pf_m_demands_free(m, f);
        framework_free(m, f);
    }
    c = (struct pf_order_cursor){0};
    for (struct m_framework *f; (f = pf_order_next(&m->completed, &c));) {
        framework_free(m, f);
    }
    pf_map_fini(&m->frameworks);
    pf_map_fini(&m->completed_by_id);
    pf_order_fini(&m->framework_order);
    pf_order_fini(&m->completed);
}
