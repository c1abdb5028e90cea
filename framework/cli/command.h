/* SPDX-License-Identifier: Apache-2.0 */
/* The command table: one entry per verb. Parsing, help and shell completion are driven by it and by
 * nothing else, so they cannot disagree. An entry stands beside what the verb does, cmd_<verb>.c;
 * table.c lists them. */
#ifndef PF_FRAMEWORK_CLI_COMMAND_H
#define PF_FRAMEWORK_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

struct pf_cli;

/* Exit statuses of the verbs; those that stand for a task's own end are in run's files. */
enum {
    PF_EXIT_OK = 0,
    PF_EXIT_FAILED = 1,      /* "no", or it failed */
    PF_EXIT_USAGE = 2,
    PF_EXIT_ID = 3,          /* unknown or ambiguous id */
    PF_EXIT_UNREACHABLE = 4, /* no cluster there */
    PF_EXIT_TIMEOUT = 124,   /* run and its kin */
    PF_EXIT_OURS = 125,      /* run and its kin: everything that is not the task's own */
};

enum pf_arg_kind {
    PF_ARG_FLAG,
    PF_ARG_TEXT,
    PF_ARG_COUNT,    /* 0.. */
    PF_ARG_DURATION, /* "5s", in ms */
    PF_ARG_SIZE,     /* "256M", in bytes; a bare number is bytes */
    PF_ARG_MILLI,    /* "0.5", in thousandths */
    PF_ARG_SIGNAL,   /* "TERM", "SIGTERM", "15" */
};

/* What completes an argument or an operand. */
enum pf_complete {
    PF_COMPLETE_NONE,
    PF_COMPLETE_CHOICES, /* of the option */
    PF_COMPLETE_FILE,
    PF_COMPLETE_DIR,
    PF_COMPLETE_VERB,
    PF_COMPLETE_COMMAND, /* a program of this machine */
    PF_COMPLETE_TASK,    /* live ids from here on, asked of the cluster */
    PF_COMPLETE_FRAMEWORK,
    PF_COMPLETE_AGENT,
    PF_COMPLETE_ANY_ID,
};

struct pf_cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* 0 = none */
    bool is_repeated;  /* may be given several times */
    enum pf_arg_kind kind;
    const char *arg;   /* what help calls its argument, NULL for flags */
    const char *help;
    enum pf_complete complete;
    const char *choices; /* "table json jsonl"; other values are refused */
};

struct pf_cli_options {
    const struct pf_cli_option *at;
    uint32_t n;
};
#define PF_CLI_OPTIONS(array) {(array), (uint32_t)PF_ARRAY_LEN(array)}

/* Sets of options that several verbs share. */
enum {
    PF_SET_CLUSTER = 1 << 0, /* --master, --cluster, --dir, --key-file */
    PF_SET_OUTPUT = 1 << 1,  /* -o, -q, --columns, --no-header, --filter, -w */
};

struct pf_example {
    const char *line, *what;
};
#define PF_EXAMPLES_MAX 4

struct pf_command {
    const char *name;
    const char *alias;    /* NULL = none */
    const char *group;    /* heading in `help` */
    const char *summary;  /* one line */
    const char *operands; /* "ID...", NULL = takes none */
    const char *about;    /* more, for its own help; may be NULL */
    uint32_t min_operands, max_operands;
    bool stops_at_operand; /* the first operand begins a command line of its own */
    bool is_hidden;
    bool is_raw;               /* every word is an operand */
    enum pf_complete complete; /* of the operands */
    const char *choices;       /* of the first operand: "dump restore"; NULL = as the others */
    uint32_t sets;             /* PF_SET_* */
    struct pf_cli_options options;
    struct pf_example examples[PF_EXAMPLES_MAX];
    const char *exits;         /* exit statuses beyond the common ones; NULL = none */
    int usage_exit;            /* 0: PF_EXIT_USAGE */
    int (*run)(struct pf_cli *cli);
};

/* The table, by group; ends with NULL. */
extern const struct pf_command *const pf_commands[];

/* By name or alias; NULL if there is none. */
const struct pf_command *pf_command_find(const char *name);
/* The closest name that could have been meant, NULL if none is close. */
const char *pf_command_suggest(const char *name);
/* Which options a verb has: its own, then those of its sets. NULL at the end. */
const struct pf_cli_option *pf_command_option(const struct pf_command *cmd, uint32_t i);
/* The closest option, without dashes, or NULL. */
const char *pf_command_suggest_option(const struct pf_command *cmd, const char *name);
/* How many characters must change to make `b` of `a`, at most 99 (for suggestions). */
uint32_t pf_edit_distance(const char *a, const char *b);

/* --- a parsed command line ------------------------------------------------------------------- */

struct pf_arg {
    const struct pf_cli_option *option;
    const char *text; /* NULL for flags */
    int64_t num;      /* of the kinds that are numbers */
};

#define PF_ARGV_MAX 8192
struct pf_args {
    const struct pf_command *cmd;
    const struct pf_arg *at; /* in the order of the command line */
    uint32_t n;
    const char *const *operand;
    uint32_t n_operands;
    bool wants_help;
};

/* Parses what follows the verb: options and operands in any order, "--" ends the options, short
 * ones may stand together (-fn5), --name=value or --name value; names are not abbreviated: a script
 * that relied on it would break with the next option. Everything in `out` lives in `arena` or is
 * borrowed from argv. PF_EUSAGE: the text says what; `*out_hint` (in the arena) says what to do.
 * `out->wants_help` is set by -h or --help anywhere before the end of the options, and then nothing
 * is an error. */
PF_MUST_USE int pf_args_parse(const struct pf_command *cmd, int argc, char *const *argv,
                              struct pf_arena *arena, struct pf_args *out, const char **out_hint,
                              struct pf_err *err);

/* The functions below assert that the verb has such an option: a wrong name is our bug. The last of
 * several wins. */
bool pf_args_has(const struct pf_args *args, const char *name);
const char *pf_args_text(const struct pf_args *args, const char *name); /* NULL = not given */
int64_t pf_args_num(const struct pf_args *args, const char *name, int64_t absent);
/* The next one of a repeated option; *cursor starts at 0. NULL at the end. */
const char *pf_args_next(const struct pf_args *args, const char *name, uint32_t *cursor);

#endif
