#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The schema generator: what it refuses, and what the lock holds on to.
Arguments: generator, flatc."""
import os
import subprocess
import sys
import tempfile
import unittest

GENERATOR, FLATC = sys.argv[1], sys.argv[2]
ATTRIBUTES = os.path.dirname(GENERATOR)


class GeneratorTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.lock = os.path.join(self.folder.name, "lock")

    def run_generator(self, schema, *options):
        path = os.path.join(self.folder.name, "s.fbs")
        with open(path, "w", encoding="ascii") as file:
            file.write('include "attributes.fbs";\n' + schema)
        return subprocess.run(
            [sys.executable, GENERATOR, "--flatc", FLATC, "--root", self.folder.name, "--out",
             self.folder.name, "--include", ATTRIBUTES, *options, path],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def accepts(self, schema, *options):
        done = self.run_generator(schema, *options)
        self.assertEqual(done.returncode, 0, done.stdout)

    def refuses(self, schema, text, *options):
        done = self.run_generator(schema, *options)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(text, done.stdout)

    def header(self):
        with open(os.path.join(self.folder.name, "s.h"), encoding="ascii") as file:
            return file.read()

    def test_structs_are_refused(self):
        self.refuses("struct S { a:int; } table T { s:S (id: 0); }", "structs are not supported")

    def test_vectors_of_unions_are_refused(self):
        self.refuses("table A { } union U { A } table T { u:[U] (id: 1); }", "not supported")

    def test_ids_are_demanded(self):
        self.refuses("table T { a:int; b:int (id: 0); }", "id")

    def test_unknown_attributes_are_refused(self):
        self.refuses("table T { a:int (id: 0, pbrq); }", "pbrq")

    def test_pb_numbers_are_unique(self):
        self.refuses('table T { a:string (id: 0, pb: "1"); b:string (id: 1, pb: "1"); }',
                     "T: a pb number is used twice")

    def test_unknown_pbt_is_refused(self):
        self.refuses('table T { a:int = null (id: 0, pb: "1", pbt: "zint"); }',
                     "T.a: unknown pbt ZINT")

    def test_defaults_fit_their_type(self):
        for schema in ('enum E : int { X = 1 } table T { a:E = null (id: 0, pbdefault: "Y"); }',
                       'table T { a:bool = null (id: 0, pbdefault: "yes"); }',
                       'table T { a:int (id: 0, pbdefault: "1"); }',
                       'table T { a:[int] (id: 0, pbdefault: "1"); }'):
            self.refuses(schema, "pbdefault")

    def test_required_scalars_know_absence(self):
        self.refuses("table T { a:int (id: 0, pbreq); }", "T.a: a scalar with")

    def test_vectors_are_neither_required_nor_in_a_oneof(self):
        self.refuses("table T { a:[int] (id: 0, pbreq); }", "a vector cannot be")
        self.refuses('table T { a:[int] (id: 0, oneof: "x"); }', "a vector cannot be")

    def test_nested_buffers_name_a_table(self):
        self.refuses('table T { a:[ubyte] (id: 0, nested_flatbuffer: "Nope"); }', "Nope")

    def test_maps_have_key_and_value(self):
        self.refuses("table E { k:string (id: 0); value:int (id: 1); } "
                     "table T { a:[E] (id: 0, map); }", "T.a: a map is")

    def test_nested_lists_hold_nested_buffers(self):
        self.refuses("table E { k:string (id: 0); } table T { a:[E] (id: 0, nested_list); }",
                     "T.a: a nested_list is")

    def test_fields_are_bounded(self):
        fields = "".join(f"f{i}:int (id: {i});" for i in range(129))
        self.refuses("table T { " + fields + " }", "T: more than 128 fields")

    def test_clashing_names_are_refused(self):
        self.refuses("enum T_a : int { x } table T { a_x:int (id: 0); }",
                     "two things in C are called T_a_x")

    def test_keywords_get_an_underscore_in_arguments_only(self):
        self.accepts("table T { default:int = null (id: 0); }")
        self.assertIn("struct pf_opt_i32 default_;", self.header())
        self.assertIn("int32_t T_default(struct T x)", self.header())

    def test_deprecated_fields_vanish_and_keep_their_slot(self):
        self.accepts("table T { a:int (id: 0, deprecated); b:int (id: 1); }")
        self.assertNotIn("T_a", self.header())
        self.assertIn("pf_fb_get_i32(x.tab, 6, 0)", self.header())

    LOCKED = 'enum E : int { X = 1 } table T { a:string (id: 0, pb: "1"); e:E = null (id: 1); }'

    def locked(self):
        self.accepts(self.LOCKED, "--lock", self.lock, "--update-lock")
        self.accepts(self.LOCKED, "--lock", self.lock, "--strict-lock")

    def test_lock_refuses_changes(self):
        self.locked()
        for before, after in (("a:string (id: 0", "b:string (id: 0"), ('pb: "1"', 'pb: "2"'),
                              ("a:string", "a:[string]"), ("X = 1", "X = 2"), ("X = 1", "Y = 1"),
                              ("e:E = null (id: 1);", "")):
            changed = self.LOCKED.replace(before, after)
            self.refuses(changed, "changed what is locked", "--lock", self.lock)
            self.refuses(changed, "changed what is locked", "--lock", self.lock, "--update-lock")

    def test_lock_takes_additions(self):
        self.locked()
        more = self.LOCKED.replace("(id: 1);", "(id: 1); n:int (id: 2);")
        self.accepts(more, "--lock", self.lock)
        self.refuses(more, "field T.n id 2 pb 0 i32", "--lock", self.lock, "--strict-lock")
        self.accepts(more, "--lock", self.lock, "--update-lock")
        self.accepts(more, "--lock", self.lock, "--strict-lock")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
