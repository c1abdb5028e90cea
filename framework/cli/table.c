/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of verbs, in the order in which help shows them. */
#include "framework/cli/table.h"

const struct pf_command *const pf_commands[] = {
    &pf_cmd_up,
    &pf_cmd_down,
    &pf_cmd_status,
    &pf_cmd_stepdown,
    &pf_cmd_registry,
    &pf_cmd_adopt,
    &pf_cmd_drill,
    &pf_cmd_drill_load,
    &pf_cmd_run,
    &pf_cmd_wait,
    &pf_cmd_attach,
    &pf_cmd_logs,
    &pf_cmd_exec,
    &pf_cmd_cp,
    &pf_cmd_kill,
    &pf_cmd_teardown,
    &pf_cmd_tasks,
    &pf_cmd_why,
    &pf_cmd_show,
    &pf_cmd_agents,
    &pf_cmd_frameworks,
    &pf_cmd_offers,
    &pf_cmd_masters,
    &pf_cmd_version,
    &pf_cmd_completion,
    &pf_cmd_complete,
    &pf_cmd_help,
    NULL,
};
