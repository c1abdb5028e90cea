/* SPDX-License-Identifier: Apache-2.0 */
/* Between cgroup.c (limits, usage), detect.c (finding the parents) and end.c (kill, remove). */
#ifndef PF_AGENT_CGROUP_CGROUP_INTERNAL_H
#define PF_AGENT_CGROUP_CGROUP_INTERNAL_H

#include <stddef.h>
#include "agent/cgroup/cgroup.h"

#define CGROUP_PATH_BYTES 4096
#define CGROUP_TEXT_BYTES 4096 /* of a file of one container, cgroup.procs excepted */
#define CGROUP_OURS       (PF_CGROUP_CPU | PF_CGROUP_MEMORY | PF_CGROUP_PIDS)

struct cgroup_name {
    const char *name; /* as the kernel says */
    unsigned bit;
    const char *sign; /* a file that every v1 cgroup with this controller has */
};
extern const struct cgroup_name cgroup_names[PF_CGROUP_DIRS_MAX];

/* "DIR/NAME/FILE"; `file` NULL: "DIR/NAME". PF_ELIMIT: too long. */
PF_MUST_USE int cgroup_path(char out[CGROUP_PATH_BYTES], const char *dir, const char *name,
                            const char *file, struct pf_err *err);
/* Writes the text to the file at once. The error names the file. */
PF_MUST_USE int cgroup_write(bool is_recorded, const char *path, const char *text,
                             struct pf_err *err);
/* The file as text without its last newline; false: cannot be read. */
bool cgroup_read(const char *path, char out[CGROUP_TEXT_BYTES]);
/* Controllers named in a list of words. */
unsigned cgroup_controllers(struct pf_str words, char separator);
/* Takes the first part of `*rest` up to the separator. False: nothing is left. */
bool cgroup_part(struct pf_str *rest, char separator, struct pf_str *out);
/* v2: lets the groups below `dir` have these controllers. */
PF_MUST_USE int cgroup_enable(bool is_recorded, const char *dir, unsigned controllers,
                              struct pf_err *err);
/* Makes the parent with number `i` (again). */
PF_MUST_USE int cgroup_parent_make(const struct pf_cgroups *c, uint32_t i, struct pf_err *err);

#endif
