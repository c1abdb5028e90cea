/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes and growable pointers. A buffer always has room for one byte more than its
 * contents, for the NUL of pf_buf_cstr. */
#include "common/base/buf.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"

enum { BUF_CAP_MIN = 64, PTRS_CAP_MIN = 4 };

void pf_buf_fini(struct pf_buf *b)
{
    pf_free(b->data);
    *b = (struct pf_buf){.limit = b->limit};
}

void pf_buf_clear(struct pf_buf *b)
{
    b->len = 0;
    b->failed = false;
}

bool pf_buf_reserve(struct pf_buf *b, size_t n)
{
    if (b->failed) {
        return false;
    }
    if (b->limit != 0 && (b->len > b->limit || n > b->limit - b->len)) {
        b->failed = true;
        return false;
    }
    if (n < b->cap - b->len) { /* cap is 0 or more than len */
        return true;
    }
    PF_ASSERT(n < SIZE_MAX / 4);
    PF_ASSERT(b->len < SIZE_MAX / 4);
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap * 2;
    if (cap < b->len + n + 1) {
        cap = b->len + n + 1;
    }
    if (b->limit == 0) {
        b->data = pf_realloc(b->data, cap);
    } else {
        if (cap - 1 > b->limit) {
            cap = b->limit + 1;
        }
        uint8_t *data = pf_try_realloc(b->data, cap);

        if (!data) {
            b->failed = true;
            return false;
        }
        b->data = data;
    }
    b->cap = cap;
    return true;
}

void pf_buf_add(struct pf_buf *b, const void *p, size_t n)
{
    if (pf_buf_reserve(b, n) && n > 0) {
        memcpy(b->data + b->len, p, n);
        b->len += n;
    }
}

void pf_buf_add_byte(struct pf_buf *b, uint8_t byte)
{
    if (pf_buf_reserve(b, 1)) {
        b->data[b->len++] = byte;
    }
}

void pf_buf_add_cstr(struct pf_buf *b, const char *s)
{
    pf_buf_add(b, s, strlen(s));
}

void pf_buf_add_str(struct pf_buf *b, struct pf_str s)
{
    pf_buf_add(b, s.at, s.len);
}

void pf_buf_printf(struct pf_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    pf_buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void pf_buf_vprintf(struct pf_buf *b, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    size_t room = b->cap - b->len;
    int len = vsnprintf(room == 0 ? NULL : (char *)b->data + b->len, room, fmt, ap);
    PF_ASSERT(len >= 0);
    if (pf_buf_reserve(b, (size_t)len)) {
        if ((size_t)len >= room) {
            (void)vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, again); /* measured */
        }
        b->len += (size_t)len;
    }
    va_end(again);
}

void pf_buf_drop_front(struct pf_buf *b, size_t n)
{
    PF_ASSERT(n <= b->len);
    if (n > 0) {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
}

const char *pf_buf_cstr(struct pf_buf *b)
{
    if (b->cap == 0) {
        return "";
    }
    PF_ASSERT(b->len < b->cap);
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

void pf_ptrs_fini(struct pf_ptrs *v)
{
    pf_free(v->at);
    *v = (struct pf_ptrs){0};
}

void pf_ptrs_push(struct pf_ptrs *v, void *p)
{
    if (v->len == v->cap) {
        PF_ASSERT(v->cap < UINT32_MAX / 2);
        v->cap = v->cap == 0 ? PTRS_CAP_MIN : v->cap * 2;
        v->at = pf_realloc(v->at, v->cap * sizeof *v->at);
    }
    v->at[v->len++] = p;
}

void pf_ptrs_remove(struct pf_ptrs *v, uint32_t i)
{
    PF_ASSERT(i < v->len);
    v->len--;
    memmove(v->at + i, v->at + i + 1, (v->len - i) * sizeof *v->at);
}

void pf_ptrs_remove_swap(struct pf_ptrs *v, uint32_t i)
{
    PF_ASSERT(i < v->len);
    v->at[i] = v->at[--v->len];
}

/* Merges from[begin..middle) and from[middle..end) into to[begin..end). */
static void ptrs_merge(void **from, void **to, size_t begin, size_t middle, size_t end,
                       int (*cmp)(const void *a, const void *b))
{
    size_t left = begin, right = middle;

    for (size_t i = begin; i < end; i++) {
        if (left < middle && (right == end || cmp(from[left], from[right]) <= 0)) {
            to[i] = from[left++];
        } else {
            to[i] = from[right++];
        }
    }
}

void pf_ptrs_sort(struct pf_ptrs *v, int (*cmp)(const void *a, const void *b))
{
    size_t n = v->len;

    if (n < 2) {
        return;
    }
    void **other = pf_realloc(NULL, n * sizeof *other);

    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t middle = begin + width < n ? begin + width : n;
            size_t end = begin + 2 * width < n ? begin + 2 * width : n;

            ptrs_merge(v->at, other, begin, middle, end, cmp);
        }
        void **swap = v->at;
        v->at = other;
        other = swap;
    }
    v->cap = v->len; /* the arrays may have changed places, and the other is no larger */
    pf_free(other);
}
