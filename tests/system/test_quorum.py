# SPDX-License-Identifier: Apache-2.0
"""Several masters with a private ZooKeeper, made by `up --masters 3`."""
import json
import os
import signal
import stat
import time

from cluster import (Cluster, PROFFER, TIMEOUT_S, check, check_eq, command, finish, main,
                     processes_of)


class Quorum(Cluster):
    def __init__(self, up_args=(), agents=1):
        super().__init__(agents=agents, up_args=["--masters", "3"] + list(up_args))

    def masters(self):
        return [d for d in self.state()["daemons"] if d["kind"] == "master"]

    def leader(self):
        """The leading one, as the masters say."""
        leading = [m for m in self.list("masters") if m["leading"]]
        check_eq(len(leading), 1, leading)
        return leading[0]

    def await_status(self, code):
        """Until `status` gives it: what died is away for a moment, then comes back by itself."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            r = self.proffer("status")
            if r.code == code:
                return r
            check(time.monotonic() < end, "status does not become %d" % code, r)


def test_shape_and_lists():
    with Quorum(["--fake-agents", "3"], agents=2) as c:
        names = [d["name"] for d in c.state()["daemons"]]
        check_eq(names, ["zk1", "master1", "master2", "master3", "agent-0", "agent-1",
                         "fake-agents"])
        masters = c.list("masters")
        check_eq(len(masters), 3, masters)
        check_eq(sorted(m["address"] for m in masters), sorted(d["native"] for d in c.masters()))
        check_eq(sorted(m["pid"] for m in masters), sorted(d["pid"] for d in c.masters()))
        check_eq(sorted(m["state"] for m in masters), ["leading", "standby", "standby"])
        check_eq(len(c.list("agents")), 5)

        r = c.await_status(0)
        check("3 of 3 masters" in r.err and "1 of 1 ZooKeeper server" in r.err, r)
        check("leads" in r.err and "epoch" in r.err and "5 agents" in r.err, r)
        roles = [d["role"] for d in c.list("status")]
        check_eq(sorted(filter(None, roles)), ["leading", "standby", "standby"])

        r = c.up()
        check_eq((r.code, "already" in r.err), (0, True), r)
        c.up_args[-3] = "1"
        r = c.up()
        check_eq(r.code, 1, r)
        check("3 masters, not 1" in r.err, r)


def test_no_password_on_a_command_line():
    with Quorum() as c:
        for name in ("zk.password", "zk.conf"):
            mode = os.stat(os.path.join(c.dir, name)).st_mode
            check_eq(stat.S_IMODE(mode), 0o600, name)
        with open(os.path.join(c.dir, "zk.password"), "rb") as f:
            password = f.read()
        check(len(password) >= 16, password)
        for pid in processes_of(c.dir):
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                check(password not in f.read(), "process %d shows the password" % pid)


def test_a_standby_leads_to_the_leader():
    with Quorum() as c:
        standby = [m for m in c.list("masters") if not m["leading"]][0]
        env = dict(c.env, PROFFER_KEY_FILE=os.path.join(c.dir, "key"))
        del env["PROFFER_DIR"]
        for verb in ("masters", "agents", "tasks", "frameworks"):
            r = command(PROFFER, verb, "--master", standby["address"], "-o", "json", env=env)
            check_eq(r.code, 0, r)
            check("standby" not in r.err, r)
        r = command(PROFFER, "run", "--master", standby["address"], "--", "echo", "there", env=env)
        check_eq((r.code, r.out), (0, "there\n"), r)


def test_step_down():
    with Quorum() as c:
        old = c.leader()
        r = c.proffer("step-down")
        check_eq(r.code, 0, r)
        new = c.leader()
        check(new["id"] != old["id"] and new["epoch"] > old["epoch"], old, new)
        check(new["id"][:8] in r.err and "epoch %d" % new["epoch"] in r.err and " ms " in r.err, r)
        r = c.proffer("step-down", "--to", old["id"][:13])
        check_eq(r.code, 0, r)
        check_eq(c.leader()["id"], old["id"], r)
        r = c.proffer("step-down", "--to", old["address"])
        check_eq(r.code, 1, "it leads already", r)
        check_eq(c.proffer("step-down", "--to", "zzz").code, 3)
        r = c.proffer("run", "--", "sh", "-c", "exit 7")
        check_eq(r.code, 7, r)


def test_the_leader_is_killed_while_a_task_runs():
    with Quorum() as c:
        fifo = c.path("gate")
        os.mkfifo(fifo, 0o666)
        script = "echo up; read code < %s; echo down; exit $code" % fifo
        running = c.start("run", "--", "sh", "-c", script)
        check_eq(running.stdout.readline(), b"up\n")
        old = c.leader()
        os.kill(old["pid"], signal.SIGKILL)
        # a list at once: it waits for whoever takes over
        tasks = c.proffer("tasks", "--live", "-o", "json")
        check_eq(tasks.code, 0, tasks)
        with open(fifo, "w") as gate:
            gate.write("42\n")
        r = finish(running)
        check_eq((r.code, r.out), (42, "down\n"), r)
        check("error" not in r.err.lower(), r)
        new = c.leader()
        check(new["pid"] != old["pid"] and new["epoch"] > old["epoch"], old, new)
        c.await_status(0)
        check_eq(len(c.list("masters")), 3)
        killed = [d for d in c.masters() if d["native"] == old["address"]][0]
        check_eq(killed.get("restarts"), 1, "it came back where it was")


def test_registry_dump():
    with Quorum() as c:
        path = c.path("registry.jsonl")
        r = c.proffer("registry", "dump", "-o", path)
        check_eq(r.code, 0, r)
        check_eq(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path) as f:
            lines = [json.loads(line) for line in f]
        check_eq(lines[0]["epoch"], c.leader()["epoch"], lines[0])
        check(lines[0]["incarnation"] and lines[0]["format"] > 0, lines[0])
        check_eq(sum(row["table"] == "AGENTS" for row in lines[1:]), 1, lines)
        check_eq([json.loads(line) for line in c.proffer("registry", "dump").out.splitlines()],
                 lines)


def test_three_zookeeper_servers_and_one_dies():
    with Quorum(["--zk-servers", "3"]) as c:
        check_eq([d["name"] for d in c.state()["daemons"]][:3], ["zk1", "zk2", "zk3"])
        check("3 of 3 ZooKeeper servers" in c.await_status(0).err)
        victim = [d for d in c.state()["daemons"] if d["kind"] == "zk"][0]
        os.kill(victim["pid"], signal.SIGKILL)
        r = c.proffer("run", "--", "echo", "on")
        check_eq((r.code, r.out), (0, "on\n"), r)
        c.await_status(0)


def test_usage_of_up():
    c = Cluster()
    try:
        for args in (["2"], ["0"], ["7"], ["x"], ["3", "--zk-servers", "2"]):
            r = c.proffer("up", "--masters", *args)
            check_eq(r.code, 2, r)
            check_eq(len(r.err.strip().splitlines()), 2, "one line what, one line what to do", r)
        env = dict(c.env, PATH="/nonexistent")
        env.pop("JAVA_HOME", None)
        r = command(PROFFER, "up", "--masters", "3", env=env)
        check_eq(r.code, 1, r)
        check("java" in r.err and "apt-get install" in r.err, r)
    finally:
        c.__exit__(None, None, None)


def test_another_kind_of_registry_is_not_begun():
    with Cluster(agents=1) as c:
        check_eq(c.down().code, 0)
        alone = list(c.up_args)
        c.up_args += ["--masters", "3"]
        r = c.up()
        check_eq(r.code, 1, r)
        check("registry" in r.err and "--purge" in r.err, r)
        c.up_args = alone
        r = c.up()
        check_eq(r.code, 0, "nothing was broken by it", r)


def test_the_sample_configuration_is_understood():
    """A wrong value behind the file is the only complaint: every line of it was taken."""
    samples = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "three-machines")
    for name in ("master", "agent"):
        r = command(os.path.join(os.path.dirname(PROFFER), "proffer-" + name), "--config",
                    os.path.join(samples, name + ".conf"), "--log-level", "nonsense")
        check(r.code != 0 and "nonsense" in r.err and ".conf" not in r.err, r)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
