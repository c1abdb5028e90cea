/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads over http, https, ftp and ftps into a descriptor. Only this module knows libcurl.
 * Redirects are followed, a bounded number of times and to no other schemes; certificates are
 * checked; a transfer that brings no byte for a while ends. */
#ifndef PF_AGENT_FETCHER_DOWNLOAD_H
#define PF_AGENT_FETCHER_DOWNLOAD_H

#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

struct pf_download;

/* Keeps connections from one download to the next. `stall_ms`: 0 = PF_FETCH_STALL_MS. libcurl must
 * have been set up (curl_global_init). PF_ENOMEM. */
PF_MUST_USE int pf_download_create(uint32_t stall_ms, struct pf_download **out,
                                   struct pf_err *err);
/* NULL is accepted. */
void pf_download_destroy(struct pf_download *d);

/* Writes what `uri` has to `fd`, which stands at its end. On failure the file holds a part of it,
 * and the text has no part of the URI but the names of hosts. PF_ELIMIT: more than `max_bytes` (0 =
 * any), announced or sent; PF_ETIMEOUT; PF_ENOSPC and its like: `fd` could not be written;
 * PF_ENOENT: a status of 400 or more; PF_ECONN, PF_EREFUSED, PF_EAUTH, PF_EPROTO, PF_EINVAL. */
PF_MUST_USE int pf_download_run(struct pf_download *d, const char *uri, int fd, uint64_t max_bytes,
                                uint64_t *out_bytes, struct pf_err *err);

#endif
