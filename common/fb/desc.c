/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in descriptors: binary searches over the sorted indexes. */
#include "common/fb/desc.h"

static int name_cmp(const char *have, size_t have_len, struct pf_str want)
{
    size_t n = have_len < want.len ? have_len : want.len;
    int c = n > 0 ? memcmp(have, want.at, n) : 0;
    if (c != 0) {
        return c;
    }
    return have_len < want.len ? -1 : have_len > want.len;
}

int pf_fb_field_by_name(const struct pf_fb_table_desc *d, struct pf_str name)
{
    uint32_t low = 0, high = d->n_fields;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const struct pf_fb_field *f = &d->fields[d->by_name[mid]];
        int c = name_cmp(f->name, f->name_len, name);
        if (c == 0) {
            return d->by_name[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return -1;
}

int pf_fb_field_by_pb(const struct pf_fb_table_desc *d, uint32_t pb)
{
    uint32_t low = 0, high = d->n_pb;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        uint32_t have = d->fields[d->by_pb[mid]].pb;
        if (have == pb) {
            return d->by_pb[mid];
        }
        if (have < pb) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return -1;
}

const struct pf_fb_enum_value *pf_fb_enum_by_value(const struct pf_fb_enum_desc *d, int value)
{
    uint32_t low = 0, high = d->n_values;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const struct pf_fb_enum_value *v = &d->values[mid];
        if (v->value == value) {
            return v;
        }
        if (v->value < value) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const char *pf_fb_enum_str(const struct pf_fb_enum_desc *d, int value)
{
    const struct pf_fb_enum_value *v = pf_fb_enum_by_value(d, value);
    return v != NULL ? v->name : NULL;
}

bool pf_fb_enum_parse(const struct pf_fb_enum_desc *d, struct pf_str name, int *out)
{
    uint32_t low = 0, high = d->n_values;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const struct pf_fb_enum_value *v = &d->values[d->by_name[mid]];
        int c = name_cmp(v->name, strlen(v->name), name);
        if (c == 0) {
            *out = v->value;
            return true;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}
