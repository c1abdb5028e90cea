# SPDX-License-Identifier: Apache-2.0
"""Tasks that are wrong, stubborn or hostile, and files that cannot be fetched: each ends with a
reason that names what it was, a neighbour that ran before runs on untouched, the next task works,
and nothing is left: descriptors of agent and launcher, processes and cgroups are counted before
and after."""
import io
import os
import shutil
import tarfile
import time

from cluster import Cluster, TIMEOUT_S, check, check_eq, finish, main
from fetch_servers import Web

PIDS_MAX = 100

cluster = web = before = None
neighbour = ["sleep", "1000.%d" % os.getpid()]


def until(what, condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        check(time.monotonic() < end, "waited in vain: " + what)


def work_dir():
    return os.path.join(cluster.dir, "agent-0")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def launcher():
    return int(read(os.path.join(work_dir(), "run", "launcher.lock")))


def agent():
    return [d["pid"] for d in cluster.state()["daemons"] if d["kind"] == "agent"][0]


def processes():
    """Pid to (parent, words) of all processes that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        try:
            stat = read("/proc/%s/stat" % name).decode(errors="replace") if name.isdigit() else ""
            words = read("/proc/%s/cmdline" % name).decode(errors="replace") if stat else ""
        except OSError:
            continue
        if stat:
            found[int(name)] = (int(stat.rsplit(")", 1)[1].split()[1]), words.split("\0")[:-1])
    return found


def running(words):
    return [pid for pid, (_, w) in processes().items() if w == words]


def cgroups():
    """How many the agent has below its parents; 0 where none are permitted."""
    mine = "proffer-" + cluster.list("agents")[0]["id"]
    return sum(len(dirs) for d, dirs, _ in os.walk("/sys/fs/cgroup")
               if os.path.basename(d) == mine)


def enforced():
    return "not enforced" not in cluster.list("agents")[0]["isolation"]


def counts():
    def descriptors(pid):
        return len(os.listdir("/proc/%d/fd" % pid))
    children = [pid for pid, (parent, _) in processes().items() if parent == launcher()]
    return {"agent": descriptors(agent()), "launcher": descriptors(launcher()),
            "processes": len(children), "cgroups": cgroups()}


def nothing_left():
    r = cluster.proffer("run", "--", "echo", "fine")
    check_eq((r.code, r.out), (0, "fine\n"), r)
    check_eq(running(neighbour), before["neighbour"])
    last = {}

    def settled():
        last.update(counts())
        return all(last[k] <= before[k] for k in last)
    try:
        until("what tasks used is given back", settled)
    except AssertionError:
        raise AssertionError("left behind: %s, before: %s" % (last, before)) from None


def run(*args, code, reasons=()):
    r = cluster.proffer("run", *args)
    check_eq(r.code, code, r)
    for reason in reasons:
        check(reason in r.err, "no %r" % reason, r)
    check("secret" not in r.err, r)
    nothing_left()
    return r


def detached(*args):
    """The id of a task that goes on."""
    r = cluster.proffer("run", "-d", *args)
    check_eq(r.code, 0, r)
    return r.out.strip() + ".0"


def ends(task, *texts):
    """Waits for it, looks for the texts in what is known about it."""
    r = cluster.proffer("wait", task.rsplit(".", 1)[0])
    show = cluster.proffer("show", task)
    check_eq(show.code, 0, show)
    for text in texts:
        check(text in show.out, "no %r" % text, r, show)
    nothing_left()


def test_user_that_does_not_exist():
    run("--user", "no-such-user", "--", "true", code=125,
        reasons=["User no-such-user does not exist on the agent"])


def test_program_that_does_not_exist():
    run("--", "/no/where", code=127, reasons=["/no/where"])
    run("--", "/etc/passwd", code=126)
    run("--cwd", "/no/where", "--", "true", code=125, reasons=["/no/where"])


def test_command_that_ignores_term():
    stubborn = "trap '' TERM; while :; do sleep 1000.5; done"
    run("--timeout", "500ms", "--grace", "300ms", "--", "sh", "-c", stubborn, code=124,
        reasons=["time-out"])
    task = detached("--grace", "300ms", "--", "sh", "-c", stubborn)
    r = cluster.proffer("kill", "--wait", task)
    check_eq(r.code, 0, r)
    ends(task, "TASK_KILLED", "signal Killed")


def test_command_that_forks_and_detaches():
    words = ["sleep", "1001.%d" % os.getpid()]
    script = ("for i in 1 2 3 4 5; do (setsid %s >/dev/null 2>&1 &); done; "
              "until [ $(pgrep -cf '^%s$') = 5 ]; do :; done" % (" ".join(words), " ".join(words)))
    run("--", "sh", "-c", script, code=0)
    until("what left its session ends with the task", lambda: not running(words))
    if enforced():  # without cgroups it is known by its environment alone
        run("--", "sh", "-c", script.replace("setsid", "env -i setsid"), code=0)
        until("what hid ends with the task", lambda: not running(words))


def test_command_that_is_killed():
    run("--", "sh", "-c", "kill -9 $$", code=137, reasons=["signal KILL"])
    run("--", "sh", "-c", "kill -SEGV $$", code=139, reasons=["signal SEGV"])


def test_memory_hog():
    if enforced():
        run("--mem", "64M", "--", "python3", "-c", "x = bytearray(500 << 20)", code=137,
            reasons=["out of memory", "Requested: 64MB"])


FORKS = """
import os, time
n = 0
try:
    while n < 300:
        if os.fork() == 0:
            time.sleep(1000)
        n += 1
except OSError:
    pass
print(n)
"""


def test_fork_bomb():
    if "pids" in cluster.list("agents")[0]["isolation"]:
        r = run("--", "python3", "-c", FORKS, code=0)
        check(PIDS_MAX / 2 < int(r.out) < PIDS_MAX, r)


def sandbox_of(task):
    folder = os.path.join(work_dir(), "sandboxes")
    return [os.path.join(d, n) for d, names, _ in os.walk(folder) for n in names
            if n.startswith(task + ".")][0]


def test_sandbox_deleted_under_a_task():
    task = detached("--", "sleep", "1002.%d" % os.getpid())
    shutil.rmtree(sandbox_of(task))
    until("it is noticed", lambda: cluster.proffer("logs", task).code != 0)
    r = cluster.proffer("logs", task)
    check("the sandbox was removed while the task ran" in r.err, r)
    check_eq(cluster.proffer("kill", "--wait", task).code, 0)
    ends(task, "TASK_KILLED", "its sandbox was removed while it ran")
    run("--", "sh", "-c", 'rm -rf "$PWD"; exit 3', code=3)


def test_kill_of_an_unknown_task():
    r = cluster.proffer("kill", "nobody.0")
    check_eq(r.code, 3, r)
    check("nobody.0" in r.err, r)
    task = detached("--", "true")
    ends(task, "TASK_FINISHED")
    r = cluster.proffer("kill", task)
    check(r.code != 0 and "has ended" in r.err, r)
    ends(task, "TASK_FINISHED")


def test_uris_that_are_wrong():
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w:gz") as t:
        t.addfile(tarfile.TarInfo("../escaped"), io.BytesIO(b""))
    web.files.update({"evil.tgz": evil.getvalue(), "wrong.zip": b"<html>" * 100})
    for uri, reason in ((web.url("f/none", "u:secret@"), "/f/none: the server answered with "),
                        (web.url("loop/x"), "more than 10 redirects"),
                        (web.url("tofile/x"), "redirected to a scheme"),
                        (web.url("short/x"), "the body ended early"),
                        (web.url("endless/x"), "larger than 8388608 bytes"),
                        (web.url("huge/x"), "larger than 8388608 bytes"),
                        (web.url("hang/x"), "no byte came for 1500 ms"),
                        (web.url("stall/x"), "no byte came for 1500 ms"),
                        (web.url("f/evil.tgz"), "entry ../escaped: its name leads out"),
                        (web.url("f/wrong.zip"), "wrong.zip: unpack: "),
                        (web.url("f/small") + " as=../x", "leads out of the sandbox"),
                        ("hdfs://u:secret@h/x", "scheme hdfs is not supported"),
                        ("relative", "relative"), ("/no/where", "/no/where: open: ")):
        run("--uri", uri, "--", "echo", "started", code=125, reasons=["Failed to fetch", reason])


def test_uris_that_are_right():
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as t:
        info = tarfile.TarInfo("d/f")
        info.size = 2
        t.addfile(info, io.BytesIO(b"in"))
    web.files["good.tgz"] = archive.getvalue()
    r = run("--uri", web.url("f/good.tgz"), "--uri", web.url("f/small") + " exec as=p/q", "--",
            "sh", "-c", "cat d/f p/q; test -x p/q && ls", code=0)
    check_eq(r.out, "insmall content" + "d\ngood.tgz\np\nstderr\nstdout\n", r)
    for _ in range(3):
        r = run("--uri", web.url("f/cached") + " cache", "--", "cat", "cached", code=0)
        check_eq(r.out, "to keep", r)
    check_eq(web.count("/f/cached"), 1)


def fetchers():
    return [pid for pid, (parent, words) in processes().items()
            if parent == launcher() and words[:1] == ["proffer-fetcher"]]


def test_kill_while_it_fetches():
    p = cluster.start("run", "--uri", web.url("gate/x"), "--", "true")
    check(web.reached.wait(TIMEOUT_S), "the fetcher never came")
    check_eq(len(fetchers()), 1)
    task = [t["id"] for t in cluster.list("tasks") if t["state"] in ("TASK_STAGING",
                                                                     "TASK_STARTING")][0]
    r = cluster.proffer("kill", "--wait", task)
    check_eq(r.code, 0, r)
    check(finish(p).code != 0)
    until("the fetcher is gone", lambda: not fetchers())
    ends(task, "TASK_KILLED")


def main_with_cluster():
    global cluster, web, before
    web = Web({"small": b"small content", "cached": b"to keep"})
    c = Cluster(agents=1)
    c.env.update(PROFFER_AGENT_FETCH_STALL="1500ms", PROFFER_AGENT_TASK_PIDS_MAX=str(PIDS_MAX),
                 PROFFER_AGENT_FETCH_MAX_BYTES="8M")
    try:
        with c as cluster:
            task = detached("--cpus", "0.1", "--", *neighbour)
            until("the neighbour runs", lambda: running(neighbour))
            check_eq(cluster.proffer("run", "--", "true").code, 0)
            before = {"neighbour": running(neighbour)}
            last = None
            while counts() != last:  # until it is at rest
                last = counts()
            before.update(last)
            main([test_user_that_does_not_exist, test_program_that_does_not_exist,
                  test_command_that_ignores_term, test_command_that_forks_and_detaches,
                  test_command_that_is_killed, test_memory_hog, test_fork_bomb,
                  test_sandbox_deleted_under_a_task, test_kill_of_an_unknown_task,
                  test_uris_that_are_wrong, test_uris_that_are_right,
                  test_kill_while_it_fetches])
            check_eq(cluster.proffer("kill", "--wait", task).code, 0)
    finally:
        web.stop()


if __name__ == "__main__":
    main_with_cluster()
