/* SPDX-License-Identifier: Apache-2.0 */
/* proffer drill: breaks a cluster on purpose and proves that nothing is lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/sys/file.h"
#include "common/sys/random.h"
#include "framework/cli/drill_load.h"
#include "framework/cli/drill_report.h"
#include "framework/cli/local.h"
#include "framework/cli/table.h"

enum {
    ROUNDS_MAX = 100000,
    LOAD = 20,
    LOAD_MAX = 100000,
    FRAMEWORKS = 2,
    EVERY_MS = 100,
    DEADLINE_MS = 60000,
    PAUSE_MS = 3000,
    SEED_MAX = 1000000, /* those that we choose: short enough to type */
};

struct drill {
    struct pf_cli *cli;
    struct pf_session session;
    struct pf_drill_field *field;
    struct pf_drill_plan plan;
    const char *wrong; /* what a command of --kill-cmd came to */
    unsigned has;
    bool keeps_files; /* the user named the directory */
};

static void on_wrong(void *ctx, const char *text)
{
    struct drill *d = ctx;
    pf_cli_note(d->cli, "%s", text);
    d->wrong = d->wrong != NULL ? d->wrong : pf_cli_text(d->cli, "%s", text);
}

/* Without an operand: what there is. */
static int list(struct pf_cli *cli)
{
    static const struct pf_column columns[] = {{"drill", PF_CELL_TEXT, true},
                                               {"what", PF_CELL_TEXT, true}};
    static const struct pf_columns set = PF_COLUMNS(columns);
    struct pf_output *o = NULL;
    int status = pf_output_open(cli, &set, &o);
    for (uint32_t i = 0; status == 0 && i < pf_n_drills; i++) {
        struct pf_cell *row = pf_output_row(o);
        pf_cell_text(&row[0], pf_str(pf_drills[i].name));
        pf_cell_text(&row[1], pf_str(pf_drills[i].summary));
        pf_output_put(o);
    }
    if (status == 0) {
        (void)pf_output_close(o);
    }
    return status;
}

/* How many masters the cluster has: 0 or the exit status. */
static int count_masters(struct drill *d, uint32_t *out_n)
{
    struct pf_client *client = NULL;
    struct pf_err err = {0};
    struct pf_pages pages = {.type = Master_Call_Type_GET_MASTERS};
    struct Master_Response r;
    int rc, status = pf_client_of(d->cli, &d->session.cluster, &client);
    if (status != 0) {
        return status;
    }
    *out_n = 0;
    while ((rc = pf_pages_next(client, &pages, &r, &err)) == 1) {
        *out_n += Master_Response_GetMasters_masters__len(Master_Response_get_masters(r));
    }
    if (rc < 0) {
        status = pf_client_fail(d->cli, &d->session.cluster, &err);
    }
    pf_client_close(client);
    return status;
}

static int open_field(struct drill *d)
{
    struct pf_cli *cli = d->cli;
    struct pf_cluster *cluster = &d->session.cluster;
    struct pf_err err = {0};
    uint32_t n_masters = 0;
    const char *root = pf_local_state_root(cli->env, &cli->arena);
    const struct pf_drill_field_options o = {
        .dir = cluster->dir != NULL || root == NULL
                   ? cluster->dir
                   : pf_local_find_by_master(root, cluster->masters, &cli->arena),
        .kill_cmd = pf_args_text(&cli->args, "kill-cmd"),
        .zk = pf_args_text(&cli->args, "zk"),
        .on_wrong = on_wrong,
        .ctx = d,
    };
    if (o.kill_cmd != NULL && pf_drill_command_check(o.kill_cmd, &err) != 0) {
        return pf_cli_usage(cli, err.msg,
                            "write for example: --kill-cmd 'ssh {host} kill -{signal} {pid}'");
    }
    int status = count_masters(d, &n_masters);
    if (status != 0) {
        return status;
    }
    if (pf_drill_field_create(d->session.loop, &o, &d->field, &err) != 0) {
        return pf_cli_usage(cli, err.msg, "write for example: --zk zk://h1:2181,h2:2181/proffer");
    }
    d->has = pf_drill_field_has(d->field) | (n_masters > 1 ? PF_NEED_QUORUM : 0);
    return 0;
}

static void round_add(struct drill *d, const struct pf_drill *drill, int64_t sweep_us)
{
    d->plan.round[d->plan.n++] = (struct pf_drill_round){.drill = drill, .sweep_us = sweep_us};
}

static int plan_random(struct drill *d, uint32_t rounds)
{
    struct pf_rng rng;
    pf_rng_seed(&rng, d->plan.seed);
    d->plan.round = pf_arena_zalloc(&d->cli->arena, rounds * sizeof *d->plan.round);
    for (uint32_t i = 0; i < rounds; i++) {
        const struct pf_drill *one =
            pf_drill_pick(&rng, d->has, pf_args_has(&d->cli->args, "quick"));
        PF_ASSERT(one != NULL); /* framework-kill needs nothing */
        round_add(d, one, (int64_t)pf_rng_below(&rng, PF_DRILL_SWEEP_MS * 1000));
    }
    return 0;
}

static int plan_all(struct drill *d, uint32_t rounds)
{
    d->plan.round =
        pf_arena_zalloc(&d->cli->arena, (size_t)rounds * pf_n_drills * sizeof *d->plan.round);
    for (uint32_t k = 0; k < pf_n_drills; k++) {
        const struct pf_drill *one = &pf_drills[k];
        const char *lacks = pf_drill_lacks(one, d->has);
        if (lacks != NULL) {
            pf_cli_note(d->cli, "left out: %s needs %s", one->name, lacks);
        } else if (one->is_quick || !pf_args_has(&d->cli->args, "quick")) {
            for (uint32_t i = 0; i < rounds; i++) {
                round_add(d, one, pf_drill_sweep_us(i, rounds));
            }
        }
    }
    return 0;
}

/* Which drills, in which order. */
static int plan_rounds(struct drill *d)
{
    struct pf_cli *cli = d->cli;
    const char *name = cli->args.operand[0];
    uint32_t rounds = (uint32_t)pf_args_num(&cli->args, "rounds", 1);
    if (strcmp(name, "random") == 0) {
        return plan_random(d, rounds);
    }
    if (strcmp(name, "all") == 0) {
        return plan_all(d, rounds);
    }
    const struct pf_drill *one = pf_drill_find(name);
    const char *lacks = one != NULL ? pf_drill_lacks(one, d->has) : NULL;
    if (lacks != NULL) {
        return pf_cli_fail(cli, PF_EXIT_USAGE, pf_cli_text(cli, "%s needs %s", name, lacks),
                           "proffer drill all does everything that is possible here");
    }
    d->plan.round = pf_arena_zalloc(&cli->arena, rounds * sizeof *d->plan.round);
    for (uint32_t i = 0; i < rounds; i++) {
        round_add(d, one, pf_drill_sweep_us(i, rounds));
    }
    return 0;
}

static int files_make(struct drill *d)
{
    struct pf_cli *cli = d->cli;
    struct pf_err err = {0};
    const char *said = pf_args_text(&cli->args, "files"), *tmp = cli->env("TMPDIR");
    char *made;
    d->keeps_files = said != NULL;
    if (said != NULL) {
        d->plan.files = pf_local_absolute(&cli->arena, said);
        if (pf_mkdir_p(d->plan.files, 0755, &err) != 0) {
            return pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "name another directory: --files DIR");
        }
        if (rmdir(d->plan.files) != 0 || mkdir(d->plan.files, 0755) != 0) {
            return pf_cli_usage(cli, pf_cli_text(cli, "--files %s is not empty", said),
                                "name a new directory: old files would spoil the verdict");
        }
        return 0;
    }
    made = (char *)(uintptr_t)pf_cli_text(cli, "%s/proffer-drill.XXXXXX",
                                          tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(made) == NULL || chmod(made, 0755) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "cannot make %s: %s", made, strerror(errno)),
                           "name a directory: --files DIR");
    }
    d->plan.files = made;
    return 0;
}

static void files_end(struct drill *d, bool held)
{
    struct pf_err err = {0};
    if (d->keeps_files || !held) {
        pf_cli_note(d->cli, "what tasks and frameworks wrote: %s", d->plan.files);
    } else if (pf_remove_tree(d->plan.files, &err) != 0) {
        pf_cli_note(d->cli, "%s", err.msg);
    }
}

static int carry_out(struct drill *d)
{
    struct pf_cli *cli = d->cli;
    struct pf_oracle *oracle = pf_oracle_create(d->plan.pause_limit_us);
    for (uint32_t i = 0; i < d->plan.n; i++) {
        if ((d->plan.round[i].drill->needs & PF_NEED_LAUNCHER) != 0) {
            pf_oracle_allow_unknown(oracle);
        }
    }
    const struct pf_oracle_verdict *verdict = NULL;
    const char *problem = NULL;
    struct pf_output *o = NULL;
    struct pf_err err = {0};
    bool held = false;
    int status = pf_output_open(cli, &pf_drill_columns, &o);
    if (status == 0 &&
        pf_drill_run(&d->session, d->field, &d->plan, oracle, &verdict, &problem, &err) != 0) {
        status = pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "proffer status tells how things are");
        pf_output_discard(o);
    } else if (status == 0) {
        bool is_table = pf_output_is_table(o);
        problem = problem != NULL ? problem : d->wrong;
        if (is_table) {
            pf_output_discard(o);
            pf_drill_report_table(cli, &d->plan);
        } else {
            pf_drill_report_rows(o, &d->plan);
            (void)pf_output_close(o);
        }
        held = pf_drill_report_verdict(is_table ? cli->out : cli->err, &d->plan, verdict, problem);
        status = held ? PF_EXIT_OK : PF_EXIT_FAILED;
    }
    files_end(d, held);
    pf_oracle_destroy(oracle);
    return status;
}

static int read_options(struct drill *d)
{
    const struct pf_args *args = &d->cli->args;
    int64_t rounds = pf_args_num(args, "rounds", 1), load = pf_args_num(args, "load", LOAD);
    int64_t n_frameworks = pf_args_num(args, "frameworks", FRAMEWORKS);
    int64_t sim = pf_args_num(args, "sim-load", 0), for_ms = pf_args_num(args, "for", 0);
    const char *name = args->operand[0];
    if (strcmp(name, "all") != 0 && strcmp(name, "random") != 0 && pf_drill_find(name) == NULL) {
        return pf_cli_usage(d->cli, pf_cli_text(d->cli, "there is no drill '%s'", name),
                            "proffer drill lists them; all and random are several");
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || n_frameworks < 1 ||
        n_frameworks > PF_DRILL_FRAMEWORKS_MAX || load > LOAD_MAX || sim > LOAD_MAX ||
        for_ms > 3600000) {
        return pf_cli_usage(d->cli, "a number is too small or too large",
                            pf_cli_text(d->cli,
                                        "1 to %d rounds, 1 to %d frameworks, at most %d "
                                        "tasks, --for at most an hour",
                                        ROUNDS_MAX, PF_DRILL_FRAMEWORKS_MAX, LOAD_MAX));
    }
    d->plan = (struct pf_drill_plan){
        .seed = (uint64_t)pf_args_num(args, "seed", (int64_t)(pf_random_u64() % SEED_MAX)),
        .for_ms = (int32_t)for_ms,
        .deadline_ms = (int32_t)pf_args_num(args, "deadline", DEADLINE_MS),
        .n_frameworks = (uint32_t)n_frameworks,
        .n_tasks = (uint32_t)load,
        .n_sim_tasks = (uint32_t)sim,
        .every_ms = EVERY_MS,
        .rest_ms = (int32_t)pf_args_num(args, "rest", 0),
        .pause_limit_us = pf_args_num(args, "pause-limit", PAUSE_MS) * 1000,
    };
    return 0;
}

static int run(struct pf_cli *cli)
{
    struct drill d = {.cli = cli};
    if (cli->args.n_operands == 0) {
        return list(cli);
    }
    int status = read_options(&d);
    status = status != 0 ? status : pf_session_open(cli, &d.session);
    if (status != 0) {
        return status;
    }
    status = open_field(&d);
    status = status != 0 ? status : plan_rounds(&d);
    status = status != 0 ? status : files_make(&d);
    status = status != 0 ? status : carry_out(&d);
    pf_drill_field_destroy(d.field);
    pf_session_close(&d.session);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "rounds", .kind = PF_ARG_COUNT, .arg = "N", .help = "how often (default 1)"},
    {.name = "seed",
     .kind = PF_ARG_COUNT,
     .arg = "S",
     .help = "of the dice, to repeat a drill (default: any; it is told)"},
    {.name = "quick",
     .kind = PF_ARG_FLAG,
     .help = "of all and random: only those that wait for no session to end"},
    {.name = "load",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "tasks that run all the time (default 20); short ones come besides"},
    {.name = "frameworks",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "that these tasks belong to (default 2)"},
    {.name = "sim-load",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "tasks on simulated agents besides"},
    {.name = "for",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "how long an outage or a partition lasts"},
    {.name = "rest", .kind = PF_ARG_DURATION, .arg = "TIME", .help = "between rounds, at least"},
    {.name = "deadline",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "until everything must be back (default 60s)"},
    {.name = "pause-limit",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "how long a task may be silent (default 3s)"},
    {.name = "files",
     .kind = PF_ARG_TEXT,
     .arg = "DIR",
     .complete = PF_COMPLETE_DIR,
     .help = "a new directory for what tasks write, seen by all agents (default: in /tmp)"},
    {.name = "kill-cmd",
     .kind = PF_ARG_TEXT,
     .arg = "COMMAND",
     .help = "how to signal processes of a cluster on other machines; {host} {pid} {signal} "
             "{address}"},
    {.name = "zk",
     .kind = PF_ARG_TEXT,
     .arg = "URL",
     .help = "its ZooKeeper servers, for the drills that strike them"},
};

const struct pf_command pf_cmd_drill = {
    .name = "drill",
    .group = "cluster",
    .summary = "break a cluster on purpose and see that nothing is lost",
    .operands = "[NAME|all|random]",
    .about = "Keeps tasks running under frameworks of its own, strikes, measures what comes back "
             "when, and judges by what each task wrote into a file and what each framework was "
             "told: lost, doubled, restarted or paused tasks break a promise. Without a name it "
             "lists the drills.",
    .max_operands = 1,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer drill leader-kill --rounds 100", "kill the leader a hundred times"},
                 {"proffer drill random --rounds 20 --seed 7", "twenty of any sort"},
                 {"proffer drill zk-outage --for 30s -o json", "for programs"},
                 {"proffer drill leader-kill --kill-cmd 'ssh {host} kill -{signal} {pid}'",
                  "on a cluster of several machines"}},
    .exits = "0 all promises held, 1 one was broken, 2 wrong usage or not possible here, 4 "
             "unreachable",
    .run = run,
};
