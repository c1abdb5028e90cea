/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: mode 0600, owned by whoever runs us or by root. */
#ifndef PF_COMMON_NET_KEYFILE_H
#define PF_COMMON_NET_KEYFILE_H

#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/link/key.h"

/* PF_ENOENT, PF_EACCESS (mode or owner; the text says what to do), PF_EINVAL (no key), PF_EIO. */
PF_MUST_USE int pf_keyfile_read(const char *path, struct pf_key *out, struct pf_err *err);
/* Makes a new key from the kernel's randomness and writes it; never overwrites: PF_EEXIST. */
PF_MUST_USE int pf_keyfile_create(const char *path, struct pf_key *out, struct pf_err *err);

#endif
