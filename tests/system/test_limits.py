# SPDX-License-Identifier: Apache-2.0
"""Tasks are held to their limits by cgroups, and nothing of them outlives them: descriptors,
processes and cgroups are counted before and after. Needs writable cgroups (see tests/needs)."""
import os
import signal
import subprocess
import sys
import time

from cluster import BIN, TIMEOUT_S, Cluster, check, check_eq, clean_env, finish, main, processes_of

EXIT_SKIP = 77
PIDS_MAX = 60
HOG = "x=0123456789abcdef; while :; do x=$x$x; done"
BOMB = """import os
print("up", flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""

cluster = None


def run(*args, **kw):
    return cluster.proffer("run", *args, **kw)


def wait_until(is_true, *what):
    end = time.monotonic() + TIMEOUT_S
    while not is_true():
        check(time.monotonic() < end, *what)
        time.sleep(0.02)  # nothing tells when the kernel is done


def agent_id():
    return cluster.list("agents")[0]["id"]


def containers():
    """Names below the parents of this agent, in all hierarchies."""
    found = set()
    parent = "proffer-" + agent_id()
    for root, dirs, _ in os.walk("/sys/fs/cgroup"):
        if os.path.basename(root) == parent:
            found.update(dirs)
            dirs.clear()
    return found


def pid_of(name):
    work_dir = [d for d in cluster.state()["daemons"] if d["kind"] == "agent"][0]
    if name == "agent":
        return work_dir["pid"]
    with open(os.path.join(work_dir["work_dir"], "run", "launcher.lock")) as f:
        return int(f.read())


def descriptors():
    return {n: len(os.listdir("/proc/%d/fd" % pid_of(n))) for n in ("agent", "launcher")}


def children():
    pid = pid_of("launcher")
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def test_agent_says_that_limits_hold():
    isolation = cluster.list("agents")[0]["isolation"]
    check(isolation.startswith("cgroups v"), isolation)


def test_memory_hog_ends_with_limit_and_peak():
    r = run("--mem", "64M", "--", "sh", "-c", HOG)
    check_eq(r.code, 137, r)
    for word in ("out of memory", "Requested: 64MB", "Maximum Used: 6"):
        check(word in r.err, word, r)
    task = cluster.list("ps")[0]
    check_eq(task["reason"], "REASON_CONTAINER_LIMITATION_MEMORY", task)


def test_memory_hog_leaves_neighbours_alone():
    neighbour = cluster.start("run", "-i", "--mem", "64M", "--", "sh", "-c",
                              "echo up; read x; exit 9", stdin=subprocess.PIPE)
    check_eq(neighbour.stdout.readline(), b"up\n")
    check_eq(run("--mem", "64M", "--", "sh", "-c", HOG).code, 137)
    out, err = neighbour.communicate(b"\n", timeout=TIMEOUT_S)
    check_eq(neighbour.returncode, 9, out, err)


def test_fork_bomb_is_held_and_leaves_neighbours_alone():
    bomb = cluster.start("run", "--mem", "512M", "--", sys.executable, "-c", BOMB)
    check_eq(bomb.stdout.readline(), b"up\n")
    for _ in range(3):
        r = run("--", "sh", "-c", "for i in 1 2 3 4 5; do (exit 0) || exit 1; done; exit 5")
        check_eq(r.code, 5, r)
    bomb.send_signal(signal.SIGINT)
    bomb.stdout.close()
    bomb.stderr.close()
    check(bomb.wait(TIMEOUT_S) in (130, 137, 143), bomb.returncode)
    wait_until(lambda: not children(), "processes of the bomb are left", children())


def test_detached_descendants_end_with_their_task():
    seconds = "8%d" % os.getpid()
    r = run("--", "sh", "-c",
            "(setsid env -i sh -c 'trap : TERM HUP INT; sleep %s & wait; sleep %s' </dev/null "
            ">/dev/null 2>&1 &); exit 6" % (seconds, seconds))
    check_eq(r.code, 6, r)
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout.decode()
    check("sleep " + seconds not in ps, ps)


def test_killed_task_ends_with_all_its_processes():
    seconds = "9%d" % os.getpid()
    p = cluster.start("run", "--", "sh", "-c",
                      "trap '' TERM; (setsid env -i sleep %s &); echo up; while :; do sleep 1; done"
                      % seconds)
    check_eq(p.stdout.readline(), b"up\n")
    task = [t for t in cluster.list("ps") if t["state"] == "TASK_RUNNING"][0]
    r = cluster.proffer("kill", "--grace", "0.2", task["id"])
    check_eq(r.code, 0, r)
    check_eq(finish(p).code, 137)
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout.decode()
    check("sleep " + seconds not in ps, ps)


def test_crash_of_agent_and_launcher_leaves_nothing():
    """Both are killed under a task with a detached child: it goes on, and ends with all of it."""
    seconds = "7%d" % os.getpid()
    p = cluster.start("run", "--", "sh", "-c",
                      "(setsid env -i sleep %s &); echo up; exec sleep %s" % (seconds, seconds))
    check_eq(p.stdout.readline(), b"up\n")
    check_eq(len(containers()), 1)
    os.kill(pid_of("launcher"), signal.SIGKILL)
    cluster.kill("agent")
    for t in cluster.list("ps"):
        if t["state"] == "TASK_RUNNING":  # the successor found it
            cluster.proffer("kill", t["id"])
    finish(p)
    wait_until(lambda: not containers(), "cgroups are left", containers())
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout.decode()
    check("sleep " + seconds not in ps, ps)


def test_nothing_is_left_behind():
    """Of a hundred tasks of every sort of end."""
    wait_until(lambda: not containers(), "cgroups are left", containers())
    run("--", "true")
    wait_until(lambda: not containers() and not children(), "something is left")
    before = descriptors()
    r = run("-q", "-n", "100", "--cpus", "0.05", "--mem", "32M", "--", "sh", "-c",
            "case $((PROFFER_TASK_INDEX % 4)) in 0) exit 0;; 1) exit 3;; 2) kill -9 $$;; "
            "3) setsid sleep 1000 & exit 0;; esac")
    check_eq(r.code, 137, r)
    wait_until(lambda: not containers() and not children(), "something is left", containers())
    wait_until(lambda: descriptors() == before, "descriptors are left", before, descriptors())


def agent_elsewhere(isolation, *how):
    """An agent in a mount namespace where no cgroup can be seen; its exit code and log."""
    work = cluster.path("elsewhere-" + isolation)
    script = ("umount -l -R /sys/fs/cgroup; exec %s/proffer-agent --work-dir %s --isolation %s "
              "--listen 127.0.0.1:0 --http 127.0.0.1:0 --master 127.0.0.1:1" %
              (BIN, work, isolation))
    p = subprocess.Popen(["unshare", "-m", "sh", "-c", script], env=clean_env(),
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    log = b""
    for line in p.stderr:
        log += line
        if how and how[0].encode() in line:
            p.send_signal(signal.SIGTERM)
    code = p.wait(TIMEOUT_S)
    subprocess.run([os.path.join(BIN, "proffer-agent"), "--stop-launcher", "--work-dir", work],
                   env=clean_env(), check=True, timeout=TIMEOUT_S)
    return code, log.decode()


def test_without_cgroups_the_agent_says_so_or_refuses():
    code, log = agent_elsewhere("cgroups")
    check(code != 0, code, log)
    check("--isolation cgroups" in log and "no cgroup hierarchy" in log, log)
    code, log = agent_elsewhere("auto", "accounted, not enforced")
    check_eq(code, 0, log)
    check("no cgroup hierarchy" in log, log)


def no_parent(parent):
    for root, dirs, _ in os.walk("/sys/fs/cgroup"):
        check(parent not in dirs, root)


def test_down_removes_the_parents():
    """Also of an agent that never ran a task. Last: the cluster is gone afterwards."""
    cluster.down()
    check_eq(cluster.up().code, 0)
    idle = "proffer-" + agent_id()
    cluster.down()
    no_parent(idle)
    check_eq(cluster.up().code, 0)
    parent = "proffer-" + agent_id()
    p = cluster.start("run", "--", "sh", "-c", "echo up; exec sleep 1000")
    check_eq(p.stdout.readline(), b"up\n")
    r = cluster.down()
    check_eq(r.code, 0, r)
    finish(p)
    no_parent(parent)
    check_eq([x for x in processes_of(cluster.base) if x != p.pid], [])


if __name__ == "__main__":
    cluster = Cluster(agents=1, cpus="8", mem="8G")
    cluster.env["PROFFER_AGENT_TASK_PIDS_MAX"] = str(PIDS_MAX)
    with cluster:
        own_mounts = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL)
        if (own_mounts.returncode != 0  # as in a chroot
                or not cluster.list("agents")[0]["isolation"].startswith("cgroups")):
            sys.exit(EXIT_SKIP)
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
