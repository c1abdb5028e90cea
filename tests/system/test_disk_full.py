# SPDX-License-Identifier: Apache-2.0
"""An agent whose disk is full: new launches are refused with the reason, the end of a task that ran
before is still stored and told, and when there is room again work goes on. Needs the right to mount
a small tmpfs."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from cluster import BIN, PROFFER, TIMEOUT_S, check, check_eq, clean_env, command, main

base = tempfile.mkdtemp(prefix="pf.")
disk = os.path.join(base, "disk")
native = None
env = clean_env(HOME=base, XDG_STATE_HOME=base, XDG_CONFIG_HOME=base)
daemons = []


def daemon(name, *args):
    """Starts it and waits for its word that it is ready."""
    ours, its = os.pipe()
    with open(os.path.join(base, name + ".log"), "w") as log:
        p = subprocess.Popen([os.path.join(BIN, name), "--listen", "127.0.0.1:0", "--http",
                              "127.0.0.1:0", "--ready-fd", str(its), *args], env=env,
                             pass_fds=(its,), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    os.close(its)
    daemons.append(p)
    with os.fdopen(ours) as f:
        line = f.readline()
    check(line, name + " did not become ready", open(os.path.join(base, name + ".log")).read())
    return json.loads(line)["native"]


def proffer(verb, *args):
    return command(PROFFER, verb, "--master", native, *args, env=env)


def fill():
    """Until not a byte more fits."""
    with open(os.path.join(disk, "fill"), "wb", buffering=0) as f:
        size = 1 << 20
        while size > 0:
            try:
                f.write(b"\0" * size)
            except OSError:
                size //= 2


def test_launches_are_refused_and_ends_are_stored():
    gate = os.path.join(base, "gate")
    os.mkfifo(gate, 0o666)
    r = proffer("run", "-d", "--", "sh", "-c", "cat %s; exit 7" % gate)
    check_eq(r.code, 0, r)
    run = r.out.strip()
    fill()
    r = proffer("run", "--", "true")
    check(r.code not in (0, 4), r)
    check("space" in r.err or "disk" in r.err, "the reason", r)
    with open(gate, "w"):
        pass  # opened and closed: the task goes on to its end
    check_eq(proffer("wait", run).code, 7)
    check_eq([p.poll() for p in daemons], [None, None], "a daemon ended")


def test_work_goes_on_when_there_is_room():
    os.unlink(os.path.join(disk, "fill"))
    end = time.monotonic() + TIMEOUT_S
    while True:  # the agent looks at its disk now and then
        r = proffer("run", "--", "echo", "fine")
        if r.code == 0:
            break
        check(time.monotonic() < end, "still refused", r)
    check_eq(r.out, "fine\n", r)


def end():
    for p in reversed(daemons):
        p.send_signal(signal.SIGTERM)
        p.wait(TIMEOUT_S)
    r = command(os.path.join(BIN, "proffer-agent"), "--stop-launcher", "--work-dir",
                os.path.join(disk, "agent"))
    check_eq(r.code, 0, r)


if __name__ == "__main__":
    os.mkdir(disk)
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "none", disk]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        print("needs the right to mount a tmpfs (tests/needs)")
        sys.exit(77)
    try:
        native = daemon("proffer-master", "--work-dir", os.path.join(base, "master"))
        daemon("proffer-agent", "--work-dir", os.path.join(disk, "agent"), "--master", native,
               "--resources", "cpus:4;mem:1024", "--ready-when", "registered")
        try:
            main([test_launches_are_refused_and_ends_are_stored,
                  test_work_goes_on_when_there_is_room])
        finally:
            end()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        subprocess.run(["rm", "-rf", base], check=True)
