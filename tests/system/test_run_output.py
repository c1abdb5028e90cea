# SPDX-License-Identifier: Apache-2.0
"""`proffer run` between a task and streams that are slow, full, closed or gone."""
import os
import signal
import subprocess
import time

from cluster import PROFFER, TIMEOUT_S, Cluster, check, check_eq, finish, main

cluster = None


def spawn(*args, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([PROFFER, "run", *args], env=cluster.env, **kw)


def test_full_output_is_told():
    with open("/dev/full", "wb") as full:
        for verb in (["run", "--", "echo", "hi"], ["logs", "last"], ["attach", "last"]):
            p = subprocess.run([PROFFER, *verb], env=cluster.env, stdout=full, timeout=TIMEOUT_S,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            check_eq(p.returncode, 1 if verb[0] == "logs" else 125, verb, p.stderr)
            check(b"No space left" in p.stderr, verb, p.stderr)


def test_output_that_would_block_waits():
    r, w = os.pipe()
    os.set_blocking(w, False)
    p = spawn("--", "head", "-c", "1000000", "/dev/zero", stdout=w, stderr=subprocess.PIPE)
    os.close(w)
    cluster.proffer("wait", "last")  # the pipe is full for sure when its reader begins
    n = 0
    while True:
        data = os.read(r, 65536)
        if not data:
            break
        n += len(data)
    os.close(r)
    check_eq((p.wait(TIMEOUT_S), p.stderr.read()), (0, b""))
    p.stderr.close()
    check_eq(n, 1000000)


def test_many_tasks_with_a_large_script():
    script = cluster.path("script")
    with open(script, "w") as f:
        f.write("#!/bin/sh\nexit 0\n" + "#" * 250000 + "\n")
    r = cluster.proffer("run", "-n", "40", "--cpus", "0.1", "--mem", "1M", "--script", script)
    check_eq(r.code, 0, r)


def test_reader_that_leaves_ends_the_run():
    p = spawn("--", "yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check_eq(p.stdout.read(2), b"y\n")
    p.stdout.close()
    check_eq(p.wait(TIMEOUT_S), 128 + signal.SIGPIPE)
    p.stderr.close()
    check_eq(cluster.list("ps", "--filter", "state=running"), [])


def test_closed_streams_are_not_taken_for_others():
    for verb in ("run -- sh -c 'echo hi; echo there >&2'", "ps", "up --agents 2 --dir other",
                 "down --yes --purge --dir other"):
        script = '"$0" %s <&- >&- 2>&-' % verb
        p = subprocess.run(["sh", "-c", script, PROFFER], env=cluster.env, timeout=TIMEOUT_S,
                           check=False, capture_output=True, cwd=cluster.base)
        check_eq((p.returncode, p.stdout, p.stderr), (0, b"", b""), verb)


def test_interrupted_detached_run_is_no_success():
    p = spawn("-d", "-n", "50", "--", "sleep", "100", stdout=subprocess.PIPE,
              stderr=subprocess.PIPE)
    check(b" waiting " in p.stderr.readline(), "some run, some wait")
    p.send_signal(signal.SIGINT)
    r = finish(p)
    check_eq(r.code, 143, r)


def test_input_ends_when_its_agent_restarts():
    p = spawn("-i", "--", "wc", "-c", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
              stderr=subprocess.PIPE)
    data = bytes(65536)
    began = time.monotonic()
    killed = False
    try:
        while time.monotonic() - began < TIMEOUT_S:
            p.stdin.write(data)
            if not killed and time.monotonic() - began > 0.5:
                cluster.kill("agent")
                killed = True
            if killed and time.monotonic() - began > 3:
                break
        p.stdin.close()
    except BrokenPipeError:
        pass
    p.stdin = None
    r = finish(p)
    # Either all of it came, or it is said that it did not.
    check(r.code == 0 or (r.code == 125 and "standard input" in r.err), r)


if __name__ == "__main__":
    with Cluster(agents=2) as cluster:
        main([v for k, v in sorted(globals().items()) if k.startswith("test_")])
