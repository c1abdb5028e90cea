# SPDX-License-Identifier: Apache-2.0
"""The measured figures, each beside its limit in the same run: JSON lines to a file, a table to
people. No verdict: machines are shared and noisy. Run by deploy/bench."""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time

import bench_agent
from measure import (ROWS, Cluster, drill, json_lines, launcher_pids, memory_kib, note, percentile,
                     row)


def bench_build(source):
    note("clean build")
    out = tempfile.mkdtemp(prefix="pf.build.")
    begin = time.perf_counter()
    quiet = dict(stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["cmake", "-S", source, "-B", out, "-G", "Ninja", "-DPF_TESTS=OFF",
                    "-DCMAKE_BUILD_TYPE=RelWithDebInfo"], **quiet)
    subprocess.run(["cmake", "--build", out, "-j", str(os.cpu_count())], **quiet)
    row("clean build, without tests", round(time.perf_counter() - begin, 1), "s", "< 60")
    shutil.rmtree(out)


def bench_program(bench_dir, what, name, *args):
    note(what)
    for r in json_lines(os.path.join(bench_dir, name), *args):
        ROWS.append(r)
        print(json.dumps(r), flush=True)


def bench_core(bench_dir):
    bench_program(bench_dir, "master core in process", "bench_master")
    bench_program(bench_dir, "takeover in process", "bench_takeover")
    bench_program(bench_dir, "registry log in process", "bench_registry")
    bench_program(bench_dir, "registry log over a ZooKeeper server", "bench_registry", "zk")


def bench_latency(c, label, goal, n):
    note("run -- true, %s, %d times" % (label, n))
    for _ in range(5):
        c.timed("run", "--", "true")
    ms = sorted(c.timed("run", "--", "true") for _ in range(n))
    row("run -- true, %s, p50" % label, round(percentile(ms, 50), 2), "ms", goal,
        p99=round(percentile(ms, 99), 2), n=n)


def bench_rate(c, bench_dir, n, where):
    """One agent with real processes beside the bare limit of the same minute. Each task makes a
    directory and two files, so the file system below matters: ext4 makes them ten times slower in
    the minute after many were removed."""
    note("%d x /bin/true through one agent on %s, beside the bare loop" % (n, where))
    ratios = []
    for _ in range(3):
        bare = json_lines(os.path.join(bench_dir, "bench_spawn"), str(n))[0]["best_per_s"]
        ms = c.timed("run", "-q", "-n", str(n), "--cpus", "0.001", "--mem", "1M", "--", "/bin/true")
        rate = n / ms * 1e3
        ratios.append((rate / bare, rate, bare))
    ratios.sort()
    ratio, rate, bare = ratios[1]
    row("real processes, one agent on %s" % where, round(rate), "tasks/s", "",
        bare_per_s=round(bare), n=n)
    row("the same, of the bare limit", round(100 * ratio), "%", "> 50 (goal 80)",
        spread=[round(100 * r[0]) for r in ratios])


def bench_memory(c, label):
    ds = c.daemons()
    goals = {"master": "< 8", "agent": "< 6"} if label == "idle" else {}
    field = "VmRSS" if label == "idle" else "RssAnon"
    for kind in ("master", "agent"):
        pid = [d["pid"] for d in ds if d["kind"] == kind][0]
        row("memory of %s, %s" % (kind, label), round(memory_kib(pid, field) / 1024, 2), "MiB",
            goals.get(kind, ""), field=field)
    dirs = [d["work_dir"] for d in ds if d["kind"] == "agent"]
    for pid in launcher_pids(dirs)[:1]:
        row("memory of launcher, %s" % label, round(memory_kib(pid, field) / 1024, 2), "MiB",
            "< 1" if label == "idle" else "", field=field)


def bench_loaded(c, n):
    note("%d sleeping tasks" % n)
    c.proffer("run", "-d", "-n", str(n), "--cpus", "0.001", "--mem", "1M", "--", "sleep", "1000")
    bench_memory(c, "with %d tasks" % n)


def bench_contended(bin_dir, bench_dir, n):
    with Cluster(bin_dir, "--agents", "2", "--cpus", "8", "--mem", "8G") as c:
        native = [d["native"] for d in c.daemons() if d["kind"] == "master"][0]
        key = os.path.join(c.env["PROFFER_DIR"], "key")
        p = subprocess.Popen([os.path.join(bench_dir, "bench_frameworks"), native, key, "10", "1"],
                             stdout=subprocess.PIPE)
        p.stdout.readline()  # it says when all are subscribed and the hoarder holds its offers
        bench_latency(c, "beside 10 idle frameworks and a hoarder", "< 50 (goal 30)", n)
        p.terminate()
        p.wait()


def bench_masters(c, label):
    for d in c.daemons():
        if d["kind"].startswith("master"):
            url = "http://%s/metrics" % d["http"]
            with urllib.request.urlopen(url, timeout=10) as f:
                text = f.read().decode()
            longest = re.search(r"^proffer_loop_turn_seconds_max (\S+)", text, re.M).group(1)
            is_leading = re.search(r"^proffer_master_leading 1", text, re.M) is not None
            if is_leading:
                row("longest loop turn of the leader, %s" % label, round(float(longest) * 1e3, 1),
                    "ms", "< 10")
                row("memory of the leader, %s" % label,
                    round(memory_kib(d["pid"], "VmRSS") / 1024, 1), "MiB", field="VmRSS")
        elif d["name"].startswith("zk"):
            row("memory of ZooKeeper %s, %s" % (d["name"], label),
                round(memory_kib(d["pid"], "VmRSS") / 1024, 1), "MiB", field="VmRSS")


def bench_quorum(bin_dir, n_agents, n_rounds, is_full):
    """Leaders die. Simulated agents, ten frameworks, ten tasks an agent."""
    label = "%d agents" % n_agents
    load = ["--sim-load", str(10 * n_agents), "--frameworks", "10", "--rest", "2s"]
    kill = {"first_task_us": "< 40, p99 < 250", "agents_back_us": "< 500"}
    with Cluster(bin_dir, "--masters", "3", "--fake-agents", str(n_agents)) as c:
        drill(c, label, "leader-kill", kill, "--rounds", str(n_rounds), *load)
        drill(c, label, "hand-over", {"longest_wait_us": "< 50"}, "--rounds", "10", *load)
        if is_full:
            drill(c, label, "leader-hang", {"first_task_us": "< 7300"}, "--rounds", "3", *load)
        bench_masters(c, label)


def bench_zk_loss(bin_dir):
    load = ["--sim-load", "10000", "--frameworks", "10", "--rest", "2s"]
    goals = {"first_task_us": "p99 < 1500"}
    with Cluster(bin_dir, "--masters", "3", "--fake-agents", "1000", "--zk-servers", "3") as c:
        drill(c, "1000 agents, 3 servers", "zk-leader-kill", goals, "--rounds", "20", *load)
        drill(c, "1000 agents, 3 servers", "zk-outage", {"first_task_us": "< 2000"}, "--for",
              "30s", *load)


def table():
    print("\n%-58s %12s %-9s %s" % ("what", "measured", "unit", "goal"))
    for r in ROWS:
        extra = {k: v for k, v in r.items() if k not in ("bench", "value", "unit", "goal")}
        print("%-58s %12s %-9s %-16s %s" % (r["bench"], r["value"], r["unit"], r["goal"],
                                            " ".join("%s=%s" % kv for kv in extra.items())))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("build", help="build directory of a release build with tests")
    ap.add_argument("--source", default=".")
    ap.add_argument("--full", action="store_true", help="many rounds, long drills, build time")
    args = ap.parse_args()
    args.quick = not args.full
    bin_dir, bench_dir = (os.path.join(os.path.abspath(args.build), d) for d in ("bin", "bench"))
    n = 50 if args.quick else 200
    bench_core(bench_dir)
    with Cluster(bin_dir, "--agents", "1", "--cpus", "32", "--mem", "64G") as c:
        row("up, one agent, ready", round(c.up_ms), "ms", "< 500")
        bench_memory(c, "idle")
        bench_latency(c, "alone", "< 30 (goal 20)", n)
        bench_rate(c, bench_dir, 500 if args.quick else 2000, "disk")
        bench_loaded(c, 500 if args.quick else 10000)
    with Cluster(bin_dir, "--agents", "1", "--cpus", "32", "--mem", "64G", where="/dev/shm") as c:
        bench_rate(c, bench_dir, 500 if args.quick else 2000, "memory")
    bench_agent.bench_rates(bin_dir, bench_dir, 500 if args.quick else 2000)
    bench_agent.bench_hold(bin_dir, bench_dir, 200 if args.quick else 1000)
    bench_agent.bench_many(bin_dir, 500 if args.quick else 10000, 5 if args.quick else 20)
    bench_contended(bin_dir, bench_dir, n)
    bench_quorum(bin_dir, 1000, 20 if args.quick else 1000, args.full)
    if not args.quick:
        bench_quorum(bin_dir, 5000, 20, False)
        bench_zk_loss(bin_dir)
    if not args.quick:
        bench_build(args.source)
    table()


if __name__ == "__main__":
    main()
