/* SPDX-License-Identifier: Apache-2.0 */
/* proffer down: ends a local cluster with everything that runs on it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "framework/cli/hosts.h"
#include "framework/cli/ids.h"
#include "framework/cli/local.h"
#include "framework/cli/operate.h"
#include "framework/cli/supervisor.h"
#include "framework/cli/table.h"

enum {
    ASK_MS = 2000,               /* a master that does not answer does not keep us */
    LEADER_MS = 5000,            /* nor do masters of which none leads, for long */
    TASKS_END_MS = 15000,        /* their grace, and a little */
    SUPERVISOR_ENDS_MS = 120000, /* its own escalations take less */
    NAMED_MAX = 8,
};

struct down {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct LocalCluster local;
    struct pf_client *client; /* NULL: no master answers */
    struct pf_entities live;
};

static void name_tasks(struct down *d)
{
    const char *list = "";
    for (uint32_t i = 0; i < d->live.n && i < NAMED_MAX; i++) {
        list =
            pf_cli_text(d->cli, "%s%s%.*s", list, i > 0 ? ", " : "", PF_STR_ARG(d->live.at[i].id));
    }
    pf_cli_note(d->cli, "cluster %s: %u task%s: %s%s", d->cluster.name, d->live.n,
                d->live.n == 1 ? " runs" : "s run", list, d->live.n > NAMED_MAX ? ", ..." : "");
}

/* 0: go on. */
static int ask(struct down *d)
{
    struct pf_err err = {0};
    struct pf_client_options options = pf_client_options_of(d->cli, &d->cluster);
    options.needs_key_file = false;
    options.connect_ms = ASK_MS;
    options.leader_ms = LEADER_MS;
    if (d->cluster.masters[0] == '\0' || pf_client_open(&options, &d->client, &err) != 0) {
        return 0; /* nobody to ask: what remains is ended all the same */
    }
    if (pf_operate_live_tasks(d->client, (struct pf_str){0}, &d->cli->arena, &d->live, &err) != 0) {
        pf_cli_note(d->cli, "cannot list the tasks: %s", err.msg);
        return 0;
    }
    if (d->live.n == 0) {
        return 0;
    }
    name_tasks(d);
    bool may_ask = d->cli->in_is_terminal && d->cli->err_is_terminal;
    if (may_ask && !pf_args_has(&d->cli->args, "yes") &&
        !pf_cli_confirm(d->cli, d->live.n == 1 ? "End it?" : "End them?")) {
        return pf_cli_fail(d->cli, PF_EXIT_FAILED, "the cluster stays up",
                           "proffer down --yes asks nothing");
    }
    return 0;
}

/* Every framework is told that it is over; those that wait have no task to end. */
static void remove_frameworks(struct down *d)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_FRAMEWORKS};
    struct Master_Response r;
    struct pf_ptrs ids = {0};
    while (pf_pages_next(d->client, &pages, &r, NULL) == 1) {
        struct Master_Response_GetFrameworks list = Master_Response_get_frameworks(r);
        for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
            struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(
                Master_Response_GetFrameworks_frameworks__at(list, i));
            struct pf_str *id = pf_arena_alloc(&d->cli->arena, sizeof *id);
            *id = pf_arena_strdup(&d->cli->arena, FrameworkID_value(FrameworkInfo_id(info)));
            pf_ptrs_push(&ids, id);
        }
    }
    for (uint32_t i = 0; i < ids.len; i++) {
        (void)!pf_operate_teardown(d->client, *(const struct pf_str *)ids.at[i], NULL);
    }
    pf_ptrs_fini(&ids);
}

/* TERM and their grace to all tasks, then their frameworks go. What fails here is ended by force
 * with the launchers. */
static void end_tasks(struct down *d)
{
    int64_t until_ms = pf_now_ms() + TASKS_END_MS;
    int rc = 0;
    for (uint32_t i = 0; rc != PF_ECONN && i < d->live.n; i++) {
        rc = pf_operate_kill(d->client, d->live.at[i].framework_id, d->live.at[i].id, 0, -1, NULL);
    }
    for (uint32_t i = 0; rc != PF_ECONN && rc != PF_ETIMEOUT && i < d->live.n; i++) {
        const struct pf_entity *e = &d->live.at[i];
        int64_t left_ms = until_ms - pf_now_ms();
        if (i == 0 || !pf_str_eq(e->framework_id, d->live.at[i - 1].framework_id)) {
            /* all of a framework at once: the list is in the order of frameworks */
            rc = pf_operate_wait_ended(d->client, e->framework_id, NULL, 0,
                                       left_ms > 0 ? left_ms : 0, NULL);
        }
    }
    remove_frameworks(d);
}

static int stop_supervisor(struct down *d, pid_t pid)
{
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 && errno == ESRCH) {
        return 0;
    }
    if (pidfd < 0 || pidfd_send_signal(pidfd, SIGTERM, NULL, 0) != 0) {
        int sys = errno;
        pf_fd_close(&pidfd);
        return sys == ESRCH ? 0
                            : pf_cli_fail(d->cli, PF_EXIT_FAILED,
                                          pf_cli_text(d->cli, "cannot stop the supervisor %ld: %s",
                                                      (long)pid, strerror(sys)),
                                          "take the cluster down as the user who started it");
    }
    bool is_gone = pf_local_wait_gone(pidfd, SUPERVISOR_ENDS_MS);
    pf_fd_close(&pidfd);
    return is_gone
               ? 0
               : pf_cli_fail(d->cli, PF_EXIT_FAILED,
                             pf_cli_text(d->cli, "the supervisor %ld does not end", (long)pid),
                             pf_cli_text(d->cli, "its log: %s/log/supervisor.log", d->cluster.dir));
}

/* The supervisor was killed: its daemons got a signal at its death; wait for them, and end what
 * they leave. */
static int end_orphans(struct down *d)
{
    const char *bin_dir = pf_bin_dir(d->cli->env, &d->cli->arena);
    int status = 0;
    for (uint32_t i = LocalCluster_daemons__len(d->local); i > 0; i--) {
        struct LocalDaemon daemon = LocalCluster_daemons__at(d->local, i - 1);
        pf_local_end_daemon(daemon);
        if (pf_str_has_prefix(LocalDaemon_name(daemon), PF_STR("agent-"))) {
            struct pf_err err = {0};
            if (pf_stop_launcher(bin_dir, LocalDaemon_work_dir(daemon).at, &err) != 0) {
                status = pf_cli_fail(d->cli, PF_EXIT_FAILED, err.msg,
                                     "look for proffer-launcher in the list of processes");
            }
        }
    }
    return status;
}

static int take_down(struct down *d)
{
    pid_t holder = pf_local_holder(d->cluster.dir);
    bool was_up = holder > 0;
    int status = 0;
    if (was_up) {
        status = ask(d);
        if (status == 0 && d->client != NULL) {
            end_tasks(d);
        }
        pf_client_close(d->client);
        status = status != 0 ? status : stop_supervisor(d, holder);
    } else if (!pf_str_is(LocalCluster_state(d->local), "down")) {
        status = end_orphans(d);
        was_up = true;
    }
    if (status != 0) {
        return status;
    }
    struct pf_err err = {0};
    if (pf_hosts_remove(d->cluster.dir, &err) != 0) {
        return pf_cli_fail(d->cli, PF_EXIT_FAILED, err.msg,
                           "take the cluster down as the user who started it");
    }
    const char *state_root = pf_local_state_root(d->cli->env, &d->cli->arena);
    if (state_root != NULL) {
        pf_local_forget_last(state_root, d->cluster.dir);
    }
    bool purges = pf_args_has(&d->cli->args, "purge");
    if (purges && pf_remove_tree(d->cluster.dir, &err) != 0) {
        return pf_cli_fail(d->cli, PF_EXIT_FAILED, err.msg, "remove the rest by hand");
    }
    pf_cli_note(d->cli, "cluster %s is down%s%s", d->cluster.name, was_up ? "" : " already",
                purges ? ", nothing is left of it" : "");
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    struct down d = {.cli = cli};
    struct pf_cluster_ask ask_for = pf_cluster_ask_of(cli);
    struct pf_err err = {0};
    const char *hint = "";
    int rc = pf_cluster_choose(&ask_for, &cli->arena, &d.cluster, &hint, &err);
    if (rc == PF_ENOENT) {
        pf_cli_note(cli, "%s: nothing to take down", err.msg);
        return PF_EXIT_OK;
    }
    if (rc != 0) {
        return rc == PF_EUSAGE ? pf_cli_usage(cli, err.msg, hint)
                               : pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, hint);
    }
    if (d.cluster.dir == NULL && d.cluster.source == PF_CLUSTER_BY_DEFAULT) {
        pf_cli_note(cli, "no local cluster is up");
        return PF_EXIT_OK;
    }
    if (d.cluster.dir == NULL) {
        return pf_cli_fail(
            cli, PF_EXIT_FAILED,
            pf_cli_text(cli, "the cluster %s was not started here by 'proffer up'", d.cluster.name),
            "stop its daemons where they run; a local cluster is named by --dir");
    }
    if (pf_local_read(d.cluster.dir, &cli->arena, &d.local, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "look at that directory");
    }
    return take_down(&d);
}

static const struct pf_cli_option options[] = {
    {.name = "yes", .letter = 'y', .kind = PF_ARG_FLAG, .help = "do not ask about running tasks"},
    {.name = "purge", .kind = PF_ARG_FLAG, .help = "remove its directory as well"},
};

const struct pf_command pf_cmd_down = {
    .name = "down",
    .group = "cluster",
    .summary = "end a cluster of this machine and all that runs on it",
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer down", "the one last started"},
                 {"proffer down --dir /tmp/c1 --yes --purge", "without a question or a trace"}},
    .exits = "0 everything is down, 1 something is not, 2 wrong usage",
    .run = run,
};
