/* SPDX-License-Identifier: Apache-2.0 */
/* What could stand at the end of an unfinished command line, by the command table. Asks nobody:
 * ids are left to the caller, who is told which kind is wanted. */
#ifndef PF_FRAMEWORK_CLI_COMPLETE_H
#define PF_FRAMEWORK_CLI_COMPLETE_H

#include "common/base/buf.h"
#include "framework/cli/command.h"

struct pf_completion {
    struct pf_ptrs words;  /* const char *: candidates that fit the prefix; in the arena */
    enum pf_complete want; /* what else to complete by; _NONE: nothing */
    const char *prefix;    /* of the word to complete */
    /* the cluster that the line names so far; NULL = does not */
    const char *master, *cluster, *dir, *key_file;
};

/* `word` are the words behind the program's name as bash splits them ("=" stands alone), the last
 * one is to be completed (may be ""). */
void pf_complete_line(const char *const *word, uint32_t n, struct pf_arena *arena,
                      struct pf_completion *out);
void pf_completion_fini(struct pf_completion *c);

#endif
