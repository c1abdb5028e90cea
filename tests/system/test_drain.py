# SPDX-License-Identifier: Apache-2.0
"""Agents taken out of service: drained, deactivated, gone, left, cleaned up, cut off."""
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from cluster import BIN, TIMEOUT_S, Cluster, check, check_eq, clean_env, finish, main

AGENT = os.path.join(BIN, "proffer-agent")
STUBBORN = ["sh", "-c", "trap '' TERM; echo $$ > $PROFFER_SANDBOX/../../../pid; while :; do "
            "sleep 0.1; done"]


def agent_start(work_dir, c, *args, ready_when="registered"):
    """An agent beside the cluster's own; its process, and what it told when it was ready."""
    ready, told = os.pipe()
    native = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
    p = subprocess.Popen(
        [AGENT, "--work-dir", work_dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
         "--master", native, "--key-file", os.path.join(c.dir, "key"), "--attributes", "odd:yes",
         "--ready-when", ready_when, "--ready-fd", str(told)] +
        ([] if "--resources" in args else ["--resources", "cpus:2;mem:256"]) + list(args),
        pass_fds=[told], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
    os.close(told)
    with os.fdopen(ready, "rb") as pipe:
        line = pipe.readline()
    return p, json.loads(line) if line else None


def odd_agent(c):
    return [a for a in c.list("agents") if a["attributes"] == {"odd": "yes"}]


def run_odd(c, *args, command=("sleep", "1000")):
    """A detached run on the odd agent; its task's id."""
    r = c.proffer("run", "-d", "--cpus", "0.1", "--mem", "16M", "--constraint", "odd=yes", *args,
                  "--", *command)
    check_eq(r.code, 0, r)
    return r.out.split()[0] + ".0"


def task(c, task_id):
    return [t for t in c.list("tasks") if t["id"] == task_id][0]


def await_task(c, task_id, state):
    end = time.monotonic() + TIMEOUT_S
    while True:
        t = [t for t in c.list("tasks") if t["id"] == task_id]
        if t and t[0]["state"] == state:
            return t[0]
        check(time.monotonic() < end, "not " + state, t)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_of_stub(work_dir):
    end = time.monotonic() + TIMEOUT_S
    path = os.path.join(work_dir, "pid")
    while not os.path.exists(path) or os.path.getsize(path) == 0:
        check(time.monotonic() < end, "the task writes no pid")
    with open(path) as f:
        return int(f.read())


def test_drain_sees_a_stubborn_task_through():
    with Cluster(agents=1) as c:
        r = c.proffer("run", "-d", "--cpus", "0.1", "--mem", "16M", "--grace", "3s", "--", "sh",
                      "-c", "trap '' TERM; while :; do sleep 0.1; done")
        check_eq(r.code, 0, r)
        task_id = r.out.split()[0] + ".0"
        await_task(c, task_id, "TASK_RUNNING")
        agent = c.list("agents")[0]["id"]
        r = c.proffer("drain", agent[:6], "--timeout", "200ms")
        check(r.code == 1 and "not drained yet" in r.err and "draining" in r.out, r)
        r = c.proffer("activate", agent)
        check(r.code == 1 and "still draining" in r.err, r)
        r = c.proffer("run", "--start-timeout", "1s", "--cpus", "0.1", "--mem", "16M", "true")
        check(r.code == 125 and "1 draining" in r.err, r)
        r = c.proffer("drain", agent, "--wait", "-o", "json")
        check_eq(r.code, 0, r)
        check("cluster " in r.err and "was sent SIGTERM, SIGKILL in" in r.err and
              task_id in r.err, r)
        check_eq([(a["id"], a["state"], a["tasks"]) for a in r.json()], [(agent, "drained", 0)])
        t = task(c, task_id)
        check_eq((t["state"], t["reason"]), ("TASK_KILLED", "REASON_AGENT_DRAINING"), t)
        a = c.list("agents")[0]
        check_eq((a["state"], a["deactivated"], a["drain"]), ("DRAINED", True, "DRAINED"), a)
        r = c.proffer("activate", agent)
        check_eq(r.code, 0, r)
        r = c.proffer("run", "--cpus", "0.1", "--mem", "16M", "true")
        check_eq(r.code, 0, r)


def test_deadline_cuts_the_grace_and_a_crash_changes_nothing():
    with Cluster(agents=1) as c:
        r = c.proffer("run", "-d", "--cpus", "0.1", "--mem", "16M", "--grace", "1h", "--", "sh",
                      "-c", "trap '' TERM; while :; do sleep 0.1; done")
        await_task(c, r.out.split()[0] + ".0", "TASK_RUNNING")
        agent = c.list("agents")[0]["id"]
        p = c.start("drain", agent, "--deadline", "3s", "--wait")
        line = p.stderr.readline().decode()
        check("draining agent" in line, line)
        c.kill("master", "agent")
        r = finish(p)
        check_eq(r.code, 0, r)
        check_eq(c.list("agents")[0]["state"], "DRAINED")


def test_drain_goes_on_under_another_leader():
    with Cluster(agents=1, up_args=["--masters", "3"]) as c:
        r = c.proffer("run", "-d", "--cpus", "0.1", "--mem", "16M", "--grace", "5s", "--", "sh",
                      "-c", "trap '' TERM; while :; do sleep 0.1; done")
        await_task(c, r.out.split()[0] + ".0", "TASK_RUNNING")
        agent = c.list("agents")[0]["id"]
        p = c.start("drain", agent, "--wait")
        line = p.stderr.readline().decode()
        check("draining agent" in line, line)
        r = c.proffer("step-down")
        check_eq(r.code, 0, r)
        r = finish(p)
        check_eq(r.code, 0, r)
        check_eq(c.list("agents")[0]["state"], "DRAINED")


def test_wrong_input():
    with Cluster(agents=2) as c:
        for verb in ("drain", "deactivate", "activate", "leave", "gone"):
            r = c.proffer(verb)
            check(r.code == 2 and "AGENT... is missing" in r.err, r)
            r = c.proffer(verb, "nosuch")
            check(r.code == 3 and "no agent 'nosuch'" in r.err, r)
            r = c.proffer(verb, "nosuch", "--watch")
            check_eq(r.code, 2, r)
        host = c.list("agents")[0]["hostname"]
        r = c.proffer("drain", host)
        check(r.code == 3, r)  # two of them run there
        r = c.proffer("drain", host + "*", "--wait", "-q")
        check_eq((r.code, len(r.out.split())), (0, 2), r)
        r = c.proffer("drain", host, "--deadline", "soon")
        check_eq(r.code, 2, r)
        r = c.proffer("gone", host + "*")
        check(r.code == 1 and "--yes" in r.err, r)


def test_gone():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as c:
        p, at = agent_start(work_dir, c)
        try:
            agent = odd_agent(c)[0]["id"]
            lost = run_odd(c, command=STUBBORN)
            pid = pid_of_stub(work_dir)
            r = c.proffer("gone", agent[:8], "--yes")
            check(r.code == 0 and "is gone, with 1 task" in r.err, r)
            check_eq(odd_agent(c), [])
            r = c.proffer("wait", lost)
            check(r.code == 125 and "TASK_GONE_BY_OPERATOR" in r.err, r)
            for line in p.stderr:
                if b"marked this agent gone" in line and b"--work-dir" in line:
                    break
            end = time.monotonic() + TIMEOUT_S
            while is_alive(pid):
                check(time.monotonic() < end, "the task of a gone agent runs on")
            try:
                urllib.request.urlopen("http://%s/health" % at["http"], timeout=10)
                check(False, "a gone agent is healthy")
            except urllib.error.HTTPError as e:
                check("marked this agent gone" in e.read().decode())
            p.terminate()
            finish(p)
            p, _ = agent_start(work_dir, c, ready_when="listening")  # it does not come back
            for line in p.stderr:
                if b"marked this agent gone" in line:
                    break
            check_eq(odd_agent(c), [])
        finally:
            p.kill()
            p.communicate()


def test_leave():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as c:
        p, _ = agent_start(work_dir, c)
        try:
            agent = odd_agent(c)[0]["id"]
            ended = run_odd(c, "--grace", "1h", command=STUBBORN)
            pid = pid_of_stub(work_dir)
            w = c.start("wait", ended)
            r = c.proffer("leave", agent, "--grace", "1s", "--wait", "-o", "json")
            check(r.code == 0 and "leaves, 1 task ends" in r.err, r)
            check_eq([(a["id"], a["state"]) for a in r.json()], [(agent, "left")])
            check_eq(finish(w).code, 128 + signal.SIGKILL)
            finish(p)
            check_eq(p.returncode, 0)
            check(not is_alive(pid))
            check_eq(odd_agent(c), [])
            p, _ = agent_start(work_dir, c)
            check(odd_agent(c)[0]["id"] != agent, "an agent that left came back as itself")
            r = c.proffer("leave", odd_agent(c)[0]["id"], "--wait")
            check_eq(r.code, 0, r)
            finish(p)
            check_eq(p.returncode, 0)
        finally:
            if p.poll() is None:
                p.kill()
                p.communicate()


def test_sigterm_leaves_tasks_and_cleanup_ends_them():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as c:
        p, _ = agent_start(work_dir, c)
        try:
            agent = odd_agent(c)[0]["id"]
            task_id = run_odd(c, command=STUBBORN)
            pid = pid_of_stub(work_dir)
            p.terminate()
            finish(p)
            check_eq(p.returncode, 0)
            check(is_alive(pid), "SIGTERM of the agent ended its task")
            p, _ = agent_start(work_dir, c)
            check_eq(odd_agent(c)[0]["id"], agent)
            await_task(c, task_id, "TASK_RUNNING")
            p.terminate()
            finish(p)
            w = c.start("wait", task_id)
            p, _ = agent_start(work_dir, c, "--recover", "cleanup", ready_when="listening")
            finish(p)
            check_eq(p.returncode, 0)
            check(not is_alive(pid), "the task outlived --recover=cleanup")
            finish(w)
            t = task(c, task_id)
            check(t["state"] == "TASK_KILLED" and "--recover=cleanup" in t["message"], t)
            p, _ = agent_start(work_dir, c)
            check_eq(odd_agent(c)[0]["id"], agent)
            r = c.proffer("leave", agent, "--wait")
            check_eq(r.code, 0, r)
            finish(p)
        finally:
            if p.poll() is None:
                p.kill()
                p.communicate()


def test_reconfiguration():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as c:
        p, _ = agent_start(work_dir, c)
        p.terminate()
        finish(p)
        p, at = agent_start(work_dir, c, "--resources", "cpus:1;mem:256",
                            "--reconfiguration-policy", "equal")
        r = finish(p)
        check(at is None and p.returncode == 1 and "cpus was 2 and is 1" in r.err,
              r)
        p, _ = agent_start(work_dir, c, "--resources", "cpus:3;mem:256",
                           "--reconfiguration-policy", "additive")
        check_eq(odd_agent(c)[0]["resources"]["cpus"], 3)
        r = c.proffer("leave", odd_agent(c)[0]["id"], "--wait")
        check_eq(r.code, 0, r)
        finish(p)


def test_partition_policies():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as c:
        p, _ = agent_start(work_dir, c)
        try:
            stops = run_odd(c, "--partition", "stop:500ms", command=STUBBORN)
            keeps = run_odd(c)
            pid = pid_of_stub(work_dir)
            r = c.proffer("run", "--partition", "stop", "true")
            check(r.code == 125 and "stop:30s" in r.err, r)
            native = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
            os.kill(c.state()["supervisor_pid"], signal.SIGKILL)  # its master goes, too
            end = time.monotonic() + TIMEOUT_S
            while is_alive(pid):
                check(time.monotonic() < end, "a task outlives the time without a leader")
            r = c.up("--listen", native)
            check_eq(r.code, 0, r)
            t = await_task(c, stops, "TASK_KILLED")
            check("cut off for 1 s" in t["message"], t)
            await_task(c, keeps, "TASK_RUNNING")
            r = c.proffer("leave", odd_agent(c)[0]["id"], "--timeout", "0s")
        finally:
            p.kill()
            p.communicate()


if __name__ == "__main__":
    main([test_drain_sees_a_stubborn_task_through,
          test_deadline_cuts_the_grace_and_a_crash_changes_nothing,
          test_drain_goes_on_under_another_leader,
          test_wrong_input,
          test_gone,
          test_leave,
          test_sigterm_leaves_tasks_and_cleanup_ends_them,
          test_reconfiguration,
          test_partition_policies])
