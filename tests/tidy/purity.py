#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what the objects of the pure layers leave undefined and holds it to a list of what they may
use: a list of the forbidden would let getrandom or poll slip through.

    purity.py NM ARCHIVE...
"""
import os
import re
import subprocess
import sys

# libc without clock, dice, input, output or allocation
PLAIN = set("""
    memcpy memmove memset memcmp bcmp memchr memrchr strlen strnlen strcmp strncmp strchr
    strrchr strspn strcspn strpbrk strstr strerror snprintf vsnprintf qsort bsearch llround
    lround floor ceil trunc round fabs fmod ldexp frexp scalbn pow log2 isnan isinf __memcpy_chk
    __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk __stack_chk_fail
    _GLOBAL_OFFSET_TABLE_
""".split())

# of the compiler: sanitizers, fuzzing, coverage, arithmetic of its own
COMPILER = re.compile(r"__(asan|ubsan|tsan|msan|lsan|sanitizer|sancov|gcov|llvm|start___|stop___)|"
                      r"__(u?(div|mod|mul|float|fix)\w*[dst]i\d?)$|__odr_asan|__tls_get_addr$")

# (object, symbols, reason)
MORE = [
    ("assert.c.o", "abort fflush fprintf fwrite stderr __fprintf_chk", "the end of the process"),
    ("alloc.c.o", "calloc malloc realloc free", "the one allocator"),
    ("json_number.c.o", "strtod localeconv", "decimals that plain arithmetic cannot convert"),
]

# (archive, pattern, reason)
LIBRARIES = [
    ("libpf_link.a", re.compile(r"HMAC|EVP_\w+|SHA\w*|OSSL_PARAM_\w+|CRYPTO_memcmp|OPENSSL_\w+"),
     "the handshake's hashes; pure functions"),
]


def parse(text):
    """[(object, defined, undefined)] of the output of nm on an archive."""
    objects = []
    for line in text.split("\n"):
        name = re.match(r"(\S+\.o):$", line)
        symbol = re.match(r"[0-9a-f ]*\s([A-Za-z])\s(\S+)$", line)
        if name:
            objects.append((name.group(1), set(), set()))
        elif symbol and objects:
            kind, what = symbol.groups()
            objects[-1][2 if kind in "Uwv" else 1].add(what.split("@")[0])
    return objects


def allowed(archive, name, symbol):
    if symbol in PLAIN or COMPILER.match(symbol):
        return True
    if any(name == obj and symbol in symbols.split() for obj, symbols, _ in MORE):
        return True
    return any(archive == lib and pattern.fullmatch(symbol) for lib, pattern, _ in LIBRARIES)


def judge(archives):
    """Violations of {archive: output of nm}."""
    parsed = {archive: parse(text) for archive, text in archives.items()}
    defined = set().union(*(d for objects in parsed.values() for _, d, _ in objects))
    return ["%s(%s): %s" % (archive, name, symbol)
            for archive, objects in sorted(parsed.items()) for name, _, undefined in objects
            for symbol in sorted(undefined - defined) if not allowed(archive, name, symbol)]


def main(argv):
    archives = {}
    for path in argv[2:]:
        out = subprocess.run([argv[1], path], check=True, capture_output=True, text=True).stdout
        archives[os.path.basename(path)] = out
        if not parse(out):
            print("%s: no objects" % path)
            return 1
    found = judge(archives)
    for violation in found:
        print("purity: %s" % violation)
    print("purity: %d archives, %d violations" % (len(archives), len(found)))
    return 1 if found or not archives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
