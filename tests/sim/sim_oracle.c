/* SPDX-License-Identifier: Apache-2.0 */
/* What really happened, kept beside the cores: which process ran, what each framework was told, who
 * led, which agents were admitted; and what follows from it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "schemas/rows.h"
#include "tests/sim/sim_internal.h"

struct fact {
    char id[64];
    const struct sim_node *framework, *agent; /* agent: where it was started */
    uint32_t n_starts;
    bool is_running, has_exited, was_told, was_dropped, was_ended;
    int wait_status;
    enum TaskState told;
    struct fact *next;
};

struct lead {
    uint64_t epoch;
    const struct sim_node *master;
    uint32_t life;
};

struct sim_oracle {
    struct pf_map tasks;
    struct fact *first;
    struct lead *lead;
    uint32_t n_leads;
    uint64_t obeyed[SIM_NODES_MAX];
    char admitted[SIM_AGENTS_MAX][PF_UUID_TEXT_LEN + 1];
    uint32_t n_admitted;
};

struct sim_oracle *sim_oracle_new(struct sim *s)
{
    struct sim_oracle *o = PF_NEW(struct sim_oracle);

    o->tasks.seed = pf_rng_next(&s->rng);
    return o;
}

void sim_oracle_free(struct sim_oracle *o)
{
    struct fact *f = o->first, *next;

    for (; f != NULL; f = next) {
        next = f->next;
        pf_free(f);
    }
    pf_map_fini(&o->tasks);
    pf_free(o->lead);
    pf_free(o);
}

/* --- leaders ---------------------------------------------------------------------------------- */

void sim_saw_lead(struct sim *s, const struct sim_node *master, uint64_t epoch)
{
    struct sim_oracle *o = s->oracle;

    for (uint32_t i = 0; i < o->n_leads; i++) {
        if (o->lead[i].epoch >= epoch) {
            sim_broken(s, "one-leader", "%s leads epoch %" PRIu64 ", %s led %" PRIu64 " before",
                       master->name, epoch, o->lead[i].master->name, o->lead[i].epoch);
        }
    }
    o->lead = pf_realloc(o->lead, (o->n_leads + 1) * sizeof *o->lead);
    o->lead[o->n_leads++] = (struct lead){epoch, master, master->life};
}

void sim_saw_obey(struct sim *s, const struct sim_node *agent, uint64_t epoch)
{
    struct sim_oracle *o = s->oracle;
    bool is_known = epoch == 0;

    for (uint32_t i = 0; i < o->n_leads; i++) {
        is_known = is_known || o->lead[i].epoch == epoch;
    }
    if (!is_known) {
        sim_broken(s, "one-leader", "%s obeys epoch %" PRIu64 ", which nobody led", agent->name,
                   epoch);
    }
    o->obeyed[agent->place] = epoch > o->obeyed[agent->place] ? epoch : o->obeyed[agent->place];
}

void sim_saw_admitted(struct sim *s, struct pf_str agent_id)
{
    struct sim_oracle *o = s->oracle;

    for (uint32_t i = 0; i < o->n_admitted; i++) {
        if (pf_str_is(agent_id, o->admitted[i])) {
            return;
        }
    }
    PF_ASSERT(o->n_admitted < SIM_AGENTS_MAX && agent_id.len <= PF_UUID_TEXT_LEN);
    (void)snprintf(o->admitted[o->n_admitted++], PF_UUID_TEXT_LEN + 1, "%.*s",
                   PF_STR_ARG(agent_id));
}

struct find_row {
    const char *id;
    bool is_found;
};

static void find_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    struct find_row *f = ctx;

    (void)row;
    f->is_found = f->is_found || (!is_del && table == RegistryTable_AGENTS &&
                                  pf_str_is((struct pf_str){(const char *)key.at, key.len}, f->id));
}

void sim_check_rows(struct sim *s, const struct pf_quorum *q)
{
    for (uint32_t i = 0; i < s->oracle->n_admitted; i++) {
        struct find_row f = {s->oracle->admitted[i], false};

        pf_quorum_rows(q, find_row, &f);
        if (!f.is_found) {
            sim_broken(s, "durable-first",
                       "agent %s was told that it is admitted, and the new "
                       "leader's registry lacks it",
                       f.id);
        }
    }
}

/* --- tasks ------------------------------------------------------------------------------------ */

static struct fact *fact_of(struct sim *s, struct pf_str task_id)
{
    struct fact *f = pf_map_get_str(&s->oracle->tasks, task_id);

    if (f == NULL) {
        sim_broken(s, "no-twin", "task %.*s was launched by nobody", PF_STR_ARG(task_id));
    }
    return f;
}

void sim_saw_accept(struct sim *s, const struct sim_node *framework, struct pf_str task_id)
{
    struct fact *f = PF_NEW(struct fact);

    (void)snprintf(f->id, sizeof f->id, "%.*s", PF_STR_ARG(task_id));
    f->framework = framework;
    f->next = s->oracle->first;
    s->oracle->first = f;
    pf_map_put(&s->oracle->tasks, f->id, (uint32_t)strlen(f->id), f);
}

void sim_saw_start(struct sim *s, const struct sim_node *agent, struct pf_str task_id)
{
    struct fact *f = fact_of(s, task_id);

    f->n_starts++;
    if (f->n_starts > 1) {
        sim_broken(s, "no-twin", "task %s was started on %s and again on %s", f->id, f->agent->name,
                   agent->name);
    }
    if (f->was_dropped) {
        sim_broken(s, "no-lost-task", "task %s was called dropped and then started", f->id);
    }
    f->agent = agent;
    f->is_running = true;
}

void sim_saw_exit(struct sim *s, struct pf_str task_id, int wait_status)
{
    struct fact *f = fact_of(s, task_id);

    f->is_running = false;
    f->has_exited = true;
    f->wait_status = wait_status;
}

void sim_saw_update(struct sim *s, struct pf_str task_id, enum TaskState state, bool is_update)
{
    struct fact *f = fact_of(s, task_id);
    bool is_end = state == TaskState_TASK_FINISHED || state == TaskState_TASK_FAILED ||
                  state == TaskState_TASK_KILLED;

    if (f->was_ended && !is_end && is_update) {
        sim_broken(s, "ordered-updates", "task %s: %s after %s", f->id, TaskState__str(state),
                   TaskState__str(f->told));
    }
    if (state == TaskState_TASK_FINISHED && (!f->has_exited || f->wait_status != 0)) {
        sim_broken(s, "no-lost-task", "task %s was called finished, and is not", f->id);
    }
    if (state == TaskState_TASK_DROPPED && f->n_starts > 0) {
        sim_broken(s, "no-lost-task", "task %s was called dropped, and was started", f->id);
    }
    f->was_dropped = f->was_dropped || state == TaskState_TASK_DROPPED;
    f->was_ended = f->was_ended || (is_end && is_update);
    f->was_told = true;
    f->told = state;
}

void sim_check_end(struct sim *s)
{
    for (const struct fact *f = s->oracle->first; f != NULL; f = f->next) {
        if (!f->was_told) {
            sim_broken(s, "no-lost-task", "task %s was accepted and its framework told nothing",
                       f->id);
        }
        bool is_over = pf_driver_state_is_final(f->told);

        if (f->is_running && is_over) {
            sim_broken(s, "no-lost-task", "task %s runs on %s, its framework was told %s", f->id,
                       f->agent->name, TaskState__str(f->told));
        }
        if (!f->is_running && !is_over) {
            sim_broken(s, "no-lost-task", "task %s does not run, its framework was told %s", f->id,
                       TaskState__str(f->told));
        }
    }
}
