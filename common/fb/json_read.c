/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to messages without a document tree. Each open table has one cell for each field on a stack,
 * above them the elements of the list that is being read; children are put into the builder before
 * their parents, as it wants them. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/fb/json_read_internal.h"

#define BUILT_MAX (UINT32_C(1) << 30)

int pf_json_fail(struct pf_json_in *in, const struct pf_fb_step *at, int code, const char *text)
{
    return pf_fb_path_err(in->err, code, at, "%s at byte %lu", text, (unsigned long)in->value_at);
}

/* The reader's error with the path. */
static int reader_failed(struct pf_json_in *in, const struct pf_fb_step *at, int code)
{
    in->value_at = pf_jr_offset(&in->r);
    return pf_json_fail(in, at, code, in->r.problem);
}

int pf_json_check(struct pf_json_in *in, const struct pf_fb_step *at, int rc)
{
    return rc < 0 ? reader_failed(in, at, rc) : rc;
}

/* Room for `n` more cells, zeroed. After it there is memory, also for none. */
static int cells_push(struct pf_json_in *in, const struct pf_fb_step *at, uint32_t n)
{
    if (n >= in->cap - in->n) {
        uint32_t cap = in->cap < 64 ? 64 : in->cap * 2;
        cap = cap <= in->n + n ? in->n + n + 1 : cap;
        struct pf_fb_cell *cells = pf_try_realloc(in->cells, cap * sizeof *cells);
        if (cells == NULL) {
            return pf_json_fail(in, at, PF_ENOMEM, "out of memory");
        }
        in->cells = cells;
        in->cap = cap;
    }
    memset(in->cells + in->n, 0, n * sizeof *in->cells);
    in->n += n;
    return 0;
}

/* Has the builder run into its limit? */
static int builder_check(struct pf_json_in *in, const struct pf_fb_step *at)
{
    return in->b->failed ? pf_json_fail(in, at, PF_ELIMIT, "message is too large") : 0;
}

static int read_nested(struct pf_json_in *in, const struct pf_fb_table_desc *d, uint32_t depth,
                       const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    struct pf_fb_nest nest = pf_fb_nested_begin(in->b);
    struct pf_ref root, bytes;
    int rc = pf_json_read_table(in, d, depth, at, &root);
    if (rc != 0) {
        return rc;
    }
    bytes = pf_fb_nested_end(in->b, nest, d, root);
    *out = (struct pf_fb_cell){bytes.at, true};
    return builder_check(in, at);
}

/* {"Member": {...}}; {} and null members leave the union unset. */
static int read_union(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                      const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    int rc = pf_json_check(in, at, pf_jr_enter(&in->r));
    while (rc == 0) {
        struct pf_str key;
        struct pf_ref ref;
        int type;
        rc = pf_json_check(in, at, pf_jr_key(&in->r, &key));
        if (rc <= 0) {
            break;
        }
        if (!pf_fb_enum_parse(f->of, key, &type) || type == 0) {
            return pf_json_fail(in, at, PF_EINVAL, "unknown member of a union");
        }
        if (pf_jr_kind(&in->r) == PF_JSON_NULL) {
            rc = pf_json_check(in, at, pf_jr_null(&in->r));
            continue;
        }
        if (out->has) {
            return pf_json_fail(in, at, PF_EINVAL, "more than one member of a union");
        }
        const struct pf_fb_enum_value *member = pf_fb_enum_by_value(f->of, type);
        rc = pf_json_read_table(in, member->table, depth + 1, at, &ref);
        if (rc == 0) {
            *out = (struct pf_fb_cell){ref.at | (uint64_t)(uint32_t)type << 32, true};
        }
    }
    return rc;
}

/* One value of `f` (an element if it is a list). `out` is without value on entry and stays so for
 * an enum's unknown name. */
static int read_value(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                      const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    struct pf_ref ref = {0};
    int rc = 0;
    (void)pf_jr_kind(&in->r); /* passes whitespace */
    in->value_at = pf_jr_offset(&in->r);
    if (pf_fb_is_scalar(f->type)) {
        return pf_json_read_scalar(in, f, at, out);
    }
    if (f->type == PF_FB_STRING || f->type == PF_FB_BYTES) {
        rc = pf_json_read_text(in, f, at, &ref);
    } else if (f->type == PF_FB_UNION) {
        return read_union(in, f, depth, at, out);
    } else if (f->type == PF_FB_NESTED) {
        return read_nested(in, f->table, depth + 1, at, out);
    } else {
        rc = pf_json_read_table(in, f->table, depth + 1, at, &ref);
    }
    if (rc == 0) {
        *out = (struct pf_fb_cell){ref.at, true};
        rc = builder_check(in, at);
    }
    return rc;
}

/* One element of a list; pushed unless it is null or an enum's unknown name. */
static int read_element(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                        const struct pf_fb_step *at)
{
    struct pf_fb_cell cell = {0, false};
    int rc;
    if (pf_jr_kind(&in->r) == PF_JSON_NULL) {
        return pf_json_check(in, at, pf_jr_null(&in->r));
    }
    if ((f->flags & PF_FB_F_NESTED_LIST) != 0) {
        in->value_at = pf_jr_offset(&in->r);
        rc = read_nested(in, f->table->fields[0].table, depth + 2, at, &cell);
        if (rc == 0) {
            struct pf_ref ref = pf_fb_put_cells(in->b, f->table, &cell);
            cell.v = ref.at;
            rc = builder_check(in, at);
        }
    } else {
        rc = read_value(in, f, depth, at, &cell);
    }
    if (rc == 0 && cell.has) {
        rc = cells_push(in, at, 1);
        if (rc == 0) {
            in->cells[in->n - 1] = cell;
        }
    }
    return rc;
}

/* Writes the elements on top of the stack, from `base`, as a vector of `size` bytes each. */
static int pop_vector(struct pf_json_in *in, uint32_t base, const struct pf_fb_field *f,
                      const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    uint32_t n = in->n - base;
    struct pf_ref ref = {0};
    if (n > 0) {
        uint8_t *packed = (uint8_t *)(in->cells + base);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t v = in->cells[base + i].v;
            pf_fb_copy_scalar(packed + (size_t)i * f->size, &v, f->size);
        }
        ref = pf_fb_is_scalar(f->type)
                  ? pf_fb_put_scalars(in->b, packed, n, f->size)
                  : pf_fb_put_refs(in->b, (const struct pf_ref *)(const void *)packed, n);
    }
    in->n = base;
    *out = (struct pf_fb_cell){ref.at, ref.at != 0};
    return builder_check(in, at);
}

static int read_list(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                     const struct pf_fb_step *up, struct pf_fb_cell *out)
{
    struct pf_fb_step at = {up, f, 0};
    uint32_t base = in->n;
    int rc = 0;
    if (pf_jr_kind(&in->r) != PF_JSON_ARRAY) {
        at.index = PF_FB_NO_INDEX;
        rc = read_element(in, f, depth, &at);
        return rc != 0 ? rc : pop_vector(in, base, f, &at, out);
    }
    rc = pf_json_check(in, &at, pf_jr_enter(&in->r));
    while (rc == 0) {
        rc = pf_json_check(in, &at, pf_jr_item(&in->r));
        if (rc <= 0) {
            break;
        }
        rc = read_element(in, f, depth, &at);
        at.index++;
    }
    return rc != 0 ? rc : pop_vector(in, base, f, &at, out);
}

/* One member of a map: pushes the entry's table, with its key's place in the upper half. */
static int read_entry(struct pf_json_in *in, const struct pf_fb_field *f, struct pf_str key,
                      uint32_t depth, const struct pf_fb_step *at)
{
    struct pf_fb_cell cells[2] = {{0, false}, {0, false}};
    struct pf_ref name = pf_fb_put_str(in->b, key);
    if (pf_jr_kind(&in->r) == PF_JSON_NULL) {
        return pf_json_check(in, at, pf_jr_null(&in->r));
    }
    if (pf_jr_kind(&in->r) == PF_JSON_ARRAY) {
        return pf_json_fail(in, at, PF_EINVAL, "expected a single value");
    }
    int rc = read_value(in, &f->table->fields[1], depth + 1, at, &cells[1]);
    if (rc != 0 || !cells[1].has) {
        return rc;
    }
    cells[0] = (struct pf_fb_cell){name.at, true};
    struct pf_ref entry = pf_fb_put_cells(in->b, f->table, cells);
    rc = builder_check(in, at);
    if (rc == 0) {
        rc = cells_push(in, at, 1);
    }
    if (rc == 0) {
        in->cells[in->n - 1] = (struct pf_fb_cell){entry.at | (uint64_t)name.at << 32, true};
    }
    return rc;
}

static int read_map(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                    const struct pf_fb_step *up, struct pf_fb_cell *out)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    uint32_t base = in->n;
    if (pf_jr_kind(&in->r) != PF_JSON_OBJECT) {
        return pf_json_fail(in, &at, PF_EINVAL, "expected an object");
    }
    int rc = pf_json_check(in, &at, pf_jr_enter(&in->r));
    while (rc == 0) {
        struct pf_str key;
        rc = pf_json_check(in, &at, pf_jr_key(&in->r, &key));
        if (rc <= 0) {
            break;
        }
        rc = read_entry(in, f, key, depth, &at);
    }
    if (rc != 0) {
        return rc;
    }
    in->n = base + pf_json_sort_map(in->b, in->cells + base, in->n - base);
    return pop_vector(in, base, f, &at, out);
}

static int read_field(struct pf_json_in *in, const struct pf_fb_field *f, uint32_t depth,
                      const struct pf_fb_step *up, struct pf_fb_cell *out)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    enum pf_json_kind kind = pf_jr_kind(&in->r);
    in->value_at = pf_jr_offset(&in->r);
    if (kind == PF_JSON_NULL) {
        return pf_json_check(in, &at, pf_jr_null(&in->r));
    }
    if (pf_fb_is_vector(f)) {
        bool map = (f->flags & PF_FB_F_MAP) != 0;
        return map ? read_map(in, f, depth, up, out) : read_list(in, f, depth, up, out);
    }
    if (kind == PF_JSON_ARRAY) {
        return pf_json_fail(in, &at, PF_EINVAL, "expected a single value");
    }
    int rc = read_value(in, f, depth, &at, out);
    bool optional = (f->flags & PF_FB_F_OPTIONAL) != 0;
    if (rc == 0 && pf_fb_is_scalar(f->type) && !optional && out->v == f->def) {
        out->has = false; /* absent says the same */
    }
    return rc;
}

/* What the values of a table must agree on. */
static int check_table(struct pf_json_in *in, const struct pf_fb_table_desc *d,
                       const struct pf_fb_cell *cells, const struct pf_fb_step *up)
{
    uint8_t seen[256 / 8] = {0};
    for (uint32_t i = 0; i < d->n_fields; i++) {
        const struct pf_fb_field *f = &d->fields[i];
        struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
        if (!cells[i].has && (f->flags & (PF_FB_F_PBREQ | PF_FB_F_REQUIRED)) != 0) {
            return pf_json_fail(in, &at, PF_EINVAL, "required field is missing");
        }
        if (cells[i].has && f->oneof != 0) {
            uint8_t bit = (uint8_t)(1u << f->oneof % 8);
            if ((seen[f->oneof / 8] & bit) != 0) {
                return pf_json_fail(in, &at, PF_EINVAL, "another field of its oneof is set");
            }
            seen[f->oneof / 8] |= bit;
        }
    }
    return 0;
}

/* The field called `key`: most senders keep the schema's order, so the one after the last is tried
 * first. -1 = none that may be read. */
static int find_field(const struct pf_json_in *in, const struct pf_fb_table_desc *d,
                      struct pf_str key, uint32_t hint)
{
    int i = -1;
    if (hint < d->n_fields && d->fields[hint].name_len == key.len &&
        memcmp(d->fields[hint].name, key.at, key.len) == 0) {
        i = (int)hint;
    } else {
        i = pf_fb_field_by_name(d, key);
    }
    bool skip = i >= 0 && (in->flags & PF_JSON_SKIP_OURS) != 0 &&
                (d->fields[i].flags & PF_FB_F_OURS) != 0;
    return skip ? -1 : i;
}

static int read_members(struct pf_json_in *in, const struct pf_fb_table_desc *d, uint32_t base,
                        uint32_t depth, const struct pf_fb_step *at)
{
    uint32_t hint = 0;
    for (;;) {
        struct pf_str key;
        int rc = pf_json_check(in, at, pf_jr_key(&in->r, &key));
        if (rc <= 0) {
            return rc;
        }
        int i = find_field(in, d, key, hint);
        if (i < 0 && (in->flags & PF_JSON_REFUSE_UNKNOWN) != 0) {
            return pf_fb_path_err(in->err, PF_EINVAL, at, "unknown field '%.*s'",
                                  (int)(key.len < 64 ? key.len : 64), key.at);
        }
        if (i < 0) {
            rc = pf_json_check(in, at, pf_jr_skip(&in->r));
        } else {
            struct pf_fb_cell cell = {0, false};
            rc = read_field(in, &d->fields[i], depth, at, &cell);
            in->cells[base + (uint32_t)i] = cell;
            hint = (uint32_t)i + 1;
        }
        if (rc != 0) {
            return rc;
        }
    }
}

int pf_json_read_table(struct pf_json_in *in, const struct pf_fb_table_desc *d, uint32_t depth,
                       const struct pf_fb_step *at, struct pf_ref *out)
{
    uint32_t base = in->n;
    if (pf_jr_kind(&in->r) != PF_JSON_OBJECT) {
        bool nothing = pf_jr_kind(&in->r) == PF_JSON_INVALID;
        return pf_json_fail(in, at, nothing ? PF_EPROTO : PF_EINVAL, "expected an object");
    }
    if (depth > PF_MSG_DEPTH_MAX) {
        return pf_json_fail(in, at, PF_ELIMIT, "nested too deeply");
    }
    uint32_t begin = pf_jr_offset(&in->r);
    int rc = cells_push(in, at, d->n_fields);
    if (rc == 0) {
        rc = pf_json_check(in, at, pf_jr_enter(&in->r));
    }
    if (rc == 0) {
        rc = read_members(in, d, base, depth, at);
    }
    if (rc == 0) {
        in->value_at = begin;
        rc = check_table(in, d, in->cells + base, at);
    }
    if (rc == 0) {
        *out = pf_fb_put_cells(in->b, d, in->cells + base);
        rc = builder_check(in, at);
    }
    in->n = base;
    return rc;
}

static int read_message(struct pf_json_in *in, const struct pf_fb_table_desc *d,
                        struct pf_msg *out)
{
    struct pf_ref root;
    int rc = pf_json_read_table(in, d, 1, NULL, &root);
    if (rc == 0) {
        rc = pf_json_check(in, NULL, pf_jr_end(&in->r));
    }
    if (rc != 0) {
        return rc;
    }
    struct pf_msg msg = pf_fb_finish(in->b, d, root);
    rc = builder_check(in, NULL);
    if (rc == 0) {
        *out = msg;
    }
    return rc;
}

int pf_json_read(struct pf_str text, const struct pf_fb_table_desc *d, struct pf_fb_builder *b,
                 struct pf_msg *out, uint32_t flags, struct pf_err *err)
{
    struct pf_json_in in = {.b = b, .flags = flags, .err = err};
    uint32_t limit = b->limit;
    pf_fb_builder_reset(b);
    if (limit == 0) {
        /* The densest text, a list of {}, grows less than this. */
        uint64_t fits = 4096 + 32 * (uint64_t)text.len;
        b->limit = fits < BUILT_MAX ? (uint32_t)fits : BUILT_MAX;
    }
    pf_jr_init(&in.r, text);
    int rc = read_message(&in, d, out);
    if (rc != 0) {
        pf_fb_builder_reset(b);
    }
    b->limit = limit;
    pf_jr_fini(&in.r);
    pf_free(in.cells);
    return rc;
}
