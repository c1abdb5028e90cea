/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of the command table, each defined in cmd_<verb>.c. */
#ifndef PF_FRAMEWORK_CLI_TABLE_H
#define PF_FRAMEWORK_CLI_TABLE_H

#include "framework/cli/command.h"

extern const struct pf_command pf_cmd_up;
extern const struct pf_command pf_cmd_down;
extern const struct pf_command pf_cmd_status;
extern const struct pf_command pf_cmd_stepdown;
extern const struct pf_command pf_cmd_registry;
extern const struct pf_command pf_cmd_adopt;
extern const struct pf_command pf_cmd_masters;
extern const struct pf_command pf_cmd_agents;
extern const struct pf_command pf_cmd_frameworks;
extern const struct pf_command pf_cmd_tasks;
extern const struct pf_command pf_cmd_offers;
extern const struct pf_command pf_cmd_show;
extern const struct pf_command pf_cmd_why;
extern const struct pf_command pf_cmd_run;
extern const struct pf_command pf_cmd_attach, pf_cmd_cp, pf_cmd_exec, pf_cmd_logs, pf_cmd_wait;
extern const struct pf_command pf_cmd_kill;
extern const struct pf_command pf_cmd_teardown;
extern const struct pf_command pf_cmd_activate, pf_cmd_deactivate, pf_cmd_drain;
extern const struct pf_command pf_cmd_gone, pf_cmd_leave;
extern const struct pf_command pf_cmd_drill, pf_cmd_drill_load;
extern const struct pf_command pf_cmd_version;
extern const struct pf_command pf_cmd_completion;
extern const struct pf_command pf_cmd_complete;
extern const struct pf_command pf_cmd_help;

#endif
