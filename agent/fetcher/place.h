/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file goes: a path beneath the sandbox, filled under a temporary name beside it and
 * renamed when it is whole. No symbolic link is followed on the way, none can lead out. */
#ifndef PF_AGENT_FETCHER_PLACE_H
#define PF_AGENT_FETCHER_PLACE_H

#include <stdbool.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

/* Is it a relative path that names a file and never goes up? PF_EINVAL says what it is instead.
 * Empty components and "." are fine inside. */
PF_MUST_USE int pf_place_check(struct pf_str path, struct pf_err *err);

struct pf_place {
    int dir_fd;    /* the directory that the file goes to */
    int fd;        /* the file, for reading and writing, mode 0600 */
    char *name;    /* owned */
    char temp[40]; /* its name until then; empty when there is none */
};
#define PF_PLACE_NONE {.dir_fd = -1, .fd = -1}

/* Makes the missing directories (0700) and the temporary file. `*out` is filled on success; fini it
 * then. PF_EINVAL as above, or what the file system says. */
PF_MUST_USE int pf_place_open(int sandbox_fd, struct pf_str path, struct pf_place *out,
                              struct pf_err *err);
/* Gives the file its name, in the place of what has it (but of no directory). */
PF_MUST_USE int pf_place_commit(struct pf_place *p, struct pf_err *err);
/* Removes what was not committed; PF_PLACE_NONE and a second time are accepted. */
void pf_place_fini(struct pf_place *p);

#endif
