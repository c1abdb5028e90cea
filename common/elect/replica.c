/* SPDX-License-Identifier: Apache-2.0 */
/* See replica.h. A row is one counted piece of memory that never changes; a put over it puts
 * another one in its place. */
#include "common/elect/replica.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/compiler.h"
#include "common/base/limits.h"
#include "common/base/map.h"

struct row {
    struct row *prev, *next; /* while it is in the replica */
    uint32_t refs;
    uint32_t name_len; /* of the table's byte and the key, at the beginning of bytes */
    uint32_t row_len;
    uint8_t bytes[];
};

struct pf_replica {
    struct pf_map by_name;
    struct row *first, *last;
    uint64_t bytes; /* of keys and rows */
    struct pf_replica_cut *cut;
};

struct pf_replica_cut {
    struct pf_replica *of; /* NULL: it is gone */
    uint32_t n;
    struct row **at;
};

struct pf_replica *pf_replica_create(uint64_t seed)
{
    struct pf_replica *r = PF_NEW(struct pf_replica);

    r->by_name.seed = seed;
    return r;
}

static void row_unref(struct row *w)
{
    if (--w->refs == 0) {
        pf_free(w);
    }
}

void pf_replica_destroy(struct pf_replica *r)
{
    if (r == NULL) {
        return;
    }
    for (struct row *w = r->first, *next; w != NULL; w = next) {
        next = w->next;
        row_unref(w);
    }
    if (r->cut != NULL) {
        r->cut->of = NULL;
    }
    pf_map_fini(&r->by_name);
    pf_free(r);
}

static struct pf_bytes row_key(const struct row *w)
{
    return (struct pf_bytes){w->bytes + 1, w->name_len - 1};
}

static struct pf_bytes row_row(const struct row *w)
{
    return (struct pf_bytes){w->bytes + w->name_len, w->row_len};
}

static uint64_t row_bytes(const struct row *w)
{
    return (uint64_t)w->name_len - 1 + w->row_len;
}

static struct row *row_create(uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct row *w = pf_alloc(sizeof *w + 1 + key.len + (size_t)row.len);

    w->refs = 1;
    w->name_len = 1 + key.len;
    w->row_len = row.len;
    w->bytes[0] = table;
    memcpy(w->bytes + 1, key.at, key.len);
    if (row.len > 0) {
        memcpy(w->bytes + w->name_len, row.at, row.len);
    }
    return w;
}

static struct row *row_find(const struct pf_replica *r, uint8_t table, struct pf_bytes key)
{
    uint8_t name[1 + PF_STORE_KEY_MAX_BYTES];

    PF_ASSERT(table >= 1 && table <= PF_STORE_TABLES_MAX);
    PF_ASSERT(key.len >= 1 && key.len <= PF_STORE_KEY_MAX_BYTES);
    name[0] = table;
    memcpy(name + 1, key.at, key.len);
    return pf_map_get(&r->by_name, name, 1 + key.len);
}

/* Puts `w` between two rows, either of which may be NULL: the end of the list. */
static void row_link(struct pf_replica *r, struct row *w, struct row *prev, struct row *next)
{
    w->prev = prev;
    w->next = next;
    *(prev != NULL ? &prev->next : &r->first) = w;
    *(next != NULL ? &next->prev : &r->last) = w;
    pf_map_put(&r->by_name, w->bytes, w->name_len, w);
    r->bytes += row_bytes(w);
}

static void row_unlink(struct pf_replica *r, struct row *w)
{
    *(w->prev != NULL ? &w->prev->next : &r->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &r->last) = w->prev;
    (void)pf_map_del(&r->by_name, w->bytes, w->name_len);
    r->bytes -= row_bytes(w);
    row_unref(w);
}

void pf_replica_put(struct pf_replica *r, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct row *old = row_find(r, table, key), *w = row_create(table, key, row);
    struct row *prev = r->last, *next = NULL;

    if (old != NULL) {
        prev = old->prev;
        next = old->next;
        row_unlink(r, old);
    }
    row_link(r, w, prev, next);
}

void pf_replica_del(struct pf_replica *r, uint8_t table, struct pf_bytes key)
{
    struct row *old = row_find(r, table, key);

    if (old != NULL) {
        row_unlink(r, old);
    }
}

uint32_t pf_replica_len(const struct pf_replica *r)
{
    return r->by_name.len;
}

uint64_t pf_replica_bytes(const struct pf_replica *r)
{
    return r->bytes;
}

void pf_replica_each(const struct pf_replica *r, pf_replica_row_fn *fn, void *ctx)
{
    for (const struct row *w = r->first; w != NULL; w = w->next) {
        fn(ctx, w->bytes[0], false, row_key(w), row_row(w));
    }
}

void pf_replica_diff(const struct pf_replica *from, const struct pf_replica *to,
                     pf_replica_row_fn *fn, void *ctx)
{
    for (const struct row *w = from->first; w != NULL; w = w->next) {
        if (pf_map_get(&to->by_name, w->bytes, w->name_len) == NULL) {
            fn(ctx, w->bytes[0], true, row_key(w), (struct pf_bytes){NULL, 0});
        }
    }
    for (const struct row *w = to->first; w != NULL; w = w->next) {
        const struct row *old = pf_map_get(&from->by_name, w->bytes, w->name_len);

        if (old == NULL || old->row_len != w->row_len ||
            memcmp(old->bytes + old->name_len, w->bytes + w->name_len, w->row_len) != 0) {
            fn(ctx, w->bytes[0], false, row_key(w), row_row(w));
        }
    }
}

struct pf_replica_cut *pf_replica_cut(struct pf_replica *r)
{
    PF_ASSERT(r->cut == NULL);
    struct pf_replica_cut *c = PF_NEW(struct pf_replica_cut);

    c->of = r;
    c->at = pf_alloc((r->by_name.len + (size_t)1) * sizeof *c->at);
    for (struct row *w = r->first; w != NULL; w = w->next) {
        w->refs++;
        c->at[c->n++] = w;
    }
    r->cut = c;
    return c;
}

void pf_replica_cut_free(struct pf_replica_cut *c)
{
    if (c == NULL) {
        return;
    }
    if (c->of != NULL) {
        c->of->cut = NULL;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        row_unref(c->at[i]);
    }
    pf_free(c->at);
    pf_free(c);
}

uint32_t pf_replica_cut_len(const struct pf_replica_cut *c)
{
    return c->n;
}

void pf_replica_cut_at(const struct pf_replica_cut *c, uint32_t i, uint8_t *out_table,
                       struct pf_bytes *out_key, struct pf_bytes *out_row)
{
    PF_ASSERT(i < c->n);
    *out_table = c->at[i]->bytes[0];
    *out_key = row_key(c->at[i]);
    *out_row = row_row(c->at[i]);
}

void pf_replica_check(const struct pf_replica *r)
{
    uint32_t n = 0;
    uint64_t bytes = 0;
    const struct row *prev = NULL;

    for (const struct row *w = r->first; w != NULL; prev = w, w = w->next) {
        PF_ASSERT(w->prev == prev);
        PF_ASSERT(w->refs >= 1 && w->refs <= 2);
        PF_ASSERT(w->refs == 1 || r->cut != NULL);
        PF_ASSERT(pf_map_get(&r->by_name, w->bytes, w->name_len) == w);
        n++;
        bytes += row_bytes(w);
    }
    PF_ASSERT(r->last == prev);
    PF_ASSERT(n == r->by_name.len && bytes == r->bytes);
}
