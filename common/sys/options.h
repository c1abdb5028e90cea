/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a daemon as one table. An option comes, in this order of force, from the command
 * line (`--work-dir DIR`), the environment (`PROFFER_AGENT_WORK_DIR`), a line of the file given
 * with `--config` (`work-dir = DIR`; '#' begins a comment), or its default. The help text is made
 * from the same table. */
#ifndef PF_COMMON_SYS_OPTIONS_H
#define PF_COMMON_SYS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"

#define PF_OPTIONS_MAX            128         /* of one program */
#define PF_OPTIONS_FILE_MAX_BYTES (1u << 20)  /* of a configuration file */

/* with the type of the field */
enum pf_option_type {
    PF_OPTION_FLAG,     /* bool */
    PF_OPTION_STRING,   /* char *, owned */
    PF_OPTION_INT,      /* int64_t */
    PF_OPTION_SIZE,     /* int64_t bytes, "256M" */
    PF_OPTION_DURATION, /* int64_t milliseconds, "5s" */
    PF_OPTION_LIST,     /* struct pf_ptrs of owned char *: "a,b", may be repeated */
};

struct pf_option {
    const char *name; /* "work-dir" */
    const char *arg;  /* "DIR"; NULL for flags */
    const char *help; /* a phrase, wrapped by the help text */
    enum pf_option_type type;
    size_t offset;        /* of the field in the config structure */
    const char *fallback; /* the default as text; NULL: false, NULL, 0 or an empty list */
    int64_t min, max;     /* of INT, SIZE and DURATION; both 0: no negative ones */
    bool is_required;
};

struct pf_options {
    const char *program; /* "proffer-agent"; the environment says PROFFER_AGENT_ */
    const char *args;    /* "[FILE]..." for the help text; NULL: none are accepted */
    const char *summary; /* one sentence */
    const struct pf_option *options;
    uint32_t n_options;
};

enum pf_options_verdict {
    PF_OPTIONS_RUN,
    PF_OPTIONS_HELP,   /* --help: nothing was filled, print pf_options_help */
    PF_OPTIONS_VERSION /* --version: nothing was filled */
};

/* Fills the fields of `config`, which is all zero where they are. `*out_first_arg`: place of the
 * first argument that is no option. Errors (PF_EUSAGE, or why a file was not read) are one line:
 * what is wrong and what to do. After an error nothing is filled. Sets getopt's global state; call
 * it from main. */
PF_MUST_USE int pf_options_parse(const struct pf_options *o, int argc, char **argv, void *config,
                                 enum pf_options_verdict *out_verdict, int *out_first_arg,
                                 struct pf_err *err);
void pf_options_help(const struct pf_options *o, struct pf_buf *out);
/* Frees the strings and lists of `config`. */
void pf_options_fini(const struct pf_options *o, void *config);

/* "PROFFER_AGENT_WORK_DIR" of program and option. */
void pf_options_env_name(const struct pf_options *o, const char *option, char *out,
                         size_t out_bytes);

#endif
