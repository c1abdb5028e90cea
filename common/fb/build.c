/* SPDX-License-Identifier: Apache-2.0 */
/* The builder's memory, vectors, tables from cells, nested buffers. Everything is placed by its
 * distance from the end of the buffer, which is a multiple of the thing's alignment. */
#include "common/fb/build.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"

#define FIRST_BYTES 1024u
#define TABLE_MAX   UINT16_MAX

void pf_fb_builder_init(struct pf_fb_builder *b, struct pf_arena *arena_or_null)
{
    *b = (struct pf_fb_builder){.arena = arena_or_null, .align = 4};
}

void pf_fb_builder_reset(struct pf_fb_builder *b)
{
    if (b->arena != NULL) {
        /* What was built stays; its unused front serves the next message. */
        b->cap = (b->cap - b->used) & ~7u;
    }
    b->used = 0;
    b->align = 4;
    b->floor = 0;
    b->failed = false;
    b->finished = false;
    memset(b->vtables, 0, sizeof b->vtables);
}

void pf_fb_builder_fini(struct pf_fb_builder *b)
{
    if (b->arena == NULL) {
        pf_free(b->mem);
    }
    pf_fb_builder_init(b, b->arena);
}

/* New memory of `cap` bytes, NULL where a builder with a limit cannot have it. */
static uint8_t *builder_memory(struct pf_fb_builder *b, uint32_t cap)
{
    if (b->limit == 0) {
        return b->arena != NULL ? pf_arena_alloc(b->arena, cap) : pf_realloc(NULL, cap);
    }
    return b->arena != NULL ? pf_arena_try(b->arena, cap) : pf_try_realloc(NULL, cap);
}

static bool builder_fail(struct pf_fb_builder *b)
{
    PF_ASSERT(b->limit != 0);
    b->failed = true;
    return false;
}

/* Makes room for `n` more bytes; false: the builder has failed. */
static bool builder_reserve(struct pf_fb_builder *b, uint64_t n)
{
    PF_ASSERT(!b->finished);
    if (b->failed) {
        return false;
    }
    if (n <= b->cap - b->used) {
        return true;
    }
    uint64_t limit = b->limit != 0 ? b->limit : INT32_MAX;
    uint64_t want = b->used + n;
    if (want > limit) {
        return builder_fail(b);
    }
    uint64_t cap = b->cap > FIRST_BYTES ? b->cap : FIRST_BYTES;
    while (cap < want) {
        cap *= 2;
    }
    uint8_t *mem = builder_memory(b, (uint32_t)cap);
    if (mem == NULL) {
        return builder_fail(b);
    }
    if (b->used > 0) {
        memcpy(mem + cap - b->used, b->mem + b->cap - b->used, b->used);
    }
    if (b->arena == NULL) {
        pf_free(b->mem);
    }
    b->mem = mem;
    b->cap = (uint32_t)cap;
    return true;
}

static uint8_t *builder_at(const struct pf_fb_builder *b, uint32_t at)
{
    return b->mem + b->cap - at;
}

static void store_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static void store_u16(uint8_t *p, uint32_t v)
{
    uint16_t small = (uint16_t)v;
    memcpy(p, &small, sizeof small);
}

/* Zeros so that what ends `bytes` further down is aligned. The room must be there. */
static void builder_pad(struct pf_fb_builder *b, uint32_t bytes, uint32_t align)
{
    uint32_t pad = (0u - (b->used + bytes)) & (align - 1);
    if (b->align < align) {
        b->align = align;
    }
    if (pad != 0) {
        b->used += pad;
        memset(builder_at(b, b->used), 0, pad);
    }
}

/* A length and content, for a string with its NUL (`tail` 1). NULL: failed. Otherwise the
 * place of the content, for the caller to fill. */
static uint8_t *builder_span(struct pf_fb_builder *b, uint64_t bytes, uint32_t n, uint32_t tail,
                             uint32_t align)
{
    align = align < 4 ? 4 : align;
    if (!builder_reserve(b, bytes + tail + 4 + 2 * (uint64_t)align)) {
        return NULL;
    }
    builder_pad(b, (uint32_t)bytes + tail, align);
    b->used += (uint32_t)bytes + tail;
    uint8_t *content = builder_at(b, b->used);
    if (tail != 0) {
        content[bytes] = 0;
    }
    b->used += 4;
    store_u32(content - 4, n);
    return content;
}

struct pf_ref pf_fb_put_str(struct pf_fb_builder *b, struct pf_str s)
{
    if (s.at == NULL) {
        return (struct pf_ref){0};
    }
    uint8_t *p = builder_span(b, s.len, s.len, 1, 4);
    if (p == NULL) {
        return (struct pf_ref){0};
    }
    memcpy(p, s.at, s.len);
    return (struct pf_ref){b->used};
}

struct pf_ref pf_fb_put_bytes(struct pf_fb_builder *b, struct pf_bytes bytes, uint32_t align)
{
    if (bytes.at == NULL) {
        return (struct pf_ref){0};
    }
    uint8_t *p = builder_span(b, bytes.len, bytes.len, 0, align);
    if (p == NULL) {
        return (struct pf_ref){0};
    }
    memcpy(p, bytes.at, bytes.len);
    return (struct pf_ref){b->used};
}

struct pf_ref pf_fb_put_scalars(struct pf_fb_builder *b, const void *at, uint32_t n, uint32_t size)
{
    uint8_t *p = builder_span(b, (uint64_t)n * size, n, 0, size);
    if (p == NULL) {
        return (struct pf_ref){0};
    }
    if (n > 0) {
        memcpy(p, at, (size_t)n * size);
    }
    return (struct pf_ref){b->used};
}

/* The offset that, standing at distance `at` from the end, leads to `ref`. */
static uint32_t builder_offset(const struct pf_fb_builder *b, uint32_t at, uint32_t ref)
{
    PF_ASSERT(ref > b->floor);
    PF_ASSERT(ref < at);
    return at - ref;
}

struct pf_ref pf_fb_put_refs(struct pf_fb_builder *b, const struct pf_ref *refs, uint32_t n)
{
    uint8_t *p = builder_span(b, (uint64_t)n * 4, n, 0, 4);
    if (p == NULL) {
        return (struct pf_ref){0};
    }
    uint32_t first = b->used - 4;
    for (uint32_t i = 0; i < n; i++) {
        store_u32(p + (size_t)i * 4, builder_offset(b, first - i * 4, refs[i].at));
    }
    return (struct pf_ref){b->used};
}

/* The place of an equal vtable, written now unless it can be shared. */
static uint32_t builder_vtable(struct pf_fb_builder *b, const uint8_t *vtable, uint32_t size)
{
    uint32_t hash = size;
    for (uint32_t i = 0; i + 4 <= size; i += 4) {
        hash = (hash ^ pf_fb_load_u32(vtable + i)) * 0x9E3779B1u;
    }
    hash = (hash ^ pf_fb_load_u16(vtable + size - 2)) * 0x9E3779B1u;
    uint32_t *cached = &b->vtables[(hash >> 16) % PF_FB_VTABLE_CACHE];
    if (*cached != 0) {
        const uint8_t *have = builder_at(b, *cached);
        if (pf_fb_load_u16(have) == size && memcmp(have, vtable, size) == 0) {
            return *cached;
        }
    }
    b->used += size;
    memcpy(builder_at(b, b->used), vtable, size);
    *cached = b->used;
    return b->used;
}

/* Writes a value of `size` bytes and remembers where. */
static void table_value(struct pf_fb_builder *b, uint32_t *places, uint32_t slot, const void *v,
                        uint32_t size)
{
    builder_pad(b, size, size);
    b->used += size;
    pf_fb_copy_scalar(builder_at(b, b->used), v, size);
    places[slot / 2 - 2] = b->used;
}

static void table_cells(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                        const struct pf_fb_cell *cells, uint32_t *places)
{
    bool has_union = false;
    for (uint32_t k = 0; k < d->n_fields; k++) {
        uint32_t i = d->by_size[k];
        const struct pf_fb_field *f = &d->fields[i];
        if (!cells[i].has) {
            continue;
        }
        if (pf_fb_is_scalar(f->type) && !pf_fb_is_vector(f)) {
            table_value(b, places, f->slot, &cells[i].v, f->size);
            continue;
        }
        has_union = has_union || f->type == PF_FB_UNION;
        builder_pad(b, 4, 4);
        uint32_t offset = builder_offset(b, b->used + 4, (uint32_t)cells[i].v);
        table_value(b, places, f->slot, &offset, 4);
    }
    for (uint32_t i = 0; has_union && i < d->n_fields; i++) {
        if (cells[i].has && d->fields[i].type == PF_FB_UNION) {
            uint8_t type = (uint8_t)(cells[i].v >> 32);
            table_value(b, places, d->fields[i].slot - 2u, &type, 1);
        }
    }
}

struct pf_ref pf_fb_put_cells(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                              const struct pf_fb_cell *cells)
{
    uint32_t places[PF_FIELDS_MAX];
    uint8_t vtable[4 + 2 * PF_FIELDS_MAX];
    if (!builder_reserve(b, d->max_bytes)) {
        return (struct pf_ref){0};
    }
    memset(places, 0, d->n_slots * sizeof places[0]);
    uint32_t end = b->used;
    table_cells(b, d, cells, places);
    builder_pad(b, 4, 4);
    b->used += 4;
    uint32_t table = b->used;
    uint32_t n = d->n_slots;
    while (n > 0 && places[n - 1] == 0) {
        n--;
    }
    PF_ASSERT(table - end <= TABLE_MAX);
    store_u16(vtable, 4 + 2 * n);
    store_u16(vtable + 2, table - end);
    for (uint32_t i = 0; i < n; i++) {
        store_u16(vtable + 4 + 2 * (size_t)i, places[i] != 0 ? table - places[i] : 0);
    }
    uint32_t at = builder_vtable(b, vtable, 4 + 2 * n);
    store_u32(builder_at(b, table), at - table);
    return (struct pf_ref){table};
}

struct pf_fb_nest pf_fb_nested_begin(struct pf_fb_builder *b)
{
    struct pf_fb_nest nest = {b->floor};
    b->floor = b->used;
    memset(b->vtables, 0, sizeof b->vtables);
    return nest;
}

/* Root offset and identifier in front; the buffer's start becomes aligned to `align`. */
static bool builder_head(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                         struct pf_ref root, uint32_t align)
{
    uint32_t head = d->ident != NULL ? 8 : 4;
    if (!builder_reserve(b, head + align)) {
        return false;
    }
    builder_pad(b, head, align);
    if (d->ident != NULL) {
        b->used += 4;
        memcpy(builder_at(b, b->used), d->ident, 4);
    }
    b->used += 4;
    store_u32(builder_at(b, b->used), builder_offset(b, b->used, root.at));
    return true;
}

struct pf_ref pf_fb_nested_end(struct pf_fb_builder *b, struct pf_fb_nest nest,
                               const struct pf_fb_table_desc *d, struct pf_ref root)
{
    if (!builder_head(b, d, root, 8) || !builder_reserve(b, 4)) {
        return (struct pf_ref){0};
    }
    uint32_t len = b->used - b->floor;
    b->used += 4;
    store_u32(builder_at(b, b->used), len);
    b->floor = nest.floor;
    memset(b->vtables, 0, sizeof b->vtables);
    return (struct pf_ref){b->used};
}

struct pf_msg pf_fb_finish(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                           struct pf_ref root)
{
    PF_ASSERT(b->floor == 0);
    if (!builder_head(b, d, root, b->align)) {
        return (struct pf_msg){NULL, 0, d};
    }
    b->finished = true;
    return (struct pf_msg){builder_at(b, b->used), b->used, d};
}
