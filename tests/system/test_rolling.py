# SPDX-License-Identifier: Apache-2.0
"""Rolling restarts of three masters by SIGTERM, with the same program and with a new one, while a
run, a framework and short commands go on: nobody sees an error. Prints how long offers paused."""
import os
import re
import shutil
import signal
import subprocess
import time

from cluster import BIN, TIMEOUT_S, Cluster, check, check_eq, finish, main

N_TASKS = 3000
GAP_MAX_S = 3.0  # a bound for loaded machines; what is usual is printed


class Rolling(Cluster):
    """Its programs are found through a link, which can point to others later."""

    def __init__(self):
        super().__init__(agents=2, up_args=["--masters", "3"])
        self.bin = self.path("bin")
        os.symlink(BIN, self.bin)
        self.env["PROFFER_BIN_DIR"] = self.bin

    def masters(self):
        return [d for d in self.state()["daemons"] if d["kind"] == "master"]

    def leader(self):
        end = time.monotonic() + TIMEOUT_S
        while True:
            r = self.proffer("masters", "-o", "json")
            leading = [m for m in r.json() if m["leading"]] if r.code == 0 else []
            if len(leading) == 1:
                return leading[0]
            check(time.monotonic() < end, "nobody leads", r)

    def await_whole(self):
        end = time.monotonic() + TIMEOUT_S
        while True:
            r = self.proffer("status")
            if r.code == 0:
                return
            check(time.monotonic() < end, "the cluster does not become whole", r)

    def new_binary(self):
        """The same program as another file under another path."""
        new = self.path("bin-new")
        os.mkdir(new)
        for name in os.listdir(BIN):
            if os.path.isfile(os.path.join(BIN, name)):
                shutil.copy(os.path.join(BIN, name), new)
        os.symlink(new, self.bin + ".next")
        os.rename(self.bin + ".next", self.bin)
        return new

    def restart(self, address):
        """SIGTERM to the master there; returns when the cluster is whole again, the signal's time
        of day and whether it led."""
        led = self.leader()["address"] == address
        old = [d for d in self.masters() if d["native"] == address][0]
        at = time.time()
        os.kill(old["pid"], signal.SIGTERM)
        end = time.monotonic() + TIMEOUT_S
        while [d for d in self.masters() if d["native"] == address][0].get("pid") == old["pid"]:
            check(time.monotonic() < end, "it does not end")
        new = [d for d in self.masters() if d["native"] == address][0]
        check_eq(new.get("last_end"), "exited with status 0", new)
        self.await_whole()
        return at, led

    def log_of(self, daemon):
        with open(daemon["log"], errors="replace") as f:
            return f.read()


def start_framework(c, ticks):
    env = dict(c.env, PROFFER_MASTER=",".join(d["native"] for d in c.masters()),
               PROFFER_KEY_FILE=os.path.join(c.dir, "key"))
    command = "date +%%s.%%N >> %s; test -e %s.enough || sleep 0.05" % (ticks, ticks)
    return subprocess.Popen([os.path.join(BIN, "examples", "hello"), str(N_TASKS), command],
                            env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            stdout=open(ticks + ".said", "w"))  # a full pipe would stop it


def read_ticks(ticks):
    if not os.path.exists(ticks):
        return []
    with open(ticks) as f:
        return sorted(float(line) for line in f.read().split("\n") if "." in line)


def await_ticks(ticks, n):
    end = time.monotonic() + TIMEOUT_S
    while len(read_ticks(ticks)) < n:
        check(time.monotonic() < end, "the framework starts nothing", read_ticks(ticks))


def roll(c, ticks):
    """Every master once, the leading one last as operators do it; and what a framework saw."""
    first = c.leader()["address"]
    order = sorted(d["native"] for d in c.masters() if d["native"] != first) + [first]
    pauses = []
    for address in order:
        at, led = c.restart(address)
        n = len(read_ticks(ticks))
        r = c.proffer("run", "--", "echo", "fine")
        # A slow machine may say whom it waits for; that is no error.
        errors = [line for line in r.err.splitlines() if " waiting " not in line]
        check_eq((r.code, r.out, errors), (0, "fine\n", []), r)
        if led:
            end = time.monotonic() + TIMEOUT_S
            while max(read_ticks(ticks), default=0) <= at:
                check(time.monotonic() < end, "the framework starts nothing any more", n)
            starts = read_ticks(ticks)
            before = [t for t in starts if t <= at]
            after = [t for t in starts if t > at]
            check(before and after, "no task of the framework around the restart", n)
            gaps = [b - a for a, b in zip([before[-1]] + after, after)]
            pauses.append(max(gaps[:20]))
    check(pauses, "the leading master was never restarted")
    return pauses


def hand_over_ms(c):
    """From the signal to the end of the hand-over, as the leaving masters logged it."""
    found = []
    for d in c.masters():
        text = c.log_of(d)
        for m in re.finditer(r"(\d\d):(\d\d):(\d\d\.\d+)Z info ending signal=15\n"
                             r"(?:.*\n){0,12}?.*?(\d\d):(\d\d):(\d\d\.\d+)Z info handed over",
                             text):
            a = int(m[1]) * 3600 + int(m[2]) * 60 + float(m[3])
            b = int(m[4]) * 3600 + int(m[5]) * 60 + float(m[6])
            found.append(round((b - a) * 1000))
        check("nobody takes over" not in text and "nobody leads yet" not in text, text)
    return found


def test_rolling_restarts():
    with Rolling() as c:
        ticks, gate = c.path("ticks"), c.path("gate")
        os.mkfifo(gate, 0o666)
        running = c.start("run", "--cpus", "0.1", "--", "sh", "-c",
                          "echo up; read code < %s; echo down; exit $code" % gate)
        check_eq(running.stdout.readline(), b"up\n")
        framework = start_framework(c, ticks)
        await_ticks(ticks, 10)
        epoch = c.leader()["epoch"]
        same = roll(c, ticks)

        new = c.new_binary()
        pauses = roll(c, ticks)
        for d in c.masters():
            check_eq(os.readlink("/proc/%d/exe" % d["pid"]), os.path.join(new, "proffer-master"))
        check(c.leader()["epoch"] >= epoch + 2, c.leader(), epoch)

        with open(gate, "w") as f:
            f.write("42\n")
        with open(ticks + ".enough", "w"):
            pass
        r = finish(running)
        check_eq((r.code, r.out, r.err), (42, "down\n", ""), "the run saw it", r)
        _, err = framework.communicate(timeout=TIMEOUT_S)
        # A launch that was on its way when the lead changed is told as dropped: it never ran.
        with open(ticks + ".said") as f:
            dropped = sum(" is TASK_DROPPED" in x or " is TASK_LOST" in x for x in f)
        check_eq((framework.returncode, err), (1 if dropped else 0, b""), "the framework saw it")
        check_eq(len(read_ticks(ticks)), N_TASKS - dropped, "a task was lost or started twice")
        print("%d launches of %d were dropped and told so" % (dropped, N_TASKS))
        check(max(same + pauses) < GAP_MAX_S, same, pauses)
        print("hand-over %s ms; a framework started nothing for %s ms (same program), %s ms (new)"
              % (hand_over_ms(c), [round(p * 1000) for p in same],
                 [round(p * 1000) for p in pauses]))
        handed = hand_over_ms(c)
        check(len(handed) >= 2 and max(handed) < 2000, handed)


def test_all_masters_end_at_once():
    """Nobody is left to hand over to: they do not wait for each other."""
    with Cluster(agents=1, up_args=["--masters", "3"]) as c:
        began = time.monotonic()
        check_eq(c.down().code, 0)
        print("down of three masters: %d ms" % ((time.monotonic() - began) * 1000))
        for d in [d for d in os.listdir(os.path.join(c.dir, "log")) if d.startswith("master")]:
            with open(os.path.join(c.dir, "log", d)) as f:
                check("nobody leads yet" not in f.read(), d)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
