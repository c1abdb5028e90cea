#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles each header alone: it must bring along all it needs.

    headers.py ROOT COMPILER FLAG...

The headers of pure layers get strict C11, the others GNU interfaces too.
"""
import concurrent.futures
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import rules  # noqa: E402


def check(root, compiler, flags, header):
    if os.path.dirname(header) not in rules.PURE:
        flags = flags + ["-D_GNU_SOURCE"]
    run = subprocess.run([compiler, *flags, "-I", root, "-fsyntax-only", "-x", "c", "-"],
                         input='#include "%s"\nextern int pf_not_empty;\n' % header,
                         capture_output=True, text=True)
    return run.stderr if run.returncode != 0 else None


def main(argv):
    root, compiler, flags = argv[1], argv[2], argv[3:]
    headers = []
    for top in ("common", "master", "agent", "framework", "tests/support"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            headers += [os.path.relpath(os.path.join(folder, n), root)
                        for n in sorted(names) if n.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(lambda h: check(root, compiler, flags, h), headers))
    for header, error in zip(headers, errors):
        if error:
            print("%s is not self-contained:\n%s" % (header, error))
    print("headers: %d, %d not self-contained" % (len(headers), sum(map(bool, errors))))
    return 1 if any(errors) or not headers else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
