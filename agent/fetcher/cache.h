/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a user's tasks share: a directory of the user with one file for each URI, named by
 * the SHA-256 of the URI. The same URI is the same content: nothing is asked again (as in Mesos).
 *
 * Any number of processes work in it and each may be killed anywhere. KEY.lock is held while KEY
 * is used (shared) or filled (exclusive); KEY.tmp is what is being filled; `lock` is held while
 * entries are counted, added and evicted. A name that was left over is removed by the next one who
 * comes. */
#ifndef PF_AGENT_FETCHER_CACHE_H
#define PF_AGENT_FETCHER_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

struct pf_cache {
    int dir_fd;
    uint64_t max_bytes; /* of all entries; those being filled come on top */
};

/* Opens the directory (made if missing, its parents must exist) and clears what was left over.
 * PF_EACCESS when it is somebody else's or others may write there. */
PF_MUST_USE int pf_cache_open(const char *dir, uint64_t max_bytes, struct pf_cache *out,
                              struct pf_err *err);
void pf_cache_close(struct pf_cache *c);

/* Writes the content to `fd`, at most `max_bytes` (else PF_ELIMIT). */
typedef int pf_cache_fill(void *ctx, int fd, uint64_t max_bytes, struct pf_err *err);

struct pf_cache_entry {
    int fd;       /* for reading; a hit is opened at its begin */
    int lock_fd;  /* keeps it from being evicted */
    bool is_hit;  /* it was there already */
};
#define PF_CACHE_ENTRY_NONE {.fd = -1, .lock_fd = -1}

/* The content of `uri`: found, waited for while another process fills it, or filled by `fill`,
 * which is called at most once. Least recently used entries go to make room; where all others are
 * in use, the content is given and not kept. Fails with what `fill` returned, or with an error of
 * the cache itself. Release the entry on success. */
PF_MUST_USE int pf_cache_get(struct pf_cache *c, struct pf_str uri, pf_cache_fill *fill, void *ctx,
                             struct pf_cache_entry *out, struct pf_err *err);
void pf_cache_release(struct pf_cache_entry *e);

#endif
