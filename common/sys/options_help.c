/* SPDX-License-Identifier: Apache-2.0 */
/* The help text of a table of options. */
#include "common/sys/options.h"

#include <stdio.h>
#include <string.h>

enum { HELP_WIDTH = 80, HELP_COLUMN = 30, HELP_NAME_MAX = 128 };

/* Words of `text` from column `*column` on, broken before HELP_WIDTH, continued at HELP_COLUMN. */
static void help_wrap(struct pf_buf *out, const char *text, size_t *column)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (*column + 1 + len > HELP_WIDTH && *column > HELP_COLUMN) {
            pf_buf_printf(out, "\n%*s", HELP_COLUMN, "");
            *column = HELP_COLUMN;
        } else if (*column > HELP_COLUMN) {
            pf_buf_add_byte(out, ' ');
            (*column)++;
        }
        pf_buf_add(out, text, len);
        *column += len;
        text += len;
        text += strspn(text, " ");
    }
}

static void help_option(struct pf_buf *out, const char *name, const char *arg, const char *help,
                        const char *fallback, bool is_required)
{
    char left[HELP_NAME_MAX], note[HELP_NAME_MAX] = "";
    int len = snprintf(left, sizeof left, "  --%s%s%s", name, arg ? " " : "", arg ? arg : "");
    size_t column = HELP_COLUMN;

    if (len + 2 > HELP_COLUMN) {
        pf_buf_printf(out, "%s\n%*s", left, HELP_COLUMN, "");
    } else {
        pf_buf_printf(out, "%-*s", HELP_COLUMN, left);
    }
    if (is_required) {
        (void)snprintf(note, sizeof note, "(required)");
    } else if (fallback && fallback[0] != '\0') {
        (void)snprintf(note, sizeof note, "(default: %s)", fallback);
    }
    help_wrap(out, help, &column);
    help_wrap(out, note, &column);
    pf_buf_add_byte(out, '\n');
}

void pf_options_help(const struct pf_options *o, struct pf_buf *out)
{
    char env[HELP_NAME_MAX];

    pf_buf_printf(out, "Usage: %s [OPTION]...%s%s\n%s\n\nOptions:\n", o->program,
                  o->args ? " " : "", o->args ? o->args : "", o->summary);
    for (uint32_t i = 0; i < o->n_options; i++) {
        const struct pf_option *p = &o->options[i];

        help_option(out, p->name, p->arg, p->help, p->fallback, p->is_required);
    }
    help_option(out, "config", "FILE", "read options from FILE", NULL, false);
    help_option(out, "help", NULL, "print this text", NULL, false);
    help_option(out, "version", NULL, "print the version", NULL, false);
    pf_options_env_name(o, o->n_options > 0 ? o->options[0].name : "option", env, sizeof env);
    pf_buf_printf(out,
                  "\nEach option may also be set in the environment (%s)\n"
                  "or by a line 'name = value' of the --config file. The command line is\n"
                  "stronger than the environment, the environment than the file.\n"
                  "Sizes: 256M, 1.5G (powers of 1024). Durations: 250ms, 5s, 1h30m.\n",
                  env);
}
