/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that come to the agent itself: readers of output, writers of standard input, operators.
 * Each request gets one reply; those about files are answered by the daemon. */
#include "agent/core/clients_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/limits.h"

void ag_req_refuse(struct pf_agent *a, const struct request *r, enum ReplyCode code,
                   const char *text)
{
    ag_reply(a, r->client->peer, r->id, code, pf_str(text));
}

bool ag_req_is_trusted(struct pf_agent *a, const struct request *r)
{
    if (!r->client->trusted) {
        a->n_bad++;
        ag_req_refuse(a, r, ReplyCode_FORBIDDEN, "the key of the cluster is needed for this");
        return false;
    }
    return true;
}

struct task *ag_req_task(struct pf_agent *a, const struct request *r, struct pf_str framework_id,
                         struct pf_str id)
{
    struct task *t = ag_task_by_name(a, framework_id, id);

    if (!t) {
        ag_req_refuse(a, r, ReplyCode_NOT_FOUND, "the agent does not know this task");
    }
    return t;
}

static void read_file(struct pf_agent *a, const struct request *r)
{
    struct ReadFile call = Envelope_body_as_ReadFile(r->env);

    if (!ag_req_is_trusted(a, r)) {
        return;
    }
    struct task *t = ag_req_task(a, r, ReadFile_framework_id(call), ReadFile_task_id(call));

    if (!t) {
        return;
    }
    if (t->lost_sandbox) {
        ag_req_refuse(a, r, ReplyCode_NOT_FOUND, "the sandbox was removed while the task ran");
        return;
    }
    if (ReadFile_path(call).len > 0) {
        ag_req_read_path(a, r, t);
        return;
    }
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_read *act = pf_arena_zalloc(arena, sizeof *act);
    uint32_t limit = ReadFile_limit(call);

    *act = (struct pf_agent_act_read){
        .peer = r->client->peer,
        .request_id = r->id,
        .launch = t->run.launch,
        .path = pf_arena_printf(arena, "%s/%s", ag_run_sandbox(a, ag_task_home(t)).at,
                                ReadFile_stream(call) == TaskStream_STDERR ? "stderr" : "stdout"),
        .offset = ReadFile_offset(call),
        .limit = limit == 0 || limit > PF_READ_CHUNK_BYTES ? PF_READ_CHUNK_BYTES : limit,
        .tail_lines = ReadFile_tail_lines(call),
        .since_ms = ReadFile_since_ms(call),
        .follow = ReadFile_follow(call),
        .ended = ag_run_is_ended(&t->run),
    };
    pf_turn_act(a->turn, PF_AGENT_ACT_READ, act);
}

static void write_stdin(struct pf_agent *a, const struct request *r)
{
    struct WriteStdin call = Envelope_body_as_WriteStdin(r->env);
    struct pf_bytes data = WriteStdin_data(call);

    if (!ag_req_is_trusted(a, r)) {
        return;
    }
    struct task *t = ag_req_task(a, r, WriteStdin_framework_id(call), WriteStdin_task_id(call));

    if (!t) {
        return;
    }
    if (ag_run_is_ended(&t->run)) {
        ag_req_refuse(a, r, ReplyCode_CONFLICT, "the task has ended");
    } else if (!t->run.keeps_stdin) {
        ag_req_refuse(a, r, ReplyCode_CONFLICT,
                      "the task was launched without an open standard input");
    } else if (t->run.sm.state != RunState_RUNNING && t->run.sm.state != RunState_KILLING) {
        ag_req_refuse(a, r, ReplyCode_UNAVAILABLE, "the task does not run yet");
    } else if (data.len > PF_STDIN_CHUNK_BYTES) {
        ag_req_refuse(a, r, ReplyCode_TOO_LARGE, "too many bytes at once");
    } else {
        struct pf_arena *arena = pf_turn_arena(a->turn);
        struct pf_agent_act_stdin *act = pf_arena_zalloc(arena, sizeof *act);

        act->peer = r->client->peer;
        act->request_id = r->id;
        act->launch = t->run.launch;
        act->data.len = data.len;
        act->data.at = data.len > 0 ? pf_arena_memdup(arena, data.at, data.len) : NULL;
        act->eof = WriteStdin_eof(call);
        pf_turn_act(a->turn, PF_AGENT_ACT_STDIN, act);
    }
}

static const char *status_text(const struct pf_agent *a)
{
    if (a->problem) {
        return a->problem;
    }
    if (a->refusal) {
        return a->refusal;
    }
    if (!a->launcher_up) {
        return "waiting for the launcher";
    }
    if (a->n_uncounted > 0) {
        return "given less resources than its running tasks hold";
    }
    if (a->has_free_bytes && a->free_bytes < a->opt.min_free_bytes) {
        return "disk nearly full, no launches";
    }
    return ag_is_registered(a) ? "ok" : "not registered";
}

static void tell_status(struct pf_agent *a, const struct request *r)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body = AgentStatus__put(b, &(struct AgentStatus__args){
                                                 .agent_id = pf_str(a->id),
                                                 .registered = ag_is_registered(a),
                                                 .master = pf_str(ag_link_leader(a)),
                                                 .epoch = a->epoch,
                                                 .n_tasks = a->n_running,
                                                 .launcher_pid = a->launcher_pid,
                                                 .free_bytes = a->free_bytes,
                                                 .text = pf_str(status_text(a)),
                                             });

    ag_reply_body(a, r->client->peer, r->id, b, Body_AgentStatus, body);
}

static void adopt(struct pf_agent *a, const struct request *r)
{
    struct AgentAdopt call = Envelope_body_as_AgentAdopt(r->env);
    struct pf_uuid incarnation;

    if (!ag_req_is_trusted(a, r)) {
        return;
    }
    if (!r->client->is_operator) {
        a->n_bad++;
        ag_req_refuse(a, r, ReplyCode_FORBIDDEN, "only an operator may do this");
    } else if (!ag_uuid_of(AgentAdopt_incarnation(call), &incarnation) ||
               pf_uuid_is_nil(incarnation)) {
        ag_req_refuse(a, r, ReplyCode_BAD_REQUEST, "an incarnation is a uuid");
    } else {
        const char *why = ag_adopt(a, incarnation);
        ag_req_refuse(a, r, why ? ReplyCode_CONFLICT : ReplyCode_OK, why);
    }
}

static const struct {
    enum Body type;
    void (*run)(struct pf_agent *a, const struct request *r);
} requests[] = {
    {Body_ReadFile, read_file},
    {Body_WriteStdin, write_stdin},
    {Body_AgentStatusCall, tell_status},
    {Body_AgentAdopt, adopt},
    {Body_ListFiles, ag_req_list_files},
    {Body_WriteFile, ag_req_write_file},
    {Body_SessionOpen, ag_req_session_open},
    {Body_SessionInput, ag_req_session_input},
};

void ag_on_client_message(struct pf_agent *a, struct Envelope env, struct client *c)
{
    struct request r = {c, env, Envelope_request_id(env)};
    enum Body type = Envelope_body_type(env);

    if (type == Body_Heartbeat || type == Body_Goodbye) {
        return;
    }
    if (c->is_executor) {
        ag_on_executor_call(a, env, c);
        return;
    }
    if (r.id == 0 && ag_on_session_word(a, env, c)) {
        return;
    }
    if (Envelope_is_reply(env)) { /* nothing was asked; a reply to a reply would never end */
        a->n_bad++;
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(requests); i++) {
        if (requests[i].type == type && r.id != 0) {
            requests[i].run(a, &r);
            return;
        }
    }
    a->n_bad++;
    ag_req_refuse(a, &r, ReplyCode_UNSUPPORTED, "an agent does not answer this");
}
