# SPDX-License-Identifier: Apache-2.0
"""Commands that stay (run, wait, attach, logs -f) while the leading master dies: nobody who uses
them notices."""
import os
import signal
import time

from cluster import TIMEOUT_S, Cluster, check, check_eq, finish, main

cluster = None
GATED = "echo begin; while ! test -e %s; do sleep 0.02; done; echo end; exit 3"


def leader():
    r = cluster.proffer("masters", "-o", "json")
    leading = [m for m in r.json() if m["leading"]] if r.code == 0 else []
    return leading[0] if leading else None


def kill_leader():
    """Returns when another one leads."""
    old = leader()
    check(old, "nobody leads")
    os.kill(old["pid"], signal.SIGKILL)
    end = time.monotonic() + TIMEOUT_S
    new = leader()
    while new is None or new["epoch"] <= old["epoch"]:
        check(time.monotonic() < end, "no other master leads")
        new = leader()


def first_word_of(p, words):
    """Its first line with these words, else all that it said until it ended."""
    said = ""
    for line in p.stderr:
        said += line.decode()
        if words in said:
            break
    return said


def read_begin(p):
    check_eq(p.stdout.readline(), b"begin\n")


def test_commands_ride_through_changes_of_the_leader():
    gate = cluster.path("gate")
    task = GATED % gate
    detached = cluster.proffer("run", "-d", "--", "sh", "-c", task).out.strip()
    run = cluster.start("run", "--", "sh", "-c", task)
    attached = cluster.start("attach", detached)
    logs = cluster.start("logs", "-f", detached)
    waiting = cluster.start("wait", detached)
    for p in (run, attached, logs):
        read_begin(p)
    for _ in range(3):
        kill_leader()
        r = cluster.proffer("run", "--", "echo", "fine")
        check_eq((r.code, r.out, r.err), (0, "fine\n", ""), r)
    with open(gate, "w", encoding="ascii"):
        pass
    for p, code in ((run, 3), (attached, 3), (logs, 0)):
        r = finish(p)
        check_eq((r.code, r.out, r.err), (code, "end\n", ""), r)
    r = finish(waiting)
    check_eq((r.code, r.err.count("leader"), r.err.count("connect")), (3, 0, 0), r)


def test_kill_during_a_change_of_the_leader():
    run = cluster.start("run", "--", "sh", "-c", "echo begin; exec sleep 1000")
    read_begin(run)
    os.kill(leader()["pid"], signal.SIGKILL)
    run.send_signal(signal.SIGINT)
    r = finish(run)
    check_eq(r.code, 128 + signal.SIGTERM, r)
    check("master" not in r.err, r)


def test_run_waits_for_a_leader_and_says_so():
    """ZooKeeper is stopped until the leader had to step down, and a while longer."""
    zk = [d["pid"] for d in cluster.state()["daemons"] if d["kind"] == "zk"][0]
    os.kill(zk, signal.SIGSTOP)
    try:
        end = time.monotonic() + TIMEOUT_S
        said = ""
        while "no master leads since 5s" not in said:
            # one that was placed before the lease was over ends, the next one waits
            check(time.monotonic() < end, "the leader never stepped down", said)
            run = cluster.start("run", "--", "echo", "late")
            said = first_word_of(run, "no master leads")
    finally:
        os.kill(zk, signal.SIGCONT)
    r = finish(run)
    check_eq((r.code, r.out, r.err), (0, "late\n", ""), r)


if __name__ == "__main__":
    with Cluster(agents=1, up_args=["--masters", "3"]) as cluster:
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
