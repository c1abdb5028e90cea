/* SPDX-License-Identifier: Apache-2.0 */
/* proffer status: is the cluster whole; if not, what is missing, since when, and what to do. */
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/cli/client.h"
#include "framework/cli/local.h"
#include "framework/cli/output.h"
#include "framework/cli/table.h"

enum { S_NAME, S_STATE, S_SINCE, S_ADDRESS, S_HTTP_ADDRESS, S_PID, S_RESTARTS, S_LAST_END, S_LOG };

static const struct pf_column columns[] = {
    [S_NAME] = {"name", PF_CELL_TEXT, true},
    [S_STATE] = {"state", PF_CELL_TEXT, true},
    [S_SINCE] = {"since", PF_CELL_TIME, true},
    [S_ADDRESS] = {"address", PF_CELL_TEXT, true},
    [S_HTTP_ADDRESS] = {"http_address", PF_CELL_TEXT, true},
    [S_PID] = {"pid", PF_CELL_INT, true},
    [S_RESTARTS] = {"restarts", PF_CELL_INT, true},
    [S_LAST_END] = {"last_end", PF_CELL_TEXT, true},
    [S_LOG] = {"log", PF_CELL_TEXT, false},
};
static const struct pf_columns status_columns = PF_COLUMNS(columns);

/* What was found; `missing` is the first thing that is not as it should be. */
struct status {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct pf_output *o;
    uint32_t n_agents, n_registered, n_parts;
    const char *missing, *to_do;
};

static void miss(struct status *s, const char *what, const char *to_do)
{
    if (s->missing == NULL) {
        s->missing = what;
        s->to_do = to_do;
    }
}

static const char *for_how_long(struct pf_cli *cli, int64_t since_ms)
{
    char text[PF_FORMAT_DURATION_MAX];
    if (since_ms <= 0) {
        return "";
    }
    int64_t ms = pf_wall_ms() - since_ms;
    pf_format_duration(ms > 0 ? ms : 0, text);
    return pf_cli_text(cli, " for %s", text);
}

static void put_daemon(struct status *s, struct LocalDaemon d, bool has_supervisor)
{
    struct pf_cell *row = pf_output_row(s->o);
    struct pf_str state = has_supervisor ? LocalDaemon_state(d) : PF_STR("unsupervised");
    pf_cell_text(&row[S_NAME], LocalDaemon_name(d));
    pf_cell_name(&row[S_STATE], state);
    pf_cell_time(&row[S_SINCE], LocalDaemon_since_ms(d));
    pf_cell_name(&row[S_ADDRESS], LocalDaemon_native(d));
    pf_cell_name(&row[S_HTTP_ADDRESS], LocalDaemon_http(d));
    if (LocalDaemon_pid(d) > 0) {
        pf_cell_num(&row[S_PID], LocalDaemon_pid(d));
    }
    pf_cell_num(&row[S_RESTARTS], LocalDaemon_restarts(d));
    pf_cell_name(&row[S_LAST_END], LocalDaemon_last_end(d));
    pf_cell_name(&row[S_LOG], LocalDaemon_log(d));
    pf_output_put(s->o);
    s->n_parts++;
    if (has_supervisor && !pf_str_is(state, "ready")) {
        const char *what =
            pf_cli_text(s->cli, "%.*s is %.*s%s%s%.*s", PF_STR_ARG(LocalDaemon_name(d)),
                        PF_STR_ARG(state), for_how_long(s->cli, LocalDaemon_since_ms(d)),
                        LocalDaemon_last_end(d).len > 0 ? ": it " : "",
                        PF_STR_ARG(LocalDaemon_last_end(d)));
        miss(s, what, pf_cli_text(s->cli, "it is started again by itself; its log: %.*s",
                                  PF_STR_ARG(LocalDaemon_log(d))));
    }
}

/* 0: there is something running to ask. */
static int look_at_dir(struct status *s)
{
    struct pf_cli *cli = s->cli;
    struct LocalCluster local;
    struct pf_err err = {0};
    if (pf_local_read(s->cluster.dir, &cli->arena, &local, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_UNREACHABLE, err.msg, "proffer up starts a cluster");
    }
    bool is_down = pf_str_is(LocalCluster_state(local), "down");
    bool has_supervisor = pf_local_holder(s->cluster.dir) > 0;
    if (is_down) {
        return pf_cli_fail(cli, PF_EXIT_UNREACHABLE,
                           pf_cli_text(cli, "the cluster %s is down%s", s->cluster.name,
                                       for_how_long(cli, LocalCluster_since_ms(local))),
                           pf_cli_text(cli, "start it: proffer up --dir %s", s->cluster.dir));
    }
    if (!has_supervisor) {
        miss(s, "its supervisor is gone, its daemons end with it",
             pf_cli_text(cli, "start it again: proffer up --dir %s", s->cluster.dir));
    }
    for (uint32_t i = 0; i < LocalCluster_daemons__len(local); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(local, i);
        put_daemon(s, d, has_supervisor);
        if (i > 0) {
            s->n_agents += LocalDaemon_fake_agents(d) > 0 ? LocalDaemon_fake_agents(d) : 1;
        }
    }
    return 0;
}

static void put_agent(struct status *s, struct Master_Response_GetAgents_Agent a)
{
    enum AgentState state = Master_Response_GetAgents_Agent_state(a);
    struct AgentInfo info = Master_Response_GetAgents_Agent_agent_info(a);
    bool is_well = state == AgentState_REGISTERED;
    s->n_registered += is_well ? 1 : 0;
    if (is_well && s->cluster.dir == NULL) {
        s->n_agents++;
    }
    if (is_well || state == AgentState_GONE || s->cluster.dir != NULL) {
        return;
    }
    const char *word = AgentState__str((int)state);
    int64_t seen_ms = Master_Response_GetAgents_Agent_last_seen_ms(a);
    miss(s, pf_cli_text(s->cli, "the agent %.8s on %.*s is %s%s",
                        AgentID_value(AgentInfo_id(info)).at, PF_STR_ARG(AgentInfo_hostname(info)),
                        word != NULL ? word : "UNKNOWN", for_how_long(s->cli, seen_ms)),
         "look at that machine, and at the agent's log there");
}

static void put_master(struct status *s, struct MasterView m)
{
    struct pf_cell *row = pf_output_row(s->o);
    pf_cell_text(&row[S_NAME], PF_STR("master"));
    pf_cell_name(&row[S_STATE], MasterView_state(m));
    pf_cell_time(&row[S_SINCE], MasterView_started_ms(m));
    pf_cell_name(&row[S_ADDRESS], MasterView_address(m));
    pf_cell_name(&row[S_HTTP_ADDRESS], MasterView_http_address(m));
    if (MasterView_pid(m) > 0) {
        pf_cell_num(&row[S_PID], MasterView_pid(m));
    }
    pf_output_put(s->o);
    s->n_parts++;
}

static int ask_masters(struct status *s, struct pf_client *c, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_MASTERS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetMasters list = Master_Response_get_masters(r);
        for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
            put_master(s, Master_Response_GetMasters_masters__at(list, i));
        }
    }
    return rc;
}

static int ask_agents(struct status *s, struct pf_client *c, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
            put_agent(s, Master_Response_GetAgents_agents__at(list, i));
        }
        /* a local cluster knows how many it has: former agents of another shape are not missed */
        uint32_t n_away = Master_Response_GetAgents_recovered_agents__len(list);
        if (n_away > 0 && s->cluster.dir == NULL) {
            miss(s, pf_cli_text(s->cli, "%u agent%s not back since the master started", n_away,
                                n_away == 1 ? " is" : "s are"),
                 "proffer agents names them; look at their machines");
        }
    }
    return rc;
}

static int ask_cluster(struct status *s)
{
    const struct pf_client_options options = {.addresses = s->cluster.masters,
                                              .key_file = s->cluster.key_file};
    struct pf_client *client = NULL;
    struct pf_err err = {0};
    int rc = pf_client_open(&options, &client, &err);
    if (rc == 0 && s->cluster.dir == NULL) {
        rc = ask_masters(s, client, &err);
    }
    if (rc == 0) {
        rc = ask_agents(s, client, &err);
    }
    pf_client_close(client);
    if (rc != 0) {
        return pf_client_fail(s->cli, &s->cluster, &err);
    }
    if (s->n_registered < s->n_agents) {
        miss(s, pf_cli_text(s->cli, "%u of %u agents are registered", s->n_registered, s->n_agents),
             "proffer agents tells which; they come back by themselves if they can");
    }
    return 0;
}

static int judge(struct status *s)
{
    if (s->missing != NULL) {
        return pf_cli_fail(s->cli, PF_EXIT_FAILED,
                           pf_cli_text(s->cli, "the cluster %s is not whole: %s", s->cluster.name,
                                       s->missing), s->to_do);
    }
    pf_cli_note(s->cli, "the cluster %s is whole: %u agent%s%s%s", s->cluster.name,
                s->n_registered, s->n_registered == 1 ? "" : "s",
                s->cluster.dir != NULL ? ", in " : "",
                s->cluster.dir != NULL ? s->cluster.dir : "");
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    struct status s = {.cli = cli};
    int status = pf_output_open(cli, &status_columns, &s.o);
    if (status != 0) {
        return status;
    }
    status = pf_cluster_of(cli, &s.cluster);
    if (status == 0 && s.cluster.dir != NULL) {
        status = look_at_dir(&s);
    }
    if (status == 0) {
        status = ask_cluster(&s);
    }
    /* programs get their array in any case, people no empty table */
    if (s.n_parts > 0 || !pf_output_is_table(s.o)) {
        (void)pf_output_close(s.o);
    } else {
        pf_output_discard(s.o);
    }
    return status != 0 ? status : judge(&s);
}

const struct pf_command pf_cmd_status = {
    .name = "status",
    .group = "cluster",
    .summary = "is the cluster whole; if not, what is missing and what to do",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer status", "the one last started"}},
    .exits = "0 it is whole, 1 something is missing, 2 wrong usage, 4 it is down",
    .run = run,
};
