/* SPDX-License-Identifier: Apache-2.0 */
/* Memory. `pf_alloc` and its kin never return NULL: out of memory calls the handler, which ends the
 * process. `pf_try_*` return NULL and are for sizes that came from outside, after their bound was
 * checked; tests make the i-th of them fail. */
#ifndef PF_COMMON_BASE_ALLOC_H
#define PF_COMMON_BASE_ALLOC_H

#include <stddef.h>
#include "common/base/compiler.h"

void *pf_alloc(size_t bytes);                              /* zeroed */
void *pf_realloc(void *p, size_t bytes);                   /* new bytes are not zeroed */
char *pf_strdup(const char *s);
char *pf_strndup(const char *s, size_t len);               /* NUL-terminated copy of len bytes */
void *pf_memdup(const void *p, size_t bytes);              /* NULL for 0 bytes */
PF_MUST_USE void *pf_try_alloc(size_t bytes);              /* zeroed, or NULL */
PF_MUST_USE void *pf_try_realloc(void *p, size_t bytes);   /* or NULL, `p` untouched */
void pf_free(void *p);
/* Frees and forgets, so that no reachable pointer leads to freed memory. */
#define PF_FREE(p) (pf_free(p), (p) = NULL)
#define PF_NEW(type) ((type *)pf_alloc(sizeof(type)))

/* Called when memory is out; must not return. NULL restores the default (message, abort). */
void pf_alloc_set_oom_handler(void (*handler)(size_t bytes));

/* Test hook: the n-th pf_try_* call from now fails (1 = the next), 0 = none. Returns how many
 * pf_try_* calls were made since the last call of this function. */
size_t pf_alloc_fail_try_at(size_t n);

#endif
