/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of blocks, filled from the front. Under AddressSanitizer the part of a block that is not
 * handed out is poisoned, so that a use after the reset is caught like a use after free. */
#include "common/base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(p, n)   __asan_poison_memory_region((p), (n))
#define ARENA_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define ARENA_POISON(p, n)   ((void)(p), (void)(n))
#define ARENA_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ARENA_ALIGN = 16, ARENA_BLOCK_MIN = 16 << 10, ARENA_KEEP_MAX = 1 << 20 };

struct pf_arena_block {
    struct pf_arena_block *next;
    size_t cap, used;
    _Alignas(ARENA_ALIGN) uint8_t data[];
};

static size_t arena_round_up(size_t bytes)
{
    PF_ASSERT(bytes <= SIZE_MAX / 2);
    return (bytes + (ARENA_ALIGN - 1)) & ~(size_t)(ARENA_ALIGN - 1);
}

static void arena_block_free(struct pf_arena_block *b)
{
    ARENA_UNPOISON(b->data, b->cap);
    pf_free(b);
}

/* Capacity of a new block for `bytes`: doubles with the arena, so that big arenas have few. */
static size_t arena_block_cap(const struct pf_arena *a, size_t bytes)
{
    size_t cap = a->current ? a->current->cap * 2 : ARENA_BLOCK_MIN;

    if (cap > ARENA_KEEP_MAX / 2) {
        cap = ARENA_KEEP_MAX / 2;
    }
    return cap < bytes ? bytes : cap;
}

/* Puts the block behind the current one and makes it the current one. */
static void arena_block_insert(struct pf_arena *a, struct pf_arena_block *b, size_t cap)
{
    b->cap = cap;
    b->used = 0;
    ARENA_POISON(b->data, b->cap);
    if (a->current) {
        b->next = a->current->next;
        a->current->next = b;
    } else {
        b->next = a->first;
        a->first = b;
    }
    a->current = b;
}

/* Steps to the next kept block if `bytes` fit it. */
static bool arena_next_fits(struct pf_arena *a, size_t bytes)
{
    struct pf_arena_block *next = a->current ? a->current->next : NULL;

    if (!next || next->cap < bytes) {
        return false;
    }
    a->current = next;
    return true;
}

static void *arena_take(struct pf_arena *a, size_t bytes)
{
    struct pf_arena_block *b = a->current;
    void *p = b->data + b->used;

    b->used += bytes;
    a->used_bytes += bytes;
    ARENA_UNPOISON(p, bytes);
    return p;
}

static bool arena_fits(const struct pf_arena *a, size_t bytes)
{
    return a->current && a->current->cap - a->current->used >= bytes;
}

void pf_arena_fini(struct pf_arena *a)
{
    for (struct pf_arena_block *b = a->first; b;) {
        struct pf_arena_block *next = b->next;

        arena_block_free(b);
        b = next;
    }
    *a = (struct pf_arena){.limit_bytes = a->limit_bytes};
}

void pf_arena_reset(struct pf_arena *a)
{
    size_t kept = 0;
    struct pf_arena_block **link = &a->first;

    while (*link) {
        struct pf_arena_block *b = *link;

        if (kept + b->cap > ARENA_KEEP_MAX) {
            *link = b->next;
            arena_block_free(b);
            continue;
        }
        kept += b->cap;
        b->used = 0;
        ARENA_POISON(b->data, b->cap);
        link = &b->next;
    }
    a->current = a->first;
    a->used_bytes = 0;
}

void *pf_arena_alloc(struct pf_arena *a, size_t bytes)
{
    bytes = arena_round_up(bytes);
    if (!arena_fits(a, bytes) && !arena_next_fits(a, bytes)) {
        size_t cap = arena_block_cap(a, bytes);

        arena_block_insert(a, pf_realloc(NULL, sizeof *a->current + cap), cap);
    }
    return arena_take(a, bytes);
}

void *pf_arena_zalloc(struct pf_arena *a, size_t bytes)
{
    return memset(pf_arena_alloc(a, bytes), 0, bytes);
}

void *pf_arena_try(struct pf_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4) {
        return NULL;
    }
    bytes = arena_round_up(bytes);
    if (a->limit_bytes != 0 &&
        (a->used_bytes > a->limit_bytes || bytes > a->limit_bytes - a->used_bytes)) {
        return NULL;
    }
    if (!arena_fits(a, bytes) && !arena_next_fits(a, bytes)) {
        size_t cap = arena_block_cap(a, bytes);
        struct pf_arena_block *b = pf_try_realloc(NULL, sizeof *b + cap);

        if (!b) {
            return NULL;
        }
        arena_block_insert(a, b, cap);
    }
    return arena_take(a, bytes);
}

void *pf_arena_memdup(struct pf_arena *a, const void *p, size_t bytes)
{
    void *copy = pf_arena_alloc(a, bytes);

    return bytes == 0 ? copy : memcpy(copy, p, bytes);
}

struct pf_str pf_arena_strdup(struct pf_arena *a, struct pf_str s)
{
    if (!s.at) {
        return s;
    }
    char *copy = pf_arena_alloc(a, (size_t)s.len + 1);

    memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return (struct pf_str){copy, s.len};
}

struct pf_str pf_arena_printf(struct pf_arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct pf_str s = pf_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

struct pf_str pf_arena_vprintf(struct pf_arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    PF_ASSERT(len >= 0);
    char *text = pf_arena_alloc(a, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, fmt, again); /* measured above */
    va_end(again);
    return (struct pf_str){text, (uint32_t)len};
}
