/* SPDX-License-Identifier: Apache-2.0 */
/* Files of this machine: opened as sources, copied without passing through us where the file system
 * can (shared blocks, copies inside the kernel). */
#ifndef PF_AGENT_FETCHER_COPY_H
#define PF_AGENT_FETCHER_COPY_H

#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

/* Opens a regular file for reading; waits for nobody (a pipe, a device: PF_EINVAL). */
PF_MUST_USE int pf_copy_source(const char *path, int *out_fd, struct pf_err *err);
/* Copies all of `from`, from its begin, to `to`. More than `max_bytes` (0 = any) is PF_ELIMIT. */
PF_MUST_USE int pf_copy_file(int from, int to, uint64_t max_bytes, uint64_t *out_bytes,
                             struct pf_err *err);

#endif
