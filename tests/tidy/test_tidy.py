#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Feeds tidy and purity trees with one violation of each kind: a check that finds nothing is no
check."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import purity  # noqa: E402
import tidy  # noqa: E402

C = "/* SPDX-License-Identifier: Apache-2.0 */\n"
PY = "# SPDX-License-Identifier: Apache-2.0\n"
CLEAN = {
    "common/base/CMakeLists.txt": PY + "pf_layer(base SOURCES a.c)\n",
    "common/base/README.md": "# base\n",
    "common/base/a.h": C + "/* A. */\n#ifndef PF_COMMON_BASE_A_H\n#define PF_COMMON_BASE_A_H\n"
                           "int pf_a(int x);\n#endif\n",
    "common/base/a.c": C + "/* A: isn't \"code\". */\n#include \"common/base/a.h\"\n\n"
                           "static const char *const names[] = {\"// text\", \"malloc(\"};\n\n"
                           "int pf_a(int x)\n{\n    /* calls nothing (yet), see a.h */\n"
                           "    if (x > 0) {\n        goto out;\n    }\n"
                           "out:\n    return names[0][x];\n}\n",
    "tests/unit/CMakeLists.txt": PY + "pf_unit_test(a pf_base)\n",
    "tests/unit/test_a.c": C + "#include \"common/base/a.h\"\n#include <cmocka.h>\n",
}

# rule: changes to the clean tree, each path with new text or with text appended to it ("+...")
VIOLATIONS = [
    ("top", {"docs/x.md": "x\n"}),
    ("spdx", {"common/base/a.c": "/* none */\nint pf_a(int x);\n"}),
    ("newline", {"common/base/a.c": C + "int x;"}),
    ("file-length", {"common/base/a.c": C + "int x;\n" * 701}),
    ("file-length", {"common/base/a.h": "+" + "int x;\n" * 300}),
    ("columns", {"common/base/a.c": "+/* " + "x" * 100 + " */\n"}),
    ("ascii", {"common/base/a.c": "+/* \u00e4 */\n"}),
    ("blank", {"common/base/a.c": "+\tint x;\n"}),
    ("blank", {"common/base/a.c": "+int x; \n"}),
    ("leftover", {"common/base/a.c": "+/* FIXME: later */\n"}),
    ("leftover", {"common/base/a.c": "+/* TODO: later */\n"}),
    ("machine-path", {"common/base/a.c": "+static const char p[] = \"/root/x\";\n"}),
    ("comment", {"common/base/a.c": "+// no\n"}),
    ("dead-code", {"common/base/a.c": "+/* x = 1; */\n"}),
    ("dead-code", {"common/base/a.c": "+/* pf_call(a, b); */\n"}),
    ("dead-code", {"common/base/a.c": "+#if 0\n#endif\n"}),
    ("layer", {"common/new/x.h": C}),
    ("include", {"common/base/a.c": "+#include \"common/base/none.h\"\n"}),
    ("include", {"common/base/a.c": "+#include \"a.h\"\n"}),
    ("edge", {"common/base/a.c": "+#include \"schemas/proffer.h\"\n"}),
    ("edge", {"master/core/x.c": C + "#include \"agent/core/y.h\"\n"}),
    ("edge", {"common/sys/x.c": C + "#include <event2/event.h>\n"}),
    ("edge", {"common/sys/x.c": C + "#include <proffer/proffer.h>\n"}),
    ("pure", {"common/base/a.c": "+#include <unistd.h>\n"}),
    ("internal", {"common/base/b_internal.h": C,
                  "common/sys/x.c": C + "#include \"common/base/b_internal.h\"\n"}),
    ("ban", {"common/base/a.c": "+int x = time (0);\n"}),
    ("ban", {"common/base/a.c": "+void *p = malloc(1);\n"}),
    ("ban", {"common/base/a.c": "+int x = (atoi(s));\n"}),
    ("ban", {"tests/unit/test_a.c": "+int x = sleep(1);\n"}),
    ("ban", {"common/base/a.c": "+int x = printf(\"x\");\n"}),
    ("goto", {"common/base/a.c": "+int f(void)\n{\n    goto fail;\n}\n"}),
    ("feature-macro", {"common/base/a.c": "+#define _GNU_SOURCE\n"}),
    ("file-level", {"common/base/a.c": "+static int counter;\n"}),
    ("file-level", {"common/base/a.c": "+static struct x *x = 0;\n"}),
    ("braces", {"common/base/a.c": "+int f(void)\n{\n    if (x)\n        return 1;\n}\n"}),
    ("braces", {"common/base/a.c": "+int f(void)\n{\n    else\n        return 1;\n}\n"}),
    ("function-length", {"common/base/a.c": "+int f(void)\n{\n" + "    x();\n" * 69 + "}\n"}),
    ("guard", {"common/base/a.h": C + "#ifndef A_H\n#define A_H\n#endif\n"}),
    ("dead-file", {"common/base/b.c": C}),
    ("dead-file", {"common/base/b.h": C}),
    ("dead-file", {"tests/unit/test_b.c": C}),
    ("untested", {"tests/unit/test_a.c": C}),
    ("skip", {"tests/unit/test_a.c": "+void f(void)\n{\n    skip();\n}\n"}),
    ("skip", {"tests/unit/test_a.c": "+int f(void)\n{\n    return 77;\n}\n"}),
    ("skip", {"tests/unit/test_a.c": "+enum { EXIT_SKIP = 77 };\n"}),
    ("skip", {"tests/unit/test_a.py": PY + "sys.exit(77)\n"}),
    ("skip", {"tests/unit/test_a.py": PY + "raise unittest.SkipTest()\n"}),
    ("skip", {"tests/unit/CMakeLists.txt": "+set_tests_properties(a SKIP_RETURN_CODE 5)\n"}),
    ("skip", {"tests/unit/test_a.c": "+enum { EXIT_SKIP = 77 };\n",
              "tests/needs": PY + "unit.b root why\n"}),
    ("skip", {"tests/needs": PY + "unit.a root why\n"}),
    ("readme", {"common/base/README.md": "x\n" * 61}),
    ("readme", {"common/base/README.md": None}),
]

# What must not be taken for a violation.
FINE = [
    {"common/base/a.c": "+/* an example (of prose); with a call f(x), and x = y. */\n"},
    {"common/base/a.c": "+int f(void)\n{\n    ops->free(x);\n    do {\n    } while (x);\n}\n"},
    {"common/base/a.c": "+int f(void)\n{\n" + "    case 1: return 1;\n" * 80 + "}\n"},
    {"common/base/a.c": "+static int call(int x);\nstatic const int y = 1;\n"},
    {"common/base/a.c": "+static const char name[] = \"/tmp/x-XXXXXX\";\n"},
    {"common/base/a.c": "+/* TODO(#12): more */\n"},
    {"common/base/a.c": "+#define A(x) \\\n    do {   \\\n    } while (0)\nint x;\n"},
    {"tests/unit/test_a.c": "+enum { EXIT_SKIP = 77 };\n", "tests/needs": PY + "unit.a root why\n"},
    {"tests/unit/test_a.c": "+int f(void)\n{\n    pf_jr_skip(&r);\n    return 770;\n}\n"},
]


def run(changes, exceptions=()):
    files = dict(CLEAN)
    for path, text in changes.items():
        files[path] = files.get(path, "") + text[1:] if text and text[0] == "+" else text
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            if text is not None:
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write(text)
        return tidy.Tidy(root, list(exceptions)).run()


class TidyTest(unittest.TestCase):
    def test_clean_tree_has_no_violation(self):
        self.assertEqual(run({}), [])

    def test_each_violation_is_found(self):
        for rule, changes in VIOLATIONS:
            with self.subTest(rule=rule, changes=changes):
                self.assertIn(rule, [found[2] for found in run(changes)])

    def test_every_rule_is_tried(self):
        with open(tidy.__file__, encoding="utf-8") as f:
            used = set(tidy.re.findall(r'self\.report\([^"]*?"([a-z-]+)"', f.read()))
        self.assertEqual(used - {rule for rule, _ in VIOLATIONS}, set())

    def test_what_is_fine_passes(self):
        for changes in FINE:
            with self.subTest(changes=changes):
                self.assertEqual(run(changes), [])

    def test_places_are_told(self):
        line = CLEAN["common/base/a.c"].count("\n") + 1
        self.assertEqual(run({"common/base/a.c": "+static int n;\n"})[0][:3],
                         ("common/base/a.c", line, "file-level"))

    def test_exceptions_hold_and_unused_ones_are_violations(self):
        entry = ("file-level", "common/base/*.c", "", "a reason")
        self.assertEqual(run({"common/base/a.c": "+static int n;\n"}, [entry]), [])
        self.assertEqual([f[2] for f in run({}, [entry])], ["exception"])


NM = """
one.c.o:
                 U memcpy
                 U pf_two
0000000000000000 T pf_one
                 U __asan_report_load8
                 U %s

two.c.o:
0000000000000000 T pf_two
"""


class PurityTest(unittest.TestCase):
    def test_plain_and_defined_symbols_pass(self):
        self.assertEqual(purity.judge({"libpf_x.a": NM % "strlen"}), [])

    def test_others_are_found(self):
        for symbol in ("malloc", "poll", "getrandom", "time", "write", "pf_none", "HMAC",
                       "__errno_location", "clock_gettime@GLIBC_2.17"):
            self.assertEqual(purity.judge({"libpf_x.a": NM % symbol}),
                             ["libpf_x.a(one.c.o): " + symbol.split("@")[0]])

    def test_homes_pass(self):
        self.assertEqual(purity.judge({"libpf_link.a": NM % "HMAC"}), [])
        self.assertEqual(purity.judge({"x.a": (NM % "malloc").replace("one.c", "alloc.c")}), [])


if __name__ == "__main__":
    unittest.main()
