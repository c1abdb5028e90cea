/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator of all layers. The state below is the process's: the handler for the end of memory
 * and the counters of the test hook. It is atomic because daemons have helper threads. */
#include "common/base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*oom_fn)(size_t bytes);

static _Atomic(oom_fn) oom_handler;
static atomic_size_t n_tries; /* pf_try_* calls since the hook was set */
static atomic_size_t fail_at; /* 0 = none */

PF_NORETURN static void alloc_out_of_memory(size_t bytes)
{
    oom_fn handler = atomic_load(&oom_handler);

    if (handler) {
        handler(bytes);
    }
    pf_assert_fail("out of memory", __FILE__, __LINE__);
}

/* Counts a pf_try_* call. Loads and stores instead of one exact addition: tests have one thread,
 * and daemons do not care. */
static bool alloc_try_fails(void)
{
    size_t n = atomic_load_explicit(&n_tries, memory_order_relaxed) + 1;

    atomic_store_explicit(&n_tries, n, memory_order_relaxed);
    return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void *pf_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);

    if (!p) {
        alloc_out_of_memory(bytes);
    }
    return p;
}

void *pf_realloc(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);

    if (!q) {
        alloc_out_of_memory(bytes);
    }
    return q;
}

char *pf_strdup(const char *s)
{
    return pf_strndup(s, strlen(s));
}

char *pf_strndup(const char *s, size_t len)
{
    PF_ASSERT(len < SIZE_MAX);
    char *copy = pf_realloc(NULL, len + 1);

    if (len > 0) {
        memcpy(copy, s, len);
    }
    copy[len] = '\0';
    return copy;
}

void *pf_memdup(const void *p, size_t bytes)
{
    return bytes == 0 ? NULL : memcpy(pf_realloc(NULL, bytes), p, bytes);
}

void *pf_try_alloc(size_t bytes)
{
    return alloc_try_fails() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *pf_try_realloc(void *p, size_t bytes)
{
    return alloc_try_fails() ? NULL : realloc(p, bytes ? bytes : 1);
}

void pf_free(void *p)
{
    free(p);
}

void pf_alloc_set_oom_handler(void (*handler)(size_t bytes))
{
    atomic_store(&oom_handler, handler);
}

size_t pf_alloc_fail_try_at(size_t n)
{
    size_t made = atomic_exchange(&n_tries, 0);

    atomic_store(&fail_at, n);
    return made;
}
