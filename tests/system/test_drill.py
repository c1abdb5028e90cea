# SPDX-License-Identifier: Apache-2.0
"""`proffer drill` on a cluster of one master, its verdicts and refusals, and the relay that breaks
networks. Drills of a quorum: test_drill_quorum.py."""
import json
import os
import shutil
import socket
import subprocess
import tempfile

from cluster import BIN, TIMEOUT_S, Cluster, check, check_eq, clean_env, command, main, PROFFER

DRILL_S = 200
KEYS = ("round drill new_leader_us first_offer_us first_task_us agents_back_us "
        "frameworks_back_us longest_wait_us epoch_before epoch_after leader_before leader_after "
        "sweep_us took_ms problem").split()


def two_lines(r, code):
    check_eq(r.code, code, r)
    check_eq(len(r.err.strip().splitlines()), 2, "one line what, one line what to do", r)


class Relay:
    """proffer-relay with one route to a listener of ours."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pf.")
        self.target = socket.create_server(("127.0.0.1", 0))
        self.target_port = self.target.getsockname()[1]
        self.path = os.path.join(self.dir, "control")
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            [os.path.join(BIN, "proffer-relay"), "--control", self.path, "--ready-fd", str(told),
             "m1=127.0.0.1:0=127.0.0.1:%d" % self.target_port], pass_fds=[told])
        os.close(told)
        with os.fdopen(ready) as f:
            check_eq(json.loads(f.readline())["native"], self.path)
        self.port = int(self.ask("list").split()[1].split(":")[1])
        # the relay's own look whether somebody listens
        self.target.accept()[0].close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.target.close()
        shutil.rmtree(self.dir)

    def ask(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(TIMEOUT_S)
            s.connect(self.path)
            s.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"ok\n") and b"error" not in answer:
                got = s.recv(4096)
                check(got, "the relay left", answer)
                answer += got
        return answer.decode()

    def pair(self):
        while True:
            try:
                client = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
                break
            except ConnectionRefusedError:
                check(self.process.poll() is None, "the relay ended")
        server = self.target.accept()[0]
        server.settimeout(TIMEOUT_S)
        return client, server


def silent(sock):
    sock.settimeout(0.1)
    try:
        return sock.recv(10) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(TIMEOUT_S)


def test_relay_passes_both_ways_and_ends():
    with Relay() as r:
        client, server = r.pair()
        client.sendall(b"up")
        check_eq(server.recv(10), b"up")
        server.sendall(b"down" * 100000)
        client.shutdown(socket.SHUT_WR)
        check_eq(server.recv(10), b"")
        server.close()
        got = b""
        while True:
            more = client.recv(65536)
            if not more:
                break
            got += more
        check_eq(len(got), 400000)


def test_relay_holds_back_one_way_and_delivers_later():
    with Relay() as r:
        client, server = r.pair()
        check_eq(r.ask("set m* - up drop"), "ok\n")
        client.sendall(b"held")
        server.sendall(b"seen")
        check_eq(client.recv(10), b"seen")
        check(silent(server), "it passed")
        client.close()
        check(silent(server), "even the end must not pass")
        check_eq(r.ask("heal"), "ok\n")
        check_eq(server.recv(10), b"held")
        check_eq(server.recv(10), b"")


def test_relay_resets():
    with Relay() as r:
        client, server = r.pair()
        client.sendall(b"x")
        check_eq(server.recv(1), b"x")
        check_eq(r.ask("rst m1 master:*"), "ok\n")
        check(silent(client), "it is none of a master's")
        check_eq(r.ask("rst m1 *"), "ok\n")
        for s in (client, server):
            try:
                check(False, "no reset, but", s.recv(1))
            except ConnectionResetError:
                pass


def test_relay_delays():
    with Relay() as r:
        client, server = r.pair()
        check_eq(r.ask("set * * down delay 300"), "ok\n")
        server.sendall(b"late")
        check(silent(client), "it was not delayed")
        check_eq(client.recv(10), b"late")


def test_relay_refuses_when_the_target_is_gone():
    with Relay() as r:
        client, server = r.pair()
        r.target.close()
        server.close()
        check_eq(client.recv(1), b"")
        while True:  # the relay looks when a connection ends
            try:
                socket.create_connection(("127.0.0.1", r.port), timeout=TIMEOUT_S).close()
            except ConnectionRefusedError:
                break
            except ConnectionResetError:
                pass  # accepted by the kernel, and the listener closed behind it
        r.target = socket.create_server(("127.0.0.1", r.target_port))
        r.target.accept()[0].close()  # it looked again
        client, server = r.pair()
        client.sendall(b"back")
        check_eq(server.recv(10), b"back")


def test_relay_refuses_nonsense():
    with Relay() as r:
        for line in ("", "what", "set m1 *", "set m1 * sideways drop", "set m1 * up delay",
                     "set m1 * up drop 5", "refuse m1 maybe"):
            check("error" in r.ask(line), line)


def test_all_that_is_possible_with_one_master():
    with Cluster(agents=2) as c:
        r = c.proffer("drill", "all", "-o", "json", "--seed", "3", timeout=DRILL_S)
        check_eq(r.code, 0, r)
        rounds = r.json()
        check_eq([x["drill"] for x in rounds], ["leader-kill", "leader-agent-kill", "double-kill",
                                                "mid-accept", "framework-kill", "agent-kill",
                                                "launcher-kill", "agent-launcher-kill"], r)
        for x in rounds:
            check_eq(list(x)[:len(KEYS)], KEYS)
            check(x["first_task_us"] > 0 and x["problem"] is None, x)
            leads_anew = "leader" in x["drill"] or x["drill"] in ("double-kill", "mid-accept")
            check_eq(x["epoch_after"] > x["epoch_before"], leads_anew, x)
            check_eq(x["new_leader_us"] is not None, leads_anew, x)
        check("lost 0, doubled 0, restarted 0" in r.err and "all promises held" in r.err, r)
        check("left out: partition needs several masters" in r.err, r)
        check_eq(c.list("ps", "--filter", "state=running"), [])
        check(not [f for f in c.list("frameworks") if f["connected"]], "a framework is left")


def test_a_table_and_a_kill_command():
    with Cluster(agents=1) as c:
        files = c.path("files")
        r = c.proffer("drill", "leader-kill", "--files", files, "--load", "4", "--kill-cmd",
                      "echo {host} {address} >&2; kill -{signal} {pid}", timeout=DRILL_S)
        check_eq(r.code, 0, r)
        for word in ("new leader", "first offer", "first task", "all agents back",
                     "all frameworks back", "P99", "###", "1 of 1 rounds carried out"):
            check(word in r.out, word, r)
        check("127.0.0.1:" in r.err, "the command did not run", r)
        check(os.path.exists(os.path.join(files, "journal.1")), "the files were to be kept")
        longs = [t for t in os.listdir(os.path.join(files, "tasks")) if t.endswith(".long")]
        check_eq(len(longs), 4, longs)
        # a command that fails strikes nobody, and says so
        r = c.proffer("drill", "leader-kill", "--kill-cmd", "false {signal}", "--deadline", "2s",
                      timeout=DRILL_S)
        check_eq(r.code, 1, r)
        check("no new leader within 2 s" in r.out and "failed (exit status 1)" in r.out, r)


def test_a_broken_promise():
    with Cluster(agents=1) as c:
        r = c.proffer("drill", "framework-kill", "--pause-limit", "50ms", timeout=DRILL_S)
        check_eq(r.code, 1, r)
        check("BROKEN" in r.out and "paused: f" in r.out and "did nothing for" in r.out, r)
        kept = r.err.split("what tasks and frameworks wrote: ")[1].strip()
        check(os.path.isdir(os.path.join(kept, "tasks")), kept)
        shutil.rmtree(kept)


def test_refusals():
    r = command(PROFFER, "drill", "leader-kil")
    two_lines(r, 2)
    check("leader-kil" in r.err, r)
    r = command(PROFFER, "drill")
    check(r.code == 0 and "rst-between-masters" in r.out, r)
    with tempfile.TemporaryDirectory() as home:
        env = clean_env(HOME=home)
        two_lines(command(PROFFER, "drill", "leader-kill", "--master", "127.0.0.1:1", env=env), 4)
    with Cluster(agents=1) as c:
        r = c.proffer("drill", "partition")
        two_lines(r, 2)
        check("--masters 3" in r.err, r)
        two_lines(c.proffer("drill", "leader-kill", "--kill-cmd", "kill {pid}"), 2)
        two_lines(c.proffer("drill", "leader-kill", "--rounds", "0"), 2)
        two_lines(c.proffer("drill", "leader-kill", "--zk", "h1:2181"), 2)
        two_lines(c.proffer("drill", "leader-kill", "--files", c.base), 2)


if __name__ == "__main__":
    main([test_relay_passes_both_ways_and_ends, test_relay_holds_back_one_way_and_delivers_later,
          test_relay_resets, test_relay_delays, test_relay_refuses_when_the_target_is_gone,
          test_relay_refuses_nonsense, test_all_that_is_possible_with_one_master,
          test_a_table_and_a_kill_command, test_a_broken_promise, test_refusals])
