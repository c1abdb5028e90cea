/* SPDX-License-Identifier: Apache-2.0 */
/* The entities of a cluster as rows: which columns each has (the contract with scripts), and how a
 * message of the master fills them. Used by the lists and by `show`. */
#ifndef PF_FRAMEWORK_CLI_ENTITY_H
#define PF_FRAMEWORK_CLI_ENTITY_H

#include "framework/cli/output.h"
#include "schemas/operator.h"

extern const struct pf_columns pf_agent_columns;
extern const struct pf_columns pf_framework_columns;
extern const struct pf_columns pf_task_columns;
extern const struct pf_columns pf_offer_columns;
extern const struct pf_columns pf_master_columns;

/* Each fills a row of `o`, which has the columns above. What must be made is made in o's memory,
 * the rest is borrowed from the message. `now_ms` is wall time. */
void pf_agent_row(struct pf_output *o, struct Master_Response_GetAgents_Agent a, int64_t now_ms,
                  struct pf_cell *row);
/* An agent that was admitted before the master's last start and is not back. */
void pf_recovered_agent_row(struct pf_output *o, struct AgentInfo info, struct pf_cell *row);
void pf_framework_row(struct pf_output *o, struct Master_Response_GetFrameworks_Framework f,
                      bool is_completed, struct pf_cell *row);
/* The cell of its history: lines for people, an array for programs. */
void pf_task_history_cell(struct pf_output *o, struct Task t, struct pf_cell *cell);
void pf_task_row(struct pf_output *o, struct Task t, struct pf_cell *row);
/* A demand that waits, as the tasks that it will become. */
void pf_waiting_row(struct pf_output *o, struct Demand d,
                    struct Master_Response_GetFrameworks_Framework f, struct pf_cell *row);
void pf_offer_row(struct pf_output *o, struct Offer offer, int64_t now_ms, struct pf_cell *row);
void pf_master_row(struct pf_output *o, struct MasterView m, struct pf_cell *row);

/* Has the task ended for good? */
bool pf_task_is_ended(enum TaskState state);

/* Adds one entry of a message to an amount; what makes no sense is left out. */
void pf_resources_take(struct pf_resources *to, struct Resource r);
/* Sets a cell from the vector `field` of table `x`. */
#define PF_ROW_RESOURCES(o, cell, table, field, x)                          \
    do {                                                                    \
        struct pf_resources *sum_ = pf_output_resources(o);                 \
        for (uint32_t i_ = 0; i_ < table##_##field##__len(x); i_++) {       \
            pf_resources_take(sum_, table##_##field##__at((x), i_));        \
        }                                                                   \
        pf_cell_resources((cell), sum_);                                    \
    } while (0)
/* The id of an agent (a uuid): tables show its first characters. */
#define PF_AGENT_ID_SHOWN 8
void pf_agent_id_cell(struct pf_cell *cell, struct pf_str id);

#endif
