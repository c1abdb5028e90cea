/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of a local cluster: starts its daemons, restarts those that die, stops them all on
 * SIGTERM or SIGINT, and keeps cluster.json true. `up --foreground` is this; `up` is this detached.
 * What it decides stands in supervise.h. */
#ifndef PF_FRAMEWORK_CLI_SUPERVISOR_H
#define PF_FRAMEWORK_CLI_SUPERVISOR_H

#include <stdbool.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "framework/cli/shape.h"

struct pf_supervisor_options {
    const char *dir;     /* absolute, exists */
    const char *name;
    const char *bin_dir; /* where proffer-master and proffer-agent are */
    const char *(*env)(const char *name); /* getenv; where java is */
    const struct pf_shape *shape;
    bool stays;          /* in the foreground: its log goes to stderr as well */
    /* Told once, when everything is up for the first time; then never on_failed. */
    void (*on_ready)(void *ctx, struct LocalCluster cluster);
    void *ctx;
};

/* Takes the lock of the directory and returns when all daemons have ended: 0 after a stop that was
 * asked for. PF_EBUSY: another supervisor lives there; PF_ECANCELED: asked to stop before
 * everything was up; else what kept a daemon from starting (the text ends with its last words).
 * `*out_hint` says what to do. */
PF_MUST_USE int pf_supervise(const struct pf_supervisor_options *options, struct pf_arena *arena,
                             const char **out_hint, struct pf_err *err);

/* Ends the launcher of an agent's work directory and what runs below it, by the agent's own
 * program. Blocks. For a cluster whose supervisor is gone. */
PF_MUST_USE int pf_stop_launcher(const char *bin_dir, const char *work_dir, struct pf_err *err);
/* The directory of the daemons' programs: beside this one, or PROFFER_BIN_DIR. In the arena. */
const char *pf_bin_dir(const char *(*env)(const char *name), struct pf_arena *arena);

#endif
