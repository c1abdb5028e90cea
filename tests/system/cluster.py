# SPDX-License-Identifier: Apache-2.0
"""A cluster of real processes for system tests: made by `proffer up` in a private directory, on
ports the system picks, and gone with all its processes at the end.

Use:  with Cluster(agents=2) as c:  r = c.proffer("run", "--", "true");  assert r.code == 0
Every wait has an end (TIMEOUT_S); nothing here sleeps or polls for readiness.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT_S = 60
BIN = os.environ["PF_BIN"]
PROFFER = os.path.join(BIN, "proffer")


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return "%s\n-> %s\nstdout: %s\nstderr: %s" % (self.argv, self.code, self.out, self.err)


def check(condition, *what):
    """An assertion that says what it saw."""
    if not condition:
        raise AssertionError("\n".join(str(w) for w in what))


def check_eq(a, b, *what):
    check(a == b, "%r != %r" % (a, b), *what)


def clean_env(**extra):
    """The environment without anything that chooses another cluster."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PROFFER_")}
    env.update(extra)
    return env


def command(*argv, env=None, stdin=b"", timeout=TIMEOUT_S, text=True, **kw):
    """Runs to its end; bytes in, text (or bytes) out."""
    p = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout,
                       env=clean_env() if env is None else env, check=False, **kw)
    out, err = p.stdout, p.stderr
    if text:
        out, err = out.decode(errors="replace"), err.decode(errors="replace")
    return Result(argv, p.returncode, out, err)


def processes_of(directory):
    """Pids whose command line or environment names the directory (zombies excluded)."""
    found = []
    needle = directory.encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/cmdline" % name, "rb") as f:
                line = f.read()
            with open("/proc/%s/environ" % name, "rb") as f:
                line += f.read()
        except OSError:
            continue
        if needle in line:
            found.append(int(name))
    return found


class Cluster:
    def __init__(self, agents=2, up_args=(), cpus="4", mem="4G"):
        self.base = tempfile.mkdtemp(prefix="pf.")
        self.dir = os.path.join(self.base, "c")
        # Ports of their own: tests run side by side, and one would take what a killed master of
        # another had just left.
        self.up_args = ["--agents", str(agents), "--cpus", cpus, "--mem", mem, "--listen",
                        "127.0.0.1:0", "--http", "127.0.0.1:0"] + list(up_args)
        self.env = clean_env(PROFFER_DIR=self.dir, HOME=self.base,
                             XDG_STATE_HOME=os.path.join(self.base, "state"),
                             XDG_CONFIG_HOME=os.path.join(self.base, "config"))

    def __enter__(self):
        r = self.up()
        check_eq(r.code, 0, r)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.show_logs()
        self.down("--purge")
        left = processes_of(self.base)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        exists = os.path.exists(self.dir)
        shutil.rmtree(self.base, ignore_errors=True)
        if kind is None:
            check(not left, "processes left after `down`: %s" % left)
            check(not exists, "files left after `down --purge`")

    def show_logs(self):
        for root, _, files in os.walk(self.dir):
            for name in files:
                if name.endswith(".log"):
                    path = os.path.join(root, name)
                    sys.stderr.write("---- %s\n" % os.path.relpath(path, self.dir))
                    with open(path, errors="replace") as f:
                        sys.stderr.write("".join(f.readlines()[-120:]))

    def proffer(self, *args, **kw):
        return command(PROFFER, *args, env=self.env, **kw)

    def start(self, *args, **kw):
        """A command that goes on; the caller waits for it."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([PROFFER, *args], env=self.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **kw)

    def up(self, *args):
        return self.proffer("up", *self.up_args, *args)

    def down(self, *args):
        return self.proffer("down", "--yes", *args)

    def list(self, what, *args):
        r = self.proffer(what, "-o", "json", *args)
        check_eq(r.code, 0, r)
        return r.json()

    def state(self):
        """What the supervisor wrote: ports and pids."""
        with open(os.path.join(self.dir, "cluster.json")) as f:
            state = json.load(f)
        for daemon in state["daemons"]:
            daemon["kind"] = daemon["name"].split("-")[0].rstrip("0123456789")
        return state

    def kill(self, *kinds):
        """SIGKILLs the daemons of these kinds; returns when others run in their place, ready."""
        victims = {d["pid"] for d in self.state()["daemons"] if d["kind"] in kinds}
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + TIMEOUT_S
        while victims & {d.get("pid") for d in self.state()["daemons"]}:
            check(time.monotonic() < end, "the supervisor starts nothing in place of the dead")
            r = self.up()
            check_eq(r.code, 0, "the cluster did not become whole again", r)
        r = self.up()
        check_eq(r.code, 0, "the cluster did not become whole again", r)

    def path(self, *parts):
        return os.path.join(self.base, *parts)


def finish(process, timeout=TIMEOUT_S):
    """Waits for what Cluster.start() began."""
    out, err = process.communicate(timeout=timeout)
    return Result(process.args, process.returncode, out.decode(errors="replace"),
                  err.decode(errors="replace"))


def main(tests):
    """Runs the functions in order; the last line printed is the verdict."""
    only = sys.argv[1:]
    n = 0
    for t in tests:
        if only and t.__name__ not in only:
            continue
        print("RUN  %s" % t.__name__, flush=True)
        t()
        n += 1
    check(n > 0, "no test ran")
    print("%d passed, 0 failed" % n)
