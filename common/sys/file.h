/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories: whole files in and out, trees made and removed, locks, the file system
 * below. */
#ifndef PF_COMMON_SYS_FILE_H
#define PF_COMMON_SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"

/* Appends the whole file to `out`; more than `max_bytes` is PF_ELIMIT. Works for /proc as well. On
 * failure `out` is as it was. */
PF_MUST_USE int pf_file_read(const char *path, size_t max_bytes, struct pf_buf *out,
                             struct pf_err *err);
/* Replaces the file at once and durably: after a crash it is the old one or the new one. `mode` is
 * exact, whatever the umask. */
PF_MUST_USE int pf_file_write(const char *path, const void *p, size_t bytes, mode_t mode,
                              struct pf_err *err);
/* Makes the directory and its missing parents, each with `mode`; one that exists is fine. */
PF_MUST_USE int pf_mkdir_p(const char *path, mode_t mode, struct pf_err *err);
/* Removes a file or a directory with all it holds; follows no symbolic link, leaves other mounted
 * file systems alone (PF_EBUSY), needs a bounded number of descriptors at any depth. A path that is
 * not there is fine. On failure as much as possible is gone. */
PF_MUST_USE int pf_remove_tree(const char *path, struct pf_err *err);
/* Makes a rename or a new name in the directory durable. */
PF_MUST_USE int pf_dir_sync(const char *path, struct pf_err *err);

/* Locks `path` (made if missing) for the life of the process, or until `*out_fd` is closed. Held by
 * another: PF_EBUSY, and the text names its pid. The file is never removed. */
PF_MUST_USE int pf_file_lock(const char *path, int *out_fd, struct pf_err *err);

/* What an ordinary user may still write on the file system of `path`, and its size. */
PF_MUST_USE int pf_fs_space(const char *path, uint64_t *out_free_bytes, uint64_t *out_total_bytes,
                            struct pf_err *err);
/* Is `path` on a network (or FUSE) file system, where locks and mapped files cannot be trusted?
 * `*out_name`: static name of its kind ("nfs"), NULL if local. */
PF_MUST_USE int pf_fs_network(const char *path, const char **out_name, struct pf_err *err);

#endif
