# SPDX-License-Identifier: Apache-2.0
"""A registry on its way: a master that is alone, three masters with ZooKeeper, back, and from a
dump; by the commands that people type, right and wrong. Each step broken off: unit.transfer."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from cluster import BIN, TIMEOUT_S, Cluster, PROFFER, check, check_eq, clean_env, command, main

MASTER = os.path.join(BIN, "proffer-master")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def two_lines(r, code):
    check_eq(r.code, code, r)
    check_eq(len(r.err.strip().splitlines()), 2, "one line what, one line what to do", r)
    check_eq(r.out, "", r)


class Quorum(Cluster):
    def __init__(self):
        super().__init__(agents=1, up_args=["--masters", "3"])

    def url(self, path=None):
        """Of its ZooKeeper, with the password; the path of the cluster or another."""
        zk = [d for d in self.state()["daemons"] if d["kind"] == "zk"][0]["native"]
        with open(os.path.join(self.dir, "zk.conf")) as f:
            text = f.read()
        url = [line.split("=", 1)[1].strip() for line in text.splitlines()
               if line.startswith("zk")][0]
        check(zk in url, url, zk)
        return url if path is None else url[:url.rindex("/")] + path

    def master(self, *args, url=None, timeout=TIMEOUT_S):
        env = clean_env()
        if url:
            env["PROFFER_MASTER_ZK"] = url  # a command line would show the password
        r = command(MASTER, *args, env=env, timeout=timeout)
        password = (url or "x:none@").split("//")[-1].split("@")[0].split(":")[-1]
        check(password not in r.out + r.err, "the password is shown", r)
        return r


def dump(c, name):
    path = c.path(name)
    r = c.proffer("registry", "dump", "-o", path)
    check_eq(r.code, 0, r)
    with open(path) as f:
        return path, [json.loads(line) for line in f]


def rows(lines):
    return sorted((x["table"], x["key"], x["json"]) for x in lines[1:] if x["table"] != "META")


class Alone:
    """A master on a directory, until the end of the block."""

    def __init__(self, directory, *args, **env):
        self.port = free_port()
        self.http = free_port()
        self.p = subprocess.Popen(
            [MASTER, "--work-dir", directory, "--listen", "127.0.0.1:%d" % self.port, "--http",
             "127.0.0.1:%d" % self.http, *args], env=clean_env(**env), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        if self.p.poll() is None:
            self.p.terminate()
        self.err = self.p.stderr.read().decode()
        self.code = self.p.wait(TIMEOUT_S)

    def health(self):
        """(status, body) as soon as it answers."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen("http://127.0.0.1:%d/health" % self.http,
                                            timeout=10) as r:
                    return r.status, r.read().decode()
            except urllib.error.HTTPError as e:
                return e.code, e.read().decode()
            except OSError:
                check(time.monotonic() < end, "it does not answer")
                check(self.p.poll() is None, "it ended")

    def dump(self, path):
        self.health()
        r = command(PROFFER, "registry", "dump", "--master", "127.0.0.1:%d" % self.port, "-o", path)
        check_eq(r.code, 0, r)
        with open(path) as f:
            return [json.loads(line) for line in f]


def test_there_and_back():
    with Quorum() as c:
        file, before = dump(c, "before.jsonl")
        check(rows(before), before)
        alone, back, url = c.path("alone"), c.path("back"), c.url("/elsewhere")
        hidden = url.split("//")[0] + "//" + url.split("@")[-1]

        # a dump becomes a master that is alone
        r = c.proffer("registry", "restore", file, "--work-dir", alone)
        check_eq((r.code, r.err), (0, ""), r)
        check("restored %d rows, incarnation %s" % (len(rows(before)), before[0]["incarnation"])
              in r.out and alone in r.out, r)
        two_lines(c.proffer("registry", "restore", file, "--work-dir", alone), 1)
        with Alone(alone) as m:
            lines = m.dump(c.path("alone.jsonl"))
            check_eq(rows(lines), rows(before))
            check_eq(lines[0]["incarnation"], before[0]["incarnation"])
            check(lines[0]["epoch"] > before[0]["epoch"], lines[0])
            r = c.master("--import-registry", alone, url=url)
            two_lines(r, 1)
            check(str(m.p.pid) in r.err and "stop" in r.err, r)

        # it moves into ZooKeeper
        r = c.master("--import-registry", alone, url=url)
        check_eq((r.code, r.err, r.out.count("\n")), (0, "", 1), r)
        check("imported" in r.out and hidden in r.out, r)
        with Alone(alone) as m:
            m.code = m.p.wait(TIMEOUT_S)
        check_eq(m.code, 1)
        check(hidden in m.err and "--export-registry" in m.err, m.err)
        two_lines(c.master("--import-registry", alone, url=c.url("/third")), 1)
        two_lines(c.master("--restore-registry", file, url=url), 1)

        # masters lead there; while they do it does not move
        with Alone(c.path("w1"), PROFFER_MASTER_ZK=url) as m:
            lines = m.dump(c.path("zk.jsonl"))
            check_eq(rows(lines), rows(before))
            r = c.master("--export-registry", back, url=url)
            two_lines(r, 1)
            check("stop the masters" in r.err and not os.path.exists(back), r)
            epoch = lines[0]["epoch"]

        r = c.master("--export-registry", back, url=url)
        check_eq((r.code, r.err, r.out.count("\n")), (0, "", 1), r)
        with Alone(c.path("w1"), PROFFER_MASTER_ZK=url) as m:
            status, body = m.health()
            check(status != 200, status, body)
            end = time.monotonic() + TIMEOUT_S
            while "left ZooKeeper for" not in body:
                check(time.monotonic() < end, body)
                status, body = m.health()
            check(back in body, body)
        with Alone(back) as m:
            lines = m.dump(c.path("back.jsonl"))
            check_eq(rows(lines), rows(before))
            check(lines[0]["epoch"] > epoch + 1, lines[0], epoch)

        # the path where masters run
        r = c.master("--import-registry", back, url=c.url())
        two_lines(r, 1)
        check("leads there" in r.err, r)
        r = c.proffer("registry", "restore", file, "--zk", c.url("/fourth"))
        check_eq(r.code, 0, r)
        check("@" not in r.out, r)
        c.await_run()


Quorum.await_run = lambda c: check_eq(c.proffer("run", "--", "true").code, 0)


def test_an_older_registry_leads_above_its_agents():
    """A dump from before some restarts: agents obey a higher epoch than it, and are led all the
    same."""
    with Cluster(agents=1) as c:
        file, lines = dump(c, "old.jsonl")
        for _ in range(3):
            c.kill("master")
            check_eq(c.proffer("run", "--", "true").code, 0)  # the agent obeys it now
        epoch = dump(c, "new.jsonl")[1][0]["epoch"]
        check(epoch >= lines[0]["epoch"] + 3, epoch)
        work_dir = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["work_dir"]
        check_eq(c.down().code, 0)
        shutil.rmtree(work_dir)
        r = c.proffer("registry", "restore", file, "--work-dir", work_dir)
        check_eq(r.code, 0, r)
        check_eq(c.up().code, 0)
        r = c.proffer("run", "--", "echo", "led")
        check_eq((r.code, r.out), (0, "led\n"), r)
        check(dump(c, "led.jsonl")[1][0]["epoch"] > epoch)


def test_wrong_flags():
    usage = (["--import-registry", "/a", "--export-registry", "/b", "--zk", "zk://h/p"],
             ["--import-registry", "/a"], ["--export-registry", "/a"],
             ["--zk", "zk://h"], ["--zk", "h:2181/p"], ["--zk", "zk://u:se/cret@h/p"],
             ["--zk", "zk://user@h/p"], ["--zk-session", "1ms"], ["--zk-session", "x"],
             ["--advertise", "10.0.0.1"], ["--advertise", "10.0.0.1:0"], ["--advertise", ":1"],
             ["--advertise-http", "x y:1"], ["--agent-removal-rate", "10"],
             ["--agent-removal-rate", "0/1m"], ["--agent-removal-rate", "1/0s"],
             ["--agent-removal-rate", "-1/1m"], ["--recovery-removal-limit", "101"],
             ["--recovery-removal-limit", "-1"], ["--recovery-removal-limit", "10%"])
    for args in usage:
        r = command(MASTER, *args)
        check_eq(r.code, 2, r)
        check_eq(len(r.err.strip().splitlines()), 1, r)
        check("cret" not in r.err and args[0][2:] in r.err + "import-registry", r)
    r = command(MASTER, "--help")
    for name in ("import-registry DIR", "export-registry DIR", "restore-registry FILE", "zk URL",
                 "zk-session TIME", "advertise HOST:PORT", "agent-removal-rate N/TIME",
                 "recovery-removal-limit PERCENT"):
        check("--" + name in r.out, name, r.out)
    r = command(MASTER, "--restore-registry", "/nonexistent", "--work-dir", "/nonexistent/w")
    two_lines(r, 1)
    r = command(MASTER, "--import-registry", "/nonexistent", "--zk", "zk://127.0.0.1:1/p")
    two_lines(r, 1)


def test_zookeeper_absent_at_start():
    """It says so once, answers /health with the reason, and SIGTERM ends it at once."""
    c = Cluster()
    try:
        port = free_port()
        url = "zk://u:geheim@127.0.0.1:%d/p" % port
        with Alone(c.path("w"), PROFFER_MASTER_ZK=url) as m:
            status, body = m.health()
            end = time.monotonic() + TIMEOUT_S
            while "127.0.0.1:%d" % port not in body:
                check(time.monotonic() < end, body)
                status, body = m.health()
            check(status != 200 and "geheim" not in body and "ZooKeeper" in body, status, body)
            began = time.monotonic()
            m.p.send_signal(signal.SIGTERM)
            m.code = m.p.wait(TIMEOUT_S)
            took = time.monotonic() - began
        check_eq(m.code, 0, m.err)
        check(took < 2, took)
        said = [line for line in m.err.splitlines() if "ZooKeeper" in line]
        check(1 <= len(said) <= 2 and "geheim" not in m.err, m.err)
        r = command(MASTER, "--export-registry", c.path("x"), env=clean_env(PROFFER_MASTER_ZK=url))
        two_lines(r, 1)
        check("cannot reach ZooKeeper" in r.err and not os.path.exists(c.path("x")), r)
    finally:
        c.__exit__(None, None, None)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
