/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed text and bytes. A pf_str made from a message or a C string is followed by a NUL, so
 * `.at` may be given to libc; its length is authoritative (text may contain NULs: ids are checked
 * for that). `.at == NULL` means absent. */
#ifndef PF_COMMON_BASE_STR_H
#define PF_COMMON_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct pf_str {
    const char *at;
    uint32_t len;
};

struct pf_bytes {
    const uint8_t *at;
    uint32_t len;
};

#define PF_STR(literal) ((struct pf_str){"" literal, (uint32_t)(sizeof(literal) - 1)})
/* printf("%.*s", PF_STR_ARG(s)) */
#define PF_STR_ARG(s) (int)(s).len, (s).at ? (s).at : ""

static inline struct pf_str pf_str(const char *c)
{
    return (struct pf_str){c, c ? (uint32_t)strlen(c) : 0};
}

static inline bool pf_str_eq(struct pf_str a, struct pf_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool pf_str_is(struct pf_str a, const char *c)
{
    return pf_str_eq(a, pf_str(c));
}

/* <0, 0, >0 as memcmp; a prefix sorts first. */
int pf_str_cmp(struct pf_str a, struct pf_str b);
bool pf_str_has_prefix(struct pf_str s, struct pf_str prefix);
/* Shell-style match with * and ? only. Linear time in the pattern times the text. */
bool pf_str_glob(struct pf_str pattern, struct pf_str s);

#endif
