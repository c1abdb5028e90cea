/* SPDX-License-Identifier: Apache-2.0 */
/* A store in memory. Its rows live in an image, which a test hands from a store that "crashed" to
 * its successor. A batch is durable as soon as it is submitted. */
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/store/store.h"

/* The row comes first, so that it is aligned like in the store on disk; then table and key. */
struct memory_row {
    uint32_t row_len, name_len;
    _Alignas(16) uint8_t data[];
};

struct pf_store_image {
    struct pf_map rows; /* table byte + key -> struct memory_row */
};

struct memory_store {
    struct pf_store base;
    struct pf_store_image *image;
    bool owns_image;
    bool is_loaded_only; /* nothing submitted yet */
    uint64_t in_flight, done;
    uint64_t fail_at;
    int fail_code, failed; /* failed: sticky */
};

struct row_name {
    uint8_t at[1 + PF_STORE_KEY_MAX_BYTES];
    uint32_t len;
};

static void name_set(struct row_name *n, uint8_t table, struct pf_bytes key)
{
    PF_ASSERT(table >= 1 && table <= PF_STORE_TABLES_MAX);
    PF_ASSERT(key.len >= 1 && key.len <= PF_STORE_KEY_MAX_BYTES);
    n->at[0] = table;
    memcpy(n->at + 1, key.at, key.len);
    n->len = key.len + 1;
}

static const uint8_t *row_name(const struct memory_row *r)
{
    return r->data + r->row_len;
}

struct pf_store_image *pf_store_image_create(void)
{
    return PF_NEW(struct pf_store_image);
}

void pf_store_image_destroy(struct pf_store_image *image)
{
    uint32_t cursor = 0;
    void *row;

    if (!image) {
        return;
    }
    while ((row = pf_map_next(&image->rows, &cursor))) {
        pf_free(row);
    }
    pf_map_fini(&image->rows);
    pf_free(image);
}

static void image_apply(struct pf_store_image *image, const struct pf_row_op *op)
{
    struct row_name name;
    struct memory_row *r;

    name_set(&name, op->table, op->key);
    pf_free(pf_map_del(&image->rows, name.at, name.len));
    if (op->is_del) {
        return;
    }
    r = pf_alloc(sizeof *r + op->row.len + name.len);
    r->row_len = op->row.len;
    r->name_len = name.len;
    if (op->row.len > 0) {
        memcpy(r->data, op->row.at, op->row.len);
    }
    memcpy(r->data + r->row_len, name.at, name.len);
    pf_map_put(&image->rows, row_name(r), r->name_len, r);
}

static int row_cmp(const void *a, const void *b)
{
    const struct memory_row *x = *(struct memory_row *const *)a;
    const struct memory_row *y = *(struct memory_row *const *)b;
    uint32_t shorter = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp(row_name(x), row_name(y), shorter);

    return order ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static int memory_load(struct pf_store *store, pf_store_row_fn *on_row, void *ctx,
                       struct pf_err *err)
{
    struct memory_store *s = PF_CONTAINER(store, struct memory_store, base);
    uint32_t n = s->image->rows.len, cursor = 0;
    struct memory_row **row = pf_alloc((n + 1) * sizeof *row);
    int rc = 0;

    PF_ASSERT(s->is_loaded_only);
    for (uint32_t i = 0; i < n; i++) {
        row[i] = pf_map_next(&s->image->rows, &cursor);
    }
    qsort(row, n, sizeof *row, row_cmp);
    for (uint32_t i = 0; i < n && rc >= 0; i++) {
        const uint8_t *name = row_name(row[i]);

        rc = on_row(ctx, name[0], (struct pf_bytes){name + 1, row[i]->name_len - 1},
                    (struct pf_bytes){row[i]->data, row[i]->row_len});
    }
    pf_free(row);
    if (rc < 0 && err && !err->code) {
        (void)pf_err_set(err, rc, "a stored row was not accepted");
    }
    return rc < 0 ? rc : 0;
}

static void memory_submit(struct pf_store *store, const struct pf_batch *batch)
{
    struct memory_store *s = PF_CONTAINER(store, struct memory_store, base);

    s->is_loaded_only = false;
    if (s->failed) {
        return;
    }
    PF_ASSERT(s->in_flight == 0);
    s->in_flight = batch->number;
    if (s->fail_at && batch->number == s->fail_at) {
        s->failed = s->fail_code;
        return;
    }
    for (uint32_t i = 0; i < batch->n_ops; i++) {
        image_apply(s->image, &batch->op[i]);
    }
    s->done = batch->number;
}

static int memory_collect(struct pf_store *store, uint64_t *out_number, struct pf_err *err)
{
    struct memory_store *s = PF_CONTAINER(store, struct memory_store, base);

    if (s->failed) {
        return pf_err_set(err, s->failed, "storing batch %llu failed",
                          (unsigned long long)s->in_flight);
    }
    *out_number = s->done;
    s->done = 0;
    s->in_flight = 0;
    return 0;
}

static int memory_wake_fd(const struct pf_store *store)
{
    (void)store;
    return PF_STORE_WAKE_AT_ONCE;
}

static void memory_destroy(struct pf_store *store)
{
    struct memory_store *s = PF_CONTAINER(store, struct memory_store, base);

    if (s->owns_image) {
        pf_store_image_destroy(s->image);
    }
    pf_free(s);
}

struct pf_store *pf_store_memory_open(struct pf_store_image *image)
{
    static const struct pf_store_ops ops = {
        .load = memory_load,
        .submit = memory_submit,
        .collect = memory_collect,
        .wake_fd = memory_wake_fd,
        .destroy = memory_destroy,
    };
    struct memory_store *s = PF_NEW(struct memory_store);

    s->base = (struct pf_store){.ops = &ops, .depth = 1};
    s->owns_image = image == NULL;
    s->image = image ? image : pf_store_image_create();
    s->is_loaded_only = true;
    return &s->base;
}

void pf_store_memory_fail_at(struct pf_store *store, uint64_t number, int code)
{
    struct memory_store *s = PF_CONTAINER(store, struct memory_store, base);

    PF_ASSERT(store->ops->load == memory_load);
    PF_ASSERT(code < 0);
    s->fail_at = number;
    s->fail_code = code;
}
