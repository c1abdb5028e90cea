/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts of resources: named scalars in int64 thousandths of Mesos's unit (cpus; mem and disk in
 * MB = 2^20 bytes; gpus; custom names), named ranges (ports) and named sets. Exact arithmetic; no
 * floating point but in the two functions that read and write Mesos's doubles. */
#ifndef PF_COMMON_BASE_RESOURCES_H
#define PF_COMMON_BASE_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

enum pf_res_scalar { PF_RES_CPUS, PF_RES_MEM, PF_RES_DISK, PF_RES_GPUS, PF_RES_SCALAR_COUNT };
enum pf_res_kind { PF_RES_KIND_SCALAR, PF_RES_KIND_RANGES, PF_RES_KIND_SET };

struct pf_range {
    uint64_t begin, end; /* inclusive */
};

/* A custom scalar, ranges or a set; owned by its pf_resources. */
struct pf_res_item {
    const char *name;
    enum pf_res_kind kind;
    int64_t milli;          /* SCALAR */
    struct pf_range *range; /* RANGES: sorted, disjoint, not touching */
    char **item;            /* SET: sorted, unique */
    uint32_t n, cap;        /* of range or item */
};

/* All zero = nothing. `item` is owned: sorted by (name, kind); entries without content do not stand
 * in it, so equal amounts have equal forms. */
struct pf_resources {
    int64_t scalar_milli[PF_RES_SCALAR_COUNT];
    struct pf_res_item *item;
    uint32_t n_items, cap_items;
};

extern const char *const pf_res_scalar_names[PF_RES_SCALAR_COUNT]; /* "cpus", "mem", ... */

void pf_res_fini(struct pf_resources *r);
void pf_res_clear(struct pf_resources *r);
struct pf_resources pf_res_dup(const struct pf_resources *r);
void pf_res_assign(struct pf_resources *to, const struct pf_resources *from);
bool pf_res_is_empty(const struct pf_resources *r);
bool pf_res_eq(const struct pf_resources *a, const struct pf_resources *b);
/* Every amount of `b` is in `a`. */
bool pf_res_contains(const struct pf_resources *a, const struct pf_resources *b);
/* a += b; `a` and `b` are different objects. Scalars saturate nowhere: limits.h bounds each amount
 * so that 10^6 of them add up. Ranges and sets unite, so only amounts of one agent may be added
 * with these two; sums over agents take the scalars only (below). */
void pf_res_add(struct pf_resources *a, const struct pf_resources *b);
/* a -= b; asserts pf_res_contains(a, b). */
void pf_res_sub(struct pf_resources *a, const struct pf_resources *b);
/* The same for the scalars alone, custom ones included; ranges and sets of `b` are ignored. */
void pf_res_add_scalars(struct pf_resources *a, const struct pf_resources *b);
void pf_res_sub_scalars(struct pf_resources *a, const struct pf_resources *b);

/* Building from outside: each adds to what stands under the name, refusing bad names (1..255 bytes
 * of printable ASCII without ';' ':' ' ' '(' ')'; items of sets without ';' ' ' ',' '{' '}'), a
 * name of another kind, amounts outside 0..PF_RES_MILLI_MAX, reversed ranges, ends of INT64_MAX and
 * over, too many items. On failure `r` is as it was. */
PF_MUST_USE int pf_res_add_scalar(struct pf_resources *r, struct pf_str name, int64_t milli,
                                  struct pf_err *err);
PF_MUST_USE int pf_res_add_range(struct pf_resources *r, struct pf_str name, uint64_t begin,
                                 uint64_t end, struct pf_err *err);
PF_MUST_USE int pf_res_add_set_item(struct pf_resources *r, struct pf_str name, struct pf_str item,
                                    struct pf_err *err);
/* Thousandths under a name, 0 where there is none. */
int64_t pf_res_scalar(const struct pf_resources *r, struct pf_str name);
/* Custom scalars, ranges and sets only; NULL = none. Borrowed until `r` changes. */
const struct pf_res_item *pf_res_find(const struct pf_resources *r, struct pf_str name);
/* How many numbers the ranges under `name` hold. */
uint64_t pf_res_range_count(const struct pf_resources *r, struct pf_str name);

/* Does `have` satisfy `want` where for ranges any numbers will do (their count is what matters)?
 * True: `*out_part` (empty on entry) becomes a part of `have` of that shape, lowest numbers first.
 * False: untouched. */
bool pf_res_pick(const struct pf_resources *have, const struct pf_resources *want,
                 struct pf_resources *out_part);
/* The first name of `want` (same rule as pick) that `have` lacks and by how much (thousandths, or
 * how many numbers or set items); NULL = it fits, `*out_short` is 0. Borrowed from `want` or
 * static. */
const char *pf_res_shortage(const struct pf_resources *have, const struct pf_resources *want,
                            int64_t *out_short);

/* Mesos's text form: "cpus:4;mem:1024;ports:[31000-32000];set:{a,b}". Spaces around the parts and
 * the default role "(*)" behind a name are accepted. `out` is empty on entry. */
PF_MUST_USE int pf_res_parse(struct pf_str text, struct pf_resources *out, struct pf_err *err);
void pf_res_format(const struct pf_resources *r, struct pf_buf *out);

/* The one reader of doubles: rounds to thousandths; NaN, infinity, negative and over
 * PF_RES_MILLI_MAX are refused (what Mesos does with three decimals). */
PF_MUST_USE int pf_milli_from_double(double v, int64_t *out_milli, struct pf_err *err);
double pf_milli_to_double(int64_t milli);
/* "1.5", "2", ".25": digits and one point, rounded to thousandths; the same bounds. */
PF_MUST_USE int pf_milli_parse(struct pf_str text, int64_t *out_milli, struct pf_err *err);
/* "1.5", "2", "0.125": shortest decimal of thousandths. */
void pf_milli_format(int64_t milli, struct pf_buf *out);

void pf_res_check(const struct pf_resources *r);

#endif
