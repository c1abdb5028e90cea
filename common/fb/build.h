/* SPDX-License-Identifier: Apache-2.0 */
/* Building FlatBuffers. The buffer grows downwards, so children are put before their parents: every
 * put returns a pf_ref for use in the arguments of the parent. Generated code wraps pf_fb_put() as
 * X__put(b, &(struct X__args){...}) and pf_fb_finish() as X__finish(b, root). */
#ifndef PF_COMMON_FB_BUILD_H
#define PF_COMMON_FB_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/fb/fb.h"

#define PF_FB_VTABLE_CACHE 64

/* A thing in the builder; 0 = absent. Valid until reset. */
struct pf_ref {
    uint32_t at; /* distance of its first byte from the buffer's end */
};

struct pf_refs {
    const struct pf_ref *at;
    uint32_t n;
};

struct pf_strs {
    const struct pf_str *at;
    uint32_t n;
};

/* struct pf_opt_i32 {bool has; int32_t v;}, set by PF_OPT(x); struct pf_vec_i32 {at; n;}. */
#define PF_FB_ARG_TYPES(name, type) \
    struct pf_opt_##name {          \
        bool has;                   \
        type v;                     \
    };                              \
    struct pf_vec_##name {          \
        const type *at;             \
        uint32_t n;                 \
    };
PF_FB_SCALARS(PF_FB_ARG_TYPES)
#undef PF_FB_ARG_TYPES
#define PF_OPT(x) {.has = true, .v = (x)}

/* Copies the 1, 2, 4 or 8 bytes of a scalar: known sizes need no call. */
static inline void pf_fb_copy_scalar(void *to, const void *from, uint32_t size)
{
    switch (size) {
    case 8:
        memcpy(to, from, 8);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    default:
        memcpy(to, from, 1);
        break;
    }
}

struct pf_fb_builder {
    struct pf_arena *arena; /* NULL: own heap memory */
    uint8_t *mem;
    uint32_t cap, used;     /* the buffer is the last `used` bytes of mem */
    uint32_t limit;         /* over it the builder fails; 0 = none: running out asserts */
    uint32_t align;         /* the largest alignment so far */
    uint32_t floor;         /* where the open nested buffer begins */
    bool failed;            /* sticky until reset, only with a limit */
    bool finished;
    uint32_t vtables[PF_FB_VTABLE_CACHE]; /* written ones by hash, for sharing */
};

/* With an arena, what is built lives until the arena is reset (then init again; fini is not
 * needed); else until reset or fini. */
void pf_fb_builder_init(struct pf_fb_builder *b, struct pf_arena *arena_or_null);
/* Ready for the next message. A message built in an arena stays valid. Keeps the limit. */
void pf_fb_builder_reset(struct pf_fb_builder *b);
void pf_fb_builder_fini(struct pf_fb_builder *b);

/* Writes strings, bytes, vectors and the table that `args` (struct X__args of `d`) describe. */
struct pf_ref pf_fb_put(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                        const void *args);
/* Absent `s` or `bytes` give the absent ref. */
struct pf_ref pf_fb_put_str(struct pf_fb_builder *b, struct pf_str s);
struct pf_ref pf_fb_put_bytes(struct pf_fb_builder *b, struct pf_bytes bytes, uint32_t align);
/* Offsets to things that were put; absent ones are not allowed. */
struct pf_ref pf_fb_put_refs(struct pf_fb_builder *b, const struct pf_ref *refs, uint32_t n);
/* `n` scalars of `size` bytes each, as they lie in memory. */
struct pf_ref pf_fb_put_scalars(struct pf_fb_builder *b, const void *at, uint32_t n,
                                uint32_t size);

/* The value of one field on its way into a table. */
struct pf_fb_cell {
    uint64_t v; /* bits of a scalar, or a pf_ref's `at`; a union's type byte is in bits 32-39 */
    bool has;
};

/* Writes a table from one cell for each of d's fields (in their order). */
struct pf_ref pf_fb_put_cells(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                              const struct pf_fb_cell *cells);
/* Deep copy of a table of a verified buffer; unknown fields are left behind. */
struct pf_ref pf_fb_copy(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                         struct pf_tab t);

/* A nested buffer built in place: what is put between begin and end belongs to it alone. */
struct pf_fb_nest {
    uint32_t floor;
};
struct pf_fb_nest pf_fb_nested_begin(struct pf_fb_builder *b);
/* Returns the vector of bytes that holds the nested buffer with `root`. */
struct pf_ref pf_fb_nested_end(struct pf_fb_builder *b, struct pf_fb_nest nest,
                               const struct pf_fb_table_desc *d, struct pf_ref root);

/* The finished message, borrowed from the builder (or its arena); absent if the builder failed.
 * Nothing may be put before the next reset. */
struct pf_msg pf_fb_finish(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                           struct pf_ref root);

#endif
