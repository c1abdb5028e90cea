/* SPDX-License-Identifier: Apache-2.0 */
/* Archives, unpacked into the working directory. Only this module knows libarchive. Nothing gets
 * outside: names that are absolute or go up, links that lead out, files through a symbolic link,
 * devices and pipes are refused and end it. No owners, no setuid bits, no attributes are taken from
 * an archive; directories and files stay open to their owner, the umask decides about others. */
#ifndef PF_AGENT_FETCHER_UNPACK_H
#define PF_AGENT_FETCHER_UNPACK_H

#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

enum pf_unpack_kind {
    PF_UNPACK_NONE = 0,
    PF_UNPACK_TAR, /* .tar .tar.gz .tgz .tar.bz2 .tbz2 .tar.xz .txz, whatever its compression is */
    PF_UNPACK_ZIP, /* .zip */
    PF_UNPACK_GZIP, /* .gz: one file, named without it */
    PF_UNPACK_COUNT
};

/* By the name's end alone. */
enum pf_unpack_kind pf_unpack_kind(struct pf_str name);

struct pf_unpacked {
    uint64_t n_entries, bytes;
};

/* Unpacks the archive `fd`, which is called `name`, from its begin. The contents may have
 * `max_bytes`; 0 = PF_UNPACK_RATIO times the archive's size, at least PF_UNPACK_FREE_BYTES. On
 * failure a part of it may be there, and the text names the entry. PF_EPROTO: no such archive or a
 * damaged one; PF_EINVAL: an entry that is refused; PF_ELIMIT; PF_ENOSPC and its like. */
PF_MUST_USE int pf_unpack(int fd, struct pf_str name, uint64_t max_bytes, struct pf_unpacked *out,
                          struct pf_err *err);

/* May an entry called `path`, a link to `target` if that is not NULL, be made? */
PF_MUST_USE int pf_unpack_check_path(const char *path, struct pf_err *err);
PF_MUST_USE int pf_unpack_check_symlink(const char *path, const char *target, struct pf_err *err);

#endif
