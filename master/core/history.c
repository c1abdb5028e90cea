/* SPDX-License-Identifier: Apache-2.0 */
/* See history.h. The last status is not in it; it is kept whole beside it. */
#include "master/core/history.h"

#include <string.h>
#include "common/base/alloc.h"
#include "master/core/out.h"

enum { OLDEST = 8, LATEST = 8, PAST_MAX = OLDEST + LATEST - 1 };
enum { HEALTH_UNKNOWN, HEALTH_BAD, HEALTH_GOOD };

struct past {
    int64_t at_ms; /* wall */
    uint8_t state, source;
    uint8_t reason; /* and 1; 0: none */
    uint8_t health;
};
_Static_assert(sizeof(struct past) <= 16, "hundreds of thousands of tasks have some");

struct m_history {
    uint8_t n, cap;
    struct past at[];
};

static struct past past_of(const struct pf_master *m, struct TaskStatus s)
{
    int64_t ms;
    int reason = (int)TaskStatus_reason(s);
    struct past p = {.at_ms = m->wall_ms,
                     .state = (uint8_t)TaskStatus_state(s),
                     .source = (uint8_t)TaskStatus_source(s)};

    if (TaskStatus__has_timestamp(s) &&
        pf_milli_from_double(TaskStatus_timestamp(s), &ms, NULL) == 0) {
        p.at_ms = ms;
    }
    if (TaskStatus__has_reason(s) && reason >= 0 && reason < UINT8_MAX) {
        p.reason = (uint8_t)(reason + 1);
    }
    if (TaskStatus__has_healthy(s)) {
        p.health = TaskStatus_healthy(s) ? HEALTH_GOOD : HEALTH_BAD;
    }
    return p;
}

/* An agent remembers no health. */
static bool is_same(const struct past *a, const struct past *b)
{
    return a->at_ms == b->at_ms && a->state == b->state && a->reason == b->reason &&
           a->source == b->source;
}

/* Takes it out, if it is there. */
static void forget(struct m_history *h, const struct past *p)
{
    for (uint32_t i = 0; h && i < h->n; i++) {
        if (is_same(&h->at[i], p)) {
            h->n--;
            memmove(&h->at[i], &h->at[i + 1], (h->n - i) * sizeof h->at[0]);
            return;
        }
    }
}

static void remember(struct m_task *t, const struct past *p)
{
    struct m_history *h = t->history;
    uint32_t n = h ? h->n : 0, at = n;

    if (n == PAST_MAX) { /* the oldest of the latest ones goes */
        memmove(&h->at[OLDEST], &h->at[OLDEST + 1], (n - OLDEST - 1) * sizeof h->at[0]);
        at = n = --h->n;
    } else if (!h || n == h->cap) {
        uint32_t cap = n == 0 ? 1 : n * 2 < PAST_MAX ? n * 2 : PAST_MAX;

        h = pf_realloc(h, sizeof *h + cap * sizeof h->at[0]);
        h->n = (uint8_t)n;
        h->cap = (uint8_t)cap;
        t->history = h;
    }
    while (at > 0 && h->at[at - 1].at_ms > p->at_ms) {
        at--;
    }
    memmove(&h->at[at + 1], &h->at[at], (n - at) * sizeof h->at[0]);
    h->at[at] = *p;
    h->n++;
}

void pf_m_history_status(struct pf_master *m, struct m_task *t, struct TaskStatus next)
{
    struct TaskStatus last = TaskStatus__from_bytes(m_blob_bytes(&t->status));
    struct pf_bytes a, b;
    struct past p;

    if (!last.tab.p) {
        return;
    }
    a = TaskStatus_uuid(last);
    b = TaskStatus_uuid(next);
    if (a.len > 0 && a.len == b.len && memcmp(a.at, b.at, a.len) == 0) {
        return; /* told once more */
    }
    if (t->history) { /* an agent that registered told the end of its stream first */
        p = past_of(m, next);
        forget(t->history, &p);
    }
    p = past_of(m, last);
    remember(t, &p);
}

void pf_m_history_note(struct pf_master *m, struct m_task *t, enum TaskState state,
                       enum TaskStatus_Reason reason)
{
    struct past p = {.at_ms = m->wall_ms,
                     .state = (uint8_t)state,
                     .source = TaskStatus_Source_SOURCE_MASTER,
                     .reason = (uint8_t)(reason + 1)};

    remember(t, &p);
}

void pf_m_history_learn(struct pf_master *m, struct m_task *t, struct Task x)
{
    uint32_t n = Task_statuses__len(x);

    for (uint32_t i = 0; i + 1 < n; i++) {
        if (i < OLDEST || n - i <= LATEST) {
            struct past p = past_of(m, Task_statuses__at(x, i));

            forget(t->history, &p);
            remember(t, &p);
        }
    }
}

void pf_m_history_fini(struct m_task *t)
{
    PF_FREE(t->history);
}

void pf_m_history_check(const struct m_task *t)
{
    const struct m_history *h = t->history;

    PF_ASSERT(!h || (h->n <= h->cap && h->cap <= PAST_MAX));
    for (uint32_t i = 1; h && i < h->n; i++) {
        PF_ASSERT(h->at[i - 1].at_ms <= h->at[i].at_ms);
    }
}

static struct pf_ref past_put(struct pf_fb_builder *b, const struct past *p,
                              const struct Task__args *shown)
{
    struct TaskStatus__args args = {
        .task_id = shown->task_id,
        .agent_id = shown->agent_id,
        .executor_id = shown->executor_id,
        .state = PF_OPT((enum TaskState)p->state),
        .source = PF_OPT((enum TaskStatus_Source)p->source),
        .timestamp = PF_OPT(pf_milli_to_double(p->at_ms)),
    };

    if (p->reason > 0) {
        args.reason =
            (struct TaskStatus_Reason__opt)PF_OPT((enum TaskStatus_Reason)(p->reason - 1));
    }
    if (p->health != HEALTH_UNKNOWN) {
        args.healthy = (struct pf_opt_bool)PF_OPT(p->health == HEALTH_GOOD);
    }
    return TaskStatus__put(b, &args);
}

struct pf_refs pf_m_history_put(struct pf_master *m, struct pf_fb_builder *b,
                                const struct m_task *t, const struct Task__args *shown)
{
    struct TaskStatus last = TaskStatus__from_bytes(m_blob_bytes(&t->status));
    struct past p = past_of(m, last);
    const struct m_history *h = t->history;
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), (PAST_MAX + 1) * sizeof *refs);
    uint32_t n = 0, i = 0;

    while (h && i < h->n && (!last.tab.p || h->at[i].at_ms <= p.at_ms)) {
        refs[n++] = past_put(b, &h->at[i++], shown);
    }
    if (last.tab.p) {
        refs[n++] = TaskStatus__copy(b, last);
    }
    while (h && i < h->n) {
        refs[n++] = past_put(b, &h->at[i++], shown);
    }
    return (struct pf_refs){refs, n};
}
