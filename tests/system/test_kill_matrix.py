# SPDX-License-Identifier: Apache-2.0
"""During `run -n 20 -- sleep`, SIGKILL master, agents and both, in turn and repeatedly. The verdict
comes from outside our state: each task appends to a file of its own; started twice, ended never or
ended twice is seen there, and the waiting `run` must have been told the same."""
import json
import os

from cluster import Cluster, check, check_eq, finish, main

TASKS = 20
SECONDS = 5
ROUNDS = 6

TASK = """
f=$ORACLE/$PROFFER_TASK_INDEX
echo start $$ >> $f
sleep %d
echo end >> $f
exit $((PROFFER_TASK_INDEX %% 5))
""" % SECONDS

cluster = None


def matrix(victims):
    oracle = cluster.path("oracle-" + "-".join(sorted(victims)))
    os.mkdir(oracle)
    report = cluster.path("report-" + "-".join(sorted(victims)))
    os.chmod(cluster.base, 0o755)
    os.chmod(oracle, 0o777)
    p = cluster.start("run", "-n", str(TASKS), "--cpus", "0.2", "--mem", "32M", "-e",
                      "ORACLE=" + oracle, "--report", report, "--", "sh", "-c",
                      'echo up; ' + TASK)
    ups = 0
    while ups < TASKS:
        line = p.stdout.readline()
        check(line != b"", "run ended early", p.stderr.read().decode())
        ups += b"up" in line
    for _ in range(ROUNDS):
        cluster.kill(*victims)
    r = finish(p, timeout=120)
    for i in range(TASKS):
        with open(os.path.join(oracle, str(i))) as f:
            lines = f.read().split("\n")
        check_eq([x.split()[0] for x in lines if x], ["start", "end"], "task %d" % i, lines, r)
    check_eq(r.code, 4, "the highest status of the tasks", r)
    with open(report) as f:
        rows = json.load(f)
    check_eq(sorted(t["exit_status"] for t in rows), sorted(i % 5 for i in range(TASKS)), rows)


def test_master_killed():
    matrix({"master"})


def test_agents_killed():
    matrix({"agent"})


def test_both_killed():
    matrix({"master", "agent"})


if __name__ == "__main__":
    with Cluster(agents=2) as cluster:
        main([test_master_killed, test_agents_killed, test_both_killed])
