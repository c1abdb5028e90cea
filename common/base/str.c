/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing borrowed text. */
#include "common/base/str.h"

#include <stddef.h>

int pf_str_cmp(struct pf_str a, struct pf_str b)
{
    uint32_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.at, b.at, shared);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool pf_str_has_prefix(struct pf_str s, struct pf_str prefix)
{
    return prefix.len <= s.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

bool pf_str_glob(struct pf_str pattern, struct pf_str s)
{
    uint32_t p = 0, i = 0;
    bool has_star = false;
    uint32_t star_p = 0, star_i = 0; /* where to go on when the last star takes one byte more */

    while (i < s.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            has_star = true;
            star_p = ++p;
            star_i = i;
        } else if (p < pattern.len && (pattern.at[p] == '?' || pattern.at[p] == s.at[i])) {
            p++;
            i++;
        } else if (has_star) {
            p = star_p;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
