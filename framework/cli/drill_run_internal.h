/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a running drill share; for drill_run.c, drill_steps.c, drill_whole.c only. */
#ifndef PF_FRAMEWORK_CLI_DRILL_RUN_INTERNAL_H
#define PF_FRAMEWORK_CLI_DRILL_RUN_INTERNAL_H

#include "common/base/rng.h"
#include "framework/cli/drill_load.h"
#include "framework/cli/drill_run.h"
#include "framework/cli/drill_view.h"

enum pf_drill_phase {
    PF_DRILL_GATHERING, /* until the cluster is whole */
    PF_DRILL_DWELLING,  /* a moment of peace, of any length */
    PF_DRILL_STRIKING,  /* steps, and waiting for everything to come back */
    PF_DRILL_FINISHING, /* the load does the rest of its work */
    PF_DRILL_DONE,
};

/* A process that was stopped and has to be woken whatever happens. */
struct pf_drill_stopped {
    struct pf_drill_process process;
    char host[300], address[300];
};

struct pf_drill_runner {
    struct pf_session *s;
    struct pf_drill_field *field;
    struct pf_drill_plan *plan;
    struct pf_drill_view *view;
    struct pf_drill_load *load;
    struct pf_timer *timer;
    struct pf_rng rng;
    enum pf_drill_phase phase;
    uint32_t i; /* the round */
    int64_t due_ms, deadline_ms;
    uint32_t n_agents, n_masters; /* of the whole cluster */
    int64_t phase_us;             /* when the phase began */
    int64_t checked_ms;           /* when the field was looked at */
    char missing[256];            /* why it is not whole */
    const char *problem;          /* of the whole drill */
    bool is_interrupted;

    /* of the round */
    uint32_t step;
    int64_t step_us, origin_us, service_us, leader_us;
    uint64_t origin_epoch;
    int64_t accept_us;                             /* the first since striking began */
    int64_t first_accept[PF_DRILL_FRAMEWORKS_MAX]; /* sequence + 1, since the origin; 0 = none */
    char old_host[256], old_address[PF_ADDRESS_MAX], old_instance[128];
    int64_t old_pid;
    char killed_agent[64], killed_address[300];
    int64_t killed_agent_pid;
    int killed_framework; /* -1 = none */
    struct pf_drill_stopped stopped[PF_DRILL_ZK_MAX + 1];
    uint32_t n_stopped;
    bool is_cut;
};

/* Does a step: 0, or the reason in the round's `problem`. */
int pf_drill_step_run(struct pf_drill_runner *r, const struct pf_drill_step *step);
/* Wakes whatever was stopped, lets everything pass again. */
void pf_drill_heal(struct pf_drill_runner *r);
/* Is everything there? Else r->missing says what is not. `census_since_us`: an older census does
 * not count. */
bool pf_drill_is_whole(struct pf_drill_runner *r);
/* Are all of the drill's frameworks among the connected? */
bool pf_drill_frameworks_back(const struct pf_drill_runner *r,
                              const struct pf_drill_census *census);
bool pf_drill_agents_back(const struct pf_drill_runner *r, const struct pf_drill_census *census);

static inline struct pf_drill_round *pf_drill_round_of(struct pf_drill_runner *r)
{
    return &r->plan->round[r->i];
}

#endif
