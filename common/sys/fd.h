/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: flags, whole writes, closing many, the limit of their number. */
#ifndef PF_COMMON_SYS_FD_H
#define PF_COMMON_SYS_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

PF_MUST_USE int pf_fd_set_cloexec(int fd, bool on, struct pf_err *err);
PF_MUST_USE int pf_fd_set_nonblock(int fd, bool on, struct pf_err *err);
/* First thing in main(): a standard stream that came closed becomes /dev/null, so that nothing
 * opened later gets its number and what is written to it. */
void pf_fd_hold_standard(void);
/* Closes and forgets; -1 is accepted. */
void pf_fd_close(int *fd);
/* Closes every descriptor from `lowest` on. Allocates nothing: may run between fork and exec. */
void pf_fd_close_from(int lowest);
/* Writes all of it, over interruptions and short writes; for blocking descriptors. */
PF_MUST_USE int pf_fd_write_all(int fd, const void *p, size_t bytes, struct pf_err *err);
/* Raises the soft limit of open descriptors to the hard one; tells the limit that holds now. */
PF_MUST_USE int pf_fd_raise_limit(uint64_t *out_limit, struct pf_err *err);

#endif
