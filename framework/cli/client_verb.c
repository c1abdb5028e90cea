/* SPDX-License-Identifier: Apache-2.0 */
/* The client as verbs use it: with the cluster of the command line and errors for people. */
#include "framework/cli/client.h"
#include "framework/cli/local.h"

static const char *how_to_start(struct pf_cli *cli, const struct pf_cluster *cluster)
{
    if (cluster->dir != NULL) {
        return pf_cli_text(cli, "see: proffer status --dir %s; start it: proffer up --dir %s",
                           cluster->dir, cluster->dir);
    }
    if (cluster->source == PF_CLUSTER_BY_DEFAULT) {
        return "start a local cluster: proffer up; or name another one with --master or --dir";
    }
    return "check that the master runs there and that --master or PROFFER_MASTER is right";
}

int pf_client_fail(struct pf_cli *cli, const struct pf_cluster *cluster, const struct pf_err *err)
{
    int ours = cli->args.cmd->usage_exit;
    int status = PF_EXIT_FAILED;
    const char *hint = "proffer status tells more"; /* and why none leads */
    const char *what = err->msg;
    switch ((enum pf_errcode)err->code) {
    case PF_ECONN:
    case PF_EREFUSED:
    case PF_ETIMEOUT:
        status = PF_EXIT_UNREACHABLE;
        if (pf_str_has_prefix(pf_str(err->msg), PF_STR("no master leads"))) {
            what = pf_cli_text(cli, "the cluster %s: %s", cluster->name, err->msg);
            break;
        }
        /* without a name of its own the address is told once */
        what = pf_str_has_prefix(pf_str(err->msg), pf_str(cluster->name))
                   ? pf_cli_text(cli, "cannot reach the cluster %s", err->msg)
                   : pf_cli_text(cli, "cannot reach the cluster %s: %s", cluster->name, err->msg);
        hint = how_to_start(cli, cluster);
        break;
    case PF_EAUTH:
        status = PF_EXIT_UNREACHABLE;
        what = pf_cli_text(cli, "the cluster %s and we do not have the same key: %s", cluster->name,
                           err->msg);
        hint = "name its key with --key-file FILE or PROFFER_KEY_FILE";
        break;
    case PF_EVERSION:
        status = PF_EXIT_UNREACHABLE;
        hint = pf_cli_text(cli, "use a proffer of the cluster's version (this is %s)", PF_VERSION);
        break;
    case PF_ENOENT:
    case PF_EAMBIGUOUS:
        status = PF_EXIT_ID;
        hint = "proffer ps, agents, frameworks and offers list the ids";
        break;
    case PF_EACCESS:
        hint = "this needs the cluster's key: --key-file FILE or PROFFER_KEY_FILE";
        break;
    case PF_OK:
    case PF_ENOMEM:
    case PF_EINVAL:
    case PF_EPROTO:
    case PF_ELIMIT:
    case PF_EEXIST:
    case PF_EBUSY:
    case PF_EIO:
    case PF_ENOSPC:
    case PF_EUSAGE:
    case PF_ECANCELED: break;
    }
    return pf_cli_fail(cli, ours != 0 ? ours : status, what, hint);
}

int pf_client_check_up(struct pf_cli *cli, const struct pf_cluster *cluster)
{
    struct pf_err err = {0};
    if (!cluster->is_down) {
        return 0;
    }
    (void)pf_err_set(&err, PF_ECONN, "it was taken down");
    return pf_client_fail(cli, cluster, &err);
}

static void on_note(void *ctx, const char *text)
{
    pf_cli_note(ctx, "%s", text);
}

struct pf_client_options pf_client_options_of(struct pf_cli *cli, const struct pf_cluster *cluster)
{
    return (struct pf_client_options){
        .addresses = cluster->masters,
        .key_file = cluster->key_file,
        .needs_key_file = cluster->key_is_named,
        .on_note = on_note,
        .ctx = cli,
    };
}

int pf_client_to_look(struct pf_cli *cli, int32_t stale_ms, struct pf_cluster *out_cluster,
                      struct pf_client **out)
{
    int status = pf_cluster_of(cli, out_cluster);
    status = status != 0 ? status : pf_client_check_up(cli, out_cluster);
    if (status != 0) {
        return status;
    }
    struct pf_err err = {0};
    struct pf_client_options options = pf_client_options_of(cli, out_cluster);
    options.stale_ms = stale_ms;
    if (pf_client_open(&options, out, &err) != 0) {
        return pf_client_fail(cli, out_cluster, &err);
    }
    return 0;
}

int pf_client_of(struct pf_cli *cli, struct pf_cluster *out_cluster, struct pf_client **out)
{
    return pf_client_to_look(cli, 0, out_cluster, out);
}
