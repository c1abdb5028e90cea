/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that list entities. */
#include "framework/cli/list.h"

#include <poll.h>

/* What a standby knows of tasks and agents is little: first wait for the one that knows all. */
enum { STALE_MS = PF_CLIENT_LEADER_MS - 1000 };

static int list_once(struct pf_cli *cli, const struct pf_list *list,
                     const struct pf_cluster *cluster, struct pf_client *client)
{
    struct pf_output *o = NULL;
    struct pf_err err = {0};
    int status = pf_output_open(cli, list->columns, &o);
    if (status != 0) {
        return status;
    }
    int rc = list->fetch(cli, client, o, &err);
    (void)pf_output_close(o);
    return rc != 0 ? pf_client_fail(cli, cluster, &err) : PF_EXIT_OK;
}

int pf_list_run(struct pf_cli *cli, const struct pf_list *list)
{
    struct pf_output *o = NULL;
    struct pf_cluster cluster;
    struct pf_client *client = NULL;
    /* wrong options are told before anything is connected */
    int status = pf_output_open(cli, list->columns, &o);
    if (status != 0) {
        return status;
    }
    pf_output_discard(o);
    status =
        pf_client_to_look(cli, list->stale_ms != 0 ? list->stale_ms : STALE_MS, &cluster, &client);
    if (status != 0) {
        return status;
    }
    bool watches = pf_args_has(&cli->args, "watch");
    do {
        if (watches && cli->out_is_terminal) {
            (void)fputs("\033[H\033[2J", cli->out);
        }
        status = list_once(cli, list, &cluster, client);
        if (!watches || status != PF_EXIT_OK || ferror(cli->out)) {
            break;
        }
        pf_client_refresh(client);
        (void)poll(NULL, 0, PF_LIST_WATCH_MS); /* people watch: there is no event to wait for */
    } while (true);
    pf_client_close(client);
    return status;
}
