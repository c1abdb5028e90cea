/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out drills, round by round: waits until the cluster is whole, does what the drill's table
 * says, measures from outside what comes back when, and at the end lets the oracle judge. */
#ifndef PF_FRAMEWORK_CLI_DRILL_RUN_H
#define PF_FRAMEWORK_CLI_DRILL_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include "framework/cli/drill_field.h"
#include "framework/cli/drill_table.h"
#include "framework/cli/oracle.h"
#include "framework/cli/session.h"

/* What is measured, from the (last) strike of a round on. */
enum pf_drill_measure {
    PF_MEASURE_LEADER,     /* another master leads, with a higher epoch */
    PF_MEASURE_OFFER,      /* first offer at a framework that was there before */
    PF_MEASURE_TASK,       /* it heard that the first task that it launched since then runs */
    PF_MEASURE_AGENTS,     /* all agents are registered */
    PF_MEASURE_FRAMEWORKS, /* all frameworks are connected */
    PF_MEASURE_WAIT,       /* the longest time that a framework had to wait for an offer */
    PF_MEASURE_COUNT
};

struct pf_drill_round {
    const struct pf_drill *drill;
    int64_t sweep_us;             /* of PF_WHEN_ACCEPT */
    int64_t begin_us, end_us;     /* pf_now_us(); 0 = was not carried out */
    int64_t us[PF_MEASURE_COUNT]; /* -1 = did not happen, or was not to happen */
    uint64_t epoch_before, epoch_after;
    char leader_before[80], leader_after[80];
    char problem[256]; /* what went wrong; "" = nothing */
};

struct pf_drill_plan {
    struct pf_drill_round *round; /* drill and sweep_us set; the rest is filled */
    uint32_t n;
    uint64_t seed;
    int32_t for_ms;      /* 0 = as each drill says */
    int32_t deadline_ms; /* of a round, and for the cluster to be whole again */
    uint32_t n_frameworks, n_tasks, n_sim_tasks;
    int32_t every_ms;
    int32_t rest_ms; /* between rounds, at least */
    const char *files; /* directory */
    int64_t pause_limit_us;
};

/* Runs the plan. Progress goes to stderr. 0: it was carried out as far as possible, whatever came
 * out of it: `*out_problem` (in the command's arena; NULL = none) says what ended it early or
 * was wrong apart from a round; `*out_verdict` borrows from `oracle`. Else it could not begin. */
PF_MUST_USE int pf_drill_run(struct pf_session *s, struct pf_drill_field *field,
                             struct pf_drill_plan *plan, struct pf_oracle *oracle,
                             const struct pf_oracle_verdict **out_verdict, const char **out_problem,
                             struct pf_err *err);

#endif
