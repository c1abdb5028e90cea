# SPDX-License-Identifier: Apache-2.0
"""The agent dies, for real, right after each thing that it does: each batch stored, each effect
shown, each word to its launcher, while tasks are launched, end, are killed and acknowledged. The
walk goes on until a whole round has no point left. What the callers are told, and what the tasks
wrote into files of their own, must be the same as without any death."""
import os
import shutil
import sys

import cluster as lib
from cluster import Cluster, check, check_eq, finish, main

POINTS_MAX = 300


def programs(directory):
    """Our programs beside an agent that dies where it is told."""
    os.mkdir(directory)
    for name in os.listdir(lib.BIN):
        path = os.path.join(lib.BIN, name)
        if os.path.isfile(path) and name != "proffer-agent":
            os.symlink(path, os.path.join(directory, name))
    os.unlink(os.path.join(directory, "proffer"))
    shutil.copy(os.path.join(lib.BIN, "proffer"), directory)  # it looks for the others beside it
    shutil.copy(os.environ["PF_FAULTY_AGENT"], os.path.join(directory, "proffer-agent"))
    return os.path.join(directory, "proffer")


def one_round(c, k):
    """Launch, end, kill, acknowledge; the k-th point is the agent's end. The point's name, or None:
    there were fewer."""
    fault, oracle = c.path("fault"), c.path("oracle-%d" % k)
    os.mkdir(oracle)
    os.chmod(oracle, 0o777)
    with open(fault + ".new", "w") as f:
        f.write("%d" % k)
    os.rename(fault + ".new", fault)
    script = "echo $$ >>%s/$0; " % oracle
    ends = c.start("run", "--cpus", "0.1", "--", "sh", "-c", script + "exit 3", "ends")
    stays = c.start("run", "--cpus", "0.1", "--name", "stays-%d" % k, "--", "sh", "-c",
                    script + "echo up; exec sleep 600", "stays")
    line = stays.stdout.readline()
    check_eq(line, b"up\n", "round %d" % k, stays.stderr.read() if not line else "")
    r = c.proffer("kill", "stays-%d" % k, "--wait")
    check_eq(r.code, 0, "round %d" % k, r)
    r = finish(stays)
    check_eq(r.code, 143, "killed: 128 + SIGTERM; round %d" % k, r)
    r = finish(ends)
    check_eq(r.code, 3, "round %d" % k, r)
    for name in ("ends", "stays"):
        with open(os.path.join(oracle, name)) as f:
            check_eq(len(f.read().split()), 1, "%s began once; round %d" % (name, k))
    shutil.rmtree(oracle)
    if not os.path.exists(fault + ".done"):
        return None
    with open(fault + ".done") as f:
        where = f.read()
    os.unlink(fault + ".done")
    return where


def test_every_point():
    c = Cluster(agents=1, cpus="2", mem="1G")
    lib.PROFFER = programs(c.path("bin"))
    os.chmod(c.base, 0o755)
    c.env["PF_FAULT_FILE"] = c.path("fault")
    passed = {}
    with c:
        k = 0
        while True:
            k += 1
            check(k < POINTS_MAX, "the walk has no end")
            where = one_round(c, k)
            if where is None:
                break
            passed[where] = passed.get(where, 0) + 1
    total = sum(passed.values())
    for where in ("stored", "shown", "told the launcher"):
        check(passed.get(where, 0) >= 2, "too few points of a sort", passed)
    check_eq(total, k - 1, "a point was left out", passed)
    print("%d of %d crash points passed: %s" % (total, k - 1, ", ".join(
        "%d %s" % (n, w) for w, n in sorted(passed.items()))), file=sys.stderr)


if __name__ == "__main__":
    main([test_every_point])
