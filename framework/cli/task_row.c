/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks as rows. */
#include "framework/cli/entity.h"

enum {
    T_ID,
    T_NAME,
    T_STATE,
    T_WAITING_REASON,
    T_AGENT_ID,
    T_FRAMEWORK_ID,
    T_ROLE,
    T_USER,
    T_COMMAND,
    T_RESOURCES,
    T_EXIT_STATUS,
    T_SIGNAL,
    T_REASON,
    T_MESSAGE,
    T_HEALTHY,
    T_SANDBOX,
    T_CREATED_AT,
    T_STARTED_AT,
    T_FINISHED_AT,
    T_COUNT,
    T_MEMORY_PEAK_BYTES,
    T_HISTORY,
};

static const struct pf_column columns[] = {
    [T_ID] = {"id", PF_CELL_TEXT, true},
    [T_NAME] = {"name", PF_CELL_TEXT, true},
    [T_STATE] = {"state", PF_CELL_TEXT, true},
    [T_WAITING_REASON] = {"waiting_reason", PF_CELL_TEXT, false},
    [T_AGENT_ID] = {"agent_id", PF_CELL_TEXT, true},
    [T_FRAMEWORK_ID] = {"framework_id", PF_CELL_TEXT, true},
    [T_ROLE] = {"role", PF_CELL_TEXT, false},
    [T_USER] = {"user", PF_CELL_TEXT, true},
    [T_COMMAND] = {"command", PF_CELL_TEXT, true},
    [T_RESOURCES] = {"resources", PF_CELL_RESOURCES, true},
    [T_EXIT_STATUS] = {"exit_status", PF_CELL_INT, true},
    [T_SIGNAL] = {"signal", PF_CELL_INT, false},
    [T_REASON] = {"reason", PF_CELL_TEXT, false},
    [T_MESSAGE] = {"message", PF_CELL_TEXT, true},
    [T_HEALTHY] = {"healthy", PF_CELL_BOOL, false},
    [T_SANDBOX] = {"sandbox", PF_CELL_TEXT, false},
    [T_CREATED_AT] = {"created_at", PF_CELL_TIME, true},
    [T_STARTED_AT] = {"started_at", PF_CELL_TIME, false},
    [T_FINISHED_AT] = {"finished_at", PF_CELL_TIME, false},
    [T_COUNT] = {"count", PF_CELL_INT, false},
    [T_MEMORY_PEAK_BYTES] = {"memory_peak_bytes", PF_CELL_INT, false},
    [T_HISTORY] = {"history", PF_CELL_RAW, false},
};
const struct pf_columns pf_task_columns = PF_COLUMNS(columns);

#define COMMAND_SHOWN 32 /* characters of a command line in tables */

static void status_cells(struct TaskStatus s, struct pf_cell *row)
{
    if (TaskStatus__has_reason(s)) {
        const char *reason = TaskStatus_Reason__str((int)TaskStatus_reason(s));
        pf_cell_name(&row[T_REASON], pf_str(reason != NULL ? reason : "REASON_UNKNOWN"));
    }
    pf_cell_name(&row[T_MESSAGE], TaskStatus_message(s));
    if (TaskStatus__has_healthy(s)) {
        pf_cell_num(&row[T_HEALTHY], TaskStatus_healthy(s) ? 1 : 0);
    }
}

/* Whole for programs; in tables as much as leaves room for the rest. */
static void command_cell(struct pf_output *o, struct pf_cell *cell, struct pf_str command)
{
    pf_cell_name(cell, command);
    if (command.len > COMMAND_SHOWN) {
        cell->shown = pf_arena_printf(pf_output_arena(o), "%.*s...", COMMAND_SHOWN - 3, command.at);
    }
}

void pf_task_row(struct pf_output *o, struct Task t, struct pf_cell *row)
{
    const char *state = TaskState__str((int)Task_state(t));
    pf_cell_text(&row[T_ID], TaskID_value(Task_task_id(t)));
    pf_cell_name(&row[T_NAME], Task_name(t));
    pf_cell_name(&row[T_STATE], pf_str(state != NULL ? state : "TASK_UNKNOWN"));
    pf_cell_name(&row[T_WAITING_REASON], Task_waiting_reason(t));
    pf_agent_id_cell(&row[T_AGENT_ID], AgentID_value(Task_agent_id(t)));
    pf_cell_name(&row[T_FRAMEWORK_ID], FrameworkID_value(Task_framework_id(t)));
    pf_cell_name(&row[T_ROLE], Task_role(t));
    pf_cell_name(&row[T_USER], Task_user(t));
    command_cell(o, &row[T_COMMAND], Task_command(t));
    PF_ROW_RESOURCES(o, &row[T_RESOURCES], Task, resources, t);
    if (Task__has_exit_status(t)) {
        pf_cell_num(&row[T_EXIT_STATUS], Task_exit_status(t));
    }
    if (Task__has_signal(t)) {
        pf_cell_num(&row[T_SIGNAL], Task_signal(t));
    }
    uint32_t n = Task_statuses__len(t);
    if (n > 0) {
        status_cells(Task_statuses__at(t, n - 1), row);
    }
    pf_cell_name(&row[T_SANDBOX], Task_sandbox(t));
    pf_cell_time(&row[T_CREATED_AT], Task_created_ms(t));
    pf_cell_time(&row[T_STARTED_AT], Task_started_ms(t));
    pf_cell_time(&row[T_FINISHED_AT], Task_finished_ms(t));
    pf_cell_num(&row[T_COUNT], 1);
    if (Task__has_memory_peak_bytes(t)) {
        pf_cell_num(&row[T_MEMORY_PEAK_BYTES], (int64_t)Task_memory_peak_bytes(t));
    }
    pf_task_history_cell(o, t, &row[T_HISTORY]);
}

void pf_waiting_row(struct pf_output *o, struct Demand d,
                    struct Master_Response_GetFrameworks_Framework f, struct pf_cell *row)
{
    struct pf_arena *arena = pf_output_arena(o);
    struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(f);
    struct pf_str framework_id = FrameworkID_value(FrameworkInfo_id(info));
    struct pf_str prefix = Demand_id_prefix(d);
    struct pf_str begin = pf_arena_printf(arena, "%.*s.", PF_STR_ARG(framework_id));
    /* ids that begin with their framework's say it once */
    if (pf_str_eq(prefix, framework_id)) {
        prefix = begin;
    }
    bool is_said = pf_str_has_prefix(prefix, begin);
    pf_cell_text(&row[T_ID],
                 pf_arena_printf(arena, "%s%.*s*", is_said ? "" : begin.at, PF_STR_ARG(prefix)));
    pf_cell_name(&row[T_NAME], Demand_name(d));
    if (Demand_count(d) > 1) {
        row[T_NAME].shown =
            pf_arena_printf(arena, "%.*s x%u", PF_STR_ARG(Demand_name(d)), Demand_count(d));
    }
    pf_cell_name(&row[T_STATE], PF_STR("TASK_WAITING"));
    pf_cell_name(&row[T_WAITING_REASON], Demand_waiting_reason(d));
    if (pf_output_is_table(o)) {
        pf_cell_name(&row[T_MESSAGE], Demand_waiting_reason(d)); /* why, where people look */
    }
    pf_cell_name(&row[T_FRAMEWORK_ID], framework_id);
    pf_cell_name(&row[T_ROLE], Demand_role(d).len > 0
                                   ? Demand_role(d)
                                   : Master_Response_GetFrameworks_Framework_role(f));
    pf_cell_name(&row[T_USER], FrameworkInfo_user(info));
    command_cell(o, &row[T_COMMAND], Demand_command(d));
    PF_ROW_RESOURCES(o, &row[T_RESOURCES], Demand, resources, d);
    pf_cell_time(&row[T_CREATED_AT], Demand_waiting_since_ms(d));
    pf_cell_num(&row[T_COUNT], Demand_count(d));
}
