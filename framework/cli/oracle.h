/* SPDX-License-Identifier: Apache-2.0 */
/* The independent judge of a drill. It reads nothing but texts: what each task wrote into a file of
 * its own, and what each framework wrote down of what it was told. Whether a promise was broken
 * follows from these alone, never from what masters or agents think of themselves. Pure.
 *
 * A task's file has lines "start|tick|end TOKEN PID SECONDS" (SECONDS since boot, "12.34"). Its
 * work is done with "end". A framework's journal has lines, each with a time in microseconds:
 *   accept US TOKEN file|sim|brief  the launch is about to be sent ("sim": leaves no file; "brief":
 *                                likewise, and ends by itself within ten seconds)
 *   status US TOKEN STATE final|open   STATE is Mesos's word, or EXIT_UNKNOWN: it ended, and nobody
 *                                saw how
 *   finish US                    from here on tasks without files may end as they like
 * Other lines of a journal are for others. Every task with a file is expected to have done its work
 * by the time of the judgement. */
#ifndef PF_FRAMEWORK_CLI_ORACLE_H
#define PF_FRAMEWORK_CLI_ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

enum pf_oracle_kind {
    PF_ORACLE_LOST,      /* accepted or running, and its work was never done, or never told of */
    PF_ORACLE_DOUBLED,   /* two processes did the work of one task at the same time */
    PF_ORACLE_RESTARTED, /* one after the other */
    PF_ORACLE_PAUSED,    /* nothing was written for longer than the limit */
    PF_ORACLE_DISAGREED, /* what the framework was told is not what the file shows */
    PF_ORACLE_KIND_COUNT
};

struct pf_oracle_finding {
    enum pf_oracle_kind kind;
    int64_t at_us;   /* when, as far as known; 0 = not known */
    char *text;      /* owned by the oracle: names the task */
};

#define PF_ORACLE_FINDINGS_MAX 200 /* kept; all are counted */
#define PF_ORACLE_TOKEN_MAX    64  /* bytes of a token with its NUL */

struct pf_oracle_verdict {
    uint64_t count[PF_ORACLE_KIND_COUNT];
    uint64_t n_accepted;    /* tasks in the journals that leave files */
    uint64_t n_refused;     /* of these: never started, and the framework was told so */
    uint64_t n_files_ended; /* files whose work was done */
    uint64_t n_told_ended;  /* tasks of which the framework heard that they finished */
    uint64_t n_unknown;     /* did their work, and the framework was told EXIT_UNKNOWN */
    uint64_t n_retold;      /* tasks of which it was told more, or again, after the final state */
    uint64_t n_sim;         /* tasks without files */
    int64_t gap_max_us;     /* the longest silence of a task at work */
    const struct pf_oracle_finding *finding;
    uint32_t n_findings;
};

struct pf_oracle;

struct pf_oracle *pf_oracle_create(int64_t pause_limit_us);
void pf_oracle_destroy(struct pf_oracle *o); /* NULL is fine */
/* Launchers are killed: EXIT_UNKNOWN is no lie, if the task has done its work by then, or never
 * began. */
void pf_oracle_allow_unknown(struct pf_oracle *o);
/* Adds the whole journal of a framework. PF_EPROTO with the line: it cannot be read, and no verdict
 * should be built on it. A last line without an end (its writer was killed) is left out. */
PF_MUST_USE int pf_oracle_add_journal(struct pf_oracle *o, const char *framework,
                                      struct pf_str text, struct pf_err *err);
/* Adds the file of one task. PF_EPROTO likewise. */
PF_MUST_USE int pf_oracle_add_file(struct pf_oracle *o, const char *token, struct pf_str text,
                                   struct pf_err *err);
/* Once, at the end. Borrowed until the oracle is destroyed. */
const struct pf_oracle_verdict *pf_oracle_judge(struct pf_oracle *o);
/* Did all promises hold? */
bool pf_oracle_is_clean(const struct pf_oracle_verdict *v);
const char *pf_oracle_kind_word(enum pf_oracle_kind kind); /* "lost" */

#endif
