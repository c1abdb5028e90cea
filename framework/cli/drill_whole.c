/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a cluster under a drill is whole, and if not, what is missing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/sys/clock.h"
#include "framework/cli/drill_run_internal.h"

enum { FIELD_EVERY_MS = 100 };

#define MISSING(r, ...) ((void)snprintf((r)->missing, sizeof(r)->missing, __VA_ARGS__), false)

bool pf_drill_frameworks_back(const struct pf_drill_runner *r, const struct pf_drill_census *census)
{
    for (uint32_t i = 0; i < pf_drill_load_count(r->load); i++) {
        const char *id = pf_drill_load_framework(r->load, i)->id;
        bool is_there = false;
        for (uint32_t k = 0; k < census->frameworks.len && !is_there; k++) {
            is_there = strcmp(census->frameworks.at[k], id) == 0;
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

bool pf_drill_agents_back(const struct pf_drill_runner *r, const struct pf_drill_census *census)
{
    if (census->n_active < r->n_agents) {
        return false;
    }
    for (uint32_t i = 0; i < census->n_agents; i++) {
        const struct pf_seen_agent *a = &census->agent[i];
        if (r->killed_agent_pid > 0 && strcmp(a->id, r->killed_agent) == 0) {
            return a->is_active && a->pid != r->killed_agent_pid;
        }
    }
    return true;
}

/* All masters are linked, know their places, and one leads. */
static bool masters_are_whole(struct pf_drill_runner *r)
{
    uint32_t n, n_up = 0, n_leading = 0;
    const struct pf_seen_master *m = pf_drill_view_masters(r->view, &n);
    for (uint32_t i = 0; i < n; i++) {
        n_up += m[i].is_up ? 1 : 0;
        n_leading += m[i].is_up && m[i].is_leading ? 1 : 0;
    }
    if (pf_drill_view_leader(r->view) == NULL) {
        return MISSING(r, "there is no leading master (%" PRIu32 " of %" PRIu32 " answer)", n_up,
                       n);
    }
    if (n_up < n || n_up < r->n_masters) {
        return MISSING(r, "%" PRIu32 " of %" PRIu32 " masters answer", n_up,
                       n > r->n_masters ? n : r->n_masters);
    }
    if (n_leading != 1) {
        return MISSING(r, "%" PRIu32 " masters say that they lead", n_leading);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (m[i].pid == 0) {
            return MISSING(r, "the leader does not list the master at %s", m[i].address);
        }
    }
    return true;
}

bool pf_drill_is_whole(struct pf_drill_runner *r)
{
    const struct pf_drill_census *c = pf_drill_view_census(r->view);
    uint32_t n_frameworks = pf_drill_load_count(r->load);
    if (c->asked_us <= r->phase_us || c->epoch != pf_drill_view_epoch(r->view)) {
        return masters_are_whole(r) && MISSING(r, "the leader does not answer");
    }
    if (!masters_are_whole(r)) {
        return false;
    }
    r->n_agents = r->i == 0 && c->n_active > r->n_agents ? c->n_active : r->n_agents;
    if (!pf_drill_agents_back(r, c) || r->n_agents == 0) {
        return MISSING(r, "%" PRIu32 " of %" PRIu32 " agents are registered", c->n_active,
                       r->n_agents);
    }
    if (!pf_drill_frameworks_back(r, c)) {
        return MISSING(r, "not all of the drill's %" PRIu32 " frameworks are connected",
                       n_frameworks);
    }
    if (!pf_drill_load_is_full(r->load)) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < n_frameworks; i++) {
            n += pf_drill_load_framework(r->load, i)->n_kept;
        }
        return MISSING(r,
                       "%" PRIu32 " of %" PRIu32 " tasks run (see proffer why; --load says how "
                       "many there are to be)",
                       n, r->plan->n_tasks + r->plan->n_sim_tasks);
    }
    int64_t now_ms = pf_now_ms();
    if (now_ms - r->checked_ms < FIELD_EVERY_MS) {
        return false; /* what it said last still stands */
    }
    r->checked_ms = now_ms;
    const char *why = pf_drill_field_refresh(r->field);
    return why == NULL || MISSING(r, "%s", why);
}
