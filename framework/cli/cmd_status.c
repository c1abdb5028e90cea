/* SPDX-License-Identifier: Apache-2.0 */
/* proffer status: is the cluster whole; if not, what is missing, since when, and what to do. What
 * `up` started is known by its directory; all else by what the masters say. */
#include <inttypes.h>
#include <string.h>
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/cli/status.h"
#include "framework/cli/table.h"
#include "framework/cli/zkserver.h"

enum {
    S_NAME,
    S_STATE,
    S_SINCE,
    S_ADDRESS,
    S_HTTP_ADDRESS,
    S_PID,
    S_RESTARTS,
    S_LAST_END,
    S_LOG,
    S_ROLE,
    S_EPOCH,
    S_LAG,
    S_TROUBLE
};

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
    [S_ROLE] = {"role", PF_CELL_TEXT, true},
    [S_EPOCH] = {"epoch", PF_CELL_INT, false},
    [S_LAG] = {"lag", PF_CELL_INT, false},
    [S_TROUBLE] = {"trouble", PF_CELL_TEXT, false},
};
static const struct pf_columns status_columns = PF_COLUMNS(columns);

enum { ZK_ANSWERS_MS = 500 };

/* --- what there should be -------------------------------------------------------------------- */

/* 0: there is something running to ask. */
static int look_at_dir(struct pf_status *s)
{
    struct pf_cli *cli = s->cli;
    struct pf_err err = {0};
    if (pf_local_read(s->cluster.dir, &cli->arena, &s->local, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_UNREACHABLE, err.msg, "proffer up starts a cluster");
    }
    s->has_local = true;
    s->has_supervisor = pf_local_holder(s->cluster.dir) > 0;
    if (pf_str_is(LocalCluster_state(s->local), "down")) {
        return pf_cli_fail(cli, PF_EXIT_UNREACHABLE,
                           pf_cli_text(cli, "the cluster %s is down%s", s->cluster.name,
                                       pf_status_for(cli, LocalCluster_since_ms(s->local))),
                           pf_cli_text(cli, "start it: proffer up --dir %s", s->cluster.dir));
    }
    if (!s->has_supervisor) {
        pf_status_miss(s, "its supervisor is gone, its daemons end with it",
                       pf_cli_text(cli, "start it again: proffer up --dir %s", s->cluster.dir));
    }
    return 0;
}

/* What the masters say of the one at that address; NULL = nothing. */
static const struct pf_status_master *master_at(const struct pf_status *s, struct pf_str address)
{
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        if (pf_str_eq(s->master[i].address, address)) {
            return &s->master[i];
        }
    }
    return NULL;
}

/* One that runs may hang, or have lost the others. */
static void count_zk(struct pf_status *s, struct LocalDaemon d, bool is_ready)
{
    struct pf_hostport at;
    bool serves = is_ready && pf_parse_hostport(LocalDaemon_native(d), 0, &at, NULL) == 0 &&
                  pf_zk_serves(at.host, at.port, ZK_ANSWERS_MS);
    s->n_zk++;
    s->n_zk_up += serves ? 1 : 0;
    if (is_ready && !serves) {
        pf_status_miss(
            s,
            pf_cli_text(s->cli, "%.*s runs, but does not serve", PF_STR_ARG(LocalDaemon_name(d))),
            pf_cli_text(s->cli, "its log: %.*s; it is started again when killed: kill -9 %" PRId64,
                        PF_STR_ARG(LocalDaemon_log(d)), LocalDaemon_pid(d)));
    }
}

/* Who is asked may know of nobody because of its own trouble: that is what has to be told then. */
static bool is_any_in_trouble(const struct pf_status *s)
{
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        if (s->master[i].trouble.len > 0) {
            return true;
        }
    }
    return false;
}

/* One that runs may hang, or not reach ZooKeeper: then the others know nothing of it. */
static void count_master(struct pf_status *s, struct LocalDaemon d, bool is_ready)
{
    const struct pf_status_master *m = master_at(s, LocalDaemon_native(d));
    bool is_there = s->n_masters_seen == 0 || (m != NULL && !pf_str_is(m->state, "unreachable"));
    s->n_masters++;
    s->n_masters_up += is_ready && is_there ? 1 : 0;
    if (is_ready && !is_there && !is_any_in_trouble(s)) {
        pf_status_miss(
            s,
            pf_cli_text(s->cli, "%.*s runs, but the others do not reach it",
                        PF_STR_ARG(LocalDaemon_name(d))),
            pf_cli_text(s->cli, "its log: %.*s; it is started again when killed: kill -9 %" PRId64,
                        PF_STR_ARG(LocalDaemon_log(d)), LocalDaemon_pid(d)));
    }
}

static void count_daemon(struct pf_status *s, struct LocalDaemon d, bool is_ready)
{
    switch (pf_local_kind(d)) {
    case PF_LOCAL_ZOOKEEPER: count_zk(s, d, is_ready); break;
    case PF_LOCAL_MASTER: count_master(s, d, is_ready); break;
    case PF_LOCAL_AGENT: s->n_agents += pf_local_agents(d); break;
    case PF_LOCAL_RELAY: break;
    }
}

static void put_role(struct pf_cell *row, const struct pf_status_master *m)
{
    pf_cell_name(&row[S_ROLE], m->state);
    if (m->epoch > 0) {
        pf_cell_num(&row[S_EPOCH], (int64_t)m->epoch);
    }
    if (m->has_lag) {
        pf_cell_num(&row[S_LAG], m->lag);
    }
    pf_cell_name(&row[S_TROUBLE], m->trouble);
}

static void put_daemon(struct pf_status *s, struct LocalDaemon d)
{
    struct pf_cell *row = pf_output_row(s->o);
    struct pf_str state = s->has_supervisor ? LocalDaemon_state(d) : PF_STR("unsupervised");
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
    const struct pf_status_master *m = master_at(s, LocalDaemon_native(d));
    if (m != NULL) {
        put_role(row, m);
    }
    pf_output_put(s->o);
    s->n_parts++;
    count_daemon(s, d, pf_str_is(state, "ready"));
    if (s->has_supervisor && !pf_str_is(state, "ready")) {
        const char *what = pf_cli_text(
            s->cli, "%.*s is %.*s%s%s%.*s", PF_STR_ARG(LocalDaemon_name(d)), PF_STR_ARG(state),
            pf_status_for(s->cli, LocalDaemon_since_ms(d)),
            LocalDaemon_last_end(d).len > 0 ? ": " : "", PF_STR_ARG(LocalDaemon_last_end(d)));
        pf_status_miss(s, what,
                       pf_cli_text(s->cli, "it is started again by itself; its log: %.*s",
                                   PF_STR_ARG(LocalDaemon_log(d))));
    }
}

static const char *master_name(struct pf_status *s, const struct pf_status_master *m)
{
    for (uint32_t i = 0; s->has_local && i < LocalCluster_daemons__len(s->local); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(s->local, i);
        if (pf_str_eq(LocalDaemon_native(d), m->address)) {
            return LocalDaemon_name(d).at;
        }
    }
    return s->n_masters_seen == 1 ? "master"
                                  : pf_cli_text(s->cli, "master %.*s", PF_STR_ARG(m->address));
}

static void put_master(struct pf_status *s, const struct pf_status_master *m)
{
    struct pf_cell *row = pf_output_row(s->o);
    pf_cell_text(&row[S_NAME], s->n_masters_seen == 1
                                   ? PF_STR("master")
                                   : pf_str(pf_cli_text(s->cli, "master-%.8s", m->id.at)));
    pf_cell_name(&row[S_STATE], m->state);
    pf_cell_time(&row[S_SINCE], m->started_ms);
    pf_cell_name(&row[S_ADDRESS], m->address);
    pf_cell_name(&row[S_HTTP_ADDRESS], m->http_address);
    if (m->pid > 0) {
        pf_cell_num(&row[S_PID], m->pid);
    }
    put_role(row, m);
    pf_output_put(s->o);
    s->n_parts++;
    s->n_masters_up += pf_str_is(m->state, "unreachable") ? 0 : 1;
}

static uint32_t count_addresses(const char *list)
{
    uint32_t n = list[0] != '\0' ? 1 : 0;
    for (const char *c = list; *c != '\0'; c++) {
        n += *c == ',' ? 1 : 0;
    }
    return n;
}

/* Rows, and what is missing among the masters of a cluster that was not started here. */
static void put_foreign_masters(struct pf_status *s)
{
    uint32_t n_named = count_addresses(s->cluster.masters);
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        put_master(s, &s->master[i]);
    }
    s->n_masters = n_named > s->n_masters_seen ? n_named : s->n_masters_seen;
    if (s->n_masters_up < s->n_masters) {
        pf_status_miss(
            s, pf_cli_text(s->cli, "%u of %u masters are there", s->n_masters_up, s->n_masters),
            "proffer masters tells which; look at the other machines, and at their masters' logs");
    }
}

/* --- the verdict ----------------------------------------------------------------------------- */

static const struct pf_status_master *leader_of(const struct pf_status *s)
{
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        if (s->master[i].leads && !s->is_stale) {
            return &s->master[i];
        }
    }
    return NULL;
}

static void judge_masters(struct pf_status *s)
{
    const struct pf_status_master *leader = leader_of(s);
    for (uint32_t i = 0; i < s->n_masters_seen; i++) {
        const struct pf_status_master *m = &s->master[i];
        if (m->trouble.len > 0) {
            pf_status_miss(
                s, pf_cli_text(s->cli, "%s: %.*s", master_name(s, m), PF_STR_ARG(m->trouble)),
                s->has_local ? pf_cli_text(s->cli, "the logs: %s/log", s->cluster.dir)
                             : "look at ZooKeeper, and at that master's log");
        } else if (pf_str_is(m->state, "unreachable")) {
            pf_status_miss(s,
                           pf_cli_text(s->cli, "%s is unreachable for the one that was asked",
                                       master_name(s, m)),
                           "look whether it hangs, and at the network between the masters");
        }
    }
    if (leader == NULL) {
        pf_status_miss(s, "no master leads",
                       "it may be a matter of seconds: ask again; else look at "
                       "ZooKeeper, and at the masters' logs");
    }
}

/* "3 of 3 masters (master1 leads for 5m, epoch 2), 1 of 1 ZooKeeper servers, "; nothing for a
 * master alone. */
static const char *quorum_text(struct pf_status *s)
{
    const struct pf_status_master *leader = leader_of(s);
    const char *zk = "", *leads = "nobody leads";
    if (s->n_masters <= 1 && s->n_zk == 0) {
        return "";
    }
    if (leader != NULL) {
        leads = pf_cli_text(s->cli, "%s leads%s, epoch %" PRIu64, master_name(s, leader),
                            pf_status_for(s->cli, s->elected_ms), leader->epoch);
    }
    if (s->n_zk > 0) {
        zk = pf_cli_text(s->cli, "%u of %u ZooKeeper server%s, ", s->n_zk_up, s->n_zk,
                         s->n_zk == 1 ? "" : "s");
    }
    return pf_cli_text(s->cli, "%u of %u masters (%s), %s", s->n_masters_up, s->n_masters, leads,
                       zk);
}

static int judge(struct pf_status *s)
{
    judge_masters(s);
    const char *quorum = quorum_text(s), *agents = "";
    if (s->missing != NULL && quorum[0] != '\0' && !s->is_stale) {
        agents = pf_cli_text(s->cli, "%u of %u agents: ", s->n_registered, s->n_agents);
    }
    if (!s->is_stale && s->n_registered < s->n_agents) {
        pf_status_miss(
            s, pf_cli_text(s->cli, "%u of %u agents are registered", s->n_registered, s->n_agents),
            "proffer agents tells which; they come back by themselves if they can");
    }
    if (s->missing != NULL) {
        return pf_cli_fail(s->cli, PF_EXIT_FAILED,
                           pf_cli_text(s->cli, "the cluster %s is not whole: %s%s%s",
                                       s->cluster.name, quorum, agents, s->missing),
                           s->to_do);
    }
    pf_cli_note(s->cli, "the cluster %s is whole: %s%u agent%s%s%s", s->cluster.name, quorum,
                s->n_registered, s->n_registered == 1 ? "" : "s", s->has_local ? ", in " : "",
                s->has_local ? s->cluster.dir : "");
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    struct pf_status *s = pf_arena_zalloc(&cli->arena, sizeof *s);
    s->cli = cli;
    int status = pf_output_open(cli, &status_columns, &s->o);
    if (status != 0) {
        return status;
    }
    status = pf_cluster_of(cli, &s->cluster);
    if (status == 0 && s->cluster.dir != NULL) {
        status = look_at_dir(s);
    }
    bool asks = status == 0;
    if (asks) {
        status = pf_status_ask(s);
    }
    for (uint32_t i = 0; asks && s->has_local && i < LocalCluster_daemons__len(s->local); i++) {
        put_daemon(s, LocalCluster_daemons__at(s->local, i));
    }
    if (asks && !s->has_local) {
        put_foreign_masters(s);
    }
    /* programs get their array in any case, people no empty table */
    if (s->n_parts > 0 || !pf_output_is_table(s->o)) {
        (void)pf_output_close(s->o);
    } else {
        pf_output_discard(s->o);
    }
    return status != 0 ? status : judge(s);
}

const struct pf_command pf_cmd_status = {
    .name = "status",
    .group = "cluster",
    .summary = "is the cluster whole; if not, what is missing and what to do",
    .about = "Masters (who leads, since when), the ZooKeeper that `up` started, agents.",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer status", "the one last started"},
                 {"proffer status --master h1:5055,h2:5055,h3:5055", "another one"}},
    .exits = "0 it is whole, 1 something is missing, 2 wrong usage, 4 it is down",
    .run = run,
};
