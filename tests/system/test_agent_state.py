# SPDX-License-Identifier: Apache-2.0
"""An agent whose state is torn, foreign, newer, of another program, held or damaged at any page:
it says so in one line and ends, or works on; it never dies of it. And the output of a chatty task
stays bounded on a real cluster."""
import os
import random
import select
import shutil
import signal
import subprocess
import tempfile
import time

from cluster import (BIN, TIMEOUT_S, Cluster, check, check_eq, clean_env, main,
                     processes_of as left_in)

AGENT = os.path.join(BIN, "proffer-agent")
PAGE = 4096
SEED = 5


class Agent:
    """One agent without a cluster. ready: it got so far; else it ended by itself."""

    def __init__(self, work_dir, *args, master="127.0.0.1:1"):
        self.process = subprocess.Popen(
            [AGENT, "--work-dir", work_dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
             "--master", master, "--ready-fd", "1", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_env())
        got, _, _ = select.select([self.process.stdout], [], [], TIMEOUT_S)
        check(got, "neither ready nor ended")
        self.ready = bool(self.process.stdout.readline())

    def end(self, how=signal.SIGTERM):
        """Its exit code, and what it said. `how` 0: it ends by itself."""
        if self.ready and how:
            self.process.send_signal(how)
        _, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, err.decode(errors="replace")


def stop_launcher(work_dir):
    subprocess.run([AGENT, "--work-dir", work_dir, "--stop-launcher"], check=True,
                   timeout=TIMEOUT_S, env=clean_env())


class Place:
    """A work directory that an agent was at home in."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="pf.")
        self.work = os.path.join(self.dir, "w")
        self.data = os.path.join(self.work, "state", "data.mdb")
        a = Agent(self.work)
        check(a.ready, a.end())
        code, err = a.end()
        check_eq(code, 0, err)
        return self

    def __exit__(self, *_):
        stop_launcher(self.work)
        shutil.rmtree(self.dir, ignore_errors=True)

    def refused(self, *words):
        """One line that says why, the exit code of a failure, no signal."""
        a = Agent(self.work)
        check(not a.ready, "it was taken")
        code, err = a.end()
        check_eq(code, 1, err)
        last = err.strip().splitlines()[-1]
        check(last.startswith("proffer-agent: "), err)
        for w in words:
            check(w in last, "'%s' is not said" % w, err)


def test_torn_file_is_named():
    with Place() as p:
        os.truncate(p.data, 3 * PAGE)
        p.refused(p.data, "cut short")
        os.truncate(p.data, 100)
        p.refused(p.data)


def test_foreign_file_is_named():
    with Place() as p:
        with open(p.data, "wb") as f:
            f.write(b"Dear diary,\n" * 5000)
        p.refused(p.data, "not an LMDB file")


def test_newer_state_is_refused_with_both_levels():
    with Place() as p:
        with open(p.data, "rb") as f:
            text = f.read()
        stamp = b"\x01\x00\x00\x00agent"
        check(stamp in text, "where is the stamp?")
        with open(p.data, "wb") as f:
            f.write(text.replace(stamp, b"\x63\x00\x00\x00agent"))
        p.refused("state", "level 99", "newer", "knows 1")
        with open(p.data, "wb") as f:
            f.write(text)
        a = Agent(p.work)
        check(a.ready, "the sound state is taken again", a.end())
        check_eq(a.end()[0], 0)


def test_state_of_another_program_is_refused():
    with Place() as p:
        with open(p.data, "rb") as f:
            text = f.read()
        with open(p.data, "wb") as f:
            f.write(text.replace(b"\x01\x00\x00\x00agent", b"\x01\x00\x00\x00zebra"))
        p.refused("zebra instead of agent")


def test_held_state_names_its_holder():
    with Place() as p:
        first = Agent(p.work)
        check(first.ready)
        p.refused("another agent", str(first.process.pid))
        check_eq(first.end()[0], 0)


def agent_work_dir(c):
    for root, dirs, _ in os.walk(c.dir):
        if "sandboxes" in dirs:
            return root
    raise AssertionError("no work directory below %s" % c.dir)


def pages_of(text):
    """Those that are more than zeros."""
    return [n for n in range(len(text) // PAGE)
            if text[n * PAGE:(n + 1) * PAGE].strip(b"\0")]


def test_every_page_damaged_in_turn():
    """The rows of a real agent with 60 tasks; each page of its file is overwritten once."""
    rng = random.Random(SEED)
    base = tempfile.mkdtemp(prefix="pf.")
    try:
        with Cluster(agents=1, cpus="100", mem="100G") as c:
            runs = [c.start("run", "--cpus", "0.1", "--mem", "1M", "--count", "60", "--", "sleep",
                            "600")]
            end = time.monotonic() + TIMEOUT_S
            while len([t for t in c.list("ps") if t["state"] == "TASK_RUNNING"]) < 60:
                check(time.monotonic() < end, "60 tasks do not run", c.list("ps"))
            shutil.copytree(os.path.join(agent_work_dir(c), "state"),
                            os.path.join(base, "sound"))
            for r in runs:
                r.kill()
                r.communicate()
        with open(os.path.join(base, "sound", "data.mdb"), "rb") as f:
            sound = f.read()
        pages = pages_of(sound)
        check(len(pages) > 10, "too small to tell anything: %d pages" % len(pages))
        n_refused = 0
        for n in pages:
            work = os.path.join(base, "w%d" % n)
            os.makedirs(os.path.join(work, "state"))
            spoilt = (sound[:n * PAGE] + rng.randbytes(PAGE) + sound[(n + 1) * PAGE:])
            with open(os.path.join(work, "state", "data.mdb"), "wb") as f:
                f.write(spoilt)
            a = Agent(work)
            ready = a.ready
            code, err = a.end()
            check_eq(code, 0 if ready else 1, "page %d, seed %d" % (n, SEED), err)
            if not ready:
                n_refused += 1
                last = err.strip().splitlines()[-1]
                check(last.startswith("proffer-agent: ") and "state" in last, err)
            stop_launcher(work)
            shutil.rmtree(work)
        print("%d of %d damaged pages refused, seed %d" % (n_refused, len(pages), SEED))
        check(n_refused >= 3, "at least those at the root")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def agent_with(*options):
    """A cluster whose agent has these options, by its environment."""
    return {"PROFFER_AGENT_" + k: v for k, v in options}


def test_sandboxes_that_nobody_knows_are_removed():
    """Their rows went and the agent died before they did; what is young may be of an executor."""
    with Place() as p:
        parent = os.path.join(p.work, "sandboxes", "f1")
        names = ["old.11111111-1111-4111-8111-111111111111",
                 "young.22222222-2222-4222-8222-222222222222", "no-sandbox"]
        for name in names:
            os.makedirs(os.path.join(parent, name, "deep"))
            if name[0] != "y":
                os.utime(os.path.join(parent, name), (1, 1))
        a = Agent(p.work)
        check(a.ready, "the agent is not ready")
        end = time.monotonic() + TIMEOUT_S
        while len(os.listdir(parent)) == 3:
            check(time.monotonic() < end, "nothing is removed")
        code, err = a.end()
        check_eq((code, sorted(os.listdir(parent))), (0, sorted(names[1:])), err)


def test_chatty_task_stays_bounded():
    c = Cluster(agents=1)
    c.env.update(agent_with(("LOG_MAX_BYTES", "1M")))
    with c:
        r = c.start("run", "--name", "chatty", "--", "sh", "-c",
                    "i=0; while [ $i -lt 400 ]; do head -c 100000 /dev/zero | tr '\\0' x; echo $i;"
                    " i=$((i+1)); done; echo the end; sleep 600")
        work = None
        end = time.monotonic() + TIMEOUT_S
        held = size = 0
        while not (size > 40000000 and held < 4 << 20):
            check(time.monotonic() < end, "not bounded", size, held)
            try:
                work = work or agent_work_dir(c)
                for root, _, files in os.walk(os.path.join(work, "sandboxes")):
                    if "stdout" in files:
                        st = os.stat(os.path.join(root, "stdout"))
                        size, held = st.st_size, st.st_blocks * 512
            except (AssertionError, OSError):
                pass
            select.select([r.stdout], [], [], 0.05)
            if r.stdout in select.select([r.stdout], [], [], 0)[0]:
                os.read(r.stdout.fileno(), 1 << 20)
        r.kill()
        r.communicate()
        name = c.list("ps")[0]["id"]
        logs = c.proffer("logs", name, text=False)
        check_eq(logs.code, 0, logs.err)
        check(logs.out.endswith(b"the end\n"), logs.out[-100:])
        check(b"\0" not in logs.out, "a hole is no output")
        check(len(logs.out) <= 2 << 20, len(logs.out))
        tail = c.proffer("logs", "--lines", "1", name)
        check_eq(tail.out, "the end\n", tail)


def test_sandbox_removed_under_a_task():
    """The task runs on and ends by its own status; whoever asks for its output hears why there is
    none."""
    with Cluster(agents=1) as c:
        r = c.proffer("run", "-d", "--", "sh", "-c", "echo hello; cd /; exec sleep 600")
        check_eq(r.code, 0, r)
        end = time.monotonic() + TIMEOUT_S
        while not [t for t in c.list("ps") if t["state"] == "TASK_RUNNING"]:
            check(time.monotonic() < end, "the task does not run")
        task = c.list("ps")[0]["id"]
        shutil.rmtree(os.path.join(agent_work_dir(c), "sandboxes"))
        while "the sandbox was removed" not in (said := c.proffer("logs", task)).err:
            check(time.monotonic() < end, "nobody noticed", said)
        check_eq(c.list("ps")[0]["state"], "TASK_RUNNING")
        r = c.proffer("run", "--", "echo", "others are not touched")
        check_eq(r.out, "others are not touched\n", r)


def test_cleanup_ends_what_a_former_life_left():
    """Tasks run on after SIGTERM; an agent that starts with --recover=cleanup ends them and its
    launcher, tells the master, and ends. Its identity stays."""
    base = tempfile.mkdtemp(prefix="pf.")
    work = os.path.join(base, "w")
    try:
        with Cluster(agents=0) as c:
            master = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
            key = ("--key-file", os.path.join(c.dir, "key"))
            a = Agent(work, *key, "--ready-when", "registered", master=master)
            check(a.ready, "it does not register")
            r = c.proffer("run", "-d", "--", "sleep", "600")
            check_eq(r.code, 0, r)
            end = time.monotonic() + TIMEOUT_S
            while not [t for t in c.list("ps") if t["state"] == "TASK_RUNNING"]:
                check(time.monotonic() < end, "the task does not run")
            check_eq(a.end()[0], 0)
            check(left_in(work), "its tasks went with the agent")
            a = Agent(work, *key, "--recover", "cleanup", master=master)
            code, err = a.end(how=0)
            check_eq(code, 0, err)
            end = time.monotonic() + TIMEOUT_S
            while left_in(work):
                check(time.monotonic() < end, "left over: %s" % left_in(work), err)
            task = c.list("tasks")[0]
            check_eq(task["state"], "TASK_KILLED", task)
            said = c.proffer("show", task["id"])
            check("--recover=cleanup" in said.out, said)
            a = Agent(work, *key, "--ready-when", "registered", master=master)
            check(a.ready, "it cannot come back")
            check_eq(a.end()[0], 0)
            stop_launcher(work)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main([test_torn_file_is_named, test_foreign_file_is_named,
          test_sandboxes_that_nobody_knows_are_removed,
          test_newer_state_is_refused_with_both_levels, test_state_of_another_program_is_refused,
          test_held_state_names_its_holder, test_every_page_damaged_in_turn,
          test_chatty_task_stays_bounded, test_sandbox_removed_under_a_task,
          test_cleanup_ends_what_a_former_life_left])
