/* SPDX-License-Identifier: Apache-2.0 */
/* Files in the sandboxes of tasks, of live ones and of those in the history: read, listed, written
 * (`proffer cp`). The daemon does it as the task's user. */
#include "agent/core/clients_internal.h"

#include "common/base/limits.h"

enum { LIST_MAX = 1000, PATH_BYTES_MAX = 4000 };

/* Relative, without "..": the daemon keeps what symbolic links would lead out of. */
static const char *path_problem(struct pf_str path)
{
    uint32_t from = 0;

    if (path.len > 0 && path.at[0] == '/') {
        return "the path must be relative to the sandbox";
    }
    if (path.len > PATH_BYTES_MAX || (path.len > 0 && memchr(path.at, '\0', path.len))) {
        return "the path is too long, or none";
    }
    for (uint32_t i = 0; i <= path.len; i++) {
        if (i == path.len || path.at[i] == '/') {
            if (i - from == 2 && path.at[from] == '.' && path.at[from + 1] == '.') {
                return "the path must not leave the sandbox";
            }
            from = i + 1;
        }
    }
    return NULL;
}

/* NULL: the path is refused, and the peer was told. */
static struct pf_agent_act_files *begin(struct pf_agent *a, const struct request *r,
                                        const struct task *t, struct pf_str path)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    const char *problem = path_problem(path);

    if (problem) {
        ag_req_refuse(a, r, ReplyCode_BAD_REQUEST, problem);
        return NULL;
    }
    struct pf_agent_act_files *act = pf_arena_zalloc(arena, sizeof *act);

    act->peer = r->client->peer;
    act->request_id = r->id;
    act->sandbox = ag_run_sandbox(a, ag_task_home(t));
    act->user = pf_arena_strdup(arena, pf_str(t->run.user));
    act->path = pf_arena_strdup(arena, path.len > 0 ? path : PF_STR("."));
    return act;
}

void ag_req_read_path(struct pf_agent *a, const struct request *r, struct task *t)
{
    struct ReadFile call = Envelope_body_as_ReadFile(r->env);
    struct pf_agent_act_files *act = begin(a, r, t, ReadFile_path(call));
    uint32_t limit = ReadFile_limit(call);

    if (act) {
        act->op = PF_AGENT_FILE_READ;
        act->offset = ReadFile_offset(call);
        act->limit = limit == 0 || limit > PF_READ_CHUNK_BYTES ? PF_READ_CHUNK_BYTES : limit;
        pf_turn_act(a->turn, PF_AGENT_ACT_FILES, act);
    }
}

void ag_req_list_files(struct pf_agent *a, const struct request *r)
{
    struct ListFiles call = Envelope_body_as_ListFiles(r->env);
    struct task *t = ag_req_is_trusted(a, r)
                         ? ag_req_task(a, r, ListFiles_framework_id(call), ListFiles_task_id(call))
                         : NULL;
    struct pf_agent_act_files *act = t ? begin(a, r, t, ListFiles_path(call)) : NULL;
    uint32_t limit = ListFiles_limit(call);

    if (act) {
        act->op = PF_AGENT_FILE_LIST;
        act->limit = limit == 0 || limit > LIST_MAX ? LIST_MAX : limit;
        act->after = pf_arena_strdup(pf_turn_arena(a->turn), ListFiles_after(call));
        pf_turn_act(a->turn, PF_AGENT_ACT_FILES, act);
    }
}

void ag_req_write_file(struct pf_agent *a, const struct request *r)
{
    struct WriteFile call = Envelope_body_as_WriteFile(r->env);
    struct pf_bytes data = WriteFile_data(call);
    struct task *t = ag_req_is_trusted(a, r)
                         ? ag_req_task(a, r, WriteFile_framework_id(call), WriteFile_task_id(call))
                         : NULL;

    if (!t) {
        return;
    }
    if (ag_run_is_ended(&t->run)) {
        ag_req_refuse(a, r, ReplyCode_CONFLICT, "the task has ended");
        return;
    }
    if (data.len > PF_READ_CHUNK_BYTES) {
        ag_req_refuse(a, r, ReplyCode_TOO_LARGE, "too many bytes at once");
        return;
    }
    struct pf_agent_act_files *act = begin(a, r, t, WriteFile_path(call));

    if (act) {
        act->op = PF_AGENT_FILE_WRITE;
        act->offset = WriteFile_offset(call);
        act->mode = WriteFile_mode(call);
        act->data.len = data.len;
        act->data.at =
            data.len > 0 ? pf_arena_memdup(pf_turn_arena(a->turn), data.at, data.len) : NULL;
        pf_turn_act(a->turn, PF_AGENT_ACT_FILES, act);
    }
}
