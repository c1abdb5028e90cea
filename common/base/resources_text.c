/* SPDX-License-Identifier: Apache-2.0 */
/* Resources and thousandths as text, and Mesos's doubles. */
#include "common/base/resources_internal.h"

#include <string.h>
#include "common/base/limits.h"

static struct pf_str text_slice(struct pf_str s, uint32_t begin, uint32_t end)
{
    return (struct pf_str){s.at + begin, end - begin};
}

static struct pf_str text_trim(struct pf_str s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s = text_slice(s, 1, s.len);
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* Cuts what stands before the first `separator` (or everything) off the front of `*rest`. */
static struct pf_str text_cut(struct pf_str *rest, char separator)
{
    const char *at = rest->len == 0 ? NULL : memchr(rest->at, separator, rest->len);
    struct pf_str head = *rest;

    if (!at) {
        *rest = text_slice(*rest, rest->len, rest->len);
        return head;
    }
    head.len = (uint32_t)(at - rest->at);
    *rest = text_slice(*rest, head.len + 1, rest->len);
    return head;
}

/* "{a,b}": is it in these brackets? Takes them off. */
static bool text_unwrap(struct pf_str *s, char open, char close)
{
    if (s->len < 2 || s->at[0] != open || s->at[s->len - 1] != close) {
        return false;
    }
    *s = text_trim(text_slice(*s, 1, s->len - 1));
    return true;
}

static int bad_number(struct pf_str text, struct pf_err *err)
{
    return pf_err_set(err, PF_EINVAL, "'%.*s' is not a number of the right size",
                      text.len > 40 ? 40 : (int)text.len, text.len > 0 ? text.at : "");
}

static int parse_whole(struct pf_str text, uint64_t *out, struct pf_err *err)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 19) {
        return bad_number(text, err);
    }
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return bad_number(text, err);
        }
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    *out = value;
    return 0;
}

int pf_milli_parse(struct pf_str text, int64_t *out_milli, struct pf_err *err)
{
    int64_t milli = 0, unit = 0; /* unit: of the digit after the point, 0 = before it */
    bool has_point = false, has_digit = false;

    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (c == '.' && !has_point) {
            has_point = true;
            unit = 100;
            continue;
        }
        if (c < '0' || c > '9' || milli > PF_RES_MILLI_MAX) {
            return bad_number(text, err);
        }
        has_digit = true;
        if (!has_point) {
            milli = milli * 10 + (c - '0') * 1000;
        } else if (unit > 0) {
            milli += (c - '0') * unit;
            unit = unit == 1 ? -1 : unit / 10;
        } else if (unit == -1) { /* the fourth digit behind the point decides the rounding */
            milli += c >= '5' ? 1 : 0;
            unit = 0;
        }
    }
    if (!has_digit || milli > PF_RES_MILLI_MAX) {
        return bad_number(text, err);
    }
    *out_milli = milli;
    return 0;
}

static int parse_ranges(struct pf_resources *r, struct pf_str name, struct pf_str list,
                        struct pf_err *err)
{
    while (list.len > 0) {
        struct pf_str end_text = text_trim(text_cut(&list, ','));
        struct pf_str begin_text = text_trim(text_cut(&end_text, '-'));
        uint64_t begin, end;
        int rc = parse_whole(begin_text, &begin, err);

        if (rc == 0) {
            rc = parse_whole(text_trim(end_text), &end, err);
        }
        if (rc == 0) {
            rc = pf_res_add_range(r, name, begin, end, err);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int parse_set(struct pf_resources *r, struct pf_str name, struct pf_str list,
                     struct pf_err *err)
{
    while (list.len > 0) {
        int rc = pf_res_add_set_item(r, name, text_trim(text_cut(&list, ',')), err);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* One "name:value". */
static int parse_entry(struct pf_resources *r, struct pf_str entry, struct pf_err *err)
{
    static const struct pf_str default_role = {"(*)", 3};
    struct pf_str value = entry;
    struct pf_str name = text_trim(text_cut(&value, ':'));
    int64_t milli;

    value = text_trim(value);
    if (value.len == 0) {
        return pf_err_set(err, PF_EINVAL, "'%.*s' has no value; write name:value",
                          entry.len > 100 ? 100 : (int)entry.len, entry.at);
    }
    if (name.len > default_role.len &&
        pf_str_eq(text_slice(name, name.len - default_role.len, name.len), default_role)) {
        name.len -= default_role.len;
    }
    if (text_unwrap(&value, '[', ']')) {
        return parse_ranges(r, name, value, err);
    }
    if (text_unwrap(&value, '{', '}')) {
        return parse_set(r, name, value, err);
    }
    int rc = pf_milli_parse(value, &milli, err);

    return rc < 0 ? rc : pf_res_add_scalar(r, name, milli, err);
}

int pf_res_parse(struct pf_str text, struct pf_resources *out, struct pf_err *err)
{
    struct pf_resources r = {0};

    PF_ASSERT(pf_res_is_empty(out));
    while (text.len > 0) {
        struct pf_str entry = text_trim(text_cut(&text, ';'));

        if (entry.len == 0) {
            continue;
        }
        int rc = parse_entry(&r, entry, err);
        if (rc < 0) {
            pf_res_fini(&r);
            return rc;
        }
    }
    *out = r;
    return 0;
}

static void format_name(struct pf_buf *out, size_t start, const char *name)
{
    if (out->len > start) {
        pf_buf_add_byte(out, ';');
    }
    pf_buf_add_cstr(out, name);
    pf_buf_add_byte(out, ':');
}

static void format_item(const struct pf_res_item *item, struct pf_buf *out)
{
    switch (item->kind) {
    case PF_RES_KIND_SCALAR: pf_milli_format(item->milli, out); break;
    case PF_RES_KIND_RANGES:
        for (uint32_t i = 0; i < item->n; i++) {
            pf_buf_printf(out, "%c%llu-%llu", i == 0 ? '[' : ',',
                          (unsigned long long)item->range[i].begin,
                          (unsigned long long)item->range[i].end);
        }
        pf_buf_add_byte(out, ']');
        break;
    case PF_RES_KIND_SET:
        for (uint32_t i = 0; i < item->n; i++) {
            pf_buf_add_byte(out, i == 0 ? '{' : ',');
            pf_buf_add_cstr(out, item->item[i]);
        }
        pf_buf_add_byte(out, '}');
        break;
    }
}

void pf_res_format(const struct pf_resources *r, struct pf_buf *out)
{
    size_t start = out->len;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (r->scalar_milli[i] != 0) {
            format_name(out, start, pf_res_scalar_names[i]);
            pf_milli_format(r->scalar_milli[i], out);
        }
    }
    for (uint32_t i = 0; i < r->n_items; i++) {
        format_name(out, start, r->item[i].name);
        format_item(&r->item[i], out);
    }
}

int pf_milli_from_double(double v, int64_t *out_milli, struct pf_err *err)
{
    double scaled = v * 1000.0;

    if (!(scaled >= 0.0 && scaled <= (double)PF_RES_MILLI_MAX)) { /* NaN compares false */
        return pf_err_set(err, PF_EINVAL, "an amount is negative, too large or not a number");
    }
    int64_t milli = (int64_t)scaled;

    *out_milli = scaled - (double)milli >= 0.5 ? milli + 1 : milli; /* the difference is exact */
    return 0;
}

double pf_milli_to_double(int64_t milli)
{
    return (double)milli / 1000.0;
}

void pf_milli_format(int64_t milli, struct pf_buf *out)
{
    uint64_t amount = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
    unsigned part = (unsigned)(amount % 1000);
    int digits = 3;

    pf_buf_printf(out, "%s%llu", milli < 0 ? "-" : "", (unsigned long long)(amount / 1000));
    if (part == 0) {
        return;
    }
    while (part % 10 == 0) {
        part /= 10;
        digits--;
    }
    pf_buf_printf(out, ".%0*u", digits, part);
}
