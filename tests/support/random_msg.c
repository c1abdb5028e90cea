/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages. */
#include "tests/support/random_msg.h"
#include <stdio.h>
#include "common/base/limits.h"

enum { LIST_MAX = 5, DEPTH_MAX = 5 };

struct dice {
    struct pf_fb_builder *b;
    struct pf_rng *rng;
};

static bool one_in(struct dice *x, uint64_t n)
{
    return pf_rng_below(x->rng, n) == 0;
}

static struct pf_ref random_table(struct dice *x, const struct pf_fb_table_desc *d, int depth);

static struct pf_ref random_str(struct dice *x)
{
    static const char *const parts[] = {"a", "Z", "0", " ", "\"", "\\", "/", "\xc3\xa9",
                                        "\xe2\x82\xac", "\xf0\x9f\x98\x80", "{", "task"};
    char text[128];
    size_t len = 0;
    for (uint64_t n = pf_rng_below(x->rng, 12); n > 0; n--) {
        const char *part = parts[pf_rng_below(x->rng, PF_ARRAY_LEN(parts))];
        memcpy(text + len, part, strlen(part));
        len += strlen(part);
    }
    return pf_fb_put_str(x->b, (struct pf_str){text, (uint32_t)len});
}

static uint64_t random_bits(struct dice *x, const struct pf_fb_field *f)
{
    uint64_t v = pf_rng_next(x->rng);
    int64_t small = (int64_t)(v >> 8) % 100000;
    if (f->of != NULL) {
        v = (uint64_t)(int64_t)f->of->values[v % f->of->n_values].value;
    } else if (f->type == PF_FB_BOOL) {
        v &= 1;
    } else if (f->type == PF_FB_F64) {
        double real = (double)small / 64;
        memcpy(&v, &real, sizeof real);
    } else if (f->type == PF_FB_F32) {
        float real = (float)(small % 1000) / 8;
        v = 0;
        memcpy(&v, &real, sizeof real);
    } else if (one_in(x, 3)) {
        v = one_in(x, 2) ? 0 : UINT64_MAX >> pf_rng_below(x->rng, 64);
    }
    return v & (UINT64_MAX >> (64 - 8u * f->size));
}

static struct pf_ref random_nested(struct dice *x, const struct pf_fb_table_desc *d, int depth)
{
    struct pf_fb_nest nest = pf_fb_nested_begin(x->b);
    return pf_fb_nested_end(x->b, nest, d, random_table(x, d, depth + 1));
}

static struct pf_ref random_bytes(struct dice *x)
{
    uint8_t bytes[32];
    uint32_t n = (uint32_t)pf_rng_below(x->rng, sizeof bytes);
    for (uint32_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)pf_rng_next(x->rng);
    }
    return pf_fb_put_bytes(x->b, (struct pf_bytes){bytes, n}, 4);
}

static struct pf_fb_cell random_single(struct dice *x, const struct pf_fb_field *f, int depth)
{
    struct pf_ref ref;
    if (f->type == PF_FB_STRING) {
        ref = random_str(x);
    } else if (f->type == PF_FB_BYTES) {
        ref = random_bytes(x);
    } else if (f->type == PF_FB_NESTED) {
        ref = random_nested(x, f->table, depth);
    } else if (f->type == PF_FB_TABLE) {
        ref = random_table(x, f->table, depth + 1);
    } else if (f->type == PF_FB_UNION) {
        uint64_t i = 1 + pf_rng_below(x->rng, f->of->n_values - 1u);
        const struct pf_fb_enum_value *member = &f->of->values[i];
        ref = random_table(x, member->table, depth + 1);
        return (struct pf_fb_cell){ref.at | (uint64_t)(uint32_t)member->value << 32, true};
    } else {
        uint64_t v = random_bits(x, f);
        bool plain = (f->flags & PF_FB_F_OPTIONAL) == 0 && v == f->def;
        return (struct pf_fb_cell){v, !plain};
    }
    return (struct pf_fb_cell){ref.at, true};
}

/* Keys are in order and differ, as those of a map are. */
static struct pf_ref random_entry(struct dice *x, const struct pf_fb_table_desc *d, uint32_t i,
                                  int depth)
{
    char key[16];
    (void)snprintf(key, sizeof key, "k%u", (unsigned)i);
    struct pf_fb_cell cells[2];
    cells[1] = random_single(x, &d->fields[1], depth + 1);
    cells[0] = (struct pf_fb_cell){pf_fb_put_str(x->b, pf_str(key)).at, true};
    return pf_fb_put_cells(x->b, d, cells);
}

static struct pf_fb_cell random_list(struct dice *x, const struct pf_fb_field *f, int depth)
{
    uint32_t n = 1 + (uint32_t)pf_rng_below(x->rng, LIST_MAX);
    struct pf_ref refs[LIST_MAX], ref;
    uint64_t packed[LIST_MAX];
    for (uint32_t i = 0; i < n; i++) {
        if ((f->flags & PF_FB_F_MAP) != 0) {
            refs[i] = random_entry(x, f->table, i, depth);
        } else if ((f->flags & PF_FB_F_NESTED_LIST) != 0) {
            struct pf_ref bytes = random_nested(x, f->table->fields[0].table, depth + 1);
            struct pf_fb_cell cell = {bytes.at, true};
            refs[i] = pf_fb_put_cells(x->b, f->table, &cell);
        } else if (pf_fb_is_scalar(f->type)) {
            uint64_t v = random_bits(x, f);
            memcpy((uint8_t *)packed + (size_t)i * f->size, &v, f->size);
        } else {
            refs[i].at = (uint32_t)random_single(x, f, depth).v;
        }
    }
    ref = pf_fb_is_scalar(f->type) ? pf_fb_put_scalars(x->b, packed, n, f->size)
                                   : pf_fb_put_refs(x->b, refs, n);
    return (struct pf_fb_cell){ref.at, true};
}

static bool leads_deeper(const struct pf_fb_field *f)
{
    return f->type == PF_FB_TABLE || f->type == PF_FB_NESTED || f->type == PF_FB_UNION;
}

static struct pf_ref random_table(struct dice *x, const struct pf_fb_table_desc *d, int depth)
{
    struct pf_fb_cell cells[PF_FIELDS_MAX];
    uint32_t oneofs = 0;
    for (uint32_t i = 0; i < d->n_fields; i++) {
        const struct pf_fb_field *f = &d->fields[i];
        bool must = (f->flags & (PF_FB_F_PBREQ | PF_FB_F_REQUIRED)) != 0;
        bool may = one_in(x, 2 + (uint64_t)depth) && (depth < DEPTH_MAX || !leads_deeper(f));
        if (f->oneof != 0) {
            may = may && (oneofs & 1u << f->oneof) == 0;
            oneofs |= may ? 1u << f->oneof : 0;
        }
        cells[i] = (struct pf_fb_cell){0, false};
        if (must || may) {
            cells[i] = pf_fb_is_vector(f) ? random_list(x, f, depth) : random_single(x, f, depth);
        }
    }
    return pf_fb_put_cells(x->b, d, cells);
}

struct pf_msg random_msg(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                         struct pf_rng *rng)
{
    struct dice x = {b, rng};
    pf_fb_builder_reset(b);
    return pf_fb_finish(b, d, random_table(&x, d, 0));
}
