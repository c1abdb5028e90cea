# SPDX-License-Identifier: Apache-2.0
"""Runs that outlive their command: -d, wait, attach, logs, kill, a `run` that dies."""
import os
import signal

from cluster import Cluster, check, check_eq, finish, main

cluster = None


def detach(*args):
    r = cluster.proffer("run", "-d", *args)
    check_eq(r.code, 0, r)
    return r.out.strip()


def test_wait_tells_the_status_to_everyone():
    run = detach("--", "sh", "-c", "sleep 0.5; exit 7")
    first, second = (cluster.start("wait", run) for _ in range(2))
    check_eq(finish(first).code, 7)
    check_eq(finish(second).code, 7)
    check_eq(cluster.proffer("wait", run).code, 7, "later, from the history")


def test_wait_time_out():
    run = detach("--", "sleep", "30")
    check_eq(cluster.proffer("wait", "--timeout", "0.2", run).code, 124)
    r = cluster.proffer("kill", "--wait", run + ".0")
    check_eq(r.code, 0, r)
    check_eq(cluster.proffer("wait", run).code, 128 + 15)


def test_attach_shows_output_and_status():
    run = detach("--", "sh", "-c", "echo one; sleep 0.5; echo two; echo err >&2; exit 3")
    r = cluster.proffer("attach", run)
    check_eq((r.code, r.out, r.err), (3, "one\ntwo\n", "err\n"), r)


def test_logs_of_live_and_ended_tasks():
    fifo = cluster.path("gate")
    os.mkfifo(fifo, 0o666)
    run = detach("--", "sh", "-c", "echo first; cat %s; echo last" % fifo)
    follow = cluster.start("logs", "-f", run)
    check_eq(follow.stdout.readline(), b"first\n")
    with open(fifo, "w") as gate:
        gate.write("middle\n")
    check_eq(finish(follow).out, "middle\nlast\n")
    check_eq(cluster.proffer("wait", run).code, 0)
    r = cluster.proffer("logs", run)
    check_eq((r.code, r.out), (0, "first\nmiddle\nlast\n"), r)
    r = cluster.proffer("logs", "-n", "1", run + ".0")
    check_eq(r.out, "last\n", r)
    check_eq(cluster.proffer("logs", "last").out, "first\nmiddle\nlast\n")


def test_logs_follow_over_an_agents_restart():
    fifo = cluster.path("gate2")
    os.mkfifo(fifo, 0o666)
    run = detach("--", "sh", "-c", "echo first; cat %s; echo last" % fifo)
    follow = cluster.start("logs", "-f", run)
    check_eq(follow.stdout.readline(), b"first\n")
    cluster.kill("agent")
    with open(fifo, "w") as gate:
        gate.write("middle\n")
    r = finish(follow)
    check_eq((r.code, r.out), (0, "middle\nlast\n"), r)
    check_eq(cluster.proffer("wait", run).code, 0)


def test_tasks_end_after_their_run_died():
    p = cluster.start("run", "--orphan-after", "1s", "--", "sh", "-c", "echo up; exec sleep 1000")
    check_eq(p.stdout.readline(), b"up\n")
    row = [t for t in cluster.list("ps") if "sleep 1000" in (t["command"] or "")][0]
    p.send_signal(signal.SIGKILL)
    p.wait()
    r = cluster.proffer("wait", row["id"])
    check(r.code in (143, 137, 125), r)


def test_kill_by_framework_and_teardown():
    run = detach("-n", "3", "--cpus", "0.5", "--", "sleep", "100")
    r = cluster.proffer("kill", "--wait", "--framework", run)
    check_eq(r.code, 0, r)
    check_eq(cluster.proffer("wait", run).code, 143)
    other = detach("--", "sleep", "100")
    r = cluster.proffer("teardown", other)
    check_eq(r.code, 0, r)
    check(not [t for t in cluster.list("ps", "--filter", "state=running")
               if t["framework_id"] == other], "teardown left a task")


def test_ids():
    r = cluster.proffer("show", "nothing-has-this-id")
    check_eq(r.code, 3, r)
    check(len(r.err.strip().splitlines()) == 2, "one line what, one line what to do", r)
    r = cluster.proffer("kill", "")
    check(r.code in (2, 3), r)
    a, b = detach("--", "true"), detach("--", "true")
    prefix = os.path.commonprefix([a, b])
    r = cluster.proffer("show", prefix)
    check(r.code == 3 and a in r.err and b in r.err, "ambiguity lists the candidates", r)
    for run in (a, b):
        check_eq(cluster.proffer("wait", run).code, 0)


if __name__ == "__main__":
    with Cluster(agents=2) as cluster:
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
