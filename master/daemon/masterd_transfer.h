/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a registry between the directory of a master that is alone and ZooKeeper, and restoring
 * one from a dump: what --import-registry, --export-registry and --restore-registry ask for. Once,
 * without serving anybody. Wherever it is broken off, at most one of the two places is served, and
 * the same command goes on from there. */
#ifndef PF_MASTER_DAEMON_MASTERD_TRANSFER_H
#define PF_MASTER_DAEMON_MASTERD_TRANSFER_H

#include <stdbool.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "master/daemon/options.h"

/* For tests: asked before each step that lasts; false breaks off there, as a crash would
 * (PF_ECANCELED). */
struct pf_transfer_hook {
    bool (*may_go_on)(void *ctx);
    void *ctx;
};

bool pf_transfer_is_wanted(const struct pf_masterd_options *o);
/* 0, and `text` is one line of what was done. Else `err` says what is wrong (PF_EUSAGE: with the
 * options), and `text` what to do. `hook` may be NULL. */
PF_MUST_USE int pf_transfer_run(const struct pf_masterd_options *o,
                                const struct pf_transfer_hook *hook, struct pf_buf *text,
                                struct pf_err *err);

#endif
