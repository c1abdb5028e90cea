/* SPDX-License-Identifier: Apache-2.0 */
/* Building resources from what came from outside: every name, amount and count is checked before
 * anything changes. */
#include "common/base/resources_internal.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"

enum { RES_TEXT_MAX = 255 };

/* 1..255 bytes of printable ASCII, none of them a space or of `banned`. */
static bool res_text_is_fine(struct pf_str text, const char *banned)
{
    if (text.len == 0 || text.len > RES_TEXT_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || strchr(banned, text.at[i])) {
            return false;
        }
    }
    return true;
}

/* Checks the name; copies it to `copy` so that it ends in a NUL. */
static int res_name_check(struct pf_str name, char copy[RES_TEXT_MAX + 1], struct pf_err *err)
{
    if (!res_text_is_fine(name, ";:()")) {
        return pf_err_set(err, PF_EINVAL,
                          "a resource name must be 1 to 255 printable characters without spaces, "
                          "';', ':', '(' and ')'");
    }
    memcpy(copy, name.at, name.len);
    copy[name.len] = '\0';
    return 0;
}

static int res_well_known(const char *name)
{
    int i = 0;

    while (i < PF_RES_SCALAR_COUNT && strcmp(name, pf_res_scalar_names[i]) != 0) {
        i++;
    }
    return i;
}

/* May an item of this name and kind be added to? */
static int res_item_check(const struct pf_resources *r, const char *name, enum pf_res_kind kind,
                          struct pf_err *err)
{
    const struct pf_res_item *item = pf_res_find(r, pf_str(name));

    if (res_well_known(name) < PF_RES_SCALAR_COUNT || (item && item->kind != kind)) {
        return pf_err_set(err, PF_EINVAL, "resource %s cannot be of two kinds", name);
    }
    if (!item && r->n_items >= PF_RES_ITEMS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %d resource names", PF_RES_ITEMS_MAX);
    }
    return 0;
}

int pf_res_add_scalar(struct pf_resources *r, struct pf_str name, int64_t milli,
                      struct pf_err *err)
{
    char copy[RES_TEXT_MAX + 1];
    int rc = res_name_check(name, copy, err);

    if (rc < 0) {
        return rc;
    }
    int known = res_well_known(copy);
    int64_t old = known < PF_RES_SCALAR_COUNT ? r->scalar_milli[known] : pf_res_scalar(r, name);

    if (known == PF_RES_SCALAR_COUNT) {
        rc = res_item_check(r, copy, PF_RES_KIND_SCALAR, err);
        if (rc < 0) {
            return rc;
        }
    }
    if (milli < 0 || milli > PF_RES_MILLI_MAX || old > PF_RES_MILLI_MAX - milli) {
        return pf_err_set(err, PF_ELIMIT, "the amount of %s is negative or too large", copy);
    }
    if (known < PF_RES_SCALAR_COUNT) {
        r->scalar_milli[known] += milli;
    } else if (milli > 0) {
        struct pf_res_item like = {.name = copy, .kind = PF_RES_KIND_SCALAR};

        pf_res_item_need(r, &like)->milli += milli;
    }
    return 0;
}

int pf_res_add_range(struct pf_resources *r, struct pf_str name, uint64_t begin, uint64_t end,
                     struct pf_err *err)
{
    char copy[RES_TEXT_MAX + 1];
    int rc = res_name_check(name, copy, err);

    if (rc < 0) {
        return rc;
    }
    rc = res_item_check(r, copy, PF_RES_KIND_RANGES, err);
    if (rc < 0) {
        return rc;
    }
    if (begin > end) {
        return pf_err_set(err, PF_EINVAL, "a range of %s ends before it begins", copy);
    }
    if (end > PF_RES_RANGE_END_MAX) {
        return pf_err_set(err, PF_ELIMIT, "a range of %s ends too high", copy);
    }
    struct pf_res_item like = {.name = copy, .kind = PF_RES_KIND_RANGES};
    const struct pf_res_item *item = pf_res_item_get(r, &like);

    if (item && item->n >= PF_RES_RANGES_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %d ranges of %s", PF_RES_RANGES_MAX, copy);
    }
    pf_res_ranges_add(pf_res_item_need(r, &like), (struct pf_range){begin, end});
    return 0;
}

int pf_res_add_set_item(struct pf_resources *r, struct pf_str name, struct pf_str item,
                        struct pf_err *err)
{
    char copy[RES_TEXT_MAX + 1], text[RES_TEXT_MAX + 1];
    int rc = res_name_check(name, copy, err);

    if (rc < 0) {
        return rc;
    }
    rc = res_item_check(r, copy, PF_RES_KIND_SET, err);
    if (rc < 0) {
        return rc;
    }
    if (!res_text_is_fine(item, ";,{}")) {
        return pf_err_set(err, PF_EINVAL,
                          "an item of %s must be 1 to 255 printable characters without spaces, "
                          "';', ',', '{' and '}'",
                          copy);
    }
    memcpy(text, item.at, item.len);
    text[item.len] = '\0';
    struct pf_res_item like = {.name = copy, .kind = PF_RES_KIND_SET};
    const struct pf_res_item *set = pf_res_item_get(r, &like);

    if (set && set->n >= PF_RES_SET_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %d items of %s", PF_RES_SET_MAX, copy);
    }
    pf_res_set_add(pf_res_item_need(r, &like), text);
    return 0;
}
