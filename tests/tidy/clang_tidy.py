#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy with .clang-tidy over the C files of a build, less the exceptions of rules.py. Prints
each finding; 0 when there is none.

    clang_tidy.py BUILD [-j JOBS] [PATH-PREFIX...]
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
import rules  # noqa: E402

FINDING = re.compile(r"^(/.+?):(\d+):\d+: (?:error|warning): (.*) \[([\w.-]+).*\]$")


def files_of(build, root, prefixes):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        paths = {os.path.relpath(entry["file"], root) for entry in json.load(f)}
    return sorted(p for p in paths if not p.startswith("..") and
                  (p.startswith(tuple(prefixes)) if prefixes else not p.startswith("tests/")))


def look_at(build, root, path):
    """The findings of one file; a file that does not compile is one as well."""
    result = subprocess.run(["clang-tidy", "--quiet", "-p", build, os.path.join(root, path)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    found = {(os.path.relpath(m.group(1), root), int(m.group(2)), m.group(4), m.group(3))
             for m in map(FINDING.match, result.stdout.splitlines()) if m}
    if result.returncode != 0 and not found:
        found.add((path, 1, "clang-tidy", result.stderr.strip()[-500:]))
    return found


def excepted(finding):
    path, _, check, _ = finding
    for i, (pattern, e_check, _) in enumerate(rules.CLANG_TIDY_EXCEPTIONS):
        if fnmatch.fnmatch(path, pattern) and e_check == check:
            return i
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("-j", type=int, default=os.cpu_count(), dest="jobs")
    parser.add_argument("prefix", nargs="*")
    args = parser.parse_intermixed_args()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = files_of(args.build, root, args.prefix)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        found = set().union(*pool.map(lambda p: look_at(args.build, root, p), paths))
    used = {excepted(f) for f in found}
    left = sorted(f for f in found if excepted(f) is None)
    for path, line, check, what in left:
        print("%s:%d: %s: %s" % (path, line, check, what))
    unused = [e for i, e in enumerate(rules.CLANG_TIDY_EXCEPTIONS)
              if i not in used and any(fnmatch.fnmatch(p, e[0]) for p in paths)]
    for pattern, check, _ in unused:
        print("tests/tidy/rules.py:1: exception: nothing needs %s %s" % (pattern, check))
    print("clang-tidy: %d files, %d findings" % (len(paths), len(left)))
    return 1 if left or unused or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
