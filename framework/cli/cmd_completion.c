/* SPDX-License-Identifier: Apache-2.0 */
/* proffer completion bash: a script for the shell; and the hidden verb __complete that it calls
 * with the words so far, so that the command table alone decides. */
#include <string.h>
#include "common/base/limits.h"
#include "framework/cli/complete.h"
#include "framework/cli/ids.h"
#include "framework/cli/table.h"

enum { LIVE_IDS_MS = 200 };

static const char bash_script[] =
    "# bash completion of proffer; load it with: source <(proffer completion bash)\n"
    "_proffer()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]/#\\~/$HOME} line\n"
    "    [[ $cur == = ]] && cur=\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :file) compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "        :dir) compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "        :command) mapfile -t COMPREPLY < <(compgen -c -- \"$cur\") ;;\n"
    "        *) COMPREPLY+=(\"$line\") ;;\n"
    "        esac\n"
    "    done < <(\"$program\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _proffer proffer\n";

static int run(struct pf_cli *cli)
{
    if (strcmp(cli->args.operand[0], "bash") != 0) {
        return pf_cli_usage(
            cli, pf_cli_text(cli, "there is no completion for '%s'", cli->args.operand[0]),
            "write: proffer completion bash");
    }
    (void)fputs(bash_script, cli->out);
    return PF_EXIT_OK;
}

const struct pf_command pf_cmd_completion = {
    .name = "completion",
    .group = "other",
    .summary = "a script that completes verbs, options and ids in the shell",
    .operands = "bash",
    .min_operands = 1,
    .max_operands = 1,
    .choices = "bash",
    .examples = {{"source <(proffer completion bash)", "for this shell"}},
    .run = run,
};

static void put_ids(struct pf_cli *cli, const struct pf_entities *found)
{
    for (uint32_t i = 0; i < found->n; i++) {
        (void)fprintf(cli->out, "%.*s\n", PF_STR_ARG(found->at[i].id));
    }
}

/* Ids of the cluster that the line names; silent about everything that goes wrong. */
static void live_ids(struct pf_cli *cli, const struct pf_completion *line)
{
    static const enum EntityKind tasks[] = {EntityKind_TASK, EntityKind_FRAMEWORK};
    static const enum EntityKind frameworks[] = {EntityKind_FRAMEWORK};
    static const enum EntityKind agents[] = {EntityKind_AGENT};
    static const enum EntityKind any[] = {EntityKind_TASK, EntityKind_FRAMEWORK, EntityKind_AGENT,
                                          EntityKind_OFFER, EntityKind_MASTER};
    const enum EntityKind *kinds = any;
    uint32_t n_kinds = (uint32_t)PF_ARRAY_LEN(any);
    if (line->want == PF_COMPLETE_TASK) {
        kinds = tasks;
        n_kinds = 2;
    } else if (line->want != PF_COMPLETE_ANY_ID) {
        kinds = line->want == PF_COMPLETE_FRAMEWORK ? frameworks : agents;
        n_kinds = 1;
    }
    struct pf_cluster_ask ask = pf_cluster_ask_of(cli);
    ask.master = line->master;
    ask.cluster = line->cluster;
    ask.dir = line->dir;
    ask.key_file = line->key_file;
    struct pf_cluster cluster;
    struct pf_client *client = NULL;
    const char *hint = "";
    if (pf_cluster_choose(&ask, &cli->arena, &cluster, &hint, NULL) != 0) {
        return;
    }
    const struct pf_client_options options = {.addresses = cluster.masters,
                                              .key_file = cluster.key_file,
                                              .connect_ms = LIVE_IDS_MS,
                                              .leader_ms = LIVE_IDS_MS,
                                              .reply_ms = LIVE_IDS_MS};
    struct pf_entities found = {0};
    bool more = false;
    if (pf_client_open(&options, &client, NULL) == 0 &&
        pf_ids_find(client, line->prefix, kinds, n_kinds, &cli->arena, &found, &more, NULL) == 0) {
        put_ids(cli, &found);
    }
    pf_client_close(client);
}

static int complete(struct pf_cli *cli)
{
    struct pf_completion line;
    pf_complete_line(cli->args.operand, cli->args.n_operands, &cli->arena, &line);
    for (uint32_t i = 0; i < line.words.len; i++) {
        (void)fprintf(cli->out, "%s\n", (const char *)line.words.at[i]);
    }
    switch (line.want) {
    case PF_COMPLETE_FILE: (void)fputs(":file\n", cli->out); break;
    case PF_COMPLETE_DIR: (void)fputs(":dir\n", cli->out); break;
    case PF_COMPLETE_COMMAND: (void)fputs(":command\n", cli->out); break;
    case PF_COMPLETE_TASK:
    case PF_COMPLETE_FRAMEWORK:
    case PF_COMPLETE_AGENT:
    case PF_COMPLETE_ANY_ID: live_ids(cli, &line); break;
    case PF_COMPLETE_NONE:
    case PF_COMPLETE_CHOICES:
    case PF_COMPLETE_VERB: break;
    }
    pf_completion_fini(&line);
    return PF_EXIT_OK;
}

const struct pf_command pf_cmd_complete = {
    .name = "__complete",
    .group = "other",
    .summary = "what could stand next on a command line",
    .operands = "WORD...",
    .max_operands = PF_ARGV_MAX,
    .is_hidden = true,
    .is_raw = true,
    .run = complete,
};
