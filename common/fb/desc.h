/* SPDX-License-Identifier: Apache-2.0 */
/* What the generator knows of a schema, as tables: the verifier, the builder, the copier and the
 * transcoders walk them, so that there is one of each for every message. All of it is constant. */
#ifndef PF_COMMON_FB_DESC_H
#define PF_COMMON_FB_DESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/str.h"

/* The type of a field, or of the elements of a vector field. */
enum pf_fb_type {
    PF_FB_INVALID = 0,
    PF_FB_BOOL,
    PF_FB_I8,
    PF_FB_U8,
    PF_FB_I16,
    PF_FB_U16,
    PF_FB_I32,
    PF_FB_U32,
    PF_FB_I64,
    PF_FB_U64,
    PF_FB_F32,
    PF_FB_F64, /* the last scalar */
    PF_FB_STRING,
    PF_FB_BYTES,  /* [ubyte] */
    PF_FB_NESTED, /* [ubyte] that holds a buffer of its own, root type `table` */
    PF_FB_TABLE,
    PF_FB_UNION,  /* with its type byte in the slot before */
    PF_FB_TYPE_COUNT
};

enum pf_fb_flag {
    PF_FB_F_VECTOR = 1 << 0,
    PF_FB_F_OPTIONAL = 1 << 1,    /* scalar `= null`: knows absence */
    PF_FB_F_REQUIRED = 1 << 2,    /* FlatBuffers' `required`: the verifier insists */
    PF_FB_F_PBREQ = 1 << 3,       /* proto2 `required`: JSON and protobuf input insist */
    PF_FB_F_PBDEFAULT = 1 << 4,   /* has a proto2 default, in `def` or `def_str` */
    PF_FB_F_PBPACKED = 1 << 5,
    PF_FB_F_MAP = 1 << 6,         /* vector of {key, value} tables */
    PF_FB_F_NESTED_LIST = 1 << 7, /* vector of tables with one PF_FB_NESTED field */
    PF_FB_F_OURS = 1 << 8,        /* not in Mesos's schema */
    PF_FB_F_DEPRECATED_API = 1 << 9,
};

/* How protobuf carries the field. */
enum pf_fb_pbt {
    PF_PBT_NONE = 0,
    PF_PBT_DOUBLE,
    PF_PBT_FLOAT,
    PF_PBT_INT64,
    PF_PBT_UINT64,
    PF_PBT_INT32,
    PF_PBT_FIXED64,
    PF_PBT_FIXED32,
    PF_PBT_BOOL,
    PF_PBT_STRING,
    PF_PBT_GROUP,
    PF_PBT_MESSAGE,
    PF_PBT_BYTES,
    PF_PBT_UINT32,
    PF_PBT_ENUM,
    PF_PBT_SFIXED32,
    PF_PBT_SFIXED64,
    PF_PBT_SINT32,
    PF_PBT_SINT64,
};

struct pf_fb_table_desc;

struct pf_fb_enum_value {
    const char *name;
    int32_t value;
    const struct pf_fb_table_desc *table; /* of a union's member, else NULL */
};

/* Of an enum, or of a union (whose value 0 is NONE). */
struct pf_fb_enum_desc {
    const char *name;
    const struct pf_fb_enum_value *values; /* by value */
    const uint16_t *by_name;               /* places in `values` */
    uint16_t n_values;
};

struct pf_fb_field {
    const char *name;
    const struct pf_fb_table_desc *table; /* of TABLE and NESTED */
    const struct pf_fb_enum_desc *of;     /* of UNION and of scalars that are enums */
    const char *def_str;                  /* PBDEFAULT of a string */
    uint64_t def;   /* default of a scalar: its bits, zero-extended from the type's size */
    uint32_t pb;    /* protobuf field number, 0 = none */
    uint16_t flags; /* PF_FB_F_* */
    uint16_t slot;  /* place in the vtable, in bytes */
    uint16_t arg;   /* place in X__args */
    uint8_t type;   /* enum pf_fb_type */
    uint8_t size;   /* of the value or of one element, in the buffer */
    uint8_t pbt;    /* enum pf_fb_pbt */
    uint8_t oneof;  /* 1.. = which oneof of the table, 0 = none */
    uint8_t name_len;
};

struct pf_fb_table_desc {
    const char *name;
    const char *ident;                /* four bytes of file identifier, or NULL */
    const struct pf_fb_field *fields; /* by id, deprecated ones left out */
    const uint16_t *by_name;          /* places in `fields`, by name */
    const uint16_t *by_pb;            /* those with a protobuf number, by it */
    const uint16_t *by_size;          /* by descending size: the order of writing */
    uint16_t n_fields, n_pb;
    uint16_t n_slots;   /* highest id + 1 */
    uint16_t max_bytes; /* of a table and its vtable, at most */
};

/* The field's place in `fields`, or -1. */
int pf_fb_field_by_name(const struct pf_fb_table_desc *d, struct pf_str name);
int pf_fb_field_by_pb(const struct pf_fb_table_desc *d, uint32_t pb);
/* NULL if unknown. */
const char *pf_fb_enum_str(const struct pf_fb_enum_desc *d, int value);
const struct pf_fb_enum_value *pf_fb_enum_by_value(const struct pf_fb_enum_desc *d, int value);
/* False if unknown; `*out` is untouched then. */
bool pf_fb_enum_parse(const struct pf_fb_enum_desc *d, struct pf_str name, int *out);

static inline bool pf_fb_is_scalar(uint8_t type)
{
    return type >= PF_FB_BOOL && type <= PF_FB_F64;
}

static inline bool pf_fb_is_vector(const struct pf_fb_field *f)
{
    return (f->flags & PF_FB_F_VECTOR) != 0;
}

#endif
