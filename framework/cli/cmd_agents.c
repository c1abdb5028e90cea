/* SPDX-License-Identifier: Apache-2.0 */
/* proffer agents */
#include "common/base/id.h"
#include "common/fb/json_writer.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/cli/entity.h"
#include "framework/cli/list.h"
#include "framework/cli/member.h"
#include "framework/cli/table.h"

enum {
    A_ID,
    A_HOSTNAME,
    A_ADDRESS,
    A_PID,
    A_STATE,
    A_ATTRIBUTES,
    A_RESOURCES,
    A_USED,
    A_OFFERED,
    A_TASKS,
    A_VERSION,
    A_LAST_SEEN_MS,
    A_ISOLATION,
    A_HTTP_ADDRESS,
    A_DEACTIVATED,
    A_DRAIN,
    A_TEXT,
};

static const struct pf_column columns[] = {
    [A_ID] = {"id", PF_CELL_TEXT, true},
    [A_HOSTNAME] = {"hostname", PF_CELL_TEXT, true},
    [A_ADDRESS] = {"address", PF_CELL_TEXT, true},
    [A_PID] = {"pid", PF_CELL_INT, false},
    [A_STATE] = {"state", PF_CELL_TEXT, true},
    [A_ATTRIBUTES] = {"attributes", PF_CELL_RAW, true},
    [A_RESOURCES] = {"resources", PF_CELL_RESOURCES, true},
    [A_USED] = {"used", PF_CELL_RESOURCES, true},
    [A_OFFERED] = {"offered", PF_CELL_RESOURCES, true},
    [A_TASKS] = {"tasks", PF_CELL_INT, true},
    [A_VERSION] = {"version", PF_CELL_TEXT, false},
    [A_LAST_SEEN_MS] = {"last_seen_ms", PF_CELL_MS, false},
    [A_ISOLATION] = {"isolation", PF_CELL_TEXT, false},
    [A_HTTP_ADDRESS] = {"http_address", PF_CELL_TEXT, false},
    [A_DEACTIVATED] = {"deactivated", PF_CELL_BOOL, false},
    [A_DRAIN] = {"drain", PF_CELL_TEXT, false},
    [A_TEXT] = {"text", PF_CELL_TEXT, false},
};
const struct pf_columns pf_agent_columns = PF_COLUMNS(columns);

static void attribute_value(struct Attribute a, struct pf_json_writer *w, struct pf_buf *text)
{
    int64_t milli = 0;
    switch (Attribute_type(a)) {
    case Value_Type_TEXT:
        pf_jw_str(w, Value_Text_value(Attribute_text(a)));
        pf_buf_add_str(text, Value_Text_value(Attribute_text(a)));
        return;
    case Value_Type_SCALAR:
        if (pf_milli_from_double(Value_Scalar_value(Attribute_scalar(a)), &milli, NULL) == 0) {
            pf_jw_milli(w, milli);
            pf_milli_format(milli, text);
            return;
        }
        break;
    case Value_Type_RANGES: {
        struct Value_Ranges ranges = Attribute_ranges(a);
        pf_jw_begin_array(w);
        for (uint32_t i = 0; i < Value_Ranges_range__len(ranges); i++) {
            struct Value_Range r = Value_Ranges_range__at(ranges, i);
            pf_jw_begin_array(w);
            pf_jw_uint(w, Value_Range_begin(r));
            pf_jw_uint(w, Value_Range_end(r));
            pf_jw_end_array(w);
            pf_buf_printf(text, "%s%llu-%llu", i > 0 ? "," : "",
                          (unsigned long long)Value_Range_begin(r),
                          (unsigned long long)Value_Range_end(r));
        }
        pf_jw_end_array(w);
        return;
    }
    case Value_Type_SET: break;
    }
    pf_jw_null(w);
}

static void attributes_cell(struct pf_arena *arena, struct AgentInfo info, struct pf_cell *cell)
{
    struct pf_buf json = {0}, text = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &json, false);
    pf_jw_begin_object(&w);
    for (uint32_t i = 0; i < AgentInfo_attributes__len(info); i++) {
        struct Attribute a = AgentInfo_attributes__at(info, i);
        pf_jw_key_str(&w, Attribute_name(a));
        pf_buf_printf(&text, "%s%.*s=", i > 0 ? " " : "", PF_STR_ARG(Attribute_name(a)));
        attribute_value(a, &w, &text);
    }
    pf_jw_end_object(&w);
    cell->is_set = true;
    cell->json = pf_arena_strdup(arena, (struct pf_str){pf_buf_cstr(&json), (uint32_t)json.len});
    cell->text = pf_arena_strdup(arena, (struct pf_str){pf_buf_cstr(&text), (uint32_t)text.len});
    cell->shown = text.len > 0 ? cell->text : PF_STR("-");
    pf_buf_fini(&json);
    pf_buf_fini(&text);
}

void pf_recovered_agent_row(struct pf_output *o, struct AgentInfo info, struct pf_cell *row)
{
    pf_agent_id_cell(&row[A_ID], AgentID_value(AgentInfo_id(info)));
    pf_cell_name(&row[A_HOSTNAME], AgentInfo_hostname(info));
    pf_cell_name(&row[A_STATE], PF_STR("RECOVERED"));
    attributes_cell(pf_output_arena(o), info, &row[A_ATTRIBUTES]);
    PF_ROW_RESOURCES(o, &row[A_RESOURCES], AgentInfo, resources, info);
}

/* Of one that is there, what an operator made of it. */
static const char *state_word(struct Master_Response_GetAgents_Agent a)
{
    enum AgentState state = Master_Response_GetAgents_Agent_state(a);
    const char *word = AgentState__str((int)state);
    if (state == AgentState_REGISTERED) {
        switch (pf_member_state_of(a)) {
        case PF_MEMBER_DEACTIVATED: return "DEACTIVATED";
        case PF_MEMBER_DRAINING: return "DRAINING";
        case PF_MEMBER_DRAINED: return "DRAINED";
        case PF_MEMBER_LEAVING: return "LEAVING";
        case PF_MEMBER_NONE:
        case PF_MEMBER_RECOVERED:
        case PF_MEMBER_ACTIVE:
        case PF_MEMBER_AWAY:
        case PF_MEMBER_IS_GONE: break;
        }
    }
    return word != NULL ? word : "UNKNOWN";
}

void pf_agent_row(struct pf_output *o, struct Master_Response_GetAgents_Agent a, int64_t now_ms,
                  struct pf_cell *row)
{
    pf_recovered_agent_row(o, Master_Response_GetAgents_Agent_agent_info(a), row);
    pf_cell_name(&row[A_ADDRESS], Master_Response_GetAgents_Agent_address(a));
    uint64_t pid = 0;
    if (pf_parse_u64(Master_Response_GetAgents_Agent_pid(a), &pid, NULL) == 0 && pid > 0) {
        pf_cell_num(&row[A_PID], (int64_t)pid);
    }
    pf_cell_name(&row[A_STATE], pf_str(state_word(a)));
    pf_cell_num(&row[A_DEACTIVATED], Master_Response_GetAgents_Agent_deactivated(a));
    if (Master_Response_GetAgents_Agent__has_drain_info(a)) {
        enum DrainState drain = DrainInfo_state(Master_Response_GetAgents_Agent_drain_info(a));
        pf_cell_name(&row[A_DRAIN], drain == DrainState_DRAINED ? PF_STR("DRAINED")
                                                                : PF_STR("DRAINING"));
    }
    pf_cell_name(&row[A_TEXT], Master_Response_GetAgents_Agent_text(a));
    PF_ROW_RESOURCES(o, &row[A_RESOURCES], Master_Response_GetAgents_Agent, total_resources, a);
    PF_ROW_RESOURCES(o, &row[A_USED], Master_Response_GetAgents_Agent, allocated_resources, a);
    PF_ROW_RESOURCES(o, &row[A_OFFERED], Master_Response_GetAgents_Agent, offered_resources, a);
    pf_cell_num(&row[A_TASKS], Master_Response_GetAgents_Agent_n_tasks(a));
    pf_cell_name(&row[A_VERSION], Master_Response_GetAgents_Agent_version(a));
    int64_t seen_ms = Master_Response_GetAgents_Agent_last_seen_ms(a);
    if (seen_ms > 0) {
        pf_cell_num(&row[A_LAST_SEEN_MS], now_ms > seen_ms ? now_ms - seen_ms : 0);
    }
    pf_cell_name(&row[A_ISOLATION], Master_Response_GetAgents_Agent_isolation(a));
    pf_cell_name(&row[A_HTTP_ADDRESS], Master_Response_GetAgents_Agent_http_address(a));
}

static int compare_ids(const void *a, const void *b)
{
    return pf_str_cmp(*(const struct pf_str *)a, *(const struct pf_str *)b);
}

/* Tables show as much of an id as tells it from the others of the page. */
static uint32_t shown_len(struct pf_output *o, struct Master_Response_GetAgents list)
{
    uint32_t n = Master_Response_GetAgents_agents__len(list), len = PF_AGENT_ID_SHOWN;
    struct pf_ptrs ids = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str *id = pf_arena_alloc(pf_output_arena(o), sizeof *id);
        *id = AgentID_value(AgentInfo_id(Master_Response_GetAgents_Agent_agent_info(
            Master_Response_GetAgents_agents__at(list, i))));
        pf_ptrs_push(&ids, id);
    }
    pf_ptrs_sort(&ids, compare_ids);
    for (uint32_t i = 0; i + 1 < ids.len; i++) {
        const struct pf_str *id = ids.at[i], *next = ids.at[i + 1];
        uint32_t unique = pf_id_unique_len(*id, (struct pf_str){0}, *next, PF_AGENT_ID_SHOWN);
        len = unique > len ? unique : len;
    }
    pf_ptrs_fini(&ids);
    return len;
}

static int fetch(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS};
    struct Master_Response r;
    bool is_enforced = true;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        uint32_t len = shown_len(o, list);
        for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
            struct Master_Response_GetAgents_Agent a =
                Master_Response_GetAgents_agents__at(list, i);
            struct pf_cell *row = pf_output_row(o);
            pf_agent_row(o, a, pf_wall_ms(), row);
            row[A_ID].shown.len = len < row[A_ID].text.len ? len : row[A_ID].text.len;
            is_enforced &= !pf_str_has_prefix(Master_Response_GetAgents_Agent_isolation(a),
                                              PF_STR("accounted"));
            pf_output_put(o);
        }
        for (uint32_t i = 0; i < Master_Response_GetAgents_recovered_agents__len(list); i++) {
            pf_recovered_agent_row(o, Master_Response_GetAgents_recovered_agents__at(list, i),
                                   pf_output_row(o));
            pf_output_put(o);
        }
        pf_output_flush(o);
    }
    if (rc == 0 && !is_enforced && pf_output_is_table(o)) {
        pf_cli_note(cli, "resources are accounted, not enforced");
    }
    return rc;
}

static int run(struct pf_cli *cli)
{
    static const struct pf_list list = {.columns = &pf_agent_columns, .fetch = fetch};
    return pf_list_run(cli, &list);
}

const struct pf_command pf_cmd_agents = {
    .name = "agents",
    .group = "look",
    .summary = "the agents: what they have, what is used and offered",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer agents --filter state=unreachable", "those that are lost"},
                 {"proffer agents -o json", "everything, for programs"}},
    .run = run,
};
