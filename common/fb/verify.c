/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier: one recursive walk over descriptors, bounded by depth and by a budget of visits.
 * Positions are offsets into the current buffer; a nested buffer is a buffer of its own. */
#include "common/base/limits.h"
#include "common/fb/fb.h"
#include "common/fb/path.h"

#define VISITS_BASE 1000000u
#define BYTES_BASE  (64u << 20)

struct verifier {
    const uint8_t *data;
    uint32_t len;
    uint32_t visits_left;
    uint64_t bytes_left; /* of strings and vectors, counted at each visit */
    struct pf_err *err;
};

static int verify_buffer(struct verifier *v, struct pf_bytes in, const struct pf_fb_table_desc *d,
                         uint32_t depth, const struct pf_fb_step *at);

static int bad(struct verifier *v, const struct pf_fb_step *at, const char *what)
{
    return pf_fb_path_err(v->err, PF_EPROTO, at, "%s", what);
}

static int visit(struct verifier *v, const struct pf_fb_step *at)
{
    if (v->visits_left == 0) {
        return pf_fb_path_err(v->err, PF_ELIMIT, at, "too many parts");
    }
    v->visits_left--;
    return 0;
}

static int spend(struct verifier *v, uint64_t bytes, const struct pf_fb_step *at)
{
    if (v->bytes_left < bytes) {
        return pf_fb_path_err(v->err, PF_ELIMIT, at, "too many shared bytes");
    }
    v->bytes_left -= bytes;
    return 0;
}

/* Follows the offset at `pos` (inside the buffer) to something of at least 4 bytes. */
static int follow(struct verifier *v, uint32_t pos, uint32_t *out_target,
                  const struct pf_fb_step *at)
{
    uint32_t offset = pf_fb_load_u32(v->data + pos);
    if (offset == 0 || offset > v->len - 4 || pos > v->len - 4 - offset) {
        return bad(v, at, "offset out of bounds");
    }
    *out_target = pos + offset;
    return 0;
}

static int verify_str(struct verifier *v, uint32_t ref_pos, const struct pf_fb_step *at)
{
    uint32_t pos = 0;
    int rc = visit(v, at);
    if (rc == 0) {
        rc = follow(v, ref_pos, &pos, at);
    }
    if (rc != 0) {
        return rc;
    }
    uint32_t room = v->len - pos - 4;
    uint32_t n = pf_fb_load_u32(v->data + pos);
    if (n >= room) {
        return bad(v, at, "string out of bounds");
    }
    if (v->data[pos + 4 + n] != 0) {
        return bad(v, at, "string is not NUL-terminated");
    }
    return spend(v, n, at);
}

/* A vector's bounds; `*out_pos` is its first element. */
static int verify_span(struct verifier *v, uint32_t ref_pos, uint32_t size, uint32_t *out_pos,
                       uint32_t *out_n, const struct pf_fb_step *at)
{
    uint32_t pos = 0;
    int rc = follow(v, ref_pos, &pos, at);
    if (rc != 0) {
        return rc;
    }
    uint32_t n = pf_fb_load_u32(v->data + pos);
    if (n > (v->len - pos - 4) / size) {
        return bad(v, at, "vector out of bounds");
    }
    *out_pos = pos + 4;
    *out_n = n;
    return spend(v, (uint64_t)n * size, at);
}

/* The vtable of the table at `pos`; `*out_vt` is its position. */
static int verify_vtable(struct verifier *v, uint32_t pos, uint32_t *out_vt,
                         const struct pf_fb_step *at)
{
    int64_t vt = (int64_t)pos - (int32_t)pf_fb_load_u32(v->data + pos);
    if (vt < 0 || vt > (int64_t)v->len - 4) {
        return bad(v, at, "vtable out of bounds");
    }
    uint32_t vt_pos = (uint32_t)vt;
    uint32_t vt_size = pf_fb_load_u16(v->data + vt_pos);
    uint32_t size = pf_fb_load_u16(v->data + vt_pos + 2);
    if (vt_size < 4 || vt_size % 2 != 0 || vt_size > v->len - vt_pos) {
        return bad(v, at, "malformed vtable");
    }
    if (size < 4 || size > v->len - pos) {
        return bad(v, at, "table out of bounds");
    }
    *out_vt = vt_pos;
    return 0;
}

static int verify_table(struct verifier *v, uint32_t pos, const struct pf_fb_table_desc *d,
                        uint32_t depth, const struct pf_fb_step *at);

static int verify_table_ref(struct verifier *v, uint32_t ref_pos,
                            const struct pf_fb_table_desc *d, uint32_t depth,
                            const struct pf_fb_step *at)
{
    uint32_t pos = 0;
    int rc = follow(v, ref_pos, &pos, at);
    return rc != 0 ? rc : verify_table(v, pos, d, depth + 1, at);
}

static int verify_vector(struct verifier *v, uint32_t ref_pos, const struct pf_fb_field *f,
                         uint32_t depth, const struct pf_fb_step *up)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    uint32_t pos = 0, n = 0;
    int rc = verify_span(v, ref_pos, f->size, &pos, &n, &at);
    if (rc != 0 || pf_fb_is_scalar(f->type)) {
        return rc;
    }
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        at.index = i;
        rc = f->type == PF_FB_STRING ? verify_str(v, pos + 4 * i, &at)
                                     : verify_table_ref(v, pos + 4 * i, f->table, depth, &at);
    }
    return rc;
}

static int verify_nested(struct verifier *v, uint32_t ref_pos, const struct pf_fb_field *f,
                         uint32_t depth, const struct pf_fb_step *at)
{
    uint32_t pos = 0, n = 0;
    int rc = verify_span(v, ref_pos, 1, &pos, &n, at);
    if (rc != 0) {
        return rc;
    }
    const uint8_t *data = v->data;
    uint32_t len = v->len;
    rc = verify_buffer(v, (struct pf_bytes){data + pos, n}, f->table, depth + 1, at);
    v->data = data;
    v->len = len;
    return rc;
}

/* `type_pos` and `pos`: of the type byte and of the offset, 0 where absent. */
static int verify_union(struct verifier *v, uint32_t type_pos, uint32_t pos,
                        const struct pf_fb_field *f, uint32_t depth, const struct pf_fb_step *at)
{
    uint8_t type = type_pos != 0 ? v->data[type_pos] : 0;
    if ((type != 0) != (pos != 0)) {
        return bad(v, at, "union type and value do not agree");
    }
    if (pos == 0) {
        bool required = (f->flags & PF_FB_F_REQUIRED) != 0;
        return required ? bad(v, at, "required field is missing") : 0;
    }
    const struct pf_fb_enum_value *member = pf_fb_enum_by_value(f->of, type);
    if (member == NULL) {
        uint32_t target;
        return follow(v, pos, &target, at);
    }
    return verify_table_ref(v, pos, member->table, depth, at);
}

static int verify_field(struct verifier *v, uint32_t pos, const struct pf_fb_field *f,
                        uint32_t depth, const struct pf_fb_step *up)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    uint32_t ignored_pos, ignored_n;
    if (pf_fb_is_vector(f)) {
        return verify_vector(v, pos, f, depth, up);
    }
    switch ((enum pf_fb_type)f->type) {
    case PF_FB_STRING:
        return verify_str(v, pos, &at);
    case PF_FB_BYTES:
        return verify_span(v, pos, 1, &ignored_pos, &ignored_n, &at);
    case PF_FB_NESTED:
        return verify_nested(v, pos, f, depth, &at);
    case PF_FB_TABLE:
        return verify_table_ref(v, pos, f->table, depth, &at);
    case PF_FB_INVALID:
    case PF_FB_BOOL:
    case PF_FB_I8:
    case PF_FB_U8:
    case PF_FB_I16:
    case PF_FB_U16:
    case PF_FB_I32:
    case PF_FB_U32:
    case PF_FB_I64:
    case PF_FB_U64:
    case PF_FB_F32:
    case PF_FB_F64:
    case PF_FB_UNION:
    case PF_FB_TYPE_COUNT:
        break;
    }
    return 0;
}

/* A table whose vtable was checked. */
struct table {
    uint32_t pos, vt;
    uint32_t vt_size, size;
};

/* Where in the table the value of `slot` stands, 0 if absent. */
static uint32_t value_offset(const struct verifier *v, const struct table *t, uint32_t slot)
{
    return slot < t->vt_size ? pf_fb_load_u16(v->data + t->vt + slot) : 0;
}

static bool value_fits(const struct table *t, uint32_t offset, uint32_t size)
{
    return offset >= 4 && offset + size <= t->size;
}

static int verify_union_field(struct verifier *v, const struct table *t,
                              const struct pf_fb_field *f, uint32_t depth,
                              const struct pf_fb_step *up)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    uint32_t offset = value_offset(v, t, f->slot);
    uint32_t type_offset = value_offset(v, t, f->slot - 2u);
    if ((offset != 0 && !value_fits(t, offset, 4)) ||
        (type_offset != 0 && !value_fits(t, type_offset, 1))) {
        return bad(v, &at, "field outside of its table");
    }
    return verify_union(v, type_offset != 0 ? t->pos + type_offset : 0,
                        offset != 0 ? t->pos + offset : 0, f, depth, &at);
}

/* What is not a present scalar in its place. */
static int verify_other(struct verifier *v, const struct table *t, const struct pf_fb_field *f,
                        uint32_t offset, uint32_t depth, const struct pf_fb_step *up)
{
    struct pf_fb_step at = {up, f, PF_FB_NO_INDEX};
    if (f->type == PF_FB_UNION) {
        return verify_union_field(v, t, f, depth, up);
    }
    if (offset == 0) {
        return bad(v, &at, "required field is missing");
    }
    bool inlined = pf_fb_is_scalar(f->type) && !pf_fb_is_vector(f);
    if (!value_fits(t, offset, inlined ? f->size : 4)) {
        return bad(v, &at, "field outside of its table");
    }
    return verify_field(v, t->pos + offset, f, depth, up);
}

static int verify_table(struct verifier *v, uint32_t pos, const struct pf_fb_table_desc *d,
                        uint32_t depth, const struct pf_fb_step *at)
{
    struct table t = {.pos = pos};
    if (depth > PF_MSG_DEPTH_MAX) {
        return pf_fb_path_err(v->err, PF_ELIMIT, at, "nested too deeply");
    }
    int rc = visit(v, at);
    if (rc == 0) {
        rc = verify_vtable(v, pos, &t.vt, at);
    }
    if (rc != 0) {
        return rc;
    }
    t.vt_size = pf_fb_load_u16(v->data + t.vt);
    t.size = pf_fb_load_u16(v->data + t.vt + 2);
    for (uint32_t i = 0; i < d->n_fields && rc == 0; i++) {
        const struct pf_fb_field *f = &d->fields[i];
        uint32_t offset = value_offset(v, &t, f->slot);
        bool must_look = f->type == PF_FB_UNION || (f->flags & PF_FB_F_REQUIRED) != 0;
        if (offset != 0 || must_look) {
            rc = verify_other(v, &t, f, offset, depth, at);
        }
    }
    return rc;
}

static int verify_buffer(struct verifier *v, struct pf_bytes in, const struct pf_fb_table_desc *d,
                         uint32_t depth, const struct pf_fb_step *at)
{
    if (in.len < 8) {
        return bad(v, at, "buffer is too short");
    }
    if (in.len > INT32_MAX) {
        return pf_fb_path_err(v->err, PF_ELIMIT, at, "buffer is too long");
    }
    if (d->ident != NULL && memcmp(in.at + 4, d->ident, 4) != 0) {
        return bad(v, at, "wrong file identifier");
    }
    v->data = in.at;
    v->len = in.len;
    uint32_t root;
    int rc = follow(v, 0, &root, at);
    return rc != 0 ? rc : verify_table(v, root, d, depth, at);
}

int pf_fb_verify(struct pf_bytes in, const struct pf_fb_table_desc *root, struct pf_msg *out,
                 struct pf_err *err)
{
    if (in.at == NULL) {
        return pf_err_set(err, PF_EPROTO, "buffer is too short");
    }
    struct verifier v = {.visits_left = VISITS_BASE + in.len / 4,
                         .bytes_left = (uint64_t)BYTES_BASE + 8 * (uint64_t)in.len,
                         .err = err};
    int rc = verify_buffer(&v, in, root, 1, NULL);
    if (rc == 0) {
        *out = (struct pf_msg){in.at, in.len, root};
    }
    return rc;
}
