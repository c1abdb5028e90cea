/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about agents, and what became of them. */
#include "framework/cli/member.h"

#include "common/base/map.h"
#include "framework/cli/output.h"

/* --- calls --- */

static struct pf_ref put_grace(struct pf_fb_builder *b, int64_t grace_ms)
{
    if (grace_ms < 0) {
        return (struct pf_ref){0};
    }
    return Duration__put(
        b, &(struct Duration__args){.seconds = PF_OPT(grace_ms / 1000),
                                    .nanos = PF_OPT((int32_t)(grace_ms % 1000) * 1000000)});
}

static void put_leave(struct pf_fb_builder *b, struct pf_ref id, int64_t grace_ms,
                      struct Master_Call__args *call)
{
    struct Master_Call_LeaveAgent__args leave = {.agent_id = id};

    if (grace_ms >= 0) {
        leave.grace_max_ms = (struct pf_opt_i64){true, grace_ms};
    }
    call->type.v = Master_Call_Type_LEAVE_AGENT;
    call->leave_agent = Master_Call_LeaveAgent__put(b, &leave);
}

int pf_member_ask(struct pf_client *c, enum pf_member_call call, struct pf_str id, int64_t grace_ms,
                  struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(c);
    struct pf_ref agent = AgentID__put(b, &(struct AgentID__args){.value = id});
    struct Master_Call__args args = {.type = PF_OPT(Master_Call_Type_DRAIN_AGENT)};
    struct Master_Response reply;

    switch (call) {
    case PF_MEMBER_DEACTIVATE:
        args.type.v = Master_Call_Type_DEACTIVATE_AGENT;
        args.deactivate_agent = Master_Call_DeactivateAgent__put(
            b, &(struct Master_Call_DeactivateAgent__args){.agent_id = agent});
        break;
    case PF_MEMBER_ACTIVATE:
        args.type.v = Master_Call_Type_REACTIVATE_AGENT;
        args.reactivate_agent = Master_Call_ReactivateAgent__put(
            b, &(struct Master_Call_ReactivateAgent__args){.agent_id = agent});
        break;
    case PF_MEMBER_DRAIN:
    case PF_MEMBER_DRAIN_GONE: {
        struct Master_Call_DrainAgent__args drain = {.agent_id = agent,
                                                     .max_grace_period = put_grace(b, grace_ms),
                                                     .mark_gone =
                                                         PF_OPT(call == PF_MEMBER_DRAIN_GONE)};
        args.drain_agent = Master_Call_DrainAgent__put(b, &drain);
        break;
    }
    case PF_MEMBER_GONE:
        args.type.v = Master_Call_Type_MARK_AGENT_GONE;
        args.mark_agent_gone = Master_Call_MarkAgentGone__put(
            b, &(struct Master_Call_MarkAgentGone__args){.agent_id = agent});
        break;
    case PF_MEMBER_LEAVE: put_leave(b, agent, grace_ms, &args); break;
    }
    return pf_client_ask(c, &args, &reply, err);
}

/* --- states --- */

const char *pf_member_word(enum pf_member_state state)
{
    switch (state) {
    case PF_MEMBER_NONE: return "left";
    case PF_MEMBER_RECOVERED: return "recovered";
    case PF_MEMBER_ACTIVE: return "active";
    case PF_MEMBER_AWAY: return "away";
    case PF_MEMBER_DEACTIVATED: return "deactivated";
    case PF_MEMBER_DRAINING: return "draining";
    case PF_MEMBER_DRAINED: return "drained";
    case PF_MEMBER_LEAVING: return "leaving";
    case PF_MEMBER_IS_GONE: return "gone";
    }
    return "unknown";
}

enum pf_member_state pf_member_state_of(struct Master_Response_GetAgents_Agent a)
{
    enum AgentState state = Master_Response_GetAgents_Agent_state(a);

    if (state == AgentState_GONE) {
        return PF_MEMBER_IS_GONE;
    }
    if (Master_Response_GetAgents_Agent_leaving(a)) {
        return PF_MEMBER_LEAVING;
    }
    if (Master_Response_GetAgents_Agent__has_drain_info(a)) {
        return DrainInfo_state(Master_Response_GetAgents_Agent_drain_info(a)) == DrainState_DRAINED
                   ? PF_MEMBER_DRAINED
                   : PF_MEMBER_DRAINING;
    }
    if (Master_Response_GetAgents_Agent_deactivated(a)) {
        return PF_MEMBER_DEACTIVATED;
    }
    return state == AgentState_REGISTERED ? PF_MEMBER_ACTIVE : PF_MEMBER_AWAY;
}

int pf_member_look(struct pf_client *c, struct pf_member *m, struct pf_arena *arena,
                   struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS, .agent_id = m->id};
    struct Master_Response r;
    int rc;
    m->state = PF_MEMBER_NONE;
    m->n_tasks = 0;
    m->is_away = false;
    m->text = PF_STR("");
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        if (Master_Response_GetAgents_agents__len(list) > 0) {
            struct Master_Response_GetAgents_Agent a =
                Master_Response_GetAgents_agents__at(list, 0);
            m->state = pf_member_state_of(a);
            m->n_tasks = Master_Response_GetAgents_Agent_n_tasks(a);
            m->is_away = Master_Response_GetAgents_Agent_state(a) != AgentState_REGISTERED;
            m->text = pf_arena_strdup(arena, Master_Response_GetAgents_Agent_text(a));
        } else if (Master_Response_GetAgents_recovered_agents__len(list) > 0) {
            m->state = PF_MEMBER_RECOVERED;
            m->is_away = true;
            m->text = PF_STR("has not come back since this master leads");
        }
    }
    return rc;
}

int pf_members_resolve(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                       struct pf_member **out, uint32_t *out_n)
{
    static const enum EntityKind kinds[] = {EntityKind_AGENT};
    struct pf_ptrs found = {0};
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < cli->args.n_operands; i++) {
        struct pf_entities some = {0};
        status = pf_ids_resolve(cli, c, cluster, cli->args.operand[i], kinds, 1, &some);
        for (uint32_t k = 0; status == 0 && k < some.n; k++) {
            bool is_twice = false;
            for (uint32_t j = 0; j < found.len; j++) {
                const struct pf_entity *e = found.at[j];
                is_twice = is_twice || pf_str_eq(e->id, some.at[k].id);
            }
            if (!is_twice) {
                pf_ptrs_push(&found, &some.at[k]);
            }
        }
    }
    *out = pf_arena_zalloc(&cli->arena, (found.len + 1) * sizeof **out);
    *out_n = found.len;
    for (uint32_t i = 0; i < found.len; i++) {
        const struct pf_entity *e = found.at[i];
        (*out)[i] = (struct pf_member){.id = e->id, .hostname = e->name};
    }
    pf_ptrs_fini(&found);
    return status;
}

/* --- rows --- */

enum { M_ID, M_HOSTNAME, M_STATE, M_TASKS };

static const struct pf_column columns[] = {
    [M_ID] = {"id", PF_CELL_TEXT, true},
    [M_HOSTNAME] = {"hostname", PF_CELL_TEXT, true},
    [M_STATE] = {"state", PF_CELL_TEXT, true},
    [M_TASKS] = {"tasks", PF_CELL_INT, true},
};
static const struct pf_columns member_columns = PF_COLUMNS(columns);

int pf_members_check_output(struct pf_cli *cli)
{
    struct pf_output *o = NULL;
    int status = pf_output_open(cli, &member_columns, &o);
    if (status != 0) {
        return status;
    }
    pf_output_discard(o);
    if (pf_args_has(&cli->args, "watch")) {
        return pf_cli_usage(cli, "this verb does one thing and ends: there is nothing to watch",
                            "to see it through: --wait");
    }
    return 0;
}

int pf_members_print(struct pf_cli *cli, const struct pf_member *at, uint32_t n)
{
    struct pf_output *o = NULL;
    int status = pf_output_open(cli, &member_columns, &o);
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pf_cell *row = pf_output_row(o);
        pf_cell_text(&row[M_ID], at[i].id);
        row[M_ID].shown = (struct pf_str){at[i].id.at, at[i].id.len < 8 ? at[i].id.len : 8};
        pf_cell_name(&row[M_HOSTNAME], at[i].hostname);
        pf_cell_text(&row[M_STATE], pf_str(pf_member_word(at[i].state)));
        pf_cell_num(&row[M_TASKS], at[i].n_tasks);
        pf_output_put(o);
    }
    (void)pf_output_close(o);
    return PF_EXIT_OK;
}
