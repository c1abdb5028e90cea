# SPDX-License-Identifier: Apache-2.0
"""`up`, `down` and `status`, each test on clusters of its own, and the lists of DESIGN 14."""
import os
import select
import signal
import socket
import subprocess
import tempfile

from cluster import (Cluster, PROFFER, TIMEOUT_S, check, check_eq, clean_env, command, finish,
                     main, processes_of)

# Keys that scripts rely on; more may stand beside them.
KEYS = {
    "masters": "id address http_address pid leading epoch state lag",
    "agents": "id hostname address pid state attributes resources used offered tasks version "
              "last_seen_ms",
    "frameworks": "id name user role state connected tasks used held_offers demand",
    "tasks": "id name state waiting_reason agent_id framework_id role user command resources "
             "exit_status signal reason message healthy sandbox created_at started_at finished_at",
    "offers": "id agent_id framework_id role resources age_ms",
}
RESOURCES = {"cpus", "mem_bytes", "disk_bytes", "gpus", "ports"}


def kill_and_await(pid, number=signal.SIGKILL):
    """Returns when the process, a child of ours or not, is gone."""
    fd = os.pidfd_open(pid)
    try:
        os.kill(pid, number)
        check(select.select([fd], [], [], TIMEOUT_S)[0], "%d does not end" % pid)
    finally:
        os.close(fd)


def two_lines(r, code):
    check_eq(r.code, code, r)
    check_eq(len(r.err.strip().splitlines()), 2, "one line what, one line what to do", r)


def test_up_again():
    with Cluster(agents=1) as c:
        before = c.state()["daemons"]
        r = c.up()
        check_eq(r.code, 0, r)
        check_eq([d["pid"] for d in c.state()["daemons"]], [d["pid"] for d in before], r)
        c.up_args[1] = "2"
        r = c.up()
        two_lines(r, 1)
        check("agent" in r.err and "1" in r.err and "2" in r.err, "the difference is named", r)
        c.up_args[1:4] = ["1", "--cpus", "3"]
        r = c.up()
        two_lines(r, 1)
        check("cpu" in r.err and "3" in r.err and "4" in r.err, "the difference is named", r)
        check_eq(c.proffer("status").code, 0)


def test_foreground_ends_on_interrupt():
    c = Cluster(agents=1)
    try:
        p = c.start("up", "--foreground", *c.up_args)
        said = []
        while not said or "is up" not in said[-1]:
            said.append(p.stderr.readline().decode())
            check(said[-1], "it ended", said)
        check(c.dir in said[-1], said)
        r = c.proffer("run", "--", "echo", "fine")
        check_eq((r.code, r.out), (0, "fine\n"), r)
        check_eq(c.proffer("run", "-d", "--", "sleep", "1000").code, 0)
        p.send_signal(signal.SIGINT)
        r = finish(p)
        check_eq(r.code, 0, r)
        left = processes_of(c.base)
        check(not left, "processes left: %s" % left)
        two_lines(c.proffer("status"), 4)
    finally:
        c.__exit__(None, None, None)


def test_two_clusters_side_by_side():
    with Cluster(agents=1) as a, Cluster(agents=1) as b:
        by_dir = clean_env(HOME=a.base, XDG_STATE_HOME=a.path("state"))
        for c in (a, b):
            r = command(PROFFER, "agents", "--dir", c.dir, "-q", env=by_dir)
            check_eq((r.code, len(r.out.split())), (0, 1), r)
            c.agent = r.out.strip()
        check(a.agent != b.agent, "one agent in two clusters")
        run = b.proffer("run", "-d", "--", "sleep", "1000").out.strip()
        check_eq(a.list("ps"), [])
        r = command(PROFFER, "down", "--yes", "--purge", "--dir", a.dir, env=by_dir)
        check_eq(r.code, 0, r)
        check_eq([t["state"] for t in b.list("ps")], ["TASK_RUNNING"])
        r = b.proffer("kill", "--wait", run)
        check_eq(r.code, 0, r)
        check_eq(b.proffer("wait", run).code, 143)


def test_a_task_survives_the_supervisor():
    with Cluster(agents=1) as c:
        fifo = c.path("gate")
        os.mkfifo(fifo, 0o666)
        waiting = c.start("run", "--", "sh", "-c", "echo up; read code < %s; exit $code" % fifo)
        check_eq(waiting.stdout.readline(), b"up\n")
        old = c.state()["supervisor_pid"]
        kill_and_await(old)
        r = c.proffer("status")
        check(r.code in (1, 4), r)
        check("unsupervised" in r.out and "proffer up" in r.err, r)
        r = c.up()
        check_eq(r.code, 0, r)
        check(c.state()["supervisor_pid"] != old, "nobody took over", r)
        check_eq(c.proffer("status").code, 0)
        with open(fifo, "w") as gate:
            gate.write("42\n")
        check_eq(finish(waiting).code, 42)


def test_down_without_a_cluster():
    c = Cluster()
    try:
        r = c.down()
        check_eq(r.code, 0, "all is down", r)
        two_lines(c.proffer("status"), 4)
        two_lines(c.proffer("ps"), 4)
    finally:
        c.__exit__(None, None, None)


def test_status_while_an_agent_is_dead():
    """The supervisor is stopped, so that it starts nothing in place of the dead."""
    with Cluster(agents=2) as c:
        r = c.proffer("status")
        check_eq(r.code, 0, r)
        check_eq([d["state"] for d in c.list("status")], ["ready"] * 3)
        state = c.state()
        os.kill(state["supervisor_pid"], signal.SIGSTOP)
        try:
            kill_and_await([d for d in state["daemons"] if d["kind"] == "agent"][0]["pid"])
            # until the master saw the link break the list is whole: wait for its word
            watch = c.start("agents", "-w", "-o", "jsonl", "--filter", "state=disconnected")
            check(watch.stdout.readline().startswith(b"{"), "the master does not see it")
            watch.send_signal(signal.SIGINT)
            finish(watch)
            r = c.proffer("status")
            two_lines(r, 1)
            check("1 of 2 agents" in r.err, r)
        finally:
            os.kill(state["supervisor_pid"], signal.SIGCONT)
        r = c.up()
        check_eq(r.code, 0, r)
        check_eq(sum(d.get("restarts", 0) for d in c.state()["daemons"]), 1)
        r = c.proffer("status")
        check_eq(r.code, 0, r)


def test_agent_is_not_ready_before_a_master_knows_it():
    """Its whole life without an answer of the master: it never says that it is ready."""
    ready, told = os.pipe()
    with tempfile.TemporaryDirectory() as base, socket.socket() as master:
        master.bind(("127.0.0.1", 0))
        master.listen()
        agent = os.path.join(os.path.dirname(PROFFER), "proffer-agent")
        p = subprocess.Popen(
            [agent, "--work-dir", base, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
             "--master", "127.0.0.1:%d" % master.getsockname()[1], "--ready-when", "registered",
             "--ready-fd", str(told)],
            pass_fds=[told], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
        os.close(told)
        try:
            line = p.stderr.readline()
            while line and b"agent ready" not in line:
                line = p.stderr.readline()
            check(line, "it ended")
        finally:
            p.terminate()
            finish(p)
            r = command(agent, "--stop-launcher", "--work-dir", base)
        check_eq(r.code, 0, r)
        with os.fdopen(ready, "rb") as pipe:
            check_eq(pipe.read(), b"")


def test_the_only_agent_is_away():
    """`logs` says so at once; a `run` waits, says why, and runs when the agent is back."""
    with Cluster(agents=1) as c:
        run = c.proffer("run", "-d", "--", "echo", "old").out.strip()
        check_eq(c.proffer("wait", run).code, 0)
        state = c.state()
        os.kill(state["supervisor_pid"], signal.SIGSTOP)
        try:
            kill_and_await([d for d in state["daemons"] if d["kind"] == "agent"][0]["pid"])
            r = c.proffer("logs", run)
            check(r.code != 0 and r.out == "", r)
            two_lines(r, r.code)
            waiting = c.start("run", "--", "echo", "fine")
            line = waiting.stderr.readline().decode()
            check("waiting" in line and "agent" in line, line)
        finally:
            os.kill(state["supervisor_pid"], signal.SIGCONT)
        r = finish(waiting)
        check_eq((r.code, r.out), (0, "fine\n"), r)
        check_eq(c.proffer("logs", run).out, "old\n")


def test_kill_of_an_ambiguous_id_kills_nothing():
    with Cluster(agents=1) as c:
        runs = [c.proffer("run", "-d", "--", "sleep", "1000").out.strip() for _ in range(2)]
        prefix = os.path.commonprefix(runs)
        check(prefix not in ("", runs[0], runs[1]), runs)
        r = c.proffer("kill", prefix)
        check_eq(r.code, 3, r)
        check(all(run in r.err for run in runs), "the candidates are listed", r)
        check_eq([t["state"] for t in c.list("ps")], ["TASK_RUNNING"] * 2)


def test_occupied_default_port_is_not_taken():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        busy = "127.0.0.1:%d" % s.getsockname()[1]
        c = Cluster(agents=1)
        try:
            r = c.up("--listen", busy)
            check(r.code == 1 and busy in r.err, r)
            check(not processes_of(c.base), "processes left after a failed up")
        finally:
            c.__exit__(None, None, None)


def test_lists():
    """One cluster with fifty simulated agents; keys, -q, --columns, --no-header, --filter."""
    with Cluster(agents=1, up_args=["--fake-agents", "50"]) as c:
        rows = c.list("agents")
        check_eq(len(rows), 51)
        check_eq(len({a["id"] for a in rows}), 51, "each agent once")
        fakes = [a for a in rows if a["attributes"].get("sim") == "true"]
        check_eq(len(fakes), 50)
        run = c.proffer("run", "-d", "-n", "3", "--cpus", "0.5", "--constraint", "sim=true", "--",
                        "sleep", "1000").out.strip()
        hungry = c.start("run", "--constraint", "sim=true", "--constraint", "rack=none", "--",
                         "true")
        line = hungry.stderr.readline().decode()
        check("waiting" in line, line)
        keys(c)
        formats(c, run)
        hungry.send_signal(signal.SIGINT)
        check(finish(hungry).code != 0, "it ran")
        check_eq(c.proffer("teardown", run).code, 0)


def keys(c):
    for what, names in KEYS.items():
        for verb in (what, "ps") if what == "tasks" else (what,):
            rows = c.list(verb)
            check(rows or what == "offers", "no " + what)
            for row in rows:
                missing = set(names.split()) - set(row)
                check(not missing, "%s lack %s" % (what, missing))
                for key in ("resources", "used", "offered"):
                    if row.get(key) is not None:
                        check_eq(set(row[key]), RESOURCES, what, key)
            lines = c.proffer(verb, "-o", "jsonl").out.splitlines()
            check_eq(len(lines), len(rows), verb)
            header = c.proffer(verb, "--columns", ",".join(names.split())).out.splitlines()
            if rows:
                check(header[0].startswith(names.split()[0].upper().replace("_", " ")), header[0])
    tasks = c.list("ps")
    check_eq(sorted(t["state"] for t in tasks), ["TASK_RUNNING"] * 3 + ["TASK_WAITING"])
    check(all((t["waiting_reason"] is None) == (t["state"] == "TASK_RUNNING") for t in tasks),
          tasks)


def formats(c, run):
    ids = [run + ".%d" % i for i in range(3)]
    r = c.proffer("ps", "-q", "--filter", "state=running")
    check_eq(sorted(r.out.split()), ids, r)
    r = c.proffer("ps", "--no-header", "--columns", "id,state,exit_status", "--filter",
                  "framework_id=" + run)
    check_eq(sorted(line.split() for line in r.out.splitlines()),
             [[i, "TASK_RUNNING", "-"] for i in ids], r)
    r = c.proffer("ps", "--columns", "state,id", "--filter", "id=%s.1" % run)
    check_eq([line.split() for line in r.out.splitlines()],
             [["STATE", "ID"], ["TASK_RUNNING", run + ".1"]], r)
    check_eq(len(c.list("agents", "--filter", "hostname=sim-1?")), 10)
    check_eq(c.list("agents", "--filter", "hostname=nobody"), [])
    check_eq(c.proffer("agents", "-q", "--filter", "hostname=nobody").out, "")
    two_lines(c.proffer("agents", "--filter", "colour=red"), 2)


def test_completion():
    r = command(PROFFER, "completion", "bash")
    check_eq(r.code, 0, r)
    p = subprocess.run(["bash", "-n"], input=r.out, capture_output=True, text=True,
                       timeout=TIMEOUT_S, check=False)
    check_eq((p.returncode, p.stderr), (0, ""))
    p = subprocess.run(["bash", "-c", r.out + "\ncomplete -p proffer"], capture_output=True,
                       text=True, timeout=TIMEOUT_S, check=False)
    check(p.returncode == 0 and "proffer" in p.stdout, p)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
