#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns .fbs schemas into C: readers, builder arguments and descriptor tables.

generate.py --flatc FLATC --root ROOT --out OUT [--include DIR]... [--lock FILE] a.fbs b.fbs ...

Each schema becomes OUT/<path from ROOT>.h and .c. flatc does the parsing (its binary schema is
read here, with the standard library only); what it has no word for is said by the attributes of
attributes.fbs. --lock checks what must never change against the committed list; --update-lock
appends to it; --strict-lock demands that nothing is missing from it.
"""
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile

FIELDS_MAX = 128  # PF_FIELDS_MAX of common/base/limits.h
(UTYPE, BOOL, BYTE, UBYTE, SHORT, USHORT, INT, UINT, LONG, ULONG, FLOAT, DOUBLE, STRING, VECTOR,
 OBJ, UNION) = range(1, 17)
# base type: our name, C type, struct format, size, protobuf type
SCALARS = {
    BOOL: ("bool", "bool", "<?", 1, "BOOL"), BYTE: ("i8", "int8_t", "<b", 1, "INT32"),
    UBYTE: ("u8", "uint8_t", "<B", 1, "UINT32"), SHORT: ("i16", "int16_t", "<h", 2, "INT32"),
    USHORT: ("u16", "uint16_t", "<H", 2, "UINT32"), INT: ("i32", "int32_t", "<i", 4, "INT32"),
    UINT: ("u32", "uint32_t", "<I", 4, "UINT32"), LONG: ("i64", "int64_t", "<q", 8, "INT64"),
    ULONG: ("u64", "uint64_t", "<Q", 8, "UINT64"), FLOAT: ("f32", "float", "<f", 4, "FLOAT"),
    DOUBLE: ("f64", "double", "<d", 8, "DOUBLE"),
}
PBT = set("DOUBLE FLOAT INT64 UINT64 INT32 FIXED64 FIXED32 BOOL STRING GROUP MESSAGE BYTES UINT32 "
          "ENUM SFIXED32 SFIXED64 SINT32 SINT64".split())
C_WORDS = set("auto break case char const continue default do double else enum extern float for "
              "goto if inline int long register restrict return short signed sizeof static struct "
              "switch typedef union unsigned void volatile while bool true false asm".split())

DECLARATION = re.compile(r"\b(?:table|enum|union|struct)\s+(\w+)\s*[({:]")


class SchemaError(Exception):
    """A schema that cannot be turned into C."""


class Tab:
    """A table of a FlatBuffer, read by the id of its fields."""

    def __init__(self, data, pos):
        self.data, self.pos = data, pos
        self.vt = pos - struct.unpack_from("<i", data, pos)[0]

    def _at(self, field):
        slot = 4 + 2 * field
        if slot >= struct.unpack_from("<H", self.data, self.vt)[0]:
            return 0
        off = struct.unpack_from("<H", self.data, self.vt + slot)[0]
        return self.pos + off if off else 0

    def scalar(self, field, fmt, default=0):
        at = self._at(field)
        return struct.unpack_from(fmt, self.data, at)[0] if at else default

    def _target(self, at):
        return at + struct.unpack_from("<I", self.data, at)[0]

    def string(self, field):
        at = self._at(field)
        if not at:
            return None
        at = self._target(at)
        n = struct.unpack_from("<I", self.data, at)[0]
        return self.data[at + 4:at + 4 + n].decode()

    def table(self, field):
        at = self._at(field)
        return Tab(self.data, self._target(at)) if at else None

    def tables(self, field):
        at = self._at(field)
        if not at:
            return []
        at = self._target(at)
        n = struct.unpack_from("<I", self.data, at)[0]
        return [Tab(self.data, self._target(at + 4 + 4 * i)) for i in range(n)]

    def attributes(self, field):
        return {kv.string(0): kv.string(1) or "" for kv in self.tables(field)}


class Enum:
    def __init__(self, tab, objects):
        self.name = tab.string(0)
        self.is_union = tab.scalar(2, "<B") != 0
        self.base = tab.table(3).scalar(0, "<b")
        self.values = []  # (name, value, member table)
        for v in tab.tables(1):
            member = None
            if self.is_union and v.scalar(1, "<q") != 0:
                kind = v.table(3)
                if kind.scalar(0, "<b") != OBJ:
                    raise SchemaError(f"union {self.name}: members must be tables")
                member = objects[kind.scalar(2, "<i", -1)].string(0)
            value = v.scalar(1, "<q")
            if not -2**31 <= value < 2**31:
                raise SchemaError(f"enum {self.name}: {value} does not fit an int")
            self.values.append((v.string(0), value, member))
        self.values.sort(key=lambda v: v[1])
        self.by_value = {value: name for name, value, _ in self.values}
        self.by_name = {name: value for name, value, _ in self.values}


class Field:
    """One field: `kind` is the pf_fb_type (of the elements if `vector`)."""

    def __init__(self, tab, owner, objects, enums):
        self.owner, self.name = owner, tab.string(0)
        kind = tab.table(1)
        self.base, element = kind.scalar(0, "<b"), kind.scalar(1, "<b")
        index = kind.scalar(2, "<i", -1)
        self.id = tab.scalar(2, "<H")
        self.default_int, self.default_real = tab.scalar(4, "<q"), tab.scalar(5, "<d", 0.0)
        self.deprecated = tab.scalar(6, "<B") != 0
        self.required = tab.scalar(7, "<B") != 0
        self.attrs = tab.attributes(9)
        self.optional = tab.scalar(11, "<B") != 0
        self.table = self.enum = None
        self.vector = self.base == VECTOR
        base = element if self.vector else self.base
        nested = self.attrs.get("nested_flatbuffer")
        if self.vector and base == UBYTE and index < 0:
            self.kind, self.vector = ("NESTED" if nested else "BYTES"), False
            self.table = nested
        elif base in SCALARS:
            self.kind = SCALARS[base][0].upper()
            self.scalar = SCALARS[base]
            self.enum = enums[index].string(0) if index >= 0 else None
        elif base == STRING:
            self.kind = "STRING"
        elif base == OBJ:
            self.kind, self.table = "TABLE", objects[index].string(0)
            if objects[index].scalar(2, "<B"):
                raise self.error("structs are not supported")
        elif base == UNION and not self.vector:
            self.kind, self.enum = "UNION", enums[index].string(0)
        else:
            raise self.error("type is not supported")
        self.is_scalar = base in SCALARS and self.kind not in ("NESTED", "BYTES")
        self.size = 1 if self.kind in ("NESTED", "BYTES") else (
            self.scalar[3] if self.is_scalar else 4)
        self.inline = self.size if self.is_scalar and not self.vector else 4
        self.slot = 4 + 2 * self.id
        self.pb = int(self.attrs["pb"]) if "pb" in self.attrs else 0

    def error(self, text):
        return SchemaError(f"{self.owner}.{self.name}: {text}")

    def lock_type(self):
        text = self.enum or self.table or self.kind.lower()
        if self.kind == "NESTED":
            text = f"nested:{text}"
        return f"[{text}]" if self.vector else text

    def pbt(self):
        if not self.pb:
            return "NONE"
        if "pbt" in self.attrs:
            pbt = self.attrs["pbt"].upper()
            if pbt not in PBT:
                raise self.error(f"unknown pbt {pbt}")
            return pbt
        if self.enum:
            return "ENUM"
        if self.is_scalar:
            return self.scalar[4]
        return {"STRING": "STRING", "BYTES": "BYTES"}.get(self.kind, "MESSAGE")


class Table:
    def __init__(self, tab, objects, enums):
        self.name = tab.string(0)
        self.fields, self.n_slots = [], 0
        for f in tab.tables(1):
            self.n_slots = max(self.n_slots, f.scalar(2, "<H") + 1)
            kind = f.table(1)
            if kind.scalar(0, "<b") != UTYPE and not f.scalar(6, "<B"):
                self.fields.append(Field(f, self.name, objects, enums))
        self.fields.sort(key=lambda f: f.id)
        self.ident = None


class Schema:
    """One .fbs file with everything it can see; `own` holds the names it declares itself."""

    def __init__(self, path, rel, data, text):
        self.path, self.rel = path, rel
        root = Tab(data, struct.unpack_from("<I", data, 0)[0])
        objects, enums = root.tables(0), root.tables(1)
        self.enums = {e.string(0): Enum(e, objects) for e in enums}
        self.tables = {}
        plain = re.sub(r'"[^"\n]*"|//[^\n]*', lambda m: m[0] if m[0][0] == '"' else "", text)
        self.own = DECLARATION.findall(plain)
        self.includes = re.findall(r'\binclude\s+"([^"]+)"', plain)
        for o in objects:
            if o.scalar(2, "<B"):
                raise SchemaError(f"{o.string(0)}: structs are not supported")
            self.tables[o.string(0)] = Table(o, objects, enums)
        ident, top = root.string(2), root.table(4)
        if ident and top:
            self.tables[top.string(0)].ident = ident
        self.check()

    def check(self):
        for name in self.own:
            if name in self.tables:
                self.check_table(self.tables[name])

    def check_table(self, t):
        if t.n_slots > FIELDS_MAX:
            raise SchemaError(f"{t.name}: more than {FIELDS_MAX} fields")
        numbers = [f.pb for f in t.fields if f.pb]
        if len(numbers) != len(set(numbers)):
            raise SchemaError(f"{t.name}: a pb number is used twice")
        for f in t.fields:
            if f.kind == "NESTED" and f.table not in self.tables:
                raise f.error(f"unknown table {f.table}")
            if "map" in f.attrs:
                entry = self.tables[f.table].fields if f.vector and f.table else []
                if [(e.name, e.kind) for e in entry[:1]] != [("key", "STRING")] or (
                        [e.name for e in entry[1:]] != ["value"]):
                    raise f.error("a map is a vector of tables with a string key and a value")
            if "nested_list" in f.attrs:
                entry = self.tables[f.table].fields if f.vector and f.table else []
                if [e.kind for e in entry] != ["NESTED"]:
                    raise f.error("a nested_list is a vector of tables with one nested buffer")
            if f.vector and ("pbreq" in f.attrs or "oneof" in f.attrs):
                raise f.error("a vector cannot be pbreq or part of a oneof")
            if "pbdefault" in f.attrs and (f.vector or not (f.is_scalar or f.kind == "STRING")):
                raise f.error("only scalars and strings have a pbdefault")
            if f.is_scalar and not f.optional and f.attrs.keys() & {"pbdefault", "pbreq"}:
                raise f.error("a scalar with pbdefault or pbreq must be `= null`")


def absent_value(schema, f):
    """What a scalar accessor returns for an absent field, as a Python value."""
    text = f.attrs.get("pbdefault")
    is_real = f.base in (FLOAT, DOUBLE)
    if text is None:
        if f.optional:
            return 0.0 if is_real else 0
        return f.default_real if is_real else f.default_int
    if f.enum:
        value = schema.enums[f.enum].by_name.get(text)
        if value is None:
            raise f.error(f"pbdefault {text} is not a value of {f.enum}")
        return value
    if f.base == BOOL:
        if text not in ("true", "false", "0", "1"):
            raise f.error(f"pbdefault {text} is not a bool")
        return int(text in ("true", "1"))
    return float(text) if is_real else int(text)


def absent_c(schema, f):
    value = absent_value(schema, f)
    if f.enum:
        return str(value)
    if f.base == BOOL:
        return "true" if value else "false"
    if f.base in (FLOAT, DOUBLE):
        return float(value).hex() + ("f" if f.base == FLOAT else "")
    if f.base in (LONG, ULONG):
        if value == -2**63:
            return "INT64_MIN"
        return f"{'U' if f.base == ULONG else ''}INT64_C({value})"
    return f"{value}{'u' if f.base == UINT else ''}" if value != -2**31 else "INT32_MIN"


def c_string(text):
    return '"' + re.sub(r'[^ !#-\[\]-~]', lambda m: f"\\{ord(m.group()):03o}", text) + '"'


class Emitter:
    """Writes the C of one schema."""

    def __init__(self, schema, include_of):
        self.s, self.include_of = schema, include_of
        self.out, self.names = [], set()
        self.own_enums = [schema.enums[n] for n in schema.own if n in schema.enums]
        self.own_tables = [schema.tables[n] for n in schema.own if n in schema.tables]

    def line(self, text=""):
        self.out.append(text)

    def claim(self, name):
        if name in self.names:
            raise SchemaError(f"{self.s.rel}: two things in C are called {name}")
        self.names.add(name)
        return name

    def function(self, head, name, args, body):
        self.line(f"static inline {head}{self.claim(name)}({args})")
        self.line("{")
        for text in body:
            self.line("    " + text)
        self.line("}")

    # --- header ---

    def header(self):
        guard = "PF_GENERATED_" + re.sub(r"\W", "_", self.s.rel[:-4]).upper() + "_H"
        self.line(f"/* Generated from {self.s.rel} by generate.py; see schemas/README.md. */")
        self.line(f"#ifndef {guard}")
        self.line(f"#define {guard}")
        self.line()
        self.line('#include "common/fb/build.h"')
        for name in self.s.includes:
            header = self.include_of(name)
            if header:
                self.line(f'#include "{header}"')
        for e in self.own_enums:
            self.enum_header(e)
        self.line()
        for t in self.own_tables:
            self.line(f"struct {t.name} {{")
            self.line("    struct pf_tab tab;")
            self.line("};")
        for t in self.own_tables:
            self.args(t)
        for t in self.own_tables:
            self.line()
            self.line(f"extern const struct pf_fb_table_desc {self.claim(t.name + '__desc')};")
            for f in t.fields:
                self.accessors(t, f)
            self.table_functions(t)
        self.line()
        self.line("#endif")
        return "\n".join(self.out) + "\n"

    def enum_header(self, e):
        self.line()
        self.line(f"enum {e.name} {{")
        for name, value, _ in e.values:
            self.line(f"    {self.claim(f'{e.name}_{name}')} = {value},")
        self.line("};")
        self.line(f"extern const struct pf_fb_enum_desc {self.claim(e.name + '__enum')};")
        self.line(f"struct {e.name}__opt {{")
        self.line("    bool has;")
        self.line(f"    enum {e.name} v;")
        self.line("};")
        self.line(f"struct {e.name}__vec {{")
        self.line(f"    const enum {e.name} *at;")
        self.line("    uint32_t n;")
        self.line("};")
        self.function("const char *", f"{e.name}__str", "int v",
                      [f"return pf_fb_enum_str(&{e.name}__enum, v);"])
        self.function("bool ", f"{e.name}__parse", f"struct pf_str s, enum {e.name} *out", [
            "int v;",
            f"if (!pf_fb_enum_parse(&{e.name}__enum, s, &v)) {{",
            "    return false;",
            "}",
            f"*out = (enum {e.name})v;",
            "return true;"])

    @staticmethod
    def arg_name(f):
        return f.name + "_" if f.name in C_WORDS else f.name

    def args(self, t):
        self.line(f"struct {t.name}__args {{")
        for f in t.fields:
            name = self.arg_name(f)
            if f.kind == "UNION":
                self.line(f"    enum {f.enum} {f.name}_type;")
                self.line(f"    struct pf_ref {name};")
            else:
                self.line(f"    {self.arg_type(f)} {name};")
        if not t.fields:
            self.line("    char unused;")
        self.line("};")

    def arg_type(self, f):
        if f.is_scalar:
            if f.vector:
                return f"struct {f.enum}__vec" if f.enum else f"struct pf_vec_{f.scalar[0]}"
            if f.optional:
                return f"struct {f.enum}__opt" if f.enum else f"struct pf_opt_{f.scalar[0]}"
            return f"enum {f.enum}" if f.enum else f.scalar[1]
        if f.kind in ("BYTES", "NESTED"):
            return "struct pf_bytes"
        if f.kind == "STRING":
            return "struct pf_strs" if f.vector else "struct pf_str"
        return "struct pf_refs" if f.vector else "struct pf_ref"

    def accessors(self, t, f):
        x, name, slot = f"struct {t.name} x", f"{t.name}_{f.name}", f.slot
        if f.kind == "UNION":
            self.union_accessors(t, f)
            return
        self.function("bool ", f"{t.name}__has_{f.name}", x,
                      [f"return pf_fb_has(x.tab, {slot});"])
        if f.vector:
            self.vector_accessors(t, f)
        elif f.is_scalar:
            get = f"pf_fb_get_{f.scalar[0]}(x.tab, {slot}, {absent_c(self.s, f)})"
            if f.enum:
                self.function(f"enum {f.enum} ", name, x, [f"return (enum {f.enum}){get};"])
            else:
                self.function(f"{f.scalar[1]} ", name, x, [f"return {get};"])
        elif f.kind == "STRING":
            body = [f"struct pf_str s = pf_fb_get_str(x.tab, {slot});", "return s;"]
            if "pbdefault" in f.attrs:
                body[1] = f"return s.at != NULL ? s : PF_STR({c_string(f.attrs['pbdefault'])});"
            self.function("struct pf_str ", name, x, body)
        elif f.kind == "BYTES":
            self.function("struct pf_bytes ", name, x,
                          [f"return pf_fb_get_bytes(x.tab, {slot});"])
        elif f.kind == "NESTED":
            self.function("struct pf_bytes ", f"{name}__bytes", x,
                          [f"return pf_fb_get_bytes(x.tab, {slot});"])
            self.function(f"struct {f.table} ", name, x,
                          [f"return (struct {f.table}){{pf_fb_get_nested(x.tab, {slot})}};"])
        else:
            self.function(f"struct {f.table} ", name, x,
                          [f"return (struct {f.table}){{pf_fb_get_tab(x.tab, {slot})}};"])

    def vector_accessors(self, t, f):
        x, name, slot = f"struct {t.name} x", f"{t.name}_{f.name}", f.slot
        self.function("uint32_t ", f"{name}__len", x, [f"return pf_fb_vec_len(x.tab, {slot});"])
        x += ", uint32_t i"
        if f.is_scalar:
            get = f"pf_fb_load_{f.scalar[0]}(pf_fb_vec_at(x.tab, {slot}, i, {f.size}))"
            kind = f"enum {f.enum}" if f.enum else f.scalar[1]
            cast = f"(enum {f.enum})" if f.enum else ""
            self.function(f"{kind} ", f"{name}__at", x, [f"return {cast}{get};"])
        elif f.kind == "STRING":
            self.function("struct pf_str ", f"{name}__at", x,
                          [f"return pf_fb_vec_str(x.tab, {slot}, i);"])
        else:
            self.function(f"struct {f.table} ", f"{name}__at", x,
                          [f"return (struct {f.table}){{pf_fb_vec_tab(x.tab, {slot}, i)}};"])

    def union_accessors(self, t, f):
        x, name, slot = f"struct {t.name} x", f"{t.name}_{f.name}", f.slot
        self.function("bool ", f"{t.name}__has_{f.name}", x,
                      [f"return pf_fb_get_u8(x.tab, {slot - 2}, 0) != 0;"])
        self.function(f"enum {f.enum} ", f"{name}_type", x,
                      [f"return (enum {f.enum})pf_fb_get_u8(x.tab, {slot - 2}, 0);"])
        for member, value, table in self.s.enums[f.enum].values:
            if table:
                self.function(f"struct {table} ", f"{name}_as_{member}", x, [
                    f"return (struct {table}){{pf_fb_get_member(x.tab, {slot}, {value})}};"])

    def table_functions(self, t):
        n = t.name
        self.function(f"struct {n} ", f"{n}__root", "struct pf_msg msg",
                      [f"return (struct {n}){{pf_msg_root(msg, &{n}__desc)}};"])
        self.function(f"struct {n} ", f"{n}__from_bytes", "struct pf_bytes verified",
                      [f"return (struct {n}){{pf_fb_root(verified.at)}};"])
        b = "struct pf_fb_builder *b, "
        self.function("struct pf_ref ", f"{n}__put", b + f"const struct {n}__args *args",
                      [f"return pf_fb_put(b, &{n}__desc, args);"])
        self.function("struct pf_ref ", f"{n}__copy", b + f"struct {n} x",
                      [f"return pf_fb_copy(b, &{n}__desc, x.tab);"])
        self.function("struct pf_msg ", f"{n}__finish", b + "struct pf_ref root",
                      [f"return pf_fb_finish(b, &{n}__desc, root);"])

    # --- tables ---

    def source(self):
        self.out = []
        self.line(f"/* Generated from {self.s.rel} by generate.py; see schemas/README.md. */")
        self.line(f'#include "{self.s.rel[:-4]}.h"')
        for e in self.own_enums:
            self.enum_source(e)
        for t in self.own_tables:
            self.table_source(t)
        return "\n".join(self.out) + "\n"

    def enum_source(self, e):
        self.line()
        self.line(f"static const struct pf_fb_enum_value {e.name}__values[] = {{")
        for name, value, table in e.values:
            ref = f"&{table}__desc" if table else "NULL"
            self.line(f'    {{"{name}", {value}, {ref}}},')
        self.line("};")
        names = [name for name, _, _ in e.values]
        order = sorted(range(len(names)), key=lambda i: names[i].encode())
        self.index(f"{e.name}__by_name", order)
        self.line(f"const struct pf_fb_enum_desc {e.name}__enum = {{")
        self.line(f'    "{e.name}", {e.name}__values, {e.name}__by_name, {len(names)}}};')

    def index(self, name, order):
        self.line(f"static const uint16_t {name}[] = {{")
        self.line("    " + (", ".join(map(str, order)) or "0") + "};")

    def flags(self, f):
        flags = []
        for has, name in ((f.vector, "VECTOR"), (f.optional, "OPTIONAL"),
                          (f.required, "REQUIRED")):
            if has:
                flags.append(name)
        for attr in ("pbreq", "pbdefault", "pbpacked", "map", "nested_list", "ours",
                     "deprecated_api"):
            if attr in f.attrs:
                flags.append(attr.upper())
        return " | ".join("PF_FB_F_" + name for name in flags) or "0"

    def field_source(self, t, f, oneofs):
        parts = [f'.name = "{f.name}", .name_len = {len(f.name)}', f".type = PF_FB_{f.kind}",
                 f".flags = {self.flags(f)}", f".slot = {f.slot}", f".size = {f.size}"]
        arg = f"{f.name}_type" if f.kind == "UNION" else self.arg_name(f)
        parts.append(f".arg = offsetof(struct {t.name}__args, {arg})")
        if f.table:
            parts.append(f".table = &{f.table}__desc")
        if f.enum:
            parts.append(f".of = &{f.enum}__enum")
        if f.is_scalar and not f.vector:
            value = absent_value(self.s, f)
            raw = struct.pack(f.scalar[2], bool(value) if f.base == BOOL else value)
            bits = int.from_bytes(raw, "little")
            if bits:
                parts.append(f".def = UINT64_C({bits:#x})")
        elif "pbdefault" in f.attrs:
            parts.append(f".def_str = {c_string(f.attrs['pbdefault'])}")
        if f.pb:
            parts.append(f".pb = {f.pb}, .pbt = PF_PBT_{f.pbt()}")
        if "oneof" in f.attrs:
            parts.append(f".oneof = {oneofs.index(f.attrs['oneof']) + 1}")
        self.line("    {" + ",\n     ".join(parts) + "},")

    def table_source(self, t):
        fields = t.fields
        self.line()
        if fields:
            oneofs = list(dict.fromkeys(f.attrs["oneof"] for f in fields if "oneof" in f.attrs))
            self.line(f"static const struct pf_fb_field {t.name}__fields[] = {{")
            for f in fields:
                self.field_source(t, f, oneofs)
            self.line("};")
        places = range(len(fields))
        self.index(f"{t.name}__by_name", sorted(places, key=lambda i: fields[i].name.encode()))
        by_pb = sorted((i for i in places if fields[i].pb), key=lambda i: fields[i].pb)
        self.index(f"{t.name}__by_pb", by_pb)
        # Later fields first: the buffer grows downwards, so the first ends at the lowest place.
        self.index(f"{t.name}__by_size",
                   sorted(reversed(places), key=lambda i: -fields[i].inline))
        room = 32 + sum(f.inline + (f.kind == "UNION") for f in fields) + 2 * t.n_slots
        self.line(f"const struct pf_fb_table_desc {t.name}__desc = {{")
        self.line(f'    .name = "{t.name}",')
        if t.ident:
            self.line(f"    .ident = {c_string(t.ident)},")
        self.line(f"    .fields = {t.name + '__fields' if fields else 'NULL'},")
        for index in ("by_name", "by_pb", "by_size"):
            self.line(f"    .{index} = {t.name}__{index},")
        self.line(f"    .n_fields = {len(fields)}, .n_pb = {len(by_pb)},")
        self.line(f"    .n_slots = {t.n_slots}, .max_bytes = {room},")
        self.line("};")


# --- the lock ---

def lock_lines(schemas):
    lines = []
    for s in schemas:
        for name in s.own:
            if name in s.enums:
                for value_name, value, _ in s.enums[name].values:
                    lines.append(f"value {name}.{value_name} = {value}")
            else:
                for f in s.tables[name].fields:
                    lines.append(f"field {name}.{f.name} id {f.id} pb {f.pb} {f.lock_type()}")
    return lines


def check_lock(path, schemas, update, strict):
    have, locked = lock_lines(schemas), []
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            locked = [text.rstrip("\n") for text in file if not text.startswith("#")]
    have_set, locked_set = set(have), set(locked)
    gone = [text for text in locked if text not in have_set]
    if gone:
        raise SchemaError("the schemas changed what is locked:\n  " + "\n  ".join(gone))
    fresh = [text for text in have if text not in locked_set]
    if update and fresh:
        with open(path, "w", encoding="ascii") as file:
            file.write("# SPDX-License-Identifier: Apache-2.0\n"
                       "# What may never change in the schemas; see README.md.\n")
            file.write("".join(text + "\n" for text in have))
    elif strict and fresh:
        raise SchemaError("not in the lock (run with --update-lock):\n  " + "\n  ".join(fresh))


# --- program ---

def write_if_changed(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            if file.read() == text:
                os.utime(path)
                return
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def load(path, args):
    """The schema of one file, by way of flatc's binary form."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [args.flatc, "-b", "--schema", "--bfbs-builtins", "--bfbs-comments",
                   "--require-explicit-ids", "--no-warnings", "-o", scratch]
        for folder in args.include:
            command += ["-I", folder]
        done = subprocess.run(command + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            raise SchemaError(done.stdout.strip())
        base = os.path.splitext(os.path.basename(path))[0]
        with open(os.path.join(scratch, base + ".bfbs"), "rb") as file:
            data = file.read()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return Schema(path, os.path.relpath(path, args.root).replace(os.sep, "/"), data, text)


def include_finder(path, args):
    """Maps an include of `path` to a header, or to None where it declares nothing."""
    def find(name):
        for folder in [os.path.dirname(path)] + args.include:
            full = os.path.join(folder, name)
            if os.path.exists(full):
                with open(full, encoding="utf-8") as file:
                    if not DECLARATION.search(file.read()):
                        return None
                return os.path.relpath(full, args.root).replace(os.sep, "/")[:-4] + ".h"
        raise SchemaError(f"{path}: cannot find {name}")
    return find


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--flatc", default="flatc")
    parser.add_argument("--root", default=".", help="folder that include paths start at")
    parser.add_argument("--out", help="folder to write into; without it only checks are made")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--lock")
    parser.add_argument("--update-lock", action="store_true")
    parser.add_argument("--strict-lock", action="store_true")
    parser.add_argument("schemas", nargs="+")
    args = parser.parse_args()
    try:
        schemas = [load(path, args) for path in args.schemas]
        if args.lock:
            check_lock(args.lock, schemas, args.update_lock, args.strict_lock)
        for s in schemas if args.out else []:
            emitter = Emitter(s, include_finder(s.path, args))
            base = os.path.join(args.out, s.rel[:-4])
            write_if_changed(base + ".h", emitter.header())
            write_if_changed(base + ".c", emitter.source())
    except SchemaError as error:
        sys.exit(f"generate.py: {error}")


if __name__ == "__main__":
    main()
