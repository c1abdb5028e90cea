/* SPDX-License-Identifier: Apache-2.0 */
/* proffer teardown FRAMEWORK...: removes frameworks and ends their tasks. */
#include "framework/cli/ids.h"
#include "framework/cli/operate.h"
#include "framework/cli/table.h"

static int run(struct pf_cli *cli)
{
    static const enum EntityKind kinds[] = {EntityKind_FRAMEWORK};
    struct pf_cluster cluster;
    struct pf_client *client = NULL;
    struct pf_err err = {0};
    int status = pf_client_of(cli, &cluster, &client);
    for (uint32_t i = 0; status == 0 && i < cli->args.n_operands; i++) {
        struct pf_entities found = {0};
        status = pf_ids_resolve(cli, client, &cluster, cli->args.operand[i], kinds, 1, &found);
        for (uint32_t k = 0; status == 0 && k < found.n; k++) {
            pf_cli_note(cli, "cluster %s: removing framework %.*s (%.*s) and its tasks",
                        cluster.name, PF_STR_ARG(found.at[k].id), PF_STR_ARG(found.at[k].name));
            if (pf_operate_teardown(client, found.at[k].id, &err) != 0) {
                status = pf_client_fail(cli, &cluster, &err);
            }
        }
    }
    pf_client_close(client);
    return status;
}

const struct pf_command pf_cmd_teardown = {
    .name = "teardown",
    .group = "run",
    .summary = "remove a framework and end all its tasks",
    .operands = "FRAMEWORK...",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_FRAMEWORK,
    .sets = PF_SET_CLUSTER,
    .examples = {{"proffer teardown f3", "its scheduler is told, its tasks end"}},
    .run = run,
};
