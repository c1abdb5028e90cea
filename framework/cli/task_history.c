/* SPDX-License-Identifier: Apache-2.0 */
/* What was told of a task: its states with their times, who said them, and why. */
#include "common/base/buf.h"
#include "common/fb/json_writer.h"
#include "common/sys/parse.h"
#include "framework/cli/entity.h"

static const char *source_word(struct TaskStatus s)
{
    static const char *const words[] = {"master", "agent", "executor"};
    int source = (int)TaskStatus_source(s);

    return TaskStatus__has_source(s) && source >= 0 && source < (int)PF_ARRAY_LEN(words)
               ? words[source]
               : NULL;
}

static const char *reason_word(struct TaskStatus s)
{
    const char *reason =
        TaskStatus__has_reason(s) ? TaskStatus_Reason__str((int)TaskStatus_reason(s)) : NULL;

    return TaskStatus__has_reason(s) && reason == NULL ? "REASON_UNKNOWN" : reason;
}

static void add_line(struct pf_buf *out, const char *at, const char *state, struct TaskStatus s)
{
    const char *reason = reason_word(s), *source = source_word(s);

    pf_buf_printf(out, "%s%s %s", out->len > 0 ? "\n" : "", at, state);
    if (source != NULL) {
        pf_buf_printf(out, " (%s)", source);
    }
    if (reason != NULL) {
        pf_buf_printf(out, " %s", reason);
    }
    if (TaskStatus_message(s).len > 0) {
        pf_buf_printf(out, ": %.*s", PF_STR_ARG(TaskStatus_message(s)));
    }
}

void pf_task_history_cell(struct pf_output *o, struct Task t, struct pf_cell *cell)
{
    struct pf_buf text = {0}, json = {0};
    struct pf_json_writer w;

    pf_jw_init(&w, &json, false);
    pf_jw_begin_array(&w);
    for (uint32_t i = 0; i < Task_statuses__len(t); i++) {
        struct TaskStatus s = Task_statuses__at(t, i);
        const char *state = TaskState__str((int)TaskStatus_state(s));
        char at[PF_FORMAT_TIME_MAX] = "-";
        if (TaskStatus__has_timestamp(s)) {
            pf_format_time((int64_t)(TaskStatus_timestamp(s) * 1000.0 + 0.5), at);
        }
        state = state != NULL ? state : "TASK_UNKNOWN";
        add_line(&text, at, state, s);
        pf_jw_begin_object(&w);
        pf_jw_field_cstr(&w, "state", state);
        pf_jw_field_cstr(&w, "at", TaskStatus__has_timestamp(s) ? at : NULL);
        pf_jw_field_cstr(&w, "source", source_word(s));
        pf_jw_field_cstr(&w, "reason", reason_word(s));
        pf_jw_field_str(&w, "message", TaskStatus_message(s));
        pf_jw_end_object(&w);
    }
    pf_jw_end_array(&w);
    cell->is_set = true;
    cell->text = pf_arena_strdup(pf_output_arena(o), pf_str(pf_buf_cstr(&text)));
    cell->json = pf_arena_strdup(pf_output_arena(o), pf_str(pf_buf_cstr(&json)));
    pf_buf_fini(&text);
    pf_buf_fini(&json);
}
