/* SPDX-License-Identifier: Apache-2.0 */
/* See outcome.h. */
#include "framework/cli/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/fb/json_writer.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "framework/cli/command.h"
#include "framework/cli/entity.h"

#define NAMED_MAX 10

static void text_set(char **to, struct pf_str s)
{
    pf_free(*to);
    *to = s.len > 0 ? pf_strndup(s.at, s.len) : NULL;
}

void pf_outcome_fini(struct pf_outcome *o)
{
    PF_FREE(o->task_id);
    PF_FREE(o->agent_id);
    PF_FREE(o->message);
}

bool pf_outcome_has_ended(const struct pf_outcome *o)
{
    return o->is_known && pf_task_is_ended(o->state);
}

void pf_outcome_set_task(struct pf_outcome *o, struct Task task)
{
    text_set(&o->task_id, TaskID_value(Task_task_id(task)));
    text_set(&o->agent_id, AgentID_value(Task_agent_id(task)));
    o->is_known = true;
    o->state = Task_state(task);
    o->has_exit_status = Task__has_exit_status(task);
    o->exit_status = Task_exit_status(task);
    o->has_signal = Task__has_signal(task);
    o->signal = Task_signal(task);
    o->started_ms = Task_started_ms(task);
    o->finished_ms = Task_finished_ms(task);
    uint32_t n = Task_statuses__len(task);
    if (n > 0) {
        struct TaskStatus last = Task_statuses__at(task, n - 1);
        text_set(&o->message, TaskStatus_message(last));
        o->has_reason = TaskStatus__has_reason(last);
        o->reason = TaskStatus_reason(last);
        o->is_unwell = TaskStatus__has_healthy(last) && !TaskStatus_healthy(last);
    }
}

static bool is_timed_out(const struct pf_outcome *o)
{
    return o->has_reason && o->reason == TaskStatus_Reason_REASON_MAX_COMPLETION_TIME_REACHED;
}

static bool is_out_of_memory(const struct pf_outcome *o)
{
    return o->has_reason && o->message != NULL &&
           o->reason == TaskStatus_Reason_REASON_CONTAINER_LIMITATION_MEMORY;
}

bool pf_outcome_is_limited(const struct pf_outcome *o)
{
    bool is_unwell = o->is_unwell && o->message != NULL && o->state == TaskState_TASK_KILLED;
    return is_unwell || is_out_of_memory(o);
}

int pf_outcome_exit(const struct pf_outcome *o)
{
    if (!pf_outcome_has_ended(o)) {
        return PF_EXIT_OURS;
    }
    if (is_timed_out(o)) {
        return PF_EXIT_TIMEOUT;
    }
    bool is_own = o->state == TaskState_TASK_FINISHED || o->state == TaskState_TASK_FAILED ||
                  o->state == TaskState_TASK_KILLED;
    if (is_own && o->has_signal) {
        return 128 + o->signal;
    }
    if (is_own && o->has_exit_status) {
        return o->exit_status;
    }
    if (o->state == TaskState_TASK_KILLED) {
        return 128 + SIGTERM; /* before it ran: as if the signal had reached it */
    }
    return o->state == TaskState_TASK_FINISHED ? 0 : PF_EXIT_OURS;
}

int pf_outcomes_exit(const struct pf_outcome *o, uint32_t n)
{
    int highest = n == 0 ? PF_EXIT_OURS : 0;
    for (uint32_t i = 0; i < n; i++) {
        int status = pf_outcome_exit(&o[i]);
        highest = status > highest ? status : highest;
    }
    return highest;
}

bool pf_outcome_needs_words(const struct pf_outcome *o)
{
    int status = pf_outcome_exit(o);

    return status != 0 &&
           (!o->has_exit_status || status == 126 || status == 127 || pf_outcome_is_limited(o));
}

void pf_outcome_describe(const struct pf_outcome *o, struct pf_buf *out)
{
    if (is_timed_out(o)) {
        pf_buf_add_cstr(out, "ran into its time-out");
    } else if (is_out_of_memory(o)) { /* the message names limit and peak */
        pf_buf_printf(out, "out of memory: %s", o->message);
    } else if (pf_outcome_is_limited(o)) { /* ... and the check */
        pf_buf_add_cstr(out, o->message);
    } else if (o->has_signal) {
        const char *name = sigabbrev_np(o->signal);
        pf_buf_printf(out, name != NULL ? "signal %s" : "signal %s%d", name != NULL ? name : "",
                      o->signal);
    } else if (o->has_exit_status && o->exit_status != 126 && o->exit_status != 127) {
        pf_buf_printf(out, "exit status %d", (int)o->exit_status);
    } else if (o->message != NULL) {
        pf_buf_add_cstr(out, o->message);
    } else if (!o->is_known) {
        pf_buf_add_cstr(out, "never started");
    } else {
        pf_buf_add_cstr(out, TaskState__str((int)o->state));
    }
}

void pf_outcomes_summary(const struct pf_outcome *o, uint32_t n, struct pf_buf *out)
{
    uint32_t n_finished = 0, n_killed = 0, n_failed = 0, n_open = 0, n_named = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!pf_outcome_has_ended(&o[i])) {
            n_open++;
        } else if (o[i].state == TaskState_TASK_FINISHED) {
            n_finished++;
        } else if (o[i].state == TaskState_TASK_KILLED) {
            n_killed++;
        } else {
            n_failed++;
        }
    }
    pf_buf_printf(out, "%u task%s: %u finished", n, n == 1 ? "" : "s", n_finished);
    const struct {
        uint32_t n;
        const char *what;
    } rest[] = {{n_killed, "killed"}, {n_open, "not ended"}, {n_failed, "failed"}};
    for (size_t i = 0; i < PF_ARRAY_LEN(rest); i++) {
        if (rest[i].n > 0) {
            pf_buf_printf(out, ", %u %s", rest[i].n, rest[i].what);
        }
    }
    for (uint32_t i = 0; i < n && n_failed > 0; i++) {
        if (!pf_outcome_has_ended(&o[i]) || o[i].state == TaskState_TASK_FINISHED ||
            o[i].state == TaskState_TASK_KILLED) {
            continue;
        }
        if (n_named == NAMED_MAX) {
            pf_buf_printf(out, ", and %u more", n_failed - n_named);
            break;
        }
        pf_buf_printf(out, "%s %u (", n_named == 0 ? ":" : ",", o[i].index);
        pf_outcome_describe(&o[i], out);
        pf_buf_add_byte(out, ')');
        n_named++;
    }
}

static void field_time(struct pf_json_writer *w, const char *key, int64_t wall_ms)
{
    char text[PF_FORMAT_TIME_MAX];
    if (wall_ms > 0) {
        pf_format_time(wall_ms, text);
    }
    pf_jw_field_cstr(w, key, wall_ms > 0 ? text : NULL);
}

static void field_opt(struct pf_json_writer *w, const char *key, bool has, int64_t v)
{
    pf_jw_key(w, key);
    if (has) {
        pf_jw_int(w, v);
    } else {
        pf_jw_null(w);
    }
}

static void outcome_write(struct pf_json_writer *w, const struct pf_outcome *o)
{
    pf_jw_begin_object(w);
    pf_jw_field_cstr(w, "id", o->task_id);
    pf_jw_field_uint(w, "index", o->index);
    pf_jw_field_cstr(w, "state", o->is_known ? TaskState__str((int)o->state) : "TASK_WAITING");
    field_opt(w, "exit_status", o->has_exit_status, o->exit_status);
    field_opt(w, "signal", o->has_signal, o->signal);
    pf_jw_field_cstr(w, "reason", o->has_reason ? TaskStatus_Reason__str((int)o->reason) : NULL);
    pf_jw_field_cstr(w, "message", o->message);
    pf_jw_field_cstr(w, "agent_id", o->agent_id);
    field_time(w, "started_at", o->started_ms);
    field_time(w, "finished_at", o->finished_ms);
    pf_jw_end_object(w);
}

/* At once and whole; to a pipe or a device as it comes. */
static int report_write(const char *path, const struct pf_buf *text, struct pf_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISREG(st.st_mode)) {
        return pf_file_write(path, text->data, text->len, 0644, err);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "open %s", path);
    }
    int rc = pf_fd_write_all(fd, text->data, text->len, err);
    pf_fd_close(&fd);
    return rc;
}

int pf_outcomes_report(const struct pf_outcome *o, uint32_t n, const char *path, struct pf_err *err)
{
    struct pf_buf text = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &text, true);
    pf_jw_begin_array(&w);
    for (uint32_t i = 0; i < n; i++) {
        outcome_write(&w, &o[i]);
    }
    pf_jw_end_array(&w);
    pf_buf_add_byte(&text, '\n');
    int rc = report_write(path, &text, err);
    pf_buf_fini(&text);
    return rc;
}
