/* SPDX-License-Identifier: Apache-2.0 */
/* Help made from the command table. */
#include "framework/cli/help.h"

#include <string.h>

enum { LEFT_COLUMN = 26, LINE_COLUMNS = 96 };

void pf_help_all(struct pf_cli *cli, FILE *to)
{
    (void)cli;
    (void)fputs("proffer runs commands on a cluster, and shows what the cluster does.\n\n"
                "usage: proffer [--master LIST | --cluster NAME | --dir DIR] VERB ...\n", to);
    const char *group = "";
    for (uint32_t i = 0; pf_commands[i] != NULL; i++) {
        const struct pf_command *cmd = pf_commands[i];
        if (cmd->is_hidden) {
            continue;
        }
        if (strcmp(group, cmd->group) != 0) {
            group = cmd->group;
            (void)fprintf(to, "\n%s\n", group);
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%s%s%s", cmd->name, cmd->alias != NULL ? ", " : "",
                       cmd->alias != NULL ? cmd->alias : "");
        (void)fprintf(to, "  %-16s %s\n", name, cmd->summary);
    }
    (void)fputs("\nproffer help VERB, or VERB --help, tells the options of a verb.\n"
                "Without a flag the cluster is $PROFFER_MASTER, else $PROFFER_DIR, else the one "
                "last started\nwith 'proffer up', else 127.0.0.1:5055.\n", to);
}

/* `text` from column LEFT_COLUMN on, wrapped at spaces. */
static void put_wrapped(FILE *to, const char *text, size_t left)
{
    size_t column = left;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column + word > LINE_COLUMNS && column > left) {
            (void)fprintf(to, "\n%*s", (int)left, "");
            column = left;
        }
        (void)fwrite(text, 1, word, to);
        column += word;
        text += word;
        if (*text == ' ') {
            text++;
            if (column < LINE_COLUMNS) {
                (void)fputc(' ', to);
            }
            column++;
        }
    }
    (void)fputc('\n', to);
}

static void put_option(FILE *to, const struct pf_cli_option *o)
{
    char head[80];
    char letter[5] = "    ";
    if (o->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    int len = snprintf(head, sizeof head, "  %s--%s%s%s", letter, o->name,
                       o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
    (void)fputs(head, to);
    if (len >= LEFT_COLUMN) {
        (void)fprintf(to, "\n%*s", LEFT_COLUMN, "");
    } else {
        (void)fprintf(to, "%*s", LEFT_COLUMN - len, "");
    }
    if (o->choices != NULL) {
        char text[256];
        (void)snprintf(text, sizeof text, "%s (one of: %s)", o->help, o->choices);
        put_wrapped(to, text, LEFT_COLUMN);
    } else {
        put_wrapped(to, o->help, LEFT_COLUMN);
    }
}

static void put_exits(FILE *to, const struct pf_command *cmd)
{
    (void)fputs("\nexit status\n", to);
    if (cmd->exits != NULL) {
        (void)fputs("  ", to);
        put_wrapped(to, cmd->exits, 2);
    } else {
        (void)fputs("  0 done, 1 failed or \"no\", 2 wrong usage, 3 unknown or ambiguous id,\n"
                    "  4 no cluster could be reached\n", to);
    }
}

void pf_help_verb(struct pf_cli *cli, const struct pf_command *cmd)
{
    FILE *to = cli->out;
    (void)fprintf(to, "proffer %s: %s\n\nusage: proffer %s [OPTION...]%s%s%s\n", cmd->name,
                  cmd->summary, cmd->name, cmd->stops_at_operand ? " [--]" : "",
                  cmd->operands != NULL ? " " : "", cmd->operands != NULL ? cmd->operands : "");
    if (cmd->alias != NULL) {
        (void)fprintf(to, "also:  proffer %s\n", cmd->alias);
    }
    if (cmd->about != NULL) {
        (void)fputc('\n', to);
        put_wrapped(to, cmd->about, 0);
    }
    (void)fputs("\noptions\n", to);
    const struct pf_cli_option *o;
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        put_option(to, o);
    }
    if (cmd->examples[0].line != NULL) {
        (void)fputs("\nexamples\n", to);
    }
    for (uint32_t i = 0; i < PF_EXAMPLES_MAX && cmd->examples[i].line != NULL; i++) {
        (void)fprintf(to, "  %-46s %s\n", cmd->examples[i].line, cmd->examples[i].what);
    }
    put_exits(to, cmd);
}
