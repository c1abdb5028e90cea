/* SPDX-License-Identifier: Apache-2.0 */
/* A growable run of bytes with a limit, and a growable run of pointers. */
#ifndef PF_COMMON_BASE_BUF_H
#define PF_COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/str.h"

/* All zero = empty, growth limited by SIZE_MAX. `data` is owned. */
struct pf_buf {
    uint8_t *data;
    size_t len, cap;
    size_t limit;  /* 0 = none; over it nothing is appended and `failed` is set */
    bool failed;   /* sticky: limit reached or (with a limit) out of memory */
};

void pf_buf_fini(struct pf_buf *b);
void pf_buf_clear(struct pf_buf *b);                       /* keeps the memory; clears failed */
/* Makes room for n bytes at data + len, for a caller who writes there and moves `len` himself.
 * False: nothing changed but `failed`. */
PF_MUST_USE bool pf_buf_reserve(struct pf_buf *b, size_t n);
void pf_buf_add(struct pf_buf *b, const void *p, size_t n);
void pf_buf_add_byte(struct pf_buf *b, uint8_t byte);
void pf_buf_add_cstr(struct pf_buf *b, const char *s);     /* without its NUL */
void pf_buf_add_str(struct pf_buf *b, struct pf_str s);
void pf_buf_printf(struct pf_buf *b, const char *fmt, ...) PF_PRINTF(2, 3);
void pf_buf_vprintf(struct pf_buf *b, const char *fmt, va_list ap) PF_PRINTF(2, 0);
void pf_buf_drop_front(struct pf_buf *b, size_t n);
/* The contents as a C string, borrowed until the next change: a NUL is kept behind the end. */
const char *pf_buf_cstr(struct pf_buf *b);

/* All zero = empty. Owns the array, not what it points to. */
struct pf_ptrs {
    void **at;
    uint32_t len, cap;
};

void pf_ptrs_fini(struct pf_ptrs *v);
void pf_ptrs_push(struct pf_ptrs *v, void *p);
void pf_ptrs_remove(struct pf_ptrs *v, uint32_t i);        /* keeps the order */
void pf_ptrs_remove_swap(struct pf_ptrs *v, uint32_t i);   /* the last takes its place */
/* Stable. `cmp` gets two of the pointers themselves, not their places. */
void pf_ptrs_sort(struct pf_ptrs *v, int (*cmp)(const void *a, const void *b));

#endif
