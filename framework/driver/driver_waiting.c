/* SPDX-License-Identifier: Apache-2.0 */
/* Calls made while nobody was subscribed at: they are kept and sent with the next subscription.
 * Over the limit the oldest is forgotten: acknowledgements are asked for again, the rest is old. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

static void waiting_free(struct driver_waiting *w)
{
    pf_free(w->task_id);
    pf_free(w->agent_id);
    pf_free(w->executor_id);
    pf_free(w->data);
    pf_free(w);
}

static struct driver_waiting *waiting_take(struct pf_driver *d)
{
    struct driver_waiting *w = STAILQ_FIRST(&d->waiting);

    if (w) {
        STAILQ_REMOVE_HEAD(&d->waiting, entry);
        d->n_waiting--;
        d->waiting_bytes -= w->n_data;
    }
    return w;
}

void driver_wait_add(struct pf_driver *d, const struct driver_waiting *w)
{
    struct driver_waiting *copy = pf_memdup(w, sizeof *w);

    if (d->n_waiting == DRIVER_WAITING_MAX) {
        waiting_free(waiting_take(d));
    }
    STAILQ_INSERT_TAIL(&d->waiting, copy, entry);
    d->n_waiting++;
    d->waiting_bytes += w->n_data;
}

static char *dup_str(struct pf_str s)
{
    return pf_strndup(s.at ? s.at : "", s.len);
}

void driver_executor_call(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    bool is_message = ev->type == PF_DRIVER_SEND_MESSAGE;
    struct pf_str agent_id = ev->executor.agent_id, executor_id = ev->executor.executor_id;
    struct pf_bytes data = is_message ? ev->executor.data : (struct pf_bytes){NULL, 0};
    struct driver_waiting w = {.type = is_message ? Scheduler_Call_Type_MESSAGE
                                                  : Scheduler_Call_Type_SHUTDOWN};

    if (data.len > PF_EXECUTOR_MESSAGE_MAX_BYTES || agent_id.len == 0 || executor_id.len == 0) {
        d->stats.dropped_messages++;
    } else if (d->sm.state == DRIVER_SUBSCRIBED && is_message) {
        driver_send_message(d, agent_id, executor_id, data, t);
    } else if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_shutdown(d, agent_id, executor_id, t);
    } else if (d->waiting_bytes + data.len > DRIVER_WAITING_MAX_BYTES) {
        d->stats.dropped_messages++; /* they may get lost, as at any other time */
    } else {
        w.agent_id = dup_str(agent_id);
        w.executor_id = dup_str(executor_id);
        w.data = dup_str((struct pf_str){(const char *)data.at, data.len});
        w.n_data = data.len;
        driver_wait_add(d, &w);
    }
}

/* Questions that stand one behind the other go as one call. */
static void waiting_send_questions(struct pf_driver *d, struct driver_waiting *first,
                                   struct pf_turn *t)
{
    struct driver_question *q = pf_arena_alloc(pf_turn_arena(t), PF_PAGE_MAX * sizeof *q);
    struct driver_waiting *w = first;
    uint32_t n = 0;

    for (;;) {
        struct driver_waiting *next = STAILQ_FIRST(&d->waiting);

        if (w->task_id) {
            q[n++] = (struct driver_question){.task_id = driver_dup_str(t, pf_str(w->task_id)),
                                              .agent_id = driver_dup_str(t, pf_str(w->agent_id))};
        }
        if (w != first) {
            waiting_free(w);
        }
        if (!next || next->type != Scheduler_Call_Type_RECONCILE || !next->task_id || n == 0 ||
            n == PF_PAGE_MAX) {
            break;
        }
        w = waiting_take(d);
    }
    driver_send_reconcile(d, q, n, t);
}

void driver_waiting_send(struct pf_driver *d, struct pf_turn *t)
{
    struct driver_waiting *w;

    while ((w = waiting_take(d))) {
        if (w->type == Scheduler_Call_Type_RECONCILE) {
            waiting_send_questions(d, w, t);
        } else if (w->type == Scheduler_Call_Type_ACKNOWLEDGE) {
            driver_send_ack(d, pf_str(w->task_id), pf_str(w->agent_id), w->uuid, t);
        } else if (w->type == Scheduler_Call_Type_KILL) {
            driver_send_kill(d, pf_str(w->task_id), (struct pf_str){NULL, 0}, &w->kill, t);
        } else if (w->type == Scheduler_Call_Type_MESSAGE) {
            driver_send_message(d, pf_str(w->agent_id), pf_str(w->executor_id),
                                (struct pf_bytes){(const uint8_t *)w->data, w->n_data}, t);
        } else if (w->type == Scheduler_Call_Type_SHUTDOWN) {
            driver_send_shutdown(d, pf_str(w->agent_id), pf_str(w->executor_id), t);
        } else if (!d->is_suppressed) { /* else it was taken back */
            driver_send_revive(d, t);
        }
        waiting_free(w);
    }
}

void driver_waiting_fini(struct pf_driver *d)
{
    struct driver_waiting *w;

    while ((w = waiting_take(d))) {
        waiting_free(w);
    }
}
