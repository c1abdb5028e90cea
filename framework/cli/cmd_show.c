/* SPDX-License-Identifier: Apache-2.0 */
/* proffer show ANY-ID: everything that is known of one thing, whatever it is. */
#include "common/sys/clock.h"
#include "framework/cli/entity.h"
#include "framework/cli/ids.h"
#include "framework/cli/list.h"
#include "framework/cli/table.h"

struct show {
    struct pf_client *client;
    struct pf_output *o;
    const struct pf_entity *entity;
    bool was_found;
};

static void put(struct show *s)
{
    pf_output_put(s->o);
    s->was_found = true;
}

static void scan_agents(struct show *s, struct Master_Response r)
{
    struct Master_Response_GetAgents list = Master_Response_get_agents(r);
    for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
        struct Master_Response_GetAgents_Agent a = Master_Response_GetAgents_agents__at(list, i);
        struct AgentInfo info = Master_Response_GetAgents_Agent_agent_info(a);
        if (pf_str_eq(AgentID_value(AgentInfo_id(info)), s->entity->id)) {
            struct pf_cell *row = pf_output_row(s->o);
            pf_agent_row(s->o, a, pf_wall_ms(), row);
            row[0].shown = row[0].text;
            put(s);
        }
    }
    for (uint32_t i = 0; i < Master_Response_GetAgents_recovered_agents__len(list); i++) {
        struct AgentInfo info = Master_Response_GetAgents_recovered_agents__at(list, i);
        if (pf_str_eq(AgentID_value(AgentInfo_id(info)), s->entity->id)) {
            struct pf_cell *row = pf_output_row(s->o);
            pf_recovered_agent_row(s->o, info, row);
            row[0].shown = row[0].text;
            put(s);
        }
    }
}

static void scan_framework(struct show *s, struct Master_Response_GetFrameworks_Framework f,
                           bool is_completed)
{
    struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(f);
    if (pf_str_eq(FrameworkID_value(FrameworkInfo_id(info)), s->entity->id)) {
        pf_framework_row(s->o, f, is_completed, pf_output_row(s->o));
        put(s);
    }
}

static void scan_frameworks(struct show *s, struct Master_Response r)
{
    struct Master_Response_GetFrameworks list = Master_Response_get_frameworks(r);
    for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
        scan_framework(s, Master_Response_GetFrameworks_frameworks__at(list, i), false);
    }
    uint32_t n = Master_Response_GetFrameworks_completed_frameworks__len(list);
    for (uint32_t i = 0; i < n && !s->was_found; i++) {
        scan_framework(s, Master_Response_GetFrameworks_completed_frameworks__at(list, i), true);
    }
}

static void scan_task(struct show *s, struct Task t)
{
    if (!s->was_found && pf_str_eq(TaskID_value(Task_task_id(t)), s->entity->id)) {
        pf_task_row(s->o, t, pf_output_row(s->o));
        put(s);
    }
}

static void scan_tasks(struct show *s, struct Master_Response r)
{
    struct Master_Response_GetTasks list = Master_Response_get_tasks(r);
    for (uint32_t i = 0; i < Master_Response_GetTasks_tasks__len(list); i++) {
        scan_task(s, Master_Response_GetTasks_tasks__at(list, i));
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_pending_tasks__len(list); i++) {
        scan_task(s, Master_Response_GetTasks_pending_tasks__at(list, i));
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_unreachable_tasks__len(list); i++) {
        scan_task(s, Master_Response_GetTasks_unreachable_tasks__at(list, i));
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_orphan_tasks__len(list); i++) {
        scan_task(s, Master_Response_GetTasks_orphan_tasks__at(list, i));
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_completed_tasks__len(list); i++) {
        scan_task(s, Master_Response_GetTasks_completed_tasks__at(list, i));
    }
}

static void scan_offers(struct show *s, struct Master_Response r)
{
    struct Master_Response_GetOffers list = Master_Response_get_offers(r);
    for (uint32_t i = 0; i < Master_Response_GetOffers_offers__len(list); i++) {
        struct Offer offer = Master_Response_GetOffers_offers__at(list, i);
        if (pf_str_eq(OfferID_value(Offer_id(offer)), s->entity->id)) {
            pf_offer_row(s->o, offer, pf_wall_ms(), pf_output_row(s->o));
            put(s);
        }
    }
}

static void scan_masters(struct show *s, struct Master_Response r)
{
    struct Master_Response_GetMasters list = Master_Response_get_masters(r);
    for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
        struct MasterView m = Master_Response_GetMasters_masters__at(list, i);
        if (pf_str_eq(MasterView_id(m), s->entity->id)) {
            pf_master_row(s->o, m, pf_output_row(s->o));
            put(s);
        }
    }
}

static const struct {
    enum EntityKind kind;
    enum Master_Call_Type type;
    const struct pf_columns *columns;
    void (*scan)(struct show *s, struct Master_Response r);
} kinds[] = {
    {EntityKind_AGENT, Master_Call_Type_GET_AGENTS, &pf_agent_columns, scan_agents},
    {EntityKind_FRAMEWORK, Master_Call_Type_GET_FRAMEWORKS, &pf_framework_columns,
     scan_frameworks},
    {EntityKind_TASK, Master_Call_Type_GET_TASKS, &pf_task_columns, scan_tasks},
    {EntityKind_OFFER, Master_Call_Type_GET_OFFERS, &pf_offer_columns, scan_offers},
    {EntityKind_MASTER, Master_Call_Type_GET_MASTERS, &pf_master_columns, scan_masters},
};

static int show_entity(struct pf_cli *cli, const struct pf_cluster *cluster,
                       struct pf_client *client, const struct pf_entity *e)
{
    size_t k = 0;
    while (k < PF_ARRAY_LEN(kinds) && kinds[k].kind != e->kind) {
        k++;
    }
    if (k == PF_ARRAY_LEN(kinds)) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, "the master named a kind of thing we do not know",
                           "use a proffer of the cluster's version");
    }
    struct show s = {.client = client, .entity = e};
    int status = pf_output_open(cli, kinds[k].columns, &s.o);
    if (status != 0) {
        return status;
    }
    pf_output_as_record(s.o);
    struct pf_pages pages = {.type = kinds[k].type};
    if (e->kind == EntityKind_TASK && e->framework_id.len > 0) {
        pages.framework_id = e->framework_id;
    } else if (e->kind == EntityKind_FRAMEWORK) {
        pages.framework_id = e->id;
    }
    struct pf_err err = {0};
    struct Master_Response r;
    int rc = 0;
    while (!s.was_found && (rc = pf_pages_next(client, &pages, &r, &err)) == 1) {
        kinds[k].scan(&s, r);
    }
    (void)pf_output_close(s.o);
    if (rc < 0) {
        return pf_client_fail(cli, cluster, &err);
    }
    if (!s.was_found) {
        return pf_cli_fail(cli, PF_EXIT_ID,
                           pf_cli_text(cli, "the %s %.*s is gone", pf_entity_word(e->kind),
                                       PF_STR_ARG(e->id)),
                           "proffer ps, frameworks and agents list what is there");
    }
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    static const enum EntityKind any[] = {EntityKind_TASK, EntityKind_FRAMEWORK, EntityKind_AGENT,
                                          EntityKind_OFFER, EntityKind_MASTER};
    struct pf_cluster cluster;
    struct pf_client *client = NULL;
    int status = pf_client_of(cli, &cluster, &client);
    for (uint32_t i = 0; status == 0 && i < cli->args.n_operands; i++) {
        struct pf_entities found = {0};
        status = pf_ids_resolve(cli, client, &cluster, cli->args.operand[i], any,
                                (uint32_t)PF_ARRAY_LEN(any), &found);
        for (uint32_t k = 0; status == 0 && k < found.n; k++) {
            status = show_entity(cli, &cluster, client, &found.at[k]);
        }
    }
    pf_client_close(client);
    return status;
}

const struct pf_command pf_cmd_show = {
    .name = "show",
    .group = "look",
    .summary = "everything about one task, framework, agent, offer or master",
    .operands = "ID...",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_ANY_ID,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer show last", "what was run last"},
                 {"proffer show k7m2.0 -o json", "a task, for programs"}},
    .run = run,
};
