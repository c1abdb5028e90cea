/* SPDX-License-Identifier: Apache-2.0 */
/* The committed rows of the registry in memory. */
#ifndef PF_COMMON_ELECT_REPLICA_H
#define PF_COMMON_ELECT_REPLICA_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/str.h"

struct pf_replica;
struct pf_replica_cut;

struct pf_replica *pf_replica_create(uint64_t seed);
void pf_replica_destroy(struct pf_replica *r);
void pf_replica_put(struct pf_replica *r, uint8_t table, struct pf_bytes key, struct pf_bytes row);
void pf_replica_del(struct pf_replica *r, uint8_t table, struct pf_bytes key);
uint32_t pf_replica_len(const struct pf_replica *r);
uint64_t pf_replica_bytes(const struct pf_replica *r);

typedef void pf_replica_row_fn(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                               struct pf_bytes row);
/* All rows, in the order of their first put (never of a hash). `fn` must not change what is
 * walked. */
void pf_replica_each(const struct pf_replica *r, pf_replica_row_fn *fn, void *ctx);
/* What changes `from` into `to`: puts of what differs, dels of what is gone. */
void pf_replica_diff(const struct pf_replica *from, const struct pf_replica *to,
                     pf_replica_row_fn *fn, void *ctx);

/* A picture of the rows as they are now, which later changes leave alone: cheap (rows are shared).
 * At most one is open. */
struct pf_replica_cut *pf_replica_cut(struct pf_replica *r);
void pf_replica_cut_free(struct pf_replica_cut *c);
uint32_t pf_replica_cut_len(const struct pf_replica_cut *c);
/* Row `i` of the picture. */
void pf_replica_cut_at(const struct pf_replica_cut *c, uint32_t i, uint8_t *out_table,
                       struct pf_bytes *out_key, struct pf_bytes *out_row);
void pf_replica_check(const struct pf_replica *r);

#endif
