# SPDX-License-Identifier: Apache-2.0
"""`proffer run` through every layer: exit status, output, standard input, several tasks."""
import os
import signal

from cluster import Cluster, check, check_eq, finish, main

cluster = None


def run(*args, **kw):
    return cluster.proffer("run", *args, **kw)


def test_exit_status_is_the_tasks_own():
    for script, code in (("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143),
                         ("kill -KILL $$", 137)):
        r = run("--", "sh", "-c", script)
        check_eq(r.code, code, r)


def test_command_that_cannot_run():
    r = run("--", "/does/not/exist")
    check_eq(r.code, 127, r)
    check("/does/not/exist" in r.err, r)
    r = run("--", "/etc/passwd")
    check_eq(r.code, 126, r)


def test_output_is_unchanged_on_both_streams():
    data = bytes(range(256)) * 4096
    path = cluster.path("blob")
    with open(path, "wb") as f:
        f.write(data)
    r = run("--", "sh", "-c", "cat %s; cat %s >&2" % (path, path), text=False)
    check_eq(r.code, 0, r.code, r.err[-300:])
    check(r.out == data, "stdout differs", len(r.out))
    check(r.err == data, "stderr differs", len(r.err))


def test_stdin_passes_with_i_and_is_empty_without():
    data = os.urandom(300000)
    r = run("-i", "--", "cat", stdin=data, text=False)
    check_eq(r.code, 0, r.err)
    check(r.out == data, "stdin came back changed", len(r.out))
    r = run("--", "cat", stdin=b"not for the task")
    check_eq((r.code, r.out), (0, ""), r)


def test_several_tasks_prefix_their_lines():
    script = 'echo "line $PROFFER_TASK_INDEX"; echo more'
    r = run("-n", "5", "--cpus", "0.5", "--", "sh", "-c", script)
    check_eq(r.code, 0, r)
    want = sorted("[%d] %s" % (i, t) for i in range(5) for t in ("line %d" % i, "more"))
    check_eq(sorted(r.out.splitlines()), want, r)


def test_highest_status_of_several_and_report():
    report = cluster.path("report.json")
    r = run("-n", "4", "--cpus", "0.5", "--report", report, "--", "sh", "-c",
            'exit $PROFFER_TASK_INDEX')
    check_eq(r.code, 3, r)
    with open(report) as f:
        text = f.read()
    check('"exit_status"' in text, text)


def test_environment_directory_and_script():
    script = cluster.path("job.sh")
    with open(script, "w") as f:
        f.write('#!/bin/sh\necho "$A $B $# $1"; pwd\n')
    r = run("-e", "A=one two", "-e", "B=b", "--cwd", "/usr", "--script", script, "--", "arg")
    check_eq(r.code, 0, r)
    check_eq(r.out.splitlines(), ["one two b 1 arg", "/usr"], r)


def test_ports_are_given_and_differ():
    r = run("-n", "4", "--ports", "2", "--cpus", "0.5", "--", "sh", "-c",
            'echo $PROFFER_PORT_0 $PROFFER_PORT_1')
    check_eq(r.code, 0, r)
    ports = [int(x) for line in r.out.splitlines() for x in line.split("] ")[1].split()]
    check_eq(len(ports), 8, r)


def test_time_outs():
    r = run("--timeout", "0.3", "--", "sleep", "60")
    check_eq(r.code, 124, r)
    r = run("--cpus", "3", "--start-timeout", "0", "-n", "50", "--", "sleep", "60")
    check_eq(r.code, 125, r)


def test_interrupt_kills_the_task():
    p = cluster.start("run", "--", "sh", "-c", "echo up; exec sleep 60")
    check_eq(p.stdout.readline(), b"up\n")
    p.send_signal(signal.SIGINT)
    r = finish(p)
    check(r.code in (130, 143), r)


def test_demand_larger_than_any_agent_is_refused():
    r = run("--cpus", "400", "--", "true")
    check_eq(r.code, 125, r)
    check("400" in r.err and "largest" in r.err, r)


def test_waiting_says_why():
    holder = cluster.start("run", "--cpus", "4", "-n", "2", "--",
                           "sh", "-c", "echo up; exec sleep 60")
    lines = [holder.stdout.readline(), holder.stdout.readline()]
    check_eq(sorted(lines), [b"[0] up\n", b"[1] up\n"])
    waiter = cluster.start("run", "--cpus", "2", "--", "true")
    line = waiter.stderr.readline().decode()
    check("waiting" in line and "cpu" in line, line)
    rows = cluster.list("ps", "--filter", "state=waiting")
    check_eq(len(rows), 1, rows)
    check("cpu" in rows[0]["waiting_reason"], rows)
    why = cluster.proffer("why", rows[0]["id"])
    check(why.code == 0 and "cpu" in why.out, why)
    holder.send_signal(signal.SIGINT)
    finish(holder)
    check_eq(finish(waiter).code, 0)


if __name__ == "__main__":
    with Cluster(agents=2) as cluster:
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
