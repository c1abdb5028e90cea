/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill prints: the table of times, the histogram, the verdict; or all rounds as JSON. */
#ifndef PF_FRAMEWORK_CLI_DRILL_REPORT_H
#define PF_FRAMEWORK_CLI_DRILL_REPORT_H

#include "framework/cli/drill_run.h"
#include "framework/cli/output.h"

extern const struct pf_columns pf_drill_columns;

/* For people: figures over all rounds that were carried out. */
void pf_drill_report_table(struct pf_cli *cli, const struct pf_drill_plan *plan);
/* For programs: a row for each. */
void pf_drill_report_rows(struct pf_output *o, const struct pf_drill_plan *plan);
/* The verdict, to `to`. `problem` may be NULL. Returns whether everything held. */
bool pf_drill_report_verdict(FILE *to, const struct pf_drill_plan *plan,
                             const struct pf_oracle_verdict *v, const char *problem);

#endif
