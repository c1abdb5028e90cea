/* SPDX-License-Identifier: Apache-2.0 */
/* proffer frameworks */
#include "common/fb/json_writer.h"
#include "framework/cli/cell.h"
#include "framework/cli/entity.h"
#include "framework/cli/list.h"
#include "framework/cli/table.h"

enum {
    F_ID,
    F_NAME,
    F_USER,
    F_ROLE,
    F_STATE,
    F_CONNECTED,
    F_TASKS,
    F_USED,
    F_HELD_OFFERS,
    F_DEMAND,
};

static const struct pf_column columns[] = {
    [F_ID] = {"id", PF_CELL_TEXT, true},
    [F_NAME] = {"name", PF_CELL_TEXT, true},
    [F_USER] = {"user", PF_CELL_TEXT, true},
    [F_ROLE] = {"role", PF_CELL_TEXT, true},
    [F_STATE] = {"state", PF_CELL_TEXT, true},
    [F_CONNECTED] = {"connected", PF_CELL_BOOL, false},
    [F_TASKS] = {"tasks", PF_CELL_INT, true},
    [F_USED] = {"used", PF_CELL_RESOURCES, true},
    [F_HELD_OFFERS] = {"held_offers", PF_CELL_INT, true},
    [F_DEMAND] = {"demand", PF_CELL_RAW, true},
};
const struct pf_columns pf_framework_columns = PF_COLUMNS(columns);

static void demand_json(struct pf_output *o, struct Demand d, struct pf_json_writer *w)
{
    struct pf_resources *each = pf_output_resources(o);
    for (uint32_t i = 0; i < Demand_resources__len(d); i++) {
        pf_resources_take(each, Demand_resources__at(d, i));
    }
    pf_jw_begin_object(w);
    pf_jw_field_str(w, "id", Demand_id(d));
    pf_jw_field_uint(w, "count", Demand_count(d));
    pf_jw_field_str(w, "name", Demand_name(d));
    pf_jw_field_str(w, "command", Demand_command(d));
    pf_jw_key(w, "resources");
    pf_resources_json(each, w);
    pf_jw_key(w, "constraints");
    pf_jw_begin_array(w);
    for (uint32_t i = 0; i < Demand_constraints__len(d); i++) {
        struct Constraint c = Demand_constraints__at(d, i);
        pf_jw_begin_object(w);
        pf_jw_field_str(w, "attribute", Constraint_attribute(c));
        pf_jw_field_cstr(w, "op", ConstraintOperator__str((int)Constraint_op(c)));
        pf_jw_field_str(w, "value", Constraint_value(c));
        pf_jw_end_object(w);
    }
    pf_jw_end_array(w);
    pf_jw_field_str(w, "waiting_reason", Demand_waiting_reason(d));
    pf_jw_end_object(w);
}

/* Unset for those that never stated a demand: they are offered everything, as in Mesos. */
static void demand_cell(struct pf_output *o, struct Master_Response_GetFrameworks_Framework f,
                        struct pf_cell *cell)
{
    if (!Master_Response_GetFrameworks_Framework_has_demands(f)) {
        return;
    }
    struct pf_buf json = {0};
    struct pf_json_writer w;
    uint64_t n = 0;
    pf_jw_init(&w, &json, false);
    pf_jw_begin_array(&w);
    for (uint32_t i = 0; i < Master_Response_GetFrameworks_Framework_demands__len(f); i++) {
        struct Demand d = Master_Response_GetFrameworks_Framework_demands__at(f, i);
        demand_json(o, d, &w);
        n += Demand_count(d);
    }
    pf_jw_end_array(&w);
    struct pf_arena *arena = pf_output_arena(o);
    cell->is_set = true;
    cell->json = pf_arena_strdup(arena, (struct pf_str){pf_buf_cstr(&json), (uint32_t)json.len});
    cell->text = pf_arena_printf(arena, "%llu", (unsigned long long)n);
    pf_buf_fini(&json);
}

static const char *state_of(struct Master_Response_GetFrameworks_Framework f, bool is_completed)
{
    if (is_completed) {
        return "COMPLETED";
    }
    if (Master_Response_GetFrameworks_Framework_recovered(f)) {
        return "RECOVERED";
    }
    if (!Master_Response_GetFrameworks_Framework_connected(f)) {
        return "DISCONNECTED";
    }
    return Master_Response_GetFrameworks_Framework_active(f) ? "ACTIVE" : "INACTIVE";
}

void pf_framework_row(struct pf_output *o, struct Master_Response_GetFrameworks_Framework f,
                      bool is_completed, struct pf_cell *row)
{
    struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(f);
    struct pf_str role = Master_Response_GetFrameworks_Framework_role(f);
    if (role.len == 0) {
        role = FrameworkInfo_roles__len(info) > 0 ? FrameworkInfo_roles__at(info, 0)
                                                  : FrameworkInfo_role(info);
    }
    pf_cell_name(&row[F_ID], FrameworkID_value(FrameworkInfo_id(info)));
    pf_cell_name(&row[F_NAME], FrameworkInfo_name(info));
    pf_cell_name(&row[F_USER], FrameworkInfo_user(info));
    pf_cell_name(&row[F_ROLE], role.len > 0 ? role : PF_STR("*"));
    pf_cell_name(&row[F_STATE], pf_str(state_of(f, is_completed)));
    pf_cell_num(&row[F_CONNECTED],
                !is_completed && Master_Response_GetFrameworks_Framework_connected(f) ? 1 : 0);
    pf_cell_num(&row[F_TASKS], Master_Response_GetFrameworks_Framework_n_tasks(f));
    PF_ROW_RESOURCES(o, &row[F_USED], Master_Response_GetFrameworks_Framework,
                     allocated_resources, f);
    pf_cell_num(&row[F_HELD_OFFERS], Master_Response_GetFrameworks_Framework_n_offers(f));
    demand_cell(o, f, &row[F_DEMAND]);
}

static int fetch(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_FRAMEWORKS};
    struct Master_Response r;
    int rc;
    (void)cli;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetFrameworks list = Master_Response_get_frameworks(r);
        for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
            pf_framework_row(o, Master_Response_GetFrameworks_frameworks__at(list, i), false,
                             pf_output_row(o));
            pf_output_put(o);
        }
        uint32_t n_ended = Master_Response_GetFrameworks_completed_frameworks__len(list);
        for (uint32_t i = 0; i < n_ended; i++) {
            pf_framework_row(o, Master_Response_GetFrameworks_completed_frameworks__at(list, i),
                             true, pf_output_row(o));
            pf_output_put(o);
        }
        pf_output_flush(o);
    }
    return rc;
}

static int run(struct pf_cli *cli)
{
    static const struct pf_list list = {.columns = &pf_framework_columns, .fetch = fetch};
    return pf_list_run(cli, &list);
}

const struct pf_command pf_cmd_frameworks = {
    .name = "frameworks",
    .group = "look",
    .summary = "the frameworks: who runs tasks, who waits for what",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer frameworks --filter connected=true", "those with a live scheduler"}},
    .run = run,
};
