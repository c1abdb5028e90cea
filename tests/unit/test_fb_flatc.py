#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our FlatBuffers against flatc's, both ways, on random messages.

Arguments: the generator's folder, flatc, fbtool, the schema. flatc prints our buffers, and what it
builds we verify and print; both must say the same. Its JSON knows neither base64 nor maps and shows
unions as two members, so the schema tells how to translate.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest

SCHEMAS, FLATC, FBTOOL, SCHEMA = sys.argv[1:5]
SEED, COUNT = 20240607, 400
sys.path.insert(0, SCHEMAS)
sys.dont_write_bytecode = True
import generate  # pylint: disable=wrong-import-position


def load_tables():
    args = types.SimpleNamespace(flatc=FLATC, include=[SCHEMAS], root=os.path.dirname(SCHEMA))
    return generate.load(SCHEMA, args).tables


TABLES = load_tables()


def single_to_flatc(field, value):
    if field.kind == "BYTES":
        return list(base64.b64decode(value, validate=True))
    if field.kind in ("TABLE", "NESTED"):
        return to_flatc(field.table, value)
    return value


def to_flatc(table, message):
    """Our JSON in flatc's dialect."""
    out = {}
    for field in TABLES[table].fields:
        if field.name not in message:
            continue
        value = message[field.name]
        if field.kind == "UNION":
            (member, value), = value.items()
            out[field.name + "_type"] = member
            out[field.name] = to_flatc(MEMBERS[member], value)
        elif "map" in field.attrs:
            entry = TABLES[field.table].fields[1]
            out[field.name] = [{"key": key, "value": single_to_flatc(entry, item)}
                               for key, item in value.items()]
        elif "nested_list" in field.attrs:
            inner = TABLES[field.table].fields[0]
            out[field.name] = [{inner.name: to_flatc(inner.table, item)} for item in value]
        elif field.vector:
            out[field.name] = [single_to_flatc(field, item) for item in value]
        else:
            out[field.name] = single_to_flatc(field, value)
    return out


MEMBERS = {"Test_Ping": "Test_Ping", "Test_Pong": "Test_Pong", "other": "Test_Ping"}


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise AssertionError((done.stdout + done.stderr).decode(errors="replace")[:2000])
    return done.stdout.decode()


class FlatcTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        run(FBTOOL, "random", str(SEED), str(COUNT), cls.folder.name)
        cls.ours = []
        for i in range(COUNT):
            with open(cls.path(f"m{i}.json"), encoding="ascii") as file:
                cls.ours.append(json.load(file))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def flatc(self, *arguments):
        run(FLATC, "-I", SCHEMAS, "--no-warnings", *arguments)

    def test_flatc_reads_what_we_build(self):
        out = self.path("printed")
        os.mkdir(out)
        files = [self.path(f"m{i}.bin") for i in range(COUNT)]
        self.flatc("--json", "--strict-json", "-o", out, SCHEMA, "--", *files)
        for i in range(COUNT):
            with open(os.path.join(out, f"m{i}.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file), to_flatc("TestMsg", self.ours[i]), f"seed {SEED}")

    def test_we_read_what_flatc_builds(self):
        dialect, out = self.path("dialect"), self.path("built")
        os.mkdir(dialect)
        files = []
        for i in range(COUNT):
            files.append(os.path.join(dialect, f"m{i}.json"))
            with open(files[-1], "w", encoding="utf-8") as file:
                json.dump(to_flatc("TestMsg", self.ours[i]), file, ensure_ascii=False)
        self.flatc("--binary", "--force-defaults", "-o", out, SCHEMA, *files)
        printed = run(FBTOOL, "json", *[os.path.join(out, f"m{i}.bin") for i in range(COUNT)])
        printed = [json.loads(line) for line in printed.splitlines()]
        self.assertEqual(len(printed), COUNT)
        for i in range(COUNT):
            self.assertEqual(printed[i], self.ours[i], f"seed {SEED}, message {i}")

    def test_messages_are_worth_comparing(self):
        seen = set()
        for message in self.ours:
            seen |= set(message)
        self.assertEqual(seen, {field.name for field in TABLES["TestMsg"].fields})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
