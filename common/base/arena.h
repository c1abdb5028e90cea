/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that dies all at once: one arena a turn, a parse, a command. Aligned to 16 bytes. */
#ifndef PF_COMMON_BASE_ARENA_H
#define PF_COMMON_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include "common/base/compiler.h"
#include "common/base/str.h"

struct pf_arena_block;
/* All zero = empty. */
struct pf_arena {
    struct pf_arena_block *first, *current;
    size_t used_bytes;  /* handed out since the last reset */
    size_t limit_bytes; /* for pf_arena_try; 0 = none */
};

void pf_arena_fini(struct pf_arena *a);
/* Forgets everything; keeps the blocks up to 1 MiB for the next use and frees the rest. */
void pf_arena_reset(struct pf_arena *a);
void *pf_arena_alloc(struct pf_arena *a, size_t bytes);                 /* not zeroed */
void *pf_arena_zalloc(struct pf_arena *a, size_t bytes);                /* zeroed */
PF_MUST_USE void *pf_arena_try(struct pf_arena *a, size_t bytes);       /* NULL over the limit */
void *pf_arena_memdup(struct pf_arena *a, const void *p, size_t bytes);
struct pf_str pf_arena_strdup(struct pf_arena *a, struct pf_str s);     /* NUL-terminated */
struct pf_str pf_arena_printf(struct pf_arena *a, const char *fmt, ...) PF_PRINTF(2, 3);
struct pf_str pf_arena_vprintf(struct pf_arena *a, const char *fmt, va_list ap) PF_PRINTF(2, 0);

#endif
