# SPDX-License-Identifier: Apache-2.0
"""The agent dies, for real, right after each thing that it does: each batch stored, each effect
shown, each word to its launcher, while tasks are launched, end, are killed, acknowledged and
drained. The walk goes on until a whole round has no point left. What the callers are told, and what
the tasks wrote into files of their own, must be the same as without any death."""
import os
import shutil
import subprocess
import sys
import threading

import cluster as lib
from cluster import Cluster, check, check_eq, finish, main

POINTS_MAX = 300


class Agent:
    """An agent that is started again at once, whenever it dies: a supervisor would wait longer and
    longer."""

    def __init__(self, c):
        state = c.state()["daemons"][0]
        self.work_dir = c.path("agent")
        self.argv = [os.environ["PF_FAULTY_AGENT"], "--listen", "127.0.0.1:0", "--http",
                     "127.0.0.1:0", "--work-dir", self.work_dir, "--key-file",
                     os.path.join(c.dir, "key"), "--cluster", "local", "--master", state["native"],
                     "--launcher", os.path.join(lib.BIN, "proffer-launcher"), "--fetcher",
                     os.path.join(lib.BIN, "proffer-fetcher"), "--resources", "cpus:2;mem:1024"]
        self.env = dict(c.env, PF_FAULT_FILE=c.path("fault"))
        self.log = open(c.path("agent.log"), "wb")
        self.is_ending = False
        self.lives = 0
        self.start()
        self.thread = threading.Thread(target=self.keep)
        self.thread.start()

    def start(self):
        self.lives += 1
        self.process = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def stay_at(self, address, http_address):
        """As an agent with ports of its own does."""
        self.argv[self.argv.index("--listen") + 1] = address
        self.argv[self.argv.index("--http") + 1] = http_address

    def keep(self):
        while self.process.wait() == 86 and not self.is_ending:
            self.start()

    def end(self):
        self.is_ending = True
        self.process.terminate()
        self.thread.join(lib.TIMEOUT_S)
        self.log.close()
        r = lib.command(os.path.join(lib.BIN, "proffer-agent"), "--stop-launcher", "--work-dir",
                        self.work_dir, env=self.env)
        check_eq(r.code, 0, r)


def one_round(c, agent, k):
    """Launch, end, kill, acknowledge, drain; the k-th point is the agent's end. The point's name,
    or None: there were fewer."""
    fault, oracle = c.path("fault"), c.path("oracle-%d" % k)
    os.mkdir(oracle)
    os.chmod(oracle, 0o777)
    with open(fault + ".new", "w") as f:
        f.write("%d" % k)
    os.rename(fault + ".new", fault)
    script = "echo $$ >>%s/$0; " % oracle
    ends = c.start("run", "--cpus", "0.1", "--", "sh", "-c", script + "exit 3", "ends")
    stays = c.start("run", "--cpus", "0.1", "--name", "stays-%d" % k, "--", "sh", "-c",
                    script + "echo up; exec sleep 600", "stays")
    line = stays.stdout.readline()
    check_eq(line, b"up\n", "round %d" % k, stays.stderr.read() if not line else "")
    r = c.proffer("kill", "stays-%d" % k, "--wait")
    check_eq(r.code, 0, "round %d" % k, r)
    r = finish(stays)
    check_eq(r.code, 143, "killed: 128 + SIGTERM; round %d" % k, r)
    r = finish(ends)
    check_eq(r.code, 3, "round %d" % k, r)
    drained = c.start("run", "--cpus", "0.1", "--", "sh", "-c",
                      script + "echo up; exec sleep 600", "drained")
    check_eq(drained.stdout.readline(), b"up\n", "round %d" % k)
    r = c.proffer("drain", "--wait", agent)
    check_eq(r.code, 0, "round %d" % k, r)
    r = finish(drained)
    check_eq(r.code, 143, "drained: 128 + SIGTERM; round %d" % k, r)
    r = c.proffer("activate", agent)
    check_eq(r.code, 0, "round %d" % k, r)
    for name in ("ends", "stays", "drained"):
        with open(os.path.join(oracle, name)) as f:
            check_eq(len(f.read().split()), 1, "%s began once; round %d" % (name, k))
    shutil.rmtree(oracle)
    if not os.path.exists(fault + ".done"):
        return None
    with open(fault + ".done") as f:
        where = f.read()
    os.unlink(fault + ".done")
    return where


def test_every_point():
    passed = {}
    with Cluster(agents=0) as c:
        os.chmod(c.base, 0o755)
        os.mkdir(c.path("agent"))
        agent = Agent(c)
        try:
            r = c.proffer("run", "--", "true")
            check_eq(r.code, 0, r)
            seen = c.list("agents")[0]
            agent.stay_at(seen["address"], seen["http_address"])
            agent_id = seen["id"]
            k = 0
            while True:
                k += 1
                check(k < POINTS_MAX, "the walk has no end")
                where = one_round(c, agent_id, k)
                if where is None:
                    break
                passed[where] = passed.get(where, 0) + 1
        finally:
            agent.end()
        check_eq(agent.lives, k, "one death for each point")
    total = sum(passed.values())
    for where in ("stored", "shown", "told the launcher"):
        check(passed.get(where, 0) >= 2, "too few points of a sort", passed)
    check_eq(total, k - 1, "a point was left out", passed)
    print("%d of %d crash points passed: %s" % (total, k - 1, ", ".join(
        "%d %s" % (n, w) for w, n in sorted(passed.items()))), file=sys.stderr)


if __name__ == "__main__":
    main([test_every_point])
