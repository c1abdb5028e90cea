/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up verbs and options, and guessing what was meant. */
#include "framework/cli/command.h"

#include <string.h>

static const struct pf_cli_option cluster_options[] = {
    {.name = "master", .kind = PF_ARG_TEXT, .arg = "LIST",
     .help = "masters to ask, host:port,... (any of them will do)"},
    {.name = "cluster", .kind = PF_ARG_TEXT, .arg = "NAME",
     .help = "a cluster of the config file, or of 'up --name'"},
    {.name = "dir", .kind = PF_ARG_TEXT, .arg = "DIR", .complete = PF_COMPLETE_DIR,
     .help = "directory of a local cluster"},
    {.name = "key-file", .kind = PF_ARG_TEXT, .arg = "FILE", .complete = PF_COMPLETE_FILE,
     .help = "the cluster's key (default: the one in its directory)"},
};

static const struct pf_cli_option output_options[] = {
    {.name = "output", .letter = 'o', .kind = PF_ARG_TEXT, .arg = "FORMAT",
     .complete = PF_COMPLETE_CHOICES, .choices = "table json jsonl", .help = "how to print"},
    {.name = "quiet", .letter = 'q', .kind = PF_ARG_FLAG, .help = "ids only"},
    {.name = "columns", .kind = PF_ARG_TEXT, .arg = "KEY,...", .help = "these keys, in this order"},
    {.name = "no-header", .kind = PF_ARG_FLAG, .help = "no line of headings"},
    {.name = "filter", .is_repeated = true, .kind = PF_ARG_TEXT, .arg = "KEY=VALUE",
     .help = "only these (* and ? match; several: all must)"},
    {.name = "watch", .letter = 'w', .kind = PF_ARG_FLAG, .help = "again every second"},
};

static const struct pf_cli_option help_option = {
    .name = "help", .letter = 'h', .kind = PF_ARG_FLAG, .help = "this text"};

static const struct {
    uint32_t set;
    struct pf_cli_options options;
} option_sets[] = {
    {PF_SET_OUTPUT, PF_CLI_OPTIONS(output_options)},
    {PF_SET_CLUSTER, PF_CLI_OPTIONS(cluster_options)},
};

const struct pf_cli_option *pf_command_option(const struct pf_command *cmd, uint32_t i)
{
    if (i < cmd->options.n) {
        return &cmd->options.at[i];
    }
    i -= cmd->options.n;
    for (size_t k = 0; k < PF_ARRAY_LEN(option_sets); k++) {
        if ((cmd->sets & option_sets[k].set) == 0) {
            continue;
        }
        if (i < option_sets[k].options.n) {
            return &option_sets[k].options.at[i];
        }
        i -= option_sets[k].options.n;
    }
    return i == 0 ? &help_option : NULL;
}

const struct pf_command *pf_command_find(const char *name)
{
    for (uint32_t i = 0; pf_commands[i] != NULL; i++) {
        const struct pf_command *cmd = pf_commands[i];
        if (strcmp(cmd->name, name) == 0 ||
            (cmd->alias != NULL && strcmp(cmd->alias, name) == 0)) {
            return cmd;
        }
    }
    return NULL;
}

enum { WORD_MAX = 48, TOO_FAR = 99 };

uint32_t pf_edit_distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > WORD_MAX || n_b > WORD_MAX) {
        return TOO_FAR;
    }
    /* two rows back are needed to count a swap of neighbours ("tsaks") as one change */
    uint32_t row[3][WORD_MAX + 1];
    uint32_t *before = row[0], *above = row[1], *now = row[2];
    for (size_t j = 0; j <= n_b; j++) {
        above[j] = (uint32_t)j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= n_a; i++) {
        now[0] = (uint32_t)i;
        for (size_t j = 1; j <= n_b; j++) {
            uint32_t best = above[j - 1] + (a[i - 1] != b[j - 1] ? 1u : 0u);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
        uint32_t *oldest = before;
        before = above;
        above = now;
        now = oldest;
    }
    return above[n_b];
}

/* Keeps the better of two guesses. A guess must differ by less than half of what was typed; what
 * begins with what was typed counts as one change. */
static void guess(const char *typed, const char *candidate, const char **best, uint32_t *best_far)
{
    if (candidate == NULL) {
        return;
    }
    size_t len = strlen(typed);
    uint32_t far = pf_edit_distance(typed, candidate);
    if (len >= 2 && strncmp(typed, candidate, len) == 0) {
        far = 1;
    }
    if (far < *best_far && far * 2 <= len && far <= 3) {
        *best_far = far;
        *best = candidate;
    }
}

const char *pf_command_suggest(const char *name)
{
    const char *best = NULL;
    uint32_t far = TOO_FAR;
    for (uint32_t i = 0; pf_commands[i] != NULL; i++) {
        if (!pf_commands[i]->is_hidden) {
            guess(name, pf_commands[i]->name, &best, &far);
            guess(name, pf_commands[i]->alias, &best, &far);
        }
    }
    return best;
}

const char *pf_command_suggest_option(const struct pf_command *cmd, const char *name)
{
    const char *best = NULL;
    uint32_t far = TOO_FAR;
    const struct pf_cli_option *o;
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        guess(name, o->name, &best, &far);
    }
    return best;
}
