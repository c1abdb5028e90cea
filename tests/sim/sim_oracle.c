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
    bool is_running, has_exited, was_told, was_dropped;
    int wait_status;
    uint32_t cpu_milli;
    enum TaskState told;
    uint8_t uuid[16];  /* of the last update told ... */
    uint32_t instance; /* ... to this instance of its scheduler, 0 = none yet */
    uint32_t rank;     /* of the last update told */
    struct fact *next;
};

struct lead {
    uint64_t epoch;
    const struct sim_node *master;
    uint32_t life;
    int64_t at_us;
};

struct sim_oracle {
    struct pf_map tasks;
    struct fact *first;
    struct lead *lead;
    uint32_t n_leads;
    uint64_t obeyed[SIM_NODES_MAX], registered[SIM_NODES_MAX]; /* epochs, by place */
    uint32_t capacity[SIM_NODES_MAX], used[SIM_NODES_MAX];     /* cpu_milli */
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

/* Two thirds of a session after another master took over, the lease of the former one has ended,
 * whatever it believes: its renewal was sent before. */
enum { LEASE_MS = 4000, LEASE_SLACK_MS = 20 };

void sim_saw_act(struct sim *s, const struct sim_node *master, uint64_t epoch)
{
    const struct sim_oracle *o = s->oracle;

    for (uint32_t i = 0; i < o->n_leads; i++) {
        const struct lead *l = &o->lead[i];

        if (l->epoch > epoch && s->now_us - l->at_us > (LEASE_MS + LEASE_SLACK_MS) * SIM_MS) {
            sim_broken(s, "one-leader",
                       "%s acts in epoch %" PRIu64 ", %s has led %" PRIu64 " for %" PRId64 " ms",
                       master->name, epoch, l->master->name, l->epoch,
                       (s->now_us - l->at_us) / SIM_MS);
        }
    }
}

void sim_saw_negative(struct sim *s, const struct sim_node *master, uint64_t epoch, int64_t at_us)
{
    const struct sim_oracle *o = s->oracle;

    for (uint32_t i = 0; i < o->n_leads; i++) {
        if (o->lead[i].epoch > epoch && o->lead[i].at_us < at_us) {
            sim_broken(s, "one-leader",
                       "%s says in epoch %" PRIu64 " that a task is no more, %s led %" PRIu64
                       " already",
                       master->name, epoch, o->lead[i].master->name, o->lead[i].epoch);
        }
    }
}

/* One may hear late that it won, when another leads already; but no epoch has two leaders. */
void sim_saw_lead(struct sim *s, const struct sim_node *master, uint64_t epoch)
{
    struct sim_oracle *o = s->oracle;

    for (uint32_t i = 0; i < o->n_leads; i++) {
        if (o->lead[i].epoch == epoch) {
            sim_broken(s, "one-leader", "%s and %s lead epoch %" PRIu64, o->lead[i].master->name,
                       master->name, epoch);
        }
    }
    o->lead = pf_realloc(o->lead, (o->n_leads + 1) * sizeof *o->lead);
    o->lead[o->n_leads++] = (struct lead){epoch, master, master->life, s->now_us};
    sim_saw_act(s, master, epoch);
}

static bool is_newest(const struct sim_oracle *o, uint64_t epoch)
{
    for (uint32_t i = 0; i < o->n_leads; i++) {
        if (o->lead[i].epoch > epoch) {
            return false;
        }
    }
    return true;
}

/* What its registration told the leader must be durable. */
void sim_saw_registered(struct sim *s, const struct sim_node *agent, uint64_t epoch)
{
    s->oracle->registered[agent->place] = epoch;
}

void sim_saw_return(struct sim *s, const struct sim_node *agent, uint64_t epoch)
{
    if (epoch < s->oracle->registered[agent->place]) {
        sim_broken(s, "recovery-equals",
                   "%s comes back with epoch %" PRIu64 ", and was registered in %" PRIu64,
                   agent->name, epoch, s->oracle->registered[agent->place]);
    }
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
    if (!is_newest(s->oracle, pf_quorum_epoch(q))) {
        return; /* others were admitted by the next one already */
    }
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

void sim_saw_accept(struct sim *s, const struct sim_node *framework, struct pf_str task_id,
                    uint32_t cpu_milli)
{
    struct fact *f = PF_NEW(struct fact);

    (void)snprintf(f->id, sizeof f->id, "%.*s", PF_STR_ARG(task_id));
    f->framework = framework;
    f->cpu_milli = cpu_milli;
    f->next = s->oracle->first;
    s->oracle->first = f;
    pf_map_put(&s->oracle->tasks, f->id, (uint32_t)strlen(f->id), f);
}

void sim_saw_capacity(struct sim *s, const struct sim_node *agent, uint32_t cpu_milli)
{
    s->oracle->capacity[agent->place] = cpu_milli;
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
    s->oracle->used[agent->place] += f->cpu_milli;
    if (s->oracle->used[agent->place] > s->oracle->capacity[agent->place]) {
        sim_broken(s, "no-double-spend", "with task %s %u.%03u cpus are used on %s of %u", f->id,
                   s->oracle->used[agent->place] / 1000, s->oracle->used[agent->place] % 1000,
                   agent->name, s->oracle->capacity[agent->place] / 1000);
    }
}

void sim_saw_exit(struct sim *s, struct pf_str task_id, int wait_status)
{
    struct fact *f = fact_of(s, task_id);

    s->oracle->used[f->agent->place] -= f->is_running ? f->cpu_milli : 0;
    f->is_running = false;
    f->has_exited = true;
    f->wait_status = wait_status;
}

/* Updates of a task come in this order. */
static uint32_t rank_of(enum TaskState state)
{
    return state == TaskState_TASK_STAGING    ? 1
           : state == TaskState_TASK_STARTING ? 2
           : state == TaskState_TASK_RUNNING  ? 3
           : state == TaskState_TASK_KILLING  ? 4
                                              : 5;
}

/* One that is acknowledged: to an instance in order, each once, nothing behind the last. */
static void note_update(struct sim *s, struct fact *f, enum TaskState state, struct pf_bytes uuid,
                        uint32_t instance)
{
    bool is_same = f->rank > 0 && memcmp(f->uuid, uuid.at, sizeof f->uuid) == 0;

    if (is_same && f->instance == instance) {
        sim_broken(s, "ordered-updates", "task %s: %s was told twice", f->id,
                   TaskState__str((int)state));
    }
    if (!is_same && f->instance == instance && rank_of(state) <= f->rank) {
        sim_broken(s, "ordered-updates", "task %s: %s after rank %u", f->id,
                   TaskState__str((int)state), f->rank);
    }
    memcpy(f->uuid, uuid.at, sizeof f->uuid);
    f->instance = instance;
    f->rank = rank_of(state);
}

void sim_saw_update(struct sim *s, struct pf_str task_id, enum TaskState state,
                    struct pf_bytes uuid, uint32_t instance)
{
    struct fact *f = fact_of(s, task_id);

    if (uuid.len == sizeof f->uuid) {
        note_update(s, f, state, uuid, instance);
    }
    if (state == TaskState_TASK_FINISHED && (!f->has_exited || f->wait_status != 0)) {
        sim_broken(s, "no-lost-task", "task %s was called finished, and is not", f->id);
    }
    if (state == TaskState_TASK_DROPPED && f->n_starts > 0) {
        sim_broken(s, "no-lost-task", "task %s was called dropped, and was started", f->id);
    }
    f->was_dropped = f->was_dropped || state == TaskState_TASK_DROPPED;
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
                       f->agent->name, TaskState__str((int)f->told));
        }
        if (!f->is_running && !is_over) {
            sim_broken(s, "no-lost-task", "task %s does not run, its framework was told %s", f->id,
                       TaskState__str((int)f->told));
        }
    }
}
