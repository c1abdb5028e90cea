#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the source tree that no compiler does: layer edges, lengths, names, bans, leftovers.
Prints `file:line: rule: what` for each violation; 0 when there is none.

    tidy.py [ROOT]
"""
import fnmatch
import os
import re
import sys

sys.dont_write_bytecode = True
import rules  # noqa: E402

C_FILES = (".c", ".h")
SOURCES = C_FILES + (".py", ".fbs", ".sh", ".cmake", ".txt")
BANNED = {name: (homes, advice) for names, homes, advice in rules.BANS for name in names}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(sorted(BANNED, key=len, reverse=True)))
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
CODE_IN_COMMENT = re.compile(
    r"^\W*((if|for|while|switch)\s*\(.*\)\s*\{?|return\b[^.]*;|else\b.*\{|break;|continue;|\}"
    r"|#\s*(if|define|include)\b.*|[\w>.\[\]-]+\s*[-+|&]?=[^=].*;|(\w+\s+)?\*?\w+\(.*\)\s*;)\s*$")
SKIPS = {
    ".c": r"\bskip\s*\(\s*\)|\b(_?exit|return)\b\W*77\b|\w*SKIP\w*\s*=\s*77\b",
    ".py": r"\bSkipTest\b|\bskip(If|Unless|Test)?\(|\b(exit|return)\b\W*77\b"
           r"|\w*SKIP\w*\s*=\s*77\b",
    ".txt": r"\bSKIP_(RETURN_CODE|REGULAR_EXPRESSION)\b|\bDISABLED\s+(TRUE|ON|1)\b"}
SKIPS[".h"] = SKIPS[".c"]
FILE_LEVEL = re.compile(
    r"^(static\s+|_Thread_local\s+)+(?!.*\bconst\b)(?!inline\b)[^()]*(=.*|;)\s*$")


class File:
    """A source file: its raw lines, its code without comments and texts, and its comments."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), "rb") as f:
            self.bytes = f.read()
        self.text = self.bytes.decode("utf-8", "replace")
        self.lines = self.text.split("\n")
        self.ext = os.path.splitext(path)[1]
        self.code, self.comments = self.lines, []
        if self.ext in C_FILES:
            self.code, self.comments = split_c(self.text)


def split_c(text):
    """Code lines with comments and the insides of literals blanked; (line, text) of comments."""
    out, comments, comment = [], [], []
    state, line, i = "code", 1, 0
    while i < len(text):
        c, two = text[i], text[i:i + 2]
        if c == "\n":
            if state in ("block", "line"):
                comments.append((line, "".join(comment)))
                comment = []
            state = "code" if state == "line" else state
            out.append(c)
            line += 1
        elif state == "code":
            if two in ("/*", "//"):
                state = "block" if two == "/*" else "line"
                comment = [two] if two == "//" else []
                i += 1
            else:
                state = {'"': "text", "'": "char"}.get(c, state)
                out.append(c)
        elif state == "block":
            if two == "*/":
                comments.append((line, "".join(comment)))
                comment, state = [], "code"
                i += 1
            else:
                comment.append(c)
        elif state == "line":
            comment.append(c)
        elif c == "\\":
            i += 1
        elif c == ('"' if state == "text" else "'"):
            state = "code"
            out.append(c)
        i += 1
    return "".join(out).split("\n"), comments


def layer_of(path):
    """The longest entry of the layer table above a path, or None."""
    found = None
    for layer in rules.EDGES:
        if path.startswith(layer + "/") and (not found or len(layer) > len(found)):
            found = layer
    return found


class Tidy:
    def __init__(self, root, exceptions):
        self.root = root
        self.exceptions = exceptions
        self.used = set()
        self.found = []
        self.paths = []
        for folder, dirs, names in os.walk(root):
            dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build")) and
                             d != "__pycache__")
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.startswith(".") and name != "compile_commands.json":
                    self.paths.append(path)
        self.known = set(self.paths)
        self.files = [File(root, p) for p in self.paths
                      if p.endswith(SOURCES) and (not p.endswith(".txt") or
                                                  p.endswith("CMakeLists.txt"))]
        self.by_path = {f.path: f for f in self.files}

    def report(self, path, line, rule, what):
        for i, (e_rule, pattern, text, _) in enumerate(self.exceptions):
            if e_rule == rule and fnmatch.fnmatch(path, pattern) and text in what:
                self.used.add(i)
                return
        self.found.append((path, line, rule, what))

    def run(self):
        self.check_top()
        for f in self.files:
            self.check_text(f)
            self.check_leftovers(f)
            if f.ext in C_FILES:
                self.check_includes(f)
                self.check_calls(f)
                self.check_style(f)
                self.check_functions(f)
            if f.ext == ".h":
                self.check_guard(f)
        self.check_dead_files()
        self.check_tests_exist()
        self.check_readmes()
        self.check_skips()
        for i, (rule, pattern, text, _) in enumerate(self.exceptions):
            if i not in self.used:
                self.found.append(("tests/tidy/rules.py", 1, "exception",
                                   "nothing needs the exception %s %s %s" % (rule, pattern, text)))
        return sorted(self.found)

    def check_top(self):
        for name in sorted({p.split(os.sep)[0] for p in self.paths} - rules.TOP):
            self.report(name, 1, "top", "nothing else lives at the top level")

    def check_text(self, f):
        head = [line for line in f.lines[:2] if not line.startswith("#!")]
        if not head or "SPDX-License-Identifier: Apache-2.0" not in head[0]:
            self.report(f.path, 1, "spdx", "the first line is no SPDX line")
        if f.bytes and not f.bytes.endswith(b"\n"):
            self.report(f.path, len(f.lines), "newline", "the last line does not end")
        limit = rules.FILE_LINES.get(f.ext)
        if limit and len(f.lines) - 1 > limit:
            self.report(f.path, limit, "file-length", "%d lines, the stop is %d" %
                        (len(f.lines) - 1, limit))
        for n, line in enumerate(f.lines, 1):
            if len(line) > rules.COLUMNS:
                self.report(f.path, n, "columns", "%d columns" % len(line))
            if not line.isascii():
                self.report(f.path, n, "ascii", "a byte that is not ASCII")
            if line != line.rstrip() or "\t" in line:
                self.report(f.path, n, "blank", "a tab or trailing blanks")

    def check_leftovers(self, f):
        if f.path.startswith("tests/tidy/"):
            return  # names them
        for n, line in enumerate(f.lines, 1):
            word = re.search(r"\b(FIXME|XXX|HACK)\b|\bTODO\b(?!\(#\d+\))", line)
            if word:
                self.report(f.path, n, "leftover", word.group(0))
            if re.search(r"(?<![\w.])/(work|root|home)/\w", line):
                self.report(f.path, n, "machine-path", "a path of one machine")
        for n, text in f.comments:
            if text.startswith("//"):
                self.report(f.path, n, "comment", "comments are /* */")
            elif f.ext == ".c" and CODE_IN_COMMENT.match(text.strip()):
                self.report(f.path, n, "dead-code", "commented-out code: %s" % text.strip())
        for n, line in enumerate(f.code, 1):
            if f.ext in C_FILES and re.match(r"\s*#\s*if\s+0\b", line):
                self.report(f.path, n, "dead-code", "#if 0")

    def check_includes(self, f):
        layer = layer_of(f.path)
        if not layer:
            self.report(f.path, 1, "layer", "the folder is no layer of the table")
            return
        for n, line in enumerate(f.lines, 1):
            match = INCLUDE.match(line)
            if match and match.group(1) == '"':
                self.check_own_include(f, n, layer, match.group(2))
            elif match:
                self.check_system_include(f, n, layer, match.group(2))

    def check_own_include(self, f, n, layer, target):
        target_layer = layer_of(target)
        generated = re.fullmatch(r"schemas/\w+\.h", target) or target[:-2] + ".fbs" in self.known
        if target not in self.known and not generated:
            self.report(f.path, n, "include", "%s is no path from the root" % target)
        if target_layer and target_layer != layer and target_layer not in rules.EDGES[layer]:
            self.report(f.path, n, "edge", "%s may not include %s" % (layer, target_layer))
        if target.endswith("_internal.h") and layer not in (target_layer, "tests"):
            self.report(f.path, n, "internal", "%s belongs to another layer" % target)

    def check_system_include(self, f, n, layer, target):
        if target.startswith("proffer/"):
            if layer not in ("framework/include", "framework/lib", "framework/examples", "tests",
                             "framework/cli", "framework/driver"):
                self.report(f.path, n, "edge", "%s may not include framework/include" % layer)
            return
        if layer in rules.PURE:
            pure = target in rules.PURE_HEADERS or target.startswith("openssl/")
            if not pure:
                self.report(f.path, n, "pure", "%s is pure and may not include <%s>" %
                            (layer, target))
        for prefix, layers in rules.LIBRARY_HEADERS:
            if target.startswith(prefix) and layer not in layers and layer != "tests":
                self.report(f.path, n, "edge", "%s may not include <%s>" % (layer, target))

    def check_calls(self, f):
        for n, line in enumerate(f.code, 1):
            for match in CALL.finditer(line):
                homes, advice = BANNED[match.group(1)]
                if not any(fnmatch.fnmatch(f.path, h) for h in homes):
                    self.report(f.path, n, "ban", "%s: %s" % (match.group(1), advice))

    def check_style(self, f):
        for n, line in enumerate(f.code, 1):
            jump = re.search(r"\bgoto\s+(\w+)", line)
            if jump and jump.group(1) != "out":
                self.report(f.path, n, "goto", "one label, and it is `out`")
            if re.match(r"\s*#\s*define\s+_(GNU|POSIX_C|DEFAULT|XOPEN)_SOURCE", line):
                self.report(f.path, n, "feature-macro", "feature macros are set by CMake")
            if not f.path.startswith("tests/") and FILE_LEVEL.match(line):
                self.report(f.path, n, "file-level", "a mutable file-level variable")
            bare = re.match(r"\s*((\}\s*)?(if|else if)|for|while)\b.*\)\s*$", line) or \
                re.match(r"\s*(\}\s*)?else\s*$", line)
            after = f.code[n] if n < len(f.code) else ""
            if bare and line.count("(") == line.count(")") and not after.strip().startswith("{") \
                    and not re.match(r"\s*while\b.*\)\s*$", line) and "\\" not in after:
                self.report(f.path, n, "braces", "braces always")

    def check_functions(self, f):
        start = None
        for n, line in enumerate(f.code, 1):
            if line.rstrip() == "{":
                start = n
            elif line.startswith("}") and start:
                body = f.code[start - 1:n]
                cases = sum(1 for b in body if re.match(r"\s*case\b[^:]*:.*;\s*$", b) or
                            re.match(r"\s*case\b[^:]*:\s*$", b))
                if len(body) - cases > rules.FUNCTION_LINES:
                    self.report(f.path, start, "function-length",
                                "%s has %d lines, the stop is %d" %
                                (self.function_name(f, start), len(body), rules.FUNCTION_LINES))
                start = None

    @staticmethod
    def function_name(f, brace):
        for line in reversed(f.code[max(0, brace - 8):brace - 1]):
            name = re.match(r"^[A-Za-z_][\w\s*]*?(\w+)\(", line)
            if name:
                return name.group(1)
        return "?"

    def check_guard(self, f):
        guard = "PF_" + re.sub(r"[/.]", "_", f.path).upper()
        public = f.path.startswith("framework/include/proffer/")
        if public:
            guard = "PROFFER_" + os.path.basename(f.path).replace(".", "_").upper()
        directives = [line.strip() for line in f.code if line.strip().startswith("#")]
        if directives[:2] != ["#ifndef " + guard, "#define " + guard]:
            self.report(f.path, 1, "guard", "the guard is not %s" % guard)

    def nearest_cmake(self, path):
        folder = os.path.dirname(path)
        while True:
            candidate = os.path.join(folder, "CMakeLists.txt")
            if candidate in self.by_path:
                return self.by_path[candidate].text
            if not folder:
                return ""
            folder = os.path.dirname(folder)

    def check_dead_files(self):
        included = {m.group(2) for f in self.files if f.ext in C_FILES
                    for m in map(INCLUDE.match, f.lines) if m}
        for f in self.files:
            name = os.path.basename(f.path)
            stem, folder = os.path.splitext(name)[0], os.path.dirname(f.path)
            if f.ext == ".h":
                alive = f.path in included or f.path.startswith("framework/include/")
            elif f.ext in (".c", ".py", ".fbs"):
                words = {name, stem, re.sub(r"^(test|bench)_", "", stem)}
                alive = words & set(re.split(r"[\s()/\"]+", self.nearest_cmake(f.path))) or any(
                    re.search(r"\b(import|from)\s+%s\b|\"%s\"" % (stem, name), other.text)
                    for other in self.files
                    if os.path.dirname(other.path) == folder and other is not f and
                    other.ext == f.ext)
            else:
                alive = True
            if not alive:
                self.report(f.path, 1, "dead-file", "nothing builds, runs or includes it")

    def check_tests_exist(self):
        tested = {m.group(2) for f in self.files if f.path.startswith("tests/") and f.ext in C_FILES
                  for m in map(INCLUDE.match, f.lines) if m}
        for f in self.files:
            layer = layer_of(f.path)
            if f.ext != ".h" or f.path.endswith("_internal.h") or \
                    layer not in rules.UNIT_TESTED or f.path[:-2] + ".c" not in self.known:
                continue
            if f.path not in tested:
                self.report(f.path, 1, "untested", "no test includes this module")

    def check_skips(self):
        """A test that can skip itself stands in tests/needs, and what stands there can."""
        needs = {}
        if "tests/needs" in self.known:
            with open(os.path.join(self.root, "tests/needs"), encoding="utf-8") as r:
                for n, line in enumerate(r, 1):
                    if line.strip() and not line.startswith("#"):
                        needs[line.split()[0]] = n
        can_skip = set()
        for f in self.files:
            if not f.path.startswith("tests/") or f.ext not in SKIPS or \
                    f.path.startswith("tests/tidy/") or f.path == "tests/CMakeLists.txt":
                continue
            name = re.sub(r"^tests/(\w+)/(test_)?(\w+)\.\w+$", r"\1.\3", f.path)
            for n, line in enumerate(f.code, 1):
                if re.search(SKIPS[f.ext], line):
                    can_skip.add(name)
                    if name not in needs:
                        self.report(f.path, n, "skip", "%s is not named in tests/needs" % name)
        for name in sorted(set(needs) - can_skip):
            self.report("tests/needs", needs[name], "skip", "%s cannot skip itself" % name)

    def check_readmes(self):
        for layer in rules.EDGES:
            path = os.path.join(layer, "README.md")
            has_sources = any(os.path.dirname(f.path) == layer for f in self.files)
            if path in self.known:
                with open(os.path.join(self.root, path), encoding="utf-8") as r:
                    n = len(r.readlines())
                if n > rules.README_LINES:
                    self.report(path, n, "readme", "%d lines, the stop is %d" %
                                (n, rules.README_LINES))
            elif has_sources and layer not in ("tests", "framework/include"):
                self.report(layer, 1, "readme", "the layer has no README.md")


def main(argv):
    here = os.path.dirname(os.path.abspath(__file__))
    root = argv[1] if len(argv) > 1 else os.path.dirname(os.path.dirname(here))
    found = Tidy(root, rules.EXCEPTIONS).run()
    for path, line, rule, what in found:
        print("%s:%d: %s: %s" % (path, line, rule, what))
    print("tidy: %d violations" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
