/* SPDX-License-Identifier: Apache-2.0 */
/* proffer adopt AGENT: an agent that belongs to another registry obeys this cluster's from now on.
 * Said to the agent itself, because a master of a foreign registry cannot command it. */
#include "common/base/id.h"
#include "framework/cli/client.h"
#include "framework/cli/table.h"

struct adoption {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct pf_str agent; /* as it was named: the beginning of its id */
    const char *address;
    struct pf_uuid incarnation; /* of the cluster's registry */
};

static int learn_incarnation(struct adoption *a, struct pf_client *client, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_REGISTRY};
    struct Master_Response r;
    int rc = pf_pages_next(client, &pages, &r, err);

    if (rc < 0) {
        return rc;
    }
    struct Master_Response_GetRegistry registry = Master_Response_get_registry(r);

    if (rc == 0 ||
        !pf_uuid_parse(Master_Response_GetRegistry_incarnation(registry), &a->incarnation)) {
        return pf_err_set(err, PF_EPROTO, "the master does not name its registry");
    }
    return 0;
}

/* Where the agent listens, if this cluster's master happens to know. */
static int find_address(struct adoption *a, struct pf_client *client, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS};
    struct Master_Response r;
    int rc;

    while ((rc = pf_pages_next(client, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
            struct Master_Response_GetAgents_Agent agent =
                Master_Response_GetAgents_agents__at(list, i);
            struct AgentInfo info = Master_Response_GetAgents_Agent_agent_info(agent);
            struct pf_str address = Master_Response_GetAgents_Agent_address(agent);
            if (!pf_str_has_prefix(AgentID_value(AgentInfo_id(info)), a->agent) ||
                address.len == 0) {
                continue;
            }
            if (a->address != NULL) {
                return pf_err_set(err, PF_EAMBIGUOUS, "several agents' ids begin with %.*s",
                                  PF_STR_ARG(a->agent));
            }
            a->address = pf_arena_strdup(&a->cli->arena, address).at;
        }
    }
    return rc;
}

static int check_identity(struct adoption *a, struct pf_client *agent, struct pf_err *err)
{
    struct pf_msg reply;
    struct pf_fb_builder *b = pf_client_builder(agent);
    struct pf_ref body = AgentStatusCall__put(b, &(struct AgentStatusCall__args){0});
    int rc = pf_client_call(agent, Body_AgentStatusCall, body, 0, &reply, err);

    if (rc < 0) {
        return rc;
    }
    struct AgentStatus status = Envelope_body_as_AgentStatus(Envelope__root(reply));

    if (!pf_str_has_prefix(AgentStatus_agent_id(status), a->agent)) {
        return pf_err_set(err, PF_ENOENT, "at %s is agent %.*s, not %.*s", a->address,
                          PF_STR_ARG(AgentStatus_agent_id(status)), PF_STR_ARG(a->agent));
    }
    a->agent = pf_arena_strdup(&a->cli->arena, AgentStatus_agent_id(status));
    return 0;
}

static int tell_agent(struct adoption *a, struct pf_err *err)
{
    struct pf_client_options o = pf_client_options_of(a->cli, &a->cluster);
    struct pf_client *agent = NULL;
    struct pf_msg reply;

    o.addresses = a->address;
    o.is_agent = true;
    int rc = pf_client_open(&o, &agent, err);
    rc = rc < 0 ? rc : check_identity(a, agent, err);
    if (rc == 0) {
        struct pf_fb_builder *b = pf_client_builder(agent);
        struct pf_ref body = AgentAdopt__put(
            b,
            &(struct AgentAdopt__args){.incarnation = {a->incarnation.b, sizeof a->incarnation.b}});
        rc = pf_client_call(agent, Body_AgentAdopt, body, 0, &reply, err);
    }
    pf_client_close(agent);
    return rc;
}

static int run(struct pf_cli *cli)
{
    struct adoption a = {.cli = cli,
                         .agent = pf_str(cli->args.operand[0]),
                         .address = pf_args_text(&cli->args, "address")};
    struct pf_client *client = NULL;
    struct pf_err err = {0};
    int status = pf_client_of(cli, &a.cluster, &client);

    if (status != 0) {
        return status;
    }
    int rc = learn_incarnation(&a, client, &err);
    if (rc == 0 && a.address == NULL) {
        rc = find_address(&a, client, &err);
    }
    pf_client_close(client);
    if (rc == 0 && a.address == NULL) {
        return pf_cli_fail(cli, PF_EXIT_ID,
                           pf_cli_text(cli, "cluster %s does not know where agent %.*s is",
                                       a.cluster.name, PF_STR_ARG(a.agent)),
                           "name its native address: --address HOST:PORT (its log tells it)");
    }
    rc = rc < 0 ? rc : tell_agent(&a, &err);
    if (rc == PF_EEXIST) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "proffer agents shows whether it is back");
    }
    if (rc < 0) {
        return pf_client_fail(cli, &a.cluster, &err);
    }
    pf_cli_note(cli, "agent %.*s belongs to cluster %s from now on", PF_STR_ARG(a.agent),
                a.cluster.name);
    return PF_EXIT_OK;
}

static const struct pf_cli_option options[] = {
    {.name = "address",
     .kind = PF_ARG_TEXT,
     .arg = "HOST:PORT",
     .help = "the agent's native address, when the cluster does not know it"},
};

const struct pf_command pf_cmd_adopt = {
    .name = "adopt",
    .group = "cluster",
    .summary = "make an agent obey this cluster's registry",
    .operands = "AGENT",
    .about = "An agent obeys the registry that it met first, and refuses masters of any other, so "
             "that a wiped or foreign ZooKeeper is noticed. This tells it that the change is "
             "meant. Its tasks go on.",
    .min_operands = 1,
    .max_operands = 1,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer adopt 9f3a --address 10.0.0.7:5056", "as the agent's log says"}},
    .run = run,
};
