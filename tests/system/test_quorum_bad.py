# SPDX-License-Identifier: Apache-2.0
"""A quorum whose ZooKeeper is spoiled, foreign, forbidden, wiped, slow or absent: everybody says
what is wrong, nobody crashes or hangs, at most one leads, and what is mended is taken up again
without a restart. (Jumps of the clocks are the simulator's: no test may set this machine's.)"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from cluster import BIN, TIMEOUT_S, check, check_eq, clean_env, command, finish, main
from test_quorum import Quorum
from zk import NO_NODE, OPEN, OWN, READ_ONLY, Zk, ZkError, flat

MASTER = os.path.join(BIN, "proffer-master")
GARBAGE = b"\xff\xfe\x00 this is no FlatBuffer at all " * 3


def ask(address, path):
    """(status, text) of HTTP; (0, why) when there is nobody."""
    try:
        with urllib.request.urlopen("http://%s%s" % (address, path), timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return 0, str(e)


def post(address, call):
    """(status, headers) of an operator call; redirects are not followed."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", "/api/v1", json.dumps({"type": call}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers


def until(what, test, *args):
    """The first true answer of test(*args)."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        answer = test(*args)
        if answer:
            return answer
        check(time.monotonic() < end, "it does not come to this:", what)
        time.sleep(0.02)


class Spoiled(Quorum):
    """A cluster, its ZooKeeper at hand, and the promise that no master ends meanwhile."""

    def __enter__(self):
        super().__enter__()
        self.pids = sorted(m["pid"] for m in self.masters())
        self.zk = self.connect()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None and self.pids is not None:
            self.check_alive()
        try:
            self.zk.close()
        except OSError:
            pass
        super().__exit__(kind, value, trace)

    def zk_daemon(self):
        return [d for d in self.state()["daemons"] if d["kind"] == "zk"][0]

    def connect(self):
        with open(os.path.join(self.dir, "zk.password"), "rb") as f:
            password = f.read().strip()
        return Zk(int(self.zk_daemon()["native"].split(":")[1]), b"proffer:" + password)

    def n_leading(self):
        return sum("\nproffer_master_leading 1\n" in ask(m["http"], "/metrics")[1]
                   for m in self.masters())

    def leads_well(self):
        return all(code == 200 for code, _ in self.health()) and self.n_leading() == 1

    def check_alive(self):
        check_eq(sorted(m["pid"] for m in self.masters()), self.pids, "a master ended")
        check(self.n_leading() <= 1, "several masters lead")

    def health(self):
        return [ask(m["http"], "/health") for m in self.masters()]

    def all_say(self, text, at_least=3):
        """So many masters answer 503 with the text."""
        def said():
            return sum(code == 503 and text in body for code, body in self.health()) >= at_least
        try:
            until(text, said)
        except AssertionError:
            check(False, text, self.health())

    def whole(self):
        until("one leads", self.leads_well)
        self.await_status(0)
        self.check_alive()

    def log(self, name="master"):
        text = ""
        for m in sorted(os.listdir(os.path.join(self.dir, "log"))):
            if m.startswith(name):
                with open(os.path.join(self.dir, "log", m), errors="replace") as f:
                    text += f.read()
        return text

    def mend_head(self, data, number):
        """Its version is part of the protocol: the node is made anew and counted up."""
        self.zk.delete("/proffer/registry/head")
        self.zk.create("/proffer/registry/head", data, OWN)
        for _ in range(number):
            self.zk.set("/proffer/registry/head", data)


def test_spoiled_nodes_of_the_election():
    with Spoiled() as c:
        kept = c.zk.get("/proffer/epoch")
        for bad, why in ((GARBAGE, "it is not in our format"), (b"", "it is empty"),
                         (kept[:-9], "it is not in our format"),
                         (b"\0" * 900000, "it is too large"),
                         (c.zk.get("/proffer/leader"), "/epoch in ZooKeeper is none of ours")):
            c.zk.set("/proffer/epoch", bad)
            c.all_say(why)
            c.check_alive()
            c.zk.set("/proffer/epoch", kept)
            until("one leads", c.leads_well)
            kept = c.zk.get("/proffer/epoch")
        c.whole()

        c.zk.set("/proffer/leader", GARBAGE)
        c.all_say("/leader in ZooKeeper is none of ours: it is not in our format; delete it")
        r = c.await_status(1)
        check("/leader in ZooKeeper is none of ours" in r.err, r)
        c.zk.delete("/proffer/leader")
        c.whole()
        c.zk.delete("/proffer/leader") # of one that leads: somebody does again
        c.whole()

        # of another program, and not ephemeral: nothing is taken over from it
        def occupy():
            try:
                c.zk.delete("/proffer/leader")
                c.zk.create("/proffer/leader", b"I am a file", OPEN)
                return True
            except ZkError:
                return False
        until("a node of ours at /leader", occupy)
        c.all_say("/leader in ZooKeeper is none of ours")
        c.zk.delete("/proffer/leader")
        c.whole()

        # a master's own entry is mended by itself; foreign ones are ignored
        own = c.zk.children("/proffer/masters")[0]
        c.zk.set("/proffer/masters/" + own, GARBAGE)
        until("the entry is mended", lambda: c.zk.get("/proffer/masters/" + own) != GARBAGE)
        c.zk.delete("/proffer/masters/" + own)
        until("the entry is back", lambda: own in c.zk.children("/proffer/masters"))
        c.zk.create("/proffer/masters/foreign", b"x")
        uuid = "01234567-89ab-4def-8123-456789abcdef"
        c.zk.create("/proffer/masters/" + uuid, GARBAGE)
        c.zk.create("/proffer/readme", b"y" * 900000)
        c.zk.create("/proffer/registry/readme", b"")
        c.zk.create("/proffer/registry/log/readme", b"")
        until("told", lambda: "/masters/foreign in ZooKeeper is ignored: its name is no instance"
              in c.log())
        until("told", lambda: uuid + " in ZooKeeper is ignored: it is not in our format" in c.log())
        c.whole()
        check_eq(len(c.list("masters")), 3)
        r = c.proffer("step-down")
        check_eq(r.code, 0, r)
        c.whole()


def test_spoiled_nodes_of_the_registry():
    with Spoiled() as c:
        base, head, log = ["/proffer/registry/" + x for x in ("base", "head", "log")]
        heads, bases = c.zk.get(head), c.zk.get(base)
        batches = c.zk.children(log)
        number = int(batches[-1])

        # over HTTP a standby marks what it answers, and sends on what it does not
        standby = [m for m in c.list("masters") if not m["leading"]][0]
        status, headers = post(standby["http_address"], "GET_AGENTS")
        check_eq((status, headers["Proffer-Stale"]),
                 (200, "leader=%s; lag=0" % c.leader()["address"]))
        status, headers = post(standby["http_address"], "GET_TASKS")
        check_eq((status, headers["Location"]), (307, "//%s/api/v1" % c.leader()["http_address"]))
        check_eq(post(c.leader()["http_address"], "GET_AGENTS")[1]["Proffer-Stale"], None)

        # standbys see the head at once, and nobody leads because of a request to step down
        c.zk.set(head, GARBAGE)
        c.all_say("the registry in ZooKeeper cannot be read: /registry/head", at_least=2)
        r = c.await_status(1)
        check("/registry/head" in r.err, r)
        r = c.proffer("step-down")
        check(r.code == 1 and "no standby that could lead" in r.err, r)
        r = c.proffer("step-down", "--to", standby["id"])
        check(r.code == 1 and "could not lead" in r.err and "/registry/head" in r.err, r)
        r = c.proffer("run", "--", "echo", "on")
        check_eq((r.code, r.out), (0, "on\n"), r)
        c.mend_head(heads, number)
        c.whole()

        # the rest is read by who begins: a master that is started anew
        part = log + "/" + batches[-1]
        kept = c.zk.get(part)
        c.pids = None
        for path, bad, why in ((part, GARBAGE, batches[-1] + ": "),
                               (part, heads, batches[-1] + ": "),
                               (part, kept[:-4] + b"\1\1\1\1", batches[-1] + ": "),
                               (base, b"", "/registry/base: it is empty"),
                               (base, flat(s2=5), "it names no snapshot, but a number")):
            good = kept if path == part else bases
            victim = [d for d in c.masters() if d["native"] == standby["address"]][0]
            c.zk.set(path, bad)
            os.kill(victim["pid"], signal.SIGKILL)
            until(why, lambda: any(code == 503 and why in text for code, text in c.health()))
            c.zk.set(path, good)
            until("all healthy", lambda: all(code == 200 for code, _ in c.health()))
        c.zk.delete(part)
        os.kill([d for d in c.masters() if d["native"] == standby["address"]][0]["pid"],
                signal.SIGKILL)
        c.all_say(batches[-1] + ": it is missing", at_least=1)
        c.zk.create(part, kept, OWN)
        until("all healthy", lambda: all(code == 200 for code, _ in c.health()))

        # of a newer version: refused, with both named
        c.zk.set(base, flat(s4=77))
        os.kill([d for d in c.masters() if d["native"] == standby["address"]][0]["pid"],
                signal.SIGKILL)
        until("refused", lambda: "is of format 77, and this binary knows 1 to 1" in c.log())
        check("start a version of Proffer that knows both" in c.log(), c.log())
        r = c.await_status(1)
        c.zk.set(base, bases)
        c.await_status(0)
        check_eq(c.leader()["leading"], True)


class Lone:
    """A master by hand, at one URL."""

    def __init__(self, base, name, url, *args, env=None):
        self.dir = os.path.join(base, name)
        os.makedirs(self.dir)
        self.conf = os.path.join(self.dir, "conf")
        with open(self.conf, "w") as f:
            f.write("zk = %s\n" % url)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.http = "127.0.0.1:%d" % s.getsockname()[1]
        self.log_path = os.path.join(self.dir, "log")
        with open(self.log_path, "wb") as log:
            self.p = subprocess.Popen(
                [MASTER, "--listen", "127.0.0.1:0", "--http", self.http, "--work-dir", self.dir,
                 "--config", self.conf] + list(args), stderr=log, env=clean_env())

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def says(self, *texts):
        """In its log, and in /health, while it lives."""
        for text in texts:
            until(text, lambda: text in ask(self.http, "/health")[1])
            check(text in self.log(), text, self.log(), ask(self.http, "/health"))
        check_eq(ask(self.http, "/health")[0], 503)
        check(self.p.poll() is None, self.log())

    def leads(self):
        until("it leads", lambda: "info leading epoch=" in self.log())
        check_eq(ask(self.http, "/health"), (200, ""))

    def end(self):
        self.p.terminate()
        check_eq(self.p.wait(TIMEOUT_S), 0, self.log())
        for word in ("secret", "assert", "AddressSanitizer", "runtime error"):
            check(word not in self.log(), self.log())


def test_rights_addresses_and_strangers():
    with Spoiled() as c, tempfile.TemporaryDirectory() as base:
        at = c.zk_daemon()["native"]
        other = Zk(int(at.split(":")[1]), b"other:pw")
        other.create("/foreign", b"", ((31, "auth", ""),))
        other.create("/closed", b"", ((31, "auth", ""), (1, "world", "anyone")))
        other.create("/late", b"", READ_ONLY[:0] + ((31, "auth", ""), (1, "world", "anyone")))
        lone = {}

        def start(name, url, *args):
            lone[name] = Lone(base, name, url, *args)
        start("digest", "zk://me:secret@%s/foreign" % at)
        start("nobody", "zk://%s/foreign" % at)
        start("readonly", "zk://me:secret@%s/closed" % at)
        start("late", "zk://me:secret@%s/late" % at)
        start("wrong", "zk://proffer:secret@%s/proffer" % at)
        start("absent", "zk://me:secret@127.0.0.1:1/p")
        start("unknown", "zk://me:secret@no-such-host.invalid:2181/p")
        start("short", "zk://me:secret@%s/short" % at, "--zk-session", "1s")
        start("one", "zk://me:secret@%s/shared" % at, "--cluster", "one")
        lone["digest"].says("user 'me' may not create, read and delete under /foreign")
        lone["nobody"].says("without a user nobody may create, read and delete under /foreign")
        lone["readonly"].says("user 'me' may not create, read and delete under /closed")
        lone["wrong"].says("user 'proffer' may not", "under /proffer: wrong password, or another")
        lone["absent"].says("cannot reach ZooKeeper at 127.0.0.1:1: Connection refused")
        lone["unknown"].says("cannot find the address of ZooKeeper's host no-such-host.invalid")
        lone["short"].leads() # the server may give it more than it asks for
        lone["one"].leads()
        start("two", "zk://me:secret@%s/shared" % at, "--cluster", "two")
        lone["two"].says("two clusters on one path in ZooKeeper: /epoch is of cluster one, this "
                         "master is of two")

        # of another key: it knows ZooKeeper's password, but no master speaks with it
        key = os.path.join(base, "key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write("5" * 64 + "\n")
        with open(os.path.join(c.dir, "zk.conf")) as f:
            url = f.read().split("=", 1)[1].strip()
        start("stranger", url, "--cluster", "local", "--key-file", key)
        until("told", lambda: lone["stranger"].log().count("refused by the server: wrong key") >= 3)
        until("told", lambda: c.log().count("refused by the server: wrong key") >= 3)

        # rights are given: without a restart
        lone["late"].says("under /late")
        other.set_acl("/late", OPEN)
        lone["late"].leads()
        for m in lone.values():
            m.end()
        for bad, why in ((["--zk-session", "10ms"], "out of range"),
                         (["--zk", "zk://%s/" % at], "path"), (["--zk", "http://x/y"], "zk://")):
            r = command(MASTER, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--work-dir",
                        os.path.join(base, "x"), "--zk", "zk://%s/x" % at, *bad)
            check(r.code in (1, 2) and why in r.err, r)
        # one work directory, two masters
        a = Lone(base, "same", "zk://me:secret@%s/same" % at)
        a.leads()
        r = command(MASTER, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--work-dir", a.dir,
                    "--config", a.conf)
        check(r.code == 1 and "master.lock" in r.err, r)
        a.end()
        other.close()
        c.whole()


def test_zookeeper_slow_away_and_wiped():
    with Spoiled(["--relays"], agents=2) as c:
        control = [d for d in c.state()["daemons"] if d["kind"] == "relay"]
        check_eq(len(control), 1, c.state())
        path = os.path.join(control[0]["work_dir"], "control")

        def relay(line):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.sendall(line.encode() + b"\n")
                check_eq(s.makefile().readline(), "ok\n", line)

        # slow: it works on, and the latency is told
        relay("set *zk* * both delay 150")
        r = c.proffer("run", "--", "echo", "slow")
        check_eq((r.code, r.out), (0, "slow\n"), r)

        leader = c.leader()["http_address"]

        def metric(name):
            return float(re.search(r"\n%s (\S+)" % re.escape(name),
                                   ask(leader, "/metrics")[1]).group(1))
        until("the latency is told",
              lambda: metric('proffer_zk_request_seconds_max{session="0"}') > 0.25)
        relay("heal")
        c.whole()

        # stopped: the lease ends, all say so, and it goes on by itself
        fifo = c.path("gate")
        os.mkfifo(fifo, 0o666)
        running = c.start("run", "--", "sh", "-c", "echo up; read x < %s; echo down" % fifo)
        check_eq(running.stdout.readline(), b"up\n")
        pid = c.zk_daemon()["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            until("nobody leads", lambda: "its lease ended" in c.log())
            c.all_say("ZooKeeper", at_least=1)
            r = c.await_status(1)
            check("ZooKeeper" in r.err, r)
            c.check_alive()
        finally:
            os.kill(pid, signal.SIGCONT)
        c.whole()

        # wiped: nobody begins anew by itself, and a task goes on
        before = c.zk.get("/proffer/epoch")
        c.zk.wipe("/proffer")
        c.all_say("the registry in ZooKeeper is gone (no /epoch;")
        r = c.await_status(1)
        check("the registry in ZooKeeper is gone" in r.err, r)
        check(not c.zk.exists("/proffer/epoch"), "somebody made it anew")
        c.check_alive()
        check(running.poll() is None)

        # all masters anew: another registry, which agents refuse until they are adopted
        c.pids = None
        for m in c.masters():
            os.kill(m["pid"], signal.SIGKILL)
        until("a new registry", c.zk.exists, "/proffer/epoch")
        check(c.zk.get("/proffer/epoch") != before)
        agents = [d for d in c.state()["daemons"] if d["kind"] == "agent"]
        for a in agents:
            until("refused", lambda: "proffer adopt" in ask(a["http"], "/health")[1])
        ids = []
        for a in agents:
            ids.append(re.search(r"proffer adopt (\S+)", ask(a["http"], "/health")[1]).group(1))
            until("adopted", lambda: c.proffer("adopt", ids[-1], "--address",
                                               a["native"]).code == 0)
        until("back", lambda: len([x for x in c.list("agents") if x["state"] == "REGISTERED"]) == 2)
        with open(fifo, "w") as gate:
            gate.write("go\n")
        until("down", lambda: running.stdout.readline() == b"down\n")
        until("told", lambda: b"serves another registry than before" in running.stderr.readline())
        running.kill()
        finish(running)
        r = c.proffer("run", "--", "echo", "anew")
        check_eq((r.code, r.out), (0, "anew\n"), r)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
