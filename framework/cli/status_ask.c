/* SPDX-License-Identifier: Apache-2.0 */
/* What the masters say of themselves and of their agents. */
#include "framework/cli/status.h"

#include "common/sys/clock.h"
#include "common/sys/parse.h"

enum { STALE_MS = 1000 };

void pf_status_miss(struct pf_status *s, const char *what, const char *to_do)
{
    if (s->missing == NULL) {
        s->missing = what;
        s->to_do = to_do;
    }
}

const char *pf_status_for(struct pf_cli *cli, int64_t since_ms)
{
    char text[PF_FORMAT_DURATION_MAX];
    if (since_ms <= 0) {
        return "";
    }
    int64_t ms = pf_wall_ms() - since_ms;
    pf_format_duration(ms > 0 ? ms : 0, text);
    return pf_cli_text(cli, " for %s", text);
}

static struct pf_str keep(struct pf_status *s, struct pf_str text)
{
    return text.len > 0 ? pf_arena_strdup(&s->cli->arena, text) : (struct pf_str){0};
}

static void add_master(struct pf_status *s, struct MasterView v)
{
    if (s->n_masters_seen == PF_STATUS_MASTERS_MAX) {
        return;
    }
    s->master[s->n_masters_seen++] = (struct pf_status_master){
        .id = keep(s, MasterView_id(v)),
        .address = keep(s, MasterView_address(v)),
        .http_address = keep(s, MasterView_http_address(v)),
        .state = keep(s, MasterView_state(v)),
        .trouble = keep(s, MasterView_trouble(v)),
        .pid = MasterView_pid(v),
        .started_ms = MasterView_started_ms(v),
        .epoch = MasterView_epoch(v),
        .leads = MasterView_leading(v),
        .has_lag = MasterView__has_lag(v),
        .lag = MasterView__has_lag(v) ? MasterView_lag(v) : 0,
    };
}

/* Else it is of the whole cluster: agents that are not given up. */
static bool is_own_trouble(const struct pf_status *s, struct pf_str trouble)
{
    bool found = false;
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        found |= pf_str_eq(s->master[i].trouble, trouble);
    }
    return found;
}

static int ask_masters(struct pf_status *s, struct pf_client *c, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_MASTERS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetMasters list = Master_Response_get_masters(r);
        for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
            add_master(s, Master_Response_GetMasters_masters__at(list, i));
        }
    }
    if (rc != 0) {
        return rc;
    }
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_GET_MASTER)};
    (void)pf_client_builder(c);
    rc = pf_client_ask(c, &call, &r, err);
    if (rc == 0) {
        struct Master_Response_GetMaster m = Master_Response_get_master(r);
        s->elected_ms = Master_Response_GetMaster__has_elected_time(m)
                            ? (int64_t)(Master_Response_GetMaster_elected_time(m) * 1000)
                            : 0;
        struct pf_str trouble = Master_Response_GetMaster_trouble(m);
        if (trouble.len > 0 && !is_own_trouble(s, trouble)) {
            pf_status_miss(s, keep(s, trouble).at, "proffer agents tells which, and why");
        }
    }
    return rc;
}

static void add_agent(struct pf_status *s, struct Master_Response_GetAgents_Agent a)
{
    enum AgentState state = Master_Response_GetAgents_Agent_state(a);
    struct AgentInfo info = Master_Response_GetAgents_Agent_agent_info(a);
    bool is_well = state == AgentState_REGISTERED;
    s->n_registered += is_well ? 1 : 0;
    if (is_well && !s->has_local) {
        s->n_agents++;
    }
    if (is_well || state == AgentState_GONE || s->has_local) {
        return;
    }
    const char *word = AgentState__str((int)state);
    int64_t seen_ms = Master_Response_GetAgents_Agent_last_seen_ms(a);
    struct pf_str text = Master_Response_GetAgents_Agent_text(a);
    pf_status_miss(s,
                   pf_cli_text(s->cli, "the agent %.8s on %.*s is %s%s%s%.*s",
                               AgentID_value(AgentInfo_id(info)).at,
                               PF_STR_ARG(AgentInfo_hostname(info)),
                               word != NULL ? word : "UNKNOWN", pf_status_for(s->cli, seen_ms),
                               text.len > 0 ? ": " : "", PF_STR_ARG(text)),
                   "look at that machine, and at the agent's log there");
}

static int ask_agents(struct pf_status *s, struct pf_client *c, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
            add_agent(s, Master_Response_GetAgents_agents__at(list, i));
        }
        /* a local cluster knows how many it has: former agents of another shape are not missed */
        uint32_t n_away = Master_Response_GetAgents_recovered_agents__len(list);
        if (n_away > 0 && !s->has_local) {
            pf_status_miss(s,
                           pf_cli_text(s->cli, "%u agent%s not back since the master began to lead",
                                       n_away, n_away == 1 ? " is" : "s are"),
                           "proffer agents names them; look at their machines");
        }
    }
    return rc;
}

int pf_status_ask(struct pf_status *s)
{
    struct pf_client_options options = pf_client_options_of(s->cli, &s->cluster);
    struct pf_client *client = NULL;
    struct pf_err err = {0};
    options.needs_key_file = false;
    options.stale_ms = STALE_MS;
    int rc = pf_client_open(&options, &client, &err);
    rc = rc != 0 ? rc : ask_masters(s, client, &err);
    /* a standby hears nothing of agents */
    if (rc == 0 && !pf_client_is_stale(client)) {
        rc = ask_agents(s, client, &err);
    }
    s->is_stale = client != NULL && pf_client_is_stale(client);
    pf_client_close(client);
    return rc != 0 ? pf_client_fail(s->cli, &s->cluster, &err) : 0;
}
