/* SPDX-License-Identifier: Apache-2.0 */
/* proffer registry dump, and restore: what must survive the masters, as lines of JSON. The first
 * line is a Master_Response.GetRegistry without rows, each other one a RegistryRow. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/buf.h"
#include "common/fb/json.h"
#include "common/sys/file.h"
#include "framework/cli/client.h"
#include "framework/cli/local.h"
#include "framework/cli/spawn.h"
#include "framework/cli/supervisor.h"
#include "framework/cli/table.h"

struct dump {
    struct pf_cli *cli;
    struct pf_buf text;
    const char *file; /* NULL: stdout, page by page */
    struct pf_str incarnation;
    uint64_t epoch, n_rows;
    bool has_begun;
};

static int put_line(struct dump *d, struct pf_tab t, const struct pf_fb_table_desc *desc,
                    struct pf_err *err)
{
    int rc = pf_json_write(&d->text, t, desc, 0, err);
    pf_buf_add_byte(&d->text, '\n');
    return rc;
}

static int put_header(struct dump *d, struct Master_Response_GetRegistry page, struct pf_err *err)
{
    struct pf_fb_builder b;
    struct Master_Response_GetRegistry__args args = {
        .incarnation = Master_Response_GetRegistry_incarnation(page),
        .epoch = Master_Response_GetRegistry_epoch(page),
        .format = Master_Response_GetRegistry_format(page)};
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg =
        Master_Response_GetRegistry__finish(&b, Master_Response_GetRegistry__put(&b, &args));
    int rc = put_line(d, Master_Response_GetRegistry__root(msg).tab,
                      &Master_Response_GetRegistry__desc, err);
    pf_fb_builder_fini(&b);
    d->incarnation = pf_arena_strdup(&d->cli->arena, args.incarnation);
    d->epoch = args.epoch;
    d->has_begun = true;
    return rc;
}

static int put_page(struct dump *d, struct Master_Response_GetRegistry page, struct pf_err *err)
{
    int rc = d->has_begun ? 0 : put_header(d, page, err);
    if (Master_Response_GetRegistry_epoch(page) != d->epoch ||
        !pf_str_eq(Master_Response_GetRegistry_incarnation(page), d->incarnation)) {
        return pf_err_set(err, PF_EBUSY, "another master took over meanwhile");
    }
    for (uint32_t i = 0; rc == 0 && i < Master_Response_GetRegistry_rows__len(page); i++) {
        rc =
            put_line(d, Master_Response_GetRegistry_rows__at(page, i).tab, &RegistryRow__desc, err);
        d->n_rows++;
    }
    if (rc == 0 && d->file == NULL) {
        (void)fwrite(d->text.data, 1, d->text.len, d->cli->out);
        pf_buf_clear(&d->text);
    }
    return rc;
}

static int dump_registry(struct dump *d, const struct pf_cluster *cluster, struct pf_client *client)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_REGISTRY};
    struct Master_Response r;
    struct pf_err err = {0};
    int rc;
    while ((rc = pf_pages_next(client, &pages, &r, &err)) == 1) {
        rc = put_page(d, Master_Response_get_registry(r), &err);
        if (rc != 0) {
            break;
        }
    }
    if (rc == PF_EBUSY) {
        return pf_cli_fail(d->cli, PF_EXIT_FAILED, err.msg, "dump it again");
    }
    if (rc != 0) {
        return pf_client_fail(d->cli, cluster, &err);
    }
    /* it names machines and frameworks: for its owner */
    if (d->file != NULL && pf_file_write(d->file, d->text.data, d->text.len, 0600, &err) != 0) {
        return pf_cli_fail(d->cli, PF_EXIT_FAILED, err.msg, "name another file: -o FILE");
    }
    if (d->file != NULL) {
        pf_cli_note(d->cli, "cluster %s: %" PRIu64 " rows of the registry in %s", cluster->name,
                    d->n_rows, d->file);
    }
    return PF_EXIT_OK;
}

static int run_dump(struct pf_cli *cli)
{
    struct dump d = {.cli = cli, .file = pf_args_text(&cli->args, "output")};
    struct pf_cluster cluster;
    struct pf_client *client = NULL;
    int status = pf_client_of(cli, &cluster, &client);
    status = status != 0 ? status : dump_registry(&d, &cluster, client);
    pf_client_close(client);
    pf_buf_fini(&d.text);
    return status;
}

/* Becomes the master's program, which knows both stores. Returns only if it cannot. */
static int run_restore(struct pf_cli *cli)
{
    const char *file = cli->args.operand[1];
    const char *work_dir = pf_args_text(&cli->args, "work-dir");
    const char *zk = pf_args_text(&cli->args, "zk");
    const char *config = pf_args_text(&cli->args, "config");
    struct pf_spawn_args args = {0};
    if ((work_dir != NULL) + (zk != NULL) + (config != NULL) != 1) {
        return pf_cli_usage(cli, "where to restore it: say one of --work-dir, --zk and --config",
                            "write for example: proffer registry restore FILE --work-dir "
                            "/var/lib/proffer/master");
    }
    if (access(file, R_OK) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "cannot read %s: %s", file, strerror(errno)),
                           "name a file that 'proffer registry dump -o FILE' wrote");
    }
    const char *program =
        pf_local_path(&cli->arena, pf_bin_dir(cli->env, &cli->arena), "proffer-master");
    pf_spawn_arg(&args, program);
    pf_spawn_option(&args, "--restore-registry", file);
    pf_spawn_option(&args, "--work-dir", work_dir);
    pf_spawn_option(&args, "--config", config);
    /* by the environment: everybody may read command lines, and it may hold a password */
    if (zk != NULL && setenv("PROFFER_MASTER_ZK", zk, 1) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, strerror(errno), "free some memory and try again");
    }
    (void)fflush(NULL);
    (void)execv(program, (char *const *)(uintptr_t)args.at);
    return pf_cli_fail(cli, PF_EXIT_FAILED,
                       pf_cli_text(cli, "cannot run %s: %s", program, strerror(errno)),
                       "PROFFER_BIN_DIR names the directory of Proffer's programs");
}

static bool any_of(const struct pf_args *args, const char *const *names, size_t n)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found |= pf_args_has(args, names[i]);
    }
    return found;
}

static int run(struct pf_cli *cli)
{
    static const char *const of_restore[] = {"work-dir", "zk", "config"};
    static const char *const of_dump[] = {"output", "master", "cluster", "dir", "key-file"};
    const struct pf_args *args = &cli->args;
    bool dumps = strcmp(args->operand[0], "dump") == 0;
    if (!dumps && strcmp(args->operand[0], "restore") != 0) {
        return pf_cli_usage(cli, pf_cli_text(cli, "registry cannot '%s'", args->operand[0]),
                            "write: proffer registry dump, or: proffer registry restore FILE");
    }
    if (args->n_operands != (dumps ? 1 : 2)) {
        return pf_cli_usage(
            cli, dumps ? "registry dump takes no operand" : "registry restore needs a file",
            dumps ? "write for example: proffer registry dump -o FILE"
                  : "write for example: proffer registry restore FILE --work-dir "
                    "/var/lib/proffer/master");
    }
    if (dumps ? any_of(args, of_restore, PF_ARRAY_LEN(of_restore))
              : any_of(args, of_dump, PF_ARRAY_LEN(of_dump))) {
        return pf_cli_usage(
            cli, pf_cli_text(cli, "that option is not one of registry %s", args->operand[0]),
            "dump takes -o and what names a cluster, restore --work-dir, --zk or "
            "--config");
    }
    return dumps ? run_dump(cli) : run_restore(cli);
}

static const struct pf_cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = PF_ARG_TEXT,
     .arg = "FILE",
     .complete = PF_COMPLETE_FILE,
     .help = "of dump: write there (mode 0600), not to stdout"},
    {.name = "work-dir",
     .kind = PF_ARG_TEXT,
     .arg = "DIR",
     .complete = PF_COMPLETE_DIR,
     .help = "of restore: the work directory of a master that is alone"},
    {.name = "zk",
     .kind = PF_ARG_TEXT,
     .arg = "URL",
     .help = "of restore: the ZooKeeper of several masters, zk://user:password@h1,h2,h3/path"},
    {.name = "config",
     .kind = PF_ARG_TEXT,
     .arg = "FILE",
     .complete = PF_COMPLETE_FILE,
     .help = "of restore: a configuration file of proffer-master that says either"},
};

const struct pf_command pf_cmd_registry = {
    .name = "registry",
    .group = "cluster",
    .summary = "dump what the masters must not lose, or restore it",
    .operands = "dump | restore FILE",
    .about =
        "A dump is lines of JSON: first the registry's incarnation, epoch and format, then its "
        "rows. It is taken from the leading master, page by page: rows that change meanwhile "
        "are there as they were or as they are. No master may run where it is restored.",
    .min_operands = 1,
    .max_operands = 2,
    .complete = PF_COMPLETE_FILE,
    .choices = "dump restore",
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer registry dump -o registry.jsonl", "keep a copy"},
                 {"proffer registry restore registry.jsonl --config /etc/proffer/master.conf",
                  "into the ZooKeeper of the masters, while none runs"}},
    .exits = "those of proffer-master for restore",
    .run = run,
};
