# SPDX-License-Identifier: Apache-2.0
"""What the stages of bench.py share: rows of figures, a cluster of its own, a drill."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROWS = []


def note(line):
    print("bench: " + line, file=sys.stderr, flush=True)


def row(name, value, unit, goal="", **more):
    r = dict(bench=name, value=value, unit=unit, goal=goal, **more)
    ROWS.append(r)
    print(json.dumps(r), flush=True)


def percentile(sorted_values, p):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p / 100))]


def json_lines(*argv):
    out = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode()
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


class Cluster:
    def __init__(self, bin_dir, *up_args, where=None):
        self.bin = bin_dir
        self.base = tempfile.mkdtemp(prefix="pf.", dir=where)
        self.up_args = up_args
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PROFFER_")}
        self.env.update(PROFFER_DIR=os.path.join(self.base, "c"), HOME=self.base,
                        XDG_STATE_HOME=self.base, XDG_CONFIG_HOME=self.base)

    def proffer(self, *args):
        subprocess.run([os.path.join(self.bin, "proffer"), *args], env=self.env, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __enter__(self):
        begin = time.perf_counter()
        self.proffer("up", *self.up_args)
        self.up_ms = (time.perf_counter() - begin) * 1e3
        return self

    def __exit__(self, *_):
        self.proffer("down", "--yes", "--purge")
        shutil.rmtree(self.base, ignore_errors=True)

    def daemons(self):
        with open(os.path.join(self.env["PROFFER_DIR"], "cluster.json")) as f:
            daemons = json.load(f)["daemons"]
        for d in daemons:
            d["kind"] = d["name"].split("-")[0]
        return daemons

    def timed(self, *args):
        """Wall ms of one whole command, by posix_spawn and wait4."""
        argv = [os.path.join(self.bin, "proffer"), *args]
        null = os.open("/dev/null", os.O_RDWR)
        begin = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, self.env, file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)])
        _, status = os.waitpid(pid, 0)
        ms = (time.perf_counter() - begin) * 1e3
        os.close(null)
        if status != 0:
            raise RuntimeError("%s ended with %d" % (args, status))
        return ms


def memory_kib(pid, field):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(field + r":\s+(\d+)", f.read()).group(1))


def launcher_pids(agent_pid_dirs):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/cmdline" % name, "rb") as f:
                    line = f.read().split(b"\0")
            except OSError:
                continue
            if line and line[0].endswith(b"proffer-launcher") and any(
                    d.encode() in b" ".join(line) for d in agent_pid_dirs):
                found.append(int(name))
    return found


DRILL_WORDS = (("first_task_us", "first task"), ("agents_back_us", "all agents back"),
               ("longest_wait_us", "longest wait for an offer"))


def drill(c, label, name, goals, *args):
    """One sort of drill: a row for each figure that has a goal, and whether all promises held."""
    note("drill %s, %s: %s" % (name, label, " ".join(args)))
    p = subprocess.run([os.path.join(c.bin, "proffer"), "drill", name, "-o", "json", *args],
                       env=c.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    rounds = json.loads(p.stdout or b"[]")
    if p.returncode != 0:
        note(p.stderr.decode())
        row("drill %s, %s: promises" % (name, label), "BROKEN", "", "held", status=p.returncode)
    for key, word in DRILL_WORDS:
        ms = sorted(r[key] / 1e3 for r in rounds if r.get(key) is not None)
        if ms and key in goals:
            row("%s, %s: %s, p50" % (name, label, word), round(percentile(ms, 50), 1), "ms",
                goals[key], p90=round(percentile(ms, 90), 1), p99=round(percentile(ms, 99), 1),
                max=round(ms[-1], 1), n=len(ms), load=round(os.getloadavg()[0], 1))
