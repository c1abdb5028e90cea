/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to JSON: a recursive walk over a verified buffer, whose depth is bounded. */
#include "common/base/limits.h"
#include "common/fb/json.h"
#include "common/fb/json_number.h"
#include "common/fb/json_writer.h"

static void write_table(struct pf_json_writer *w, struct pf_tab t,
                        const struct pf_fb_table_desc *d, uint32_t flags, uint32_t depth);

static int64_t load_signed(uint8_t type, const uint8_t *p)
{
    switch (type) {
    case PF_FB_I8:
        return pf_fb_load_i8(p);
    case PF_FB_I16:
        return pf_fb_load_i16(p);
    case PF_FB_I32:
        return pf_fb_load_i32(p);
    default:
        return pf_fb_load_i64(p);
    }
}

static uint64_t load_unsigned(uint8_t type, const uint8_t *p)
{
    switch (type) {
    case PF_FB_U8:
        return *p;
    case PF_FB_U16:
        return pf_fb_load_u16(p);
    case PF_FB_U32:
        return pf_fb_load_u32(p);
    default:
        return pf_fb_load_u64(p);
    }
}

static bool is_signed(uint8_t type)
{
    return type == PF_FB_I8 || type == PF_FB_I16 || type == PF_FB_I32 || type == PF_FB_I64;
}

static void write_enum(struct pf_json_writer *w, const struct pf_fb_field *f, const uint8_t *p)
{
    int64_t v = is_signed(f->type) ? load_signed(f->type, p) : (int64_t)load_unsigned(f->type, p);
    const char *name = v == (int)v ? pf_fb_enum_str(f->of, (int)v) : NULL;
    if (name != NULL) {
        pf_jw_cstr(w, name);
    } else {
        pf_jw_int(w, v);
    }
}

static void write_float(struct pf_json_writer *w, float v)
{
    char text[40];
    size_t n = pf_json_from_double(text, (double)v, true);
    pf_jw_raw(w, (struct pf_str){text, (uint32_t)n});
}

/* The scalar at `p`. */
static void write_scalar(struct pf_json_writer *w, const struct pf_fb_field *f, const uint8_t *p)
{
    if (f->of != NULL) {
        write_enum(w, f, p);
    } else if (f->type == PF_FB_BOOL) {
        pf_jw_bool(w, *p != 0);
    } else if (f->type == PF_FB_F64) {
        pf_jw_double(w, pf_fb_load_f64(p));
    } else if (f->type == PF_FB_F32) {
        write_float(w, pf_fb_load_f32(p));
    } else if (is_signed(f->type)) {
        pf_jw_int(w, load_signed(f->type, p));
    } else {
        pf_jw_uint(w, load_unsigned(f->type, p));
    }
}

/* The field `f` of `t`, one value that is present. */
static void write_single(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                         uint32_t flags, uint32_t depth)
{
    if (pf_fb_is_scalar(f->type)) {
        write_scalar(w, f, pf_fb_slot(t, f->slot));
    } else if (f->type == PF_FB_STRING) {
        pf_jw_str(w, pf_fb_get_str(t, f->slot));
    } else if (f->type == PF_FB_BYTES) {
        pf_jw_base64(w, pf_fb_get_bytes(t, f->slot));
    } else if (f->type == PF_FB_NESTED) {
        write_table(w, pf_fb_get_nested(t, f->slot), f->table, flags, depth + 1);
    } else {
        write_table(w, pf_fb_get_tab(t, f->slot), f->table, flags, depth + 1);
    }
}

static void write_map(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                      uint32_t flags, uint32_t depth)
{
    const struct pf_fb_field *key = &f->table->fields[0], *value = &f->table->fields[1];
    uint32_t n = pf_fb_vec_len(t, f->slot);
    pf_jw_begin_object(w);
    for (uint32_t i = 0; i < n; i++) {
        struct pf_tab entry = pf_fb_vec_tab(t, f->slot, i);
        struct pf_str name = pf_fb_get_str(entry, key->slot);
        if (name.at == NULL || !pf_fb_has(entry, value->slot)) {
            continue;
        }
        pf_jw_key_str(w, name);
        write_single(w, entry, value, flags, depth + 1);
    }
    pf_jw_end_object(w);
}

/* Element `i` of a list. */
static void write_element(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                          uint32_t i, uint32_t flags, uint32_t depth)
{
    if (f->type == PF_FB_STRING) {
        pf_jw_str(w, pf_fb_vec_str(t, f->slot, i));
    } else if (pf_fb_is_scalar(f->type)) {
        write_scalar(w, f, pf_fb_vec_at(t, f->slot, i, f->size));
    } else if ((f->flags & PF_FB_F_NESTED_LIST) != 0) {
        const struct pf_fb_field *inner = &f->table->fields[0];
        struct pf_tab wrapper = pf_fb_vec_tab(t, f->slot, i);
        struct pf_tab message = pf_fb_get_nested(wrapper, inner->slot);
        write_table(w, message, inner->table, flags, depth + 2);
    } else {
        write_table(w, pf_fb_vec_tab(t, f->slot, i), f->table, flags, depth + 1);
    }
}

static void write_list(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                       uint32_t flags, uint32_t depth)
{
    uint32_t n = pf_fb_vec_len(t, f->slot);
    pf_jw_begin_array(w);
    for (uint32_t i = 0; i < n && !w->out->failed; i++) {
        write_element(w, t, f, i, flags, depth);
    }
    pf_jw_end_array(w);
}

static void write_key(struct pf_json_writer *w, const struct pf_fb_field *f)
{
    pf_jw_key_str(w, (struct pf_str){f->name, f->name_len});
}

static void write_union(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                        uint32_t flags, uint32_t depth)
{
    uint8_t type = pf_fb_get_u8(t, f->slot - 2u, 0);
    const struct pf_fb_enum_value *member = pf_fb_enum_by_value(f->of, type);
    if (member == NULL || member->table == NULL) {
        return;
    }
    write_key(w, f);
    pf_jw_begin_object(w);
    pf_jw_key(w, member->name);
    write_table(w, pf_fb_get_tab(t, f->slot), member->table, flags, depth + 1);
    pf_jw_end_object(w);
}

static void write_default(struct pf_json_writer *w, const struct pf_fb_field *f)
{
    write_key(w, f);
    if (f->type == PF_FB_STRING) {
        pf_jw_cstr(w, f->def_str);
    } else {
        uint8_t bits[sizeof f->def];
        memcpy(bits, &f->def, sizeof bits);
        write_scalar(w, f, bits);
    }
}

static bool writes_default(const struct pf_fb_field *f, uint32_t flags)
{
    return (f->flags & PF_FB_F_PBDEFAULT) != 0 && (f->flags & PF_FB_F_DEPRECATED_API) == 0 &&
           (flags & PF_JSON_NO_DEFAULTS) == 0 && f->oneof == 0;
}

static void write_field(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_field *f,
                        uint32_t flags, uint32_t depth)
{
    if ((f->flags & PF_FB_F_OURS) != 0 && (flags & PF_JSON_SKIP_OURS) != 0) {
        return;
    }
    if (!pf_fb_has(t, f->slot)) {
        if (writes_default(f, flags)) {
            write_default(w, f);
        }
    } else if (f->type == PF_FB_UNION) {
        write_union(w, t, f, flags, depth);
    } else if (!pf_fb_is_vector(f)) {
        write_key(w, f);
        write_single(w, t, f, flags, depth);
    } else if (pf_fb_vec_len(t, f->slot) > 0) {
        write_key(w, f);
        if ((f->flags & PF_FB_F_MAP) != 0) {
            write_map(w, t, f, flags, depth);
        } else {
            write_list(w, t, f, flags, depth);
        }
    }
}

/* An absent table is written as an empty object. */
static void write_table(struct pf_json_writer *w, struct pf_tab t,
                        const struct pf_fb_table_desc *d, uint32_t flags, uint32_t depth)
{
    PF_ASSERT(depth <= PF_MSG_DEPTH_MAX);
    pf_jw_begin_object(w);
    for (uint32_t i = 0; t.p != NULL && i < d->n_fields && !w->out->failed; i++) {
        write_field(w, t, &d->fields[i], flags, depth);
    }
    pf_jw_end_object(w);
}

void pf_jw_table(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_table_desc *d,
                 uint32_t flags)
{
    write_table(w, t, d, flags, 1);
}

int pf_json_write(struct pf_buf *out, struct pf_tab t, const struct pf_fb_table_desc *d,
                  uint32_t flags, struct pf_err *err)
{
    struct pf_json_writer w;
    size_t before = out->len;
    pf_jw_init(&w, out, (flags & PF_JSON_PRETTY) != 0);
    pf_jw_table(&w, t, d, flags);
    if (out->failed) {
        out->len = before;
        return pf_err_set(err, PF_ELIMIT, "JSON of %s is longer than %lu bytes", d->name,
                          (unsigned long)out->limit);
    }
    return 0;
}
