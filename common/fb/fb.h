/* SPDX-License-Identifier: Apache-2.0 */
/* Reading FlatBuffers in place. A buffer from outside becomes a `struct pf_msg` only through
 * pf_fb_verify(); accessors (generated, built of the inlines here) trust it and copy nothing.
 * Everything read from an absent table is absent, or the default. */
#ifndef PF_COMMON_FB_FB_H
#define PF_COMMON_FB_FB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/fb/desc.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "loads are plain copies");

/* A verified buffer, root offset at 0, no size prefix. Borrowed from where it was verified or
 * built. All zero = absent. */
struct pf_msg {
    const uint8_t *data;
    uint32_t len;
    const struct pf_fb_table_desc *desc; /* of the root */
};

/* A table in a verified buffer; `p` NULL = absent. */
struct pf_tab {
    const uint8_t *p;
};

/* Checks that everything that accessors and transcoders can reach by `root`'s descriptors lies
 * inside `in`: offsets, vtables, vectors, NUL behind strings, union members, nested buffers,
 * `required` fields and the file identifier where the schema has one. Accepts unknown fields and
 * unknown enum values, demands no alignment. Depth at most PF_MSG_DEPTH_MAX; at most 10^6 +
 * length / 4 visits and 64 MiB + 8 * length of content, counted each time it is reached, so that
 * shared parts cannot blow up copies and transcodings. On success `*out` borrows `in`. PF_EPROTO
 * with the path of the field ("accept.operations[3].launch: ..."), or PF_ELIMIT. */
PF_MUST_USE int pf_fb_verify(struct pf_bytes in, const struct pf_fb_table_desc *root,
                             struct pf_msg *out, struct pf_err *err);

static inline struct pf_bytes pf_msg_bytes(struct pf_msg msg)
{
    return (struct pf_bytes){msg.data, msg.len};
}

/* What accessors are made of. */

static inline uint16_t pf_fb_load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t pf_fb_load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Where the field of `slot` is, NULL if absent. */
static inline const uint8_t *pf_fb_slot(struct pf_tab t, uint32_t slot)
{
    if (t.p == NULL) {
        return NULL;
    }
    const uint8_t *vtable = t.p - (int32_t)pf_fb_load_u32(t.p);
    if (slot >= pf_fb_load_u16(vtable)) {
        return NULL;
    }
    uint16_t at = pf_fb_load_u16(vtable + slot);
    return at != 0 ? t.p + at : NULL;
}

static inline bool pf_fb_has(struct pf_tab t, uint32_t slot)
{
    return pf_fb_slot(t, slot) != NULL;
}

/* The target of the offset in `slot`, NULL if absent. */
static inline const uint8_t *pf_fb_target(struct pf_tab t, uint32_t slot)
{
    const uint8_t *p = pf_fb_slot(t, slot);
    return p != NULL ? p + pf_fb_load_u32(p) : NULL;
}

/* The scalar types: short name (pf_fb_get_i32, pf_opt_i32, pf_vec_i32), C type. */
#define PF_FB_SCALARS(X) \
    X(bool, bool)        \
    X(i8, int8_t)        \
    X(u8, uint8_t)       \
    X(i16, int16_t)      \
    X(u16, uint16_t)     \
    X(i32, int32_t)      \
    X(u32, uint32_t)     \
    X(i64, int64_t)      \
    X(u64, uint64_t)     \
    X(f32, float)        \
    X(f64, double)

/* pf_fb_load_T(p) and pf_fb_get_T(t, slot, value if absent). A byte that is not 0 is true. */
static inline bool pf_fb_load_bool(const uint8_t *p)
{
    return *p != 0;
}
#define PF_FB_LOAD(name, type)                                 \
    static inline type pf_fb_load_##name(const uint8_t *p)     \
    {                                                          \
        type v;                                                \
        memcpy(&v, p, sizeof v);                               \
        return v;                                              \
    }
PF_FB_LOAD(i8, int8_t)
PF_FB_LOAD(u8, uint8_t)
PF_FB_LOAD(i16, int16_t)
PF_FB_LOAD(i32, int32_t)
PF_FB_LOAD(i64, int64_t)
PF_FB_LOAD(u64, uint64_t)
PF_FB_LOAD(f32, float)
PF_FB_LOAD(f64, double)
#undef PF_FB_LOAD
#define PF_FB_GET(name, type)                                                       \
    static inline type pf_fb_get_##name(struct pf_tab t, uint32_t slot, type absent) \
    {                                                                               \
        const uint8_t *p = pf_fb_slot(t, slot);                                     \
        return p != NULL ? pf_fb_load_##name(p) : absent;                           \
    }
PF_FB_SCALARS(PF_FB_GET)
#undef PF_FB_GET

static inline struct pf_str pf_fb_str_at(const uint8_t *p)
{
    if (p == NULL) {
        return (struct pf_str){NULL, 0};
    }
    return (struct pf_str){(const char *)p + 4, pf_fb_load_u32(p)};
}

static inline struct pf_str pf_fb_get_str(struct pf_tab t, uint32_t slot)
{
    return pf_fb_str_at(pf_fb_target(t, slot));
}

static inline struct pf_bytes pf_fb_get_bytes(struct pf_tab t, uint32_t slot)
{
    const uint8_t *p = pf_fb_target(t, slot);
    if (p == NULL) {
        return (struct pf_bytes){NULL, 0};
    }
    return (struct pf_bytes){p + 4, pf_fb_load_u32(p)};
}

static inline struct pf_tab pf_fb_get_tab(struct pf_tab t, uint32_t slot)
{
    return (struct pf_tab){pf_fb_target(t, slot)};
}

/* The root table of a verified buffer, absent for absent bytes. */
static inline struct pf_tab pf_fb_root(const uint8_t *data)
{
    return (struct pf_tab){data != NULL ? data + pf_fb_load_u32(data) : NULL};
}

static inline struct pf_tab pf_fb_get_nested(struct pf_tab t, uint32_t slot)
{
    return pf_fb_root(pf_fb_get_bytes(t, slot).at);
}

/* The value of a union field, absent unless its type byte (in the slot before) is `member`. */
static inline struct pf_tab pf_fb_get_member(struct pf_tab t, uint32_t slot, uint8_t member)
{
    if (pf_fb_get_u8(t, slot - 2, 0) != member) {
        return (struct pf_tab){NULL};
    }
    return pf_fb_get_tab(t, slot);
}

static inline uint32_t pf_fb_vec_len(struct pf_tab t, uint32_t slot)
{
    const uint8_t *p = pf_fb_target(t, slot);
    return p != NULL ? pf_fb_load_u32(p) : 0;
}

/* Where element `i` is; asserts that there is one. */
static inline const uint8_t *pf_fb_vec_at(struct pf_tab t, uint32_t slot, uint32_t i,
                                          uint32_t size)
{
    const uint8_t *p = pf_fb_target(t, slot);
    PF_ASSERT(p != NULL && i < pf_fb_load_u32(p));
    return p + 4 + (size_t)i * size;
}

static inline struct pf_str pf_fb_vec_str(struct pf_tab t, uint32_t slot, uint32_t i)
{
    const uint8_t *p = pf_fb_vec_at(t, slot, i, 4);
    return pf_fb_str_at(p + pf_fb_load_u32(p));
}

static inline struct pf_tab pf_fb_vec_tab(struct pf_tab t, uint32_t slot, uint32_t i)
{
    const uint8_t *p = pf_fb_vec_at(t, slot, i, 4);
    return (struct pf_tab){p + pf_fb_load_u32(p)};
}

/* The root of a message whose descriptor must be `desc`; absent for the absent message. */
static inline struct pf_tab pf_msg_root(struct pf_msg msg, const struct pf_fb_table_desc *desc)
{
    PF_ASSERT(msg.data == NULL || msg.desc == desc);
    return pf_fb_root(msg.data);
}

#endif
