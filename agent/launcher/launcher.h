/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher: starts, watches and reaps processes for one controller at a time (the agent), and
 * goes on without one. Protocol: schemas/launcher.fbs over `launcher.sock` in its directory. It
 * ends when told (LauncherQuit, SIGTERM) or when its socket was removed and nobody is connected.
 * The process is its own: signals, umask and the working directory belong to it. */
#ifndef PF_AGENT_LAUNCHER_LAUNCHER_H
#define PF_AGENT_LAUNCHER_LAUNCHER_H

#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

struct pf_launcher;

struct pf_launcher_options {
    const char *dir;   /* made by the caller, mode 0700; becomes the working directory */
    int controller_fd; /* a connected socket of the first controller, -1 = none; taken */
    uint64_t nofile;   /* soft limit of descriptors of what it starts; 0 = as we got it */
    /* After an upgrade: whose place it takes, the lock it holds, the list of descriptors that came
     * along (both taken). NULL: it begins anew. */
    const char *instance;
    int lock_fd, kept_fd;
};

/* Locks the directory (PF_EBUSY: another launcher lives there), reads the journal and finds what
 * survived a dead predecessor, and listens. Blocks the signals it waits for. */
PF_MUST_USE int pf_launcher_create(const struct pf_launcher_options *o, struct pf_launcher **out,
                                   struct pf_err *err);
/* Until it is told to end. PF_EIO: the kernel refuses to wait. */
PF_MUST_USE int pf_launcher_run(struct pf_launcher *l, struct pf_err *err);
/* NULL is fine. Leaves processes as they are. */
void pf_launcher_destroy(struct pf_launcher *l);

#endif
