# SPDX-License-Identifier: Apache-2.0
"""The tables of tidy: who may include whom, what is banned where, how long things may be, and the
exceptions, each with its reason."""

TOP = {"CMakeLists.txt", "README.md", "LICENSE", "common", "schemas", "master", "agent",
       "framework", "deploy", "tests"}

# What a layer may include besides itself. A layer is the longest prefix of a path in this table.
BASE = {"common/base"}
CORE = BASE | {"common/fb", "schemas", "common/turn"}
COMMON = {"common/base", "common/sys", "common/fb", "common/turn", "common/store", "common/link",
          "common/net", "common/engine", "common/elect", "common/zk", "schemas"}
EDGES = {
    "common/base": set(),
    "common/sys": BASE,
    "common/fb": BASE,
    "schemas": BASE | {"common/fb"},
    "common/turn": BASE | {"common/fb"},
    "common/store": BASE | {"common/sys", "common/turn"},
    "common/link": BASE | {"common/fb", "schemas"},
    "common/net": BASE | {"common/sys", "common/fb", "schemas", "common/link"},
    "common/engine": BASE | {"common/sys", "common/fb", "schemas", "common/turn", "common/store",
                             "common/link", "common/net"},
    "common/elect": CORE | {"common/link"},
    "common/zk": BASE | {"common/sys", "common/elect", "common/net"},
    "master/core": CORE,
    "master/daemon": COMMON | {"master/core"},
    "agent/core": CORE,
    "agent/cgroup": BASE,
    "agent/launcher": BASE | {"common/sys", "common/fb", "schemas", "agent/cgroup"},
    "agent/fetcher": BASE | {"common/sys", "common/fb", "schemas"},
    "agent/daemon": COMMON | {"agent/core", "agent/launcher", "agent/cgroup"},
    "framework/include": set(),
    "framework/driver": CORE | {"common/link", "framework/include"},
    "framework/lib": COMMON | {"framework/include", "framework/driver"},
    "framework/cli": COMMON | {"framework/include", "framework/lib"},
    "framework/examples": {"framework/include"},
    "tests": COMMON | {"master/core", "master/daemon", "agent/core", "agent/launcher",
                       "agent/cgroup", "agent/fetcher",
                       "agent/daemon", "framework/include", "framework/driver", "framework/lib",
                       "framework/cli"},
}

# Strict C11, no clock, no dice, no input or output; tests/tidy/purity.py reads their symbols too.
PURE = {"common/base", "common/fb", "common/turn", "common/link", "common/elect",
        "master/core", "agent/core",
        "framework/driver", "schemas"}
PURE_HEADERS = {"errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdarg.h",
                "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h",
                "string.h", "sys/queue.h", "sanitizer/asan_interface.h"}

# Layers whose every module is included by some test in C; the others are tested as programs.
UNIT_TESTED = {layer for layer in EDGES if layer.startswith("common/")} | {
    "master/core", "agent/core", "framework/driver", "framework/lib"}

# Headers of libraries and the only layers that may see them: (prefix, layers).
LIBRARY_HEADERS = [
    ("event2/", {"common/net"}),
    ("lmdb.h", {"common/store"}),
    ("openssl/", {"common/link", "common/net", "agent/fetcher"}),
    ("curl/", {"agent/fetcher"}),
    ("archive", {"agent/fetcher", "tests"}),
    ("zookeeper/", {"common/zk"}),
    ("zlib.h", {"common/net"}),
    ("cmocka.h", {"tests"}),
]

# Hard stops, in lines.
FILE_LINES = {".c": 700, ".h": 300, ".py": 700}
FUNCTION_LINES = 70
README_LINES = 60
COLUMNS = 100

# (functions, path patterns where they are at home, what to do instead)
BANS = [
    (("malloc", "calloc", "realloc", "free", "strdup", "strndup", "asprintf", "vasprintf"),
     ("common/base/alloc.c",), "use common/base/alloc.h"),
    (("time", "clock_gettime", "gettimeofday", "clock"), ("common/sys/clock.c",),
     "use common/sys/clock.h"),
    (("rand", "srand", "random", "srandom", "drand48", "getrandom", "getentropy"),
     ("common/sys/random.c",), "use common/base/rng.h or common/sys/random.h"),
    (("exit", "abort", "quick_exit"), ("common/base/assert.c", "*/main.c", "tests/*"),
     "only main and the assert end a process"),
    (("_exit", "_Exit"),
     ("agent/launcher/*", "framework/cli/*", "common/store/lmdb_verify.c", "tests/*"),
     "only a child after fork ends like this"),
    (("strcpy", "strcat", "sprintf", "vsprintf", "strtok", "atoi", "atol", "atoll", "atof", "gets",
      "alloca", "strncpy", "strncat", "tmpnam", "mktemp"), (), "there is a safe way"),
    (("assert",), (), "use PF_ASSERT"),
    (("sleep", "usleep", "nanosleep", "clock_nanosleep"), (), "wait for what is awaited"),
    (("printf", "vprintf", "puts", "putchar", "perror", "fprintf", "vfprintf"),
     ("common/base/assert.c", "framework/cli/*", "framework/examples/*", "*/main.c", "tests/*"),
     "log through common/sys/log.h"),
    (("setjmp", "longjmp", "system", "popen"), ("tests/*",), "there is a safe way"),
]

# (rule, path pattern, text that the message holds or "", reason)
EXCEPTIONS = [
    ("ban", "tests/unit/test_clock.c", "time", "compares our clock with libc's"),
    ("ban", "tests/unit/test_cli_output.c", "free", "what open_memstream returns is libc's"),
    ("ban", "tests/unit/test_cli_complete.c", "free", "what open_memstream returns is libc's"),
    ("ban", "tests/unit/test_cli_rows.c", "free", "what open_memstream returns is libc's"),
    ("ban", "agent/launcher/launcher.c", "getrandom", "without common/sys; never waits for dice"),
    ("ban", "agent/launcher/procs.c", "clock_gettime", "a small static program without common/sys"),
    ("ban", "agent/launcher/procs.c", "fprintf", "its log is standard error, one line in its life"),
    ("ban", "agent/launcher/upgrade.c", "fprintf", "its log is standard error"),
    ("ban", "agent/launcher/spawn.c", "clock_gettime", "ticks since boot, as /proc counts them"),
    ("pure", "common/fb/json_number.c", "locale.h", "strtod minds the locale"),
    ("untested", "master/core/agents.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/demand.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/drain.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/executors.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/frameworks.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/history.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/masters.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/offers.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/operator.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/out.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/peers.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/reconcile.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/removals.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/seen.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/tasks.h", "", "driven through the door by scenarios"),
    ("untested", "master/core/validate.h", "", "driven through the door by scenarios"),
    ("file-level", "common/base/alloc.c", "", "the handler and test hook of the one allocator"),
    ("file-level", "common/sys/log.c", "", "the process has one log"),
    ("file-level", "framework/cli/tty.c", "", "a handler gives the terminal back"),
]

# (path pattern, check of clang-tidy, reason)
CLANG_TIDY_EXCEPTIONS = [
    ("common/base/resources_items.c", "clang-analyzer-core.NullDereference",
     "the assert before says that a set has items"),
    ("master/core/allocator_fit.c", "clang-analyzer-core.DivideZero",
     "an item of ranges holds at least one number"),
    ("framework/cli/complete.c", "clang-analyzer-core.NullDereference",
     "options with choices have a text of them"),
    ("common/net/conn_write.c", "clang-analyzer-core.NullDereference",
     "what the kernel took stood in the queue"),
    ("common/fb/json_number.c", "bugprone-not-null-terminated-result",
     "a piece of a text, no text of its own"),
]
