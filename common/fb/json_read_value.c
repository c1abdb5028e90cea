/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of JSON, by the rules of Mesos's parser, and the order of maps. */
#include "common/fb/json_read_internal.h"
#include <float.h>
#include "common/base/alloc.h"
#include "common/fb/base64.h"
#include "common/fb/json_number.h"

static int wrong(struct pf_json_in *in, const struct pf_fb_step *at, const char *text)
{
    return pf_json_fail(in, at, PF_EINVAL, text);
}

/* The bits of an integer of the field's type, zero-extended; false if it does not fit. */
static bool integer_bits(const struct pf_fb_field *f, bool negative, uint64_t magnitude,
                         uint64_t *out)
{
    uint32_t n_bits = 8u * f->size;
    bool is_signed = f->type == PF_FB_I8 || f->type == PF_FB_I16 || f->type == PF_FB_I32 ||
                     f->type == PF_FB_I64;
    uint64_t max = UINT64_MAX >> (64 - n_bits);
    if (is_signed) {
        max = (max >> 1) + (negative ? 1 : 0);
    } else if (negative) {
        return false;
    }
    if (magnitude > max) {
        return false;
    }
    *out = (negative ? 0 - magnitude : magnitude) & (UINT64_MAX >> (64 - n_bits));
    return true;
}

/* The text of a number, which may be given as a string. */
static int number_text(struct pf_json_in *in, const struct pf_fb_step *at, struct pf_str *out)
{
    enum pf_json_kind kind = pf_jr_kind(&in->r);
    if (kind == PF_JSON_STRING) {
        return pf_json_check(in, at, pf_jr_str(&in->r, out));
    }
    if (kind == PF_JSON_NUMBER) {
        return pf_json_check(in, at, pf_jr_number(&in->r, out));
    }
    return kind == PF_JSON_INVALID ? pf_json_fail(in, at, PF_EPROTO, "expected a value")
                                   : wrong(in, at, "expected a number");
}

static int read_number(struct pf_json_in *in, const struct pf_fb_field *f,
                       const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    struct pf_str text;
    int rc = number_text(in, at, &text);
    if (rc != 0) {
        return rc;
    }
    if (f->type == PF_FB_F64 || f->type == PF_FB_F32) {
        double v;
        if (!pf_json_to_double(text, &v)) {
            return wrong(in, at, "expected a number");
        }
        bool finite = v >= -DBL_MAX && v <= DBL_MAX;
        if (f->type == PF_FB_F32 && finite && (v > FLT_MAX || v < -FLT_MAX)) {
            return wrong(in, at, "number is too large");
        }
        float narrow = (float)v;
        const void *bits = f->type == PF_FB_F32 ? (const void *)&narrow : (const void *)&v;
        memcpy(&out->v, bits, f->size);
    } else {
        bool negative;
        uint64_t magnitude;
        if (!pf_json_to_integer(text, &negative, &magnitude) ||
            !integer_bits(f, negative, magnitude, &out->v)) {
            return wrong(in, at, "expected an integer in its range");
        }
    }
    out->has = true;
    return 0;
}

static int read_bool(struct pf_json_in *in, const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    enum pf_json_kind kind = pf_jr_kind(&in->r);
    bool v = false;
    int rc = 0;
    if (kind == PF_JSON_STRING) {
        struct pf_str text;
        rc = pf_json_check(in, at, pf_jr_str(&in->r, &text));
        v = rc == 0 && pf_str_is(text, "true");
        if (rc == 0 && !v && !pf_str_is(text, "false")) {
            return wrong(in, at, "expected true or false");
        }
    } else if (kind == PF_JSON_BOOL || kind == PF_JSON_INVALID) {
        rc = pf_json_check(in, at, pf_jr_bool(&in->r, &v));
    } else {
        return wrong(in, at, "expected true or false");
    }
    *out = (struct pf_fb_cell){v ? 1 : 0, rc == 0};
    return rc;
}

static int read_enum(struct pf_json_in *in, const struct pf_fb_field *f,
                     const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    enum pf_json_kind kind = pf_jr_kind(&in->r);
    struct pf_str name;
    int value;
    if (kind != PF_JSON_STRING && kind != PF_JSON_INVALID) {
        return wrong(in, at, "expected the name of an enum's value");
    }
    int rc = pf_json_check(in, at, pf_jr_str(&in->r, &name));
    if (rc != 0) {
        return rc;
    }
    if (!pf_fb_enum_parse(f->of, name, &value)) {
        /* A newer peer's value: as if the field were not there. */
        bool required = (f->flags & PF_FB_F_PBREQ) != 0;
        return required ? wrong(in, at, "unknown name of an enum's value") : 0;
    }
    uint64_t mask = UINT64_MAX >> (64 - 8u * f->size);
    *out = (struct pf_fb_cell){(uint64_t)(int64_t)value & mask, true};
    return 0;
}

int pf_json_read_scalar(struct pf_json_in *in, const struct pf_fb_field *f,
                        const struct pf_fb_step *at, struct pf_fb_cell *out)
{
    if (f->of != NULL) {
        return read_enum(in, f, at, out);
    }
    return f->type == PF_FB_BOOL ? read_bool(in, at, out) : read_number(in, f, at, out);
}

static int put_base64(struct pf_json_in *in, struct pf_str text, const struct pf_fb_step *at,
                      struct pf_ref *out)
{
    uint32_t n;
    if (!pf_base64_decoded_len(text, &n)) {
        return wrong(in, at, "expected base64");
    }
    uint8_t *bytes = pf_try_alloc((size_t)n + 1);
    if (bytes == NULL) {
        return pf_json_fail(in, at, PF_ENOMEM, "out of memory");
    }
    int rc = 0;
    if (pf_base64_decode(text, bytes)) {
        *out = pf_fb_put_bytes(in->b, (struct pf_bytes){bytes, n}, 4);
    } else {
        rc = wrong(in, at, "expected base64");
    }
    pf_free(bytes);
    return rc;
}

int pf_json_read_text(struct pf_json_in *in, const struct pf_fb_field *f,
                      const struct pf_fb_step *at, struct pf_ref *out)
{
    enum pf_json_kind kind = pf_jr_kind(&in->r);
    struct pf_str text;
    if (kind != PF_JSON_STRING && kind != PF_JSON_INVALID) {
        return wrong(in, at, "expected a string");
    }
    int rc = pf_json_check(in, at, pf_jr_str(&in->r, &text));
    if (rc != 0) {
        return rc;
    }
    if (f->type == PF_FB_BYTES) {
        return put_base64(in, text, at, out);
    }
    *out = pf_fb_put_str(in->b, text);
    return 0;
}

/* By key, then by arrival: later things have larger distances from the buffer's end. */
static int entry_cmp(const struct pf_fb_builder *b, struct pf_fb_cell x, struct pf_fb_cell y)
{
    const uint8_t *end = b->mem + b->cap;
    int c = pf_str_cmp(pf_fb_str_at(end - (uint32_t)(x.v >> 32)),
                       pf_fb_str_at(end - (uint32_t)(y.v >> 32)));
    if (c != 0) {
        return c;
    }
    return (uint32_t)x.v < (uint32_t)y.v ? -1 : (uint32_t)x.v > (uint32_t)y.v;
}

static void sift_down(const struct pf_fb_builder *b, struct pf_fb_cell *at, uint32_t i, uint32_t n)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n) {
            return;
        }
        if (child + 1 < n && entry_cmp(b, at[child], at[child + 1]) < 0) {
            child++;
        }
        if (entry_cmp(b, at[i], at[child]) >= 0) {
            return;
        }
        struct pf_fb_cell swap = at[i];
        at[i] = at[child];
        at[child] = swap;
        i = child;
    }
}

uint32_t pf_json_sort_map(const struct pf_fb_builder *b, struct pf_fb_cell *entries, uint32_t n)
{
    if (n == 0) {
        return 0; /* the builder may have no memory yet */
    }
    /* Heap sort: bounded for hostile input, no memory, and the order is total. */
    for (uint32_t i = n / 2; i > 0; i--) {
        sift_down(b, entries, i - 1, n);
    }
    for (uint32_t last = n; last > 1; last--) {
        struct pf_fb_cell swap = entries[0];
        entries[0] = entries[last - 1];
        entries[last - 1] = swap;
        sift_down(b, entries, 0, last - 1);
    }
    const uint8_t *end = b->mem + b->cap;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str key = pf_fb_str_at(end - (uint32_t)(entries[i].v >> 32));
        bool again = i + 1 < n &&
                     pf_str_eq(key, pf_fb_str_at(end - (uint32_t)(entries[i + 1].v >> 32)));
        if (!again) {
            entries[kept++] = (struct pf_fb_cell){(uint32_t)entries[i].v, true};
        }
    }
    return kept;
}
