/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing a command line by the verb's table. Not getopt_long: its permutation obeys an environment
 * variable, it takes abbreviations, and its errors do not say what was meant. */
#include "framework/cli/command.h"

#include <stdarg.h>
#include <string.h>
#include "framework/cli/value.h"

struct parser {
    const struct pf_command *cmd;
    struct pf_arena *arena;
    char *const *argv;
    int argc, i; /* the word in work */
    struct pf_arg *at;
    uint32_t n;
    const char **operand;
    uint32_t n_operands;
    bool wants_help;
    const char **out_hint;
    struct pf_err *err;
};

PF_PRINTF(3, 4) static int wrong(struct parser *p, const char *hint, const char *fmt, ...)
{
    if (hint == NULL) {
        hint = pf_arena_printf(p->arena, "proffer %s --help lists its options", p->cmd->name).at;
    }
    *p->out_hint = hint;
    va_list ap;
    va_start(ap, fmt);
    struct pf_str what = pf_arena_vprintf(p->arena, fmt, ap);
    va_end(ap);
    return pf_err_set(p->err, PF_EUSAGE, "%s", what.at);
}

static const struct pf_cli_option *find_long(const struct pf_command *cmd, const char *name,
                                             size_t len)
{
    const struct pf_cli_option *o;
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return NULL;
}

static const struct pf_cli_option *find_letter(const struct pf_command *cmd, char letter)
{
    const struct pf_cli_option *o;
    for (uint32_t i = 0; (o = pf_command_option(cmd, i)) != NULL; i++) {
        if (o->letter == letter && letter != 0) {
            return o;
        }
    }
    return NULL;
}

/* How people know the option: "--name" or "-n". */
static const char *shown(struct parser *p, const struct pf_cli_option *o)
{
    return pf_arena_printf(p->arena, "--%s", o->name).at;
}

static int keep(struct parser *p, const struct pf_cli_option *o, const char *text)
{
    struct pf_arg arg = {.option = o, .text = text};
    if (text != NULL) {
        struct pf_err why = {0};
        if (pf_value_parse(o, text, &arg.num, &why) != 0) {
            pf_err_wrap(&why, "%s", shown(p, o));
            const char *example = pf_value_hint(o, p->arena);
            return wrong(p, example, "%s", why.msg);
        }
    }
    p->at[p->n++] = arg;
    p->wants_help |= strcmp(o->name, "help") == 0;
    return 0;
}

/* The argument of an option that needs one, when it is not glued to it: the next word. */
static int take_next(struct parser *p, const struct pf_cli_option *o)
{
    if (p->i + 1 >= p->argc) {
        const char *hint = pf_arena_printf(p->arena, "write: --%s %s", o->name, o->arg).at;
        return wrong(p, hint, "%s needs an argument", shown(p, o));
    }
    return keep(p, o, p->argv[++p->i]);
}

static int unknown(struct parser *p, const char *word, const char *name)
{
    const char *meant = pf_command_suggest_option(p->cmd, name);
    const char *hint = NULL;
    if (meant != NULL) {
        hint = pf_arena_printf(p->arena, "did you mean --%s?", meant).at;
    } else if (p->cmd->stops_at_operand) {
        hint = pf_arena_printf(p->arena, "options of your own command go behind it: proffer %s -- "
                               "COMMAND %s", p->cmd->name, word).at;
    }
    return wrong(p, hint, "unknown option '%s'", word);
}

static int parse_long(struct parser *p, const char *word)
{
    const char *name = word + 2;
    const char *eq = strchr(name, '=');
    size_t len = eq != NULL ? (size_t)(eq - name) : strlen(name);
    const struct pf_cli_option *o = find_long(p->cmd, name, len);
    if (o == NULL) {
        struct pf_str typed = {name, (uint32_t)len};
        return unknown(p, word, pf_arena_strdup(p->arena, typed).at);
    }
    if (o->kind == PF_ARG_FLAG) {
        return eq == NULL ? keep(p, o, NULL)
                          : wrong(p, pf_arena_printf(p->arena, "write: --%s", o->name).at,
                                  "%s takes no argument", shown(p, o));
    }
    return eq != NULL ? keep(p, o, eq + 1) : take_next(p, o);
}

static int parse_letters(struct parser *p, const char *word)
{
    for (const char *c = word + 1; *c != '\0'; c++) {
        const struct pf_cli_option *o = find_letter(p->cmd, *c);
        if (o == NULL) {
            const char text[3] = {'-', *c, '\0'};
            return unknown(p, pf_arena_strdup(p->arena, pf_str(text)).at, "");
        }
        if (o->kind == PF_ARG_FLAG) {
            int rc = keep(p, o, NULL);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        if (c[1] == '\0') {
            return take_next(p, o);
        }
        return keep(p, o, c[1] == '=' ? c + 2 : c + 1);
    }
    return 0;
}

static int parse_words(struct parser *p)
{
    bool options_ended = p->cmd->is_raw;
    for (p->i = 0; p->i < p->argc; p->i++) {
        const char *word = p->argv[p->i];
        int rc = 0;
        if (options_ended || word[0] != '-' || word[1] == '\0') {
            p->operand[p->n_operands++] = word;
            options_ended |= p->cmd->stops_at_operand;
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
        } else {
            rc = word[1] == '-' ? parse_long(p, word) : parse_letters(p, word);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* -h and --help before any error: who asks for help gets it. */
static bool asks_for_help(const struct pf_command *cmd, int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (cmd->stops_at_operand && argv[i][0] != '-') {
            return false;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static int check_counts(struct parser *p)
{
    const char *usage = pf_arena_printf(p->arena, "usage: proffer %s [OPTION...] %s", p->cmd->name,
                                        p->cmd->operands != NULL ? p->cmd->operands : "").at;
    if (p->n_operands < p->cmd->min_operands) {
        return wrong(p, usage, "%s is missing", p->cmd->operands);
    }
    if (p->n_operands > p->cmd->max_operands) {
        return wrong(p, usage, "unexpected '%s'", p->operand[p->cmd->max_operands]);
    }
    return 0;
}

int pf_args_parse(const struct pf_command *cmd, int argc, char *const *argv,
                  struct pf_arena *arena, struct pf_args *out, const char **out_hint,
                  struct pf_err *err)
{
    struct parser p = {.cmd = cmd, .arena = arena, .argv = argv, .argc = argc,
                       .out_hint = out_hint, .err = err};
    if (!cmd->is_raw && asks_for_help(cmd, argc, argv)) {
        *out = (struct pf_args){.cmd = cmd, .wants_help = true};
        return 0;
    }
    if (argc > PF_ARGV_MAX) {
        return wrong(&p, "put the command into a file: run --script FILE", "%s",
                     "too many arguments");
    }
    /* a word can hold several letters: one entry for each byte of it is enough */
    size_t letters = 1;
    for (int i = 0; i < argc; i++) {
        letters += argv[i][0] == '-' && argv[i][1] != '-' ? strlen(argv[i]) : 1;
    }
    p.at = pf_arena_zalloc(arena, letters * sizeof *p.at);
    p.operand = pf_arena_zalloc(arena, ((size_t)argc + 1) * sizeof *p.operand);
    int rc = parse_words(&p);
    if (rc == 0 && !p.wants_help) {
        rc = check_counts(&p);
    }
    if (rc != 0) {
        return rc;
    }
    *out = (struct pf_args){.cmd = cmd, .at = p.at, .n = p.n, .operand = p.operand,
                            .n_operands = p.n_operands, .wants_help = p.wants_help};
    return 0;
}

static const struct pf_arg *last_of(const struct pf_args *args, const char *name)
{
    PF_ASSERT(find_long(args->cmd, name, strlen(name)) != NULL);
    for (uint32_t i = args->n; i > 0; i--) {
        if (strcmp(args->at[i - 1].option->name, name) == 0) {
            return &args->at[i - 1];
        }
    }
    return NULL;
}

bool pf_args_has(const struct pf_args *args, const char *name)
{
    return last_of(args, name) != NULL;
}

const char *pf_args_text(const struct pf_args *args, const char *name)
{
    const struct pf_arg *arg = last_of(args, name);
    return arg != NULL ? arg->text : NULL;
}

int64_t pf_args_num(const struct pf_args *args, const char *name, int64_t absent)
{
    const struct pf_arg *arg = last_of(args, name);
    return arg != NULL ? arg->num : absent;
}

const char *pf_args_next(const struct pf_args *args, const char *name, uint32_t *cursor)
{
    PF_ASSERT(find_long(args->cmd, name, strlen(name)) != NULL);
    while (*cursor < args->n) {
        const struct pf_arg *arg = &args->at[(*cursor)++];
        if (strcmp(arg->option->name, name) == 0) {
            return arg->text;
        }
    }
    return NULL;
}
