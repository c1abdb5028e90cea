# SPDX-License-Identifier: Apache-2.0
"""The stages of one agent with real processes: rates with and without cgroups beside the bare loop
of the same minute, many sleeping tasks, and what an agent costs that has them. For bench.py."""
import os
import statistics
import subprocess
import time
import urllib.request

import measure


def cluster(bin_dir, isolation, where=None):
    c = measure.Cluster(bin_dir, "--agents", "1", "--cpus", "64", "--mem", "900G", where=where)
    c.env["PROFFER_AGENT_ISOLATION"] = isolation
    return c


def metric(c, name):
    """Of the agent."""
    http = [d["http"] for d in c.daemons() if d["kind"] == "agent"][0]
    with urllib.request.urlopen("http://%s/metrics" % http) as f:
        for line in f.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise RuntimeError("no metric " + name)


def agent_pid(c):
    return [d["pid"] for d in c.daemons() if d["kind"] == "agent"][0]


def bench_rates(bin_dir, bench_dir, n):
    for isolation, key in (("none", "best_per_s"), ("auto", "cgroup_spawn_per_s")):
        label = "without cgroups" if isolation == "none" else "with cgroups"
        with cluster(bin_dir, isolation, "/dev/shm") as c:
            measure.note("%d x /bin/true through one agent, %s, beside the bare loop" % (n, label))
            ratios, commits = [], []
            for _ in range(3):
                bare = measure.json_lines(os.path.join(bench_dir, "bench_spawn"), str(n))[0][key]
                if bare == 0:
                    measure.row("real processes " + label, "-", "", "", why="not permitted here")
                    return
                before = metric(c, "proffer_store_batches_total")
                ms = c.timed("run", "-q", "-n", str(n), "--cpus", "0.001", "--mem", "32M", "--",
                             "/bin/true")
                commits.append((metric(c, "proffer_store_batches_total") - before) / n * 1000)
                ratios.append((n / ms * 1e3 / bare, n / ms * 1e3, bare))
            ratios.sort()
            measure.row("real processes " + label, round(ratios[1][1]), "tasks/s", "",
                      bare_per_s=round(ratios[1][2]), n=n)
            measure.row("the same, of the bare limit", round(100 * ratios[1][0]), "%",
                      "> 60 (goal 80)" if isolation == "none" else "> 60",
                      spread=[round(100 * r[0]) for r in ratios])
            measure.row("commits (fsync) per 1,000 launches, " + label,
                      round(statistics.median(commits)), "", "")


def started_ms(c, n, *args):
    """From the command to so many processes that sleep."""
    dirs = [d["work_dir"] for d in c.daemons() if d["kind"] == "agent"]
    launcher = measure.launcher_pids(dirs)[0]
    before = n_children(launcher)
    begin = time.perf_counter()
    p = subprocess.Popen([os.path.join(c.bin, "proffer"), "run", "-d", "-n", str(n), "--cpus",
                          "0.001", "--mem", "32M", "--", "/bin/sleep", "1000"], env=c.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    while n_children(launcher) < before + n:
        time.sleep(0.02)  # looking costs time, too
    ms = (time.perf_counter() - begin) * 1e3
    out = p.communicate()[0].decode().strip()
    return ms, out


def n_children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return len(f.read().split())


def bench_hold(bin_dir, bench_dir, n):
    for isolation, key in (("none", "per_s"), ("auto", "in_cgroups_per_s")):
        label = "without cgroups" if isolation == "none" else "with cgroups"
        measure.note("%d sleeping tasks, %s" % (n, label))
        times = []
        # ext4 makes inodes ten times slower in the minute after many were removed
        with cluster(bin_dir, isolation, "/dev/shm") as c:
            for _ in range(3):
                bare = measure.json_lines(os.path.join(bench_dir, "bench_spawn"), "hold",
                                        str(n))[0][key]
                if bare == 0:
                    break
                ms, run = started_ms(c, n)
                times.append((ms / (n / bare * 1e3), ms))
                c.proffer("kill", run, "--grace", "0", "--wait")
        if times:
            times.sort()
            measure.row("%d sleeping tasks started, %s" % (n, label), round(times[1][1]), "ms", "",
                      spread=[round(t[1]) for t in times])
            measure.row("the same, times the bare loop", round(times[1][0], 2), "x", "< 1.7",
                      spread=[round(t[0], 2) for t in times])


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def bench_many(bin_dir, n, rounds):
    """An agent with so many tasks at rest: what each costs it, how idle it is, how soon it is back
    after SIGKILL."""
    measure.note("%d sleeping tasks at rest" % n)
    with cluster(bin_dir, "none") as c:
        before = measure.memory_kib(agent_pid(c), "RssAnon")
        ms, _ = started_ms(c, n)
        measure.row("%d sleeping tasks started" % n, round(ms / 1e3, 1), "s")
        time.sleep(3)
        after = measure.memory_kib(agent_pid(c), "RssAnon")
        measure.row("anonymous memory of the agent, each task", round((after - before) * 1024 / n),
                  "bytes", "< 2048", total_mib=round(after / 1024, 1))
        pid, begin = agent_pid(c), time.perf_counter()
        used = ticks(pid)
        time.sleep(10)
        used = (ticks(pid) - used) / os.sysconf("SC_CLK_TCK")
        measure.row("the agent's use of a core, at rest",
                  round(100 * used / (time.perf_counter() - begin), 2), "%", "< 2")
        measure.drill(c, "%d tasks" % n, "agent-kill", {"agents_back_us": "< 300"}, "--rounds",
                    str(rounds))
