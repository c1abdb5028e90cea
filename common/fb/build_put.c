/* SPDX-License-Identifier: Apache-2.0 */
/* Tables from their argument structs, and deep copies: both turn each field into a cell. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/fb/build.h"

/* Memory for `n` references of one vector; NULL: the builder has failed. */
static struct pf_ref *refs_alloc(struct pf_fb_builder *b, uint32_t n)
{
    size_t bytes = (size_t)n * sizeof(struct pf_ref);
    if (b->limit == 0) {
        return pf_realloc(NULL, bytes);
    }
    struct pf_ref *refs = pf_try_realloc(NULL, bytes);
    b->failed = b->failed || refs == NULL;
    return refs;
}

/* The content of an argument that is a vector of scalars. Enums are ints in memory and may be
 * narrower in the buffer. */
static struct pf_ref put_scalar_vector(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                       const void *at, uint32_t n)
{
    if (f->of == NULL || f->size == sizeof(int32_t)) {
        return pf_fb_put_scalars(b, at, n, f->size);
    }
    size_t bytes = (size_t)n * f->size;
    uint8_t *narrow = b->limit == 0 ? pf_realloc(NULL, bytes) : pf_try_realloc(NULL, bytes);
    if (narrow == NULL) {
        b->failed = true;
        return (struct pf_ref){0};
    }
    for (uint32_t i = 0; i < n; i++) {
        memcpy(narrow + (size_t)i * f->size, (const uint8_t *)at + (size_t)i * 4, f->size);
    }
    struct pf_ref ref = pf_fb_put_scalars(b, narrow, n, f->size);
    pf_free(narrow);
    return ref;
}

static struct pf_ref put_strs(struct pf_fb_builder *b, struct pf_strs strs)
{
    struct pf_ref few[16];
    struct pf_ref *refs = strs.n <= PF_ARRAY_LEN(few) ? few : refs_alloc(b, strs.n);
    if (refs == NULL) {
        return (struct pf_ref){0};
    }
    /* From the last to the first, so that they lie in order in the buffer. */
    for (uint32_t i = strs.n; i > 0; i--) {
        struct pf_str s = strs.at[i - 1];
        refs[i - 1] = pf_fb_put_str(b, s.at != NULL ? s : PF_STR(""));
    }
    struct pf_ref ref = pf_fb_put_refs(b, refs, strs.n);
    if (refs != few) {
        pf_free(refs);
    }
    return ref;
}

static struct pf_ref put_vector(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                const uint8_t *arg)
{
    /* All vector arguments are a pointer and a count. */
    struct pf_vec_u8 vec;
    memcpy(&vec, arg, sizeof vec);
    if (vec.n == 0) {
        return (struct pf_ref){0};
    }
    if (f->type == PF_FB_STRING) {
        struct pf_strs strs;
        memcpy(&strs, arg, sizeof strs);
        return put_strs(b, strs);
    }
    if (f->type == PF_FB_TABLE) {
        struct pf_refs refs;
        memcpy(&refs, arg, sizeof refs);
        return pf_fb_put_refs(b, refs.at, refs.n);
    }
    return put_scalar_vector(b, f, vec.at, vec.n);
}

/* The size of a scalar argument: enums are ints. */
static uint32_t scalar_arg_size(const struct pf_fb_field *f)
{
    return f->of != NULL ? 4 : f->size;
}

/* The low bytes of a scalar as a table holds it. */
static uint64_t scalar_bits(const struct pf_fb_field *f, const uint8_t *p)
{
    uint64_t v = 0;
    pf_fb_copy_scalar(&v, p, f->size);
    return v;
}

static struct pf_fb_cell scalar_cell(const struct pf_fb_field *f, const uint8_t *arg)
{
    struct pf_fb_cell cell = {0, false};
    if ((f->flags & PF_FB_F_OPTIONAL) != 0) {
        /* struct pf_opt_*: a bool, then the value at its own alignment. */
        cell.has = arg[0] != 0;
        cell.v = scalar_bits(f, arg + scalar_arg_size(f));
    } else {
        cell.v = scalar_bits(f, arg);
        cell.has = cell.v != f->def;
    }
    return cell;
}

static struct pf_fb_cell put_arg(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                 const uint8_t *arg)
{
    struct pf_ref ref = {0};
    struct pf_str s;
    struct pf_bytes bytes;
    if (pf_fb_is_vector(f)) {
        ref = put_vector(b, f, arg);
    } else if (pf_fb_is_scalar(f->type)) {
        return scalar_cell(f, arg);
    } else if (f->type == PF_FB_STRING) {
        memcpy(&s, arg, sizeof s);
        ref = pf_fb_put_str(b, s);
    } else if (f->type == PF_FB_BYTES || f->type == PF_FB_NESTED) {
        memcpy(&bytes, arg, sizeof bytes);
        ref = pf_fb_put_bytes(b, bytes, f->type == PF_FB_NESTED ? 8 : 4);
    } else if (f->type == PF_FB_UNION) {
        uint32_t type;
        memcpy(&type, arg, sizeof type);
        memcpy(&ref, arg + sizeof type, sizeof ref);
        PF_ASSERT((type != 0) == (ref.at != 0) || b->failed);
        return (struct pf_fb_cell){ref.at | (uint64_t)type << 32, type != 0};
    } else {
        memcpy(&ref, arg, sizeof ref);
    }
    return (struct pf_fb_cell){ref.at, ref.at != 0};
}

struct pf_ref pf_fb_put(struct pf_fb_builder *b, const struct pf_fb_table_desc *d, const void *args)
{
    struct pf_fb_cell cells[PF_FIELDS_MAX];
    /* From the last to the first, so that contents lie in the order of the fields. */
    for (uint32_t i = d->n_fields; i > 0; i--) {
        const struct pf_fb_field *f = &d->fields[i - 1];
        cells[i - 1] = put_arg(b, f, (const uint8_t *)args + f->arg);
        PF_ASSERT(cells[i - 1].has || (f->flags & PF_FB_F_REQUIRED) == 0 || b->failed);
    }
    return pf_fb_put_cells(b, d, cells);
}

static struct pf_ref copy_table(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                                struct pf_tab t, uint32_t depth);

static struct pf_ref copy_refs(struct pf_fb_builder *b, const struct pf_fb_field *f,
                               struct pf_tab t, uint32_t n, uint32_t depth)
{
    struct pf_ref *refs = refs_alloc(b, n);
    if (refs == NULL) {
        return (struct pf_ref){0};
    }
    for (uint32_t i = n; i > 0; i--) {
        if (f->type == PF_FB_STRING) {
            refs[i - 1] = pf_fb_put_str(b, pf_fb_vec_str(t, f->slot, i - 1));
        } else {
            refs[i - 1] = copy_table(b, f->table, pf_fb_vec_tab(t, f->slot, i - 1), depth + 1);
        }
    }
    struct pf_ref ref = pf_fb_put_refs(b, refs, n);
    pf_free(refs);
    return ref;
}

static struct pf_ref copy_vector(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                 struct pf_tab t, uint32_t depth)
{
    uint32_t n = pf_fb_vec_len(t, f->slot);
    if (n == 0) {
        return (struct pf_ref){0};
    }
    if (pf_fb_is_scalar(f->type)) {
        return pf_fb_put_scalars(b, pf_fb_vec_at(t, f->slot, 0, f->size), n, f->size);
    }
    return copy_refs(b, f, t, n, depth);
}

static struct pf_fb_cell copy_union(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                    struct pf_tab t, uint32_t depth)
{
    uint8_t type = pf_fb_get_u8(t, f->slot - 2u, 0);
    const struct pf_fb_enum_value *member = pf_fb_enum_by_value(f->of, type);
    if (member == NULL || member->table == NULL) {
        return (struct pf_fb_cell){0, false};
    }
    struct pf_ref ref = copy_table(b, member->table, pf_fb_get_tab(t, f->slot), depth + 1);
    return (struct pf_fb_cell){ref.at | (uint64_t)type << 32, ref.at != 0};
}

static struct pf_fb_cell copy_field(struct pf_fb_builder *b, const struct pf_fb_field *f,
                                    struct pf_tab t, uint32_t depth)
{
    const uint8_t *p = pf_fb_slot(t, f->slot);
    struct pf_ref ref = {0};
    if (p == NULL) {
        return (struct pf_fb_cell){0, false};
    }
    if (pf_fb_is_vector(f)) {
        ref = copy_vector(b, f, t, depth);
    } else if (pf_fb_is_scalar(f->type)) {
        return (struct pf_fb_cell){scalar_bits(f, p), true};
    } else if (f->type == PF_FB_STRING) {
        ref = pf_fb_put_str(b, pf_fb_get_str(t, f->slot));
    } else if (f->type == PF_FB_BYTES || f->type == PF_FB_NESTED) {
        uint32_t align = f->type == PF_FB_NESTED ? 8 : 4;
        ref = pf_fb_put_bytes(b, pf_fb_get_bytes(t, f->slot), align);
    } else if (f->type == PF_FB_UNION) {
        return copy_union(b, f, t, depth);
    } else {
        ref = copy_table(b, f->table, pf_fb_get_tab(t, f->slot), depth + 1);
    }
    return (struct pf_fb_cell){ref.at, ref.at != 0};
}

static struct pf_ref copy_table(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                                struct pf_tab t, uint32_t depth)
{
    struct pf_fb_cell cells[PF_FIELDS_MAX];
    PF_ASSERT(depth <= PF_MSG_DEPTH_MAX);
    for (uint32_t i = d->n_fields; i > 0; i--) {
        cells[i - 1] = copy_field(b, &d->fields[i - 1], t, depth);
    }
    return pf_fb_put_cells(b, d, cells);
}

struct pf_ref pf_fb_copy(struct pf_fb_builder *b, const struct pf_fb_table_desc *d, struct pf_tab t)
{
    return t.p != NULL ? copy_table(b, d, t, 1) : (struct pf_ref){0};
}
