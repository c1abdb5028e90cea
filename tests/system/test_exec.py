# SPDX-License-Identifier: Apache-2.0
"""`exec`, `cp` and `run -t`: commands beside tasks with and without a terminal, files to and from
sandboxes, as a user would type them; with wrong input too."""
import fcntl
import hashlib
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import cluster as lib
from cluster import Cluster, check, check_eq, finish, main, processes_of

cluster = None
task = None


class Terminal:
    """A command with a terminal of ours, read until it says something."""

    def __init__(self, *args, rows=33, columns=99):
        self.near, far = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen([lib.PROFFER, *args], stdin=far, stdout=far,
                                        stderr=subprocess.PIPE, env=dict(cluster.env, TERM="vt100"),
                                        start_new_session=True)
        os.close(far)
        self.text = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.near, text)

    def read_until(self, what):
        end = time.monotonic() + lib.TIMEOUT_S
        while what not in self.text:
            left = end - time.monotonic()
            ready = select.select([self.near], [], [], max(left, 0))[0]
            check(ready, "%r does not come" % what, self.text)
            try:
                data = os.read(self.near, 65536)
            except OSError:
                data = b""
            check(data, "%r did not come before the end" % what, self.text)
            self.text += data
        at = self.text.index(what)
        before, self.text = self.text[:at], self.text[at + len(what):]
        return before

    def end(self):
        code = self.process.wait(timeout=lib.TIMEOUT_S)
        err = self.process.stderr.read().decode()
        self.process.stderr.close()
        os.close(self.near)
        return code, err


def setup_task():
    global task
    r = cluster.proffer("run", "-d", "--name", "beside", "-e", "COLOUR=blue", "--", "sh", "-c",
                        "echo up; sleep 1000")
    check_eq(r.code, 0, r)
    task = r.out.strip() + ".0"
    r = cluster.proffer("logs", "-n", "1", task)
    p = cluster.start("logs", "-f", task)
    check_eq(p.stdout.readline(), b"up\n", r)
    p.kill()
    p.communicate()


def test_exec_status_output_and_place():
    setup_task()
    r = cluster.proffer("exec", task, "--", "sh", "-c",
                        "echo out $COLOUR; echo err >&2; basename $(pwd); exit 7")
    check_eq(r.code, 7, r)
    lines = r.out.splitlines()
    check_eq(lines[0], "out blue", r)
    check(lines[1].startswith(task + "."), "the sandbox is where it runs", r)
    check_eq(r.err, "err\n", r)
    r = cluster.proffer("exec", "-e", "COLOUR=red", "-e", "HOME", "--cwd", "/", task, "--", "sh",
                        "-c", "echo $COLOUR $HOME; pwd")
    check_eq(r.out, "red %s\n/\n" % cluster.env["HOME"], r)


def test_exec_ends_that_are_not_0():
    check_eq(cluster.proffer("exec", task, "--", "sh", "-c", "kill -TERM $$").code, 143)
    r = cluster.proffer("exec", task, "--", "nosuch")
    check_eq(r.code, 127, r)
    check("cannot execute" in r.err, r)
    r = cluster.proffer("exec", task, "--", "/etc/passwd")
    check_eq(r.code, 126, r)
    r = cluster.proffer("exec", "--cwd", "/nosuch", task, "--", "true")
    check_eq(r.code, 125, r)


def test_exec_refusals():
    r = cluster.proffer("exec", "nosuch", "--", "true")
    check_eq(r.code, 125, r)
    r = cluster.proffer("exec", task)
    check_eq(r.code, 125, r)
    check("no command" in r.err, r)
    r = cluster.proffer("exec", "-t", task, "--", "true")
    check_eq(r.code, 125, r)
    check("terminal" in r.err, r)
    r = cluster.proffer("run", "-d", "--", "true")
    ended = r.out.strip()
    check_eq(cluster.proffer("wait", ended).code, 0)
    r = cluster.proffer("exec", ended, "--", "true")
    check_eq(r.code, 125, r)
    check("ended" in r.err, r)


def test_exec_input_and_much_output():
    data = os.urandom(3000000)
    r = cluster.proffer("exec", "-i", task, "--", "md5sum", stdin=data)
    check_eq(r.out.split()[0], hashlib.md5(data).hexdigest(), r.err)
    r = cluster.proffer("exec", "-i", task, "--", "cat", stdin=data, text=False)
    check(r.out == data, "%d bytes came back, status %d" % (len(r.out), r.code), r.err)
    r = cluster.proffer("exec", "-i", task, "--", "true", stdin=data)
    check_eq(r.code, 0, "nobody reads it all", r)


def test_exec_in_a_terminal():
    t = Terminal("exec", "-t", task, "--", "sh")
    t.type(b"stty size; echo ter''m $TERM; tty >/dev/null && echo is''tty\n")
    t.read_until(b"33 99")
    t.read_until(b"term vt100")
    t.read_until(b"istty")
    t.resize(44, 120)
    os.kill(t.process.pid, signal.SIGWINCH)
    t.type(b"while [ \"$(stty size)\" != '44 120' ]; do :; done; echo siz''ed\n")
    t.read_until(b"sized")
    t.type(b"sleep 1000; echo in''terrupted $?\n")
    t.read_until(b"in''terrupted $?")  # the echo of what was typed
    t.type(b"\x03")
    t.type(b"echo af''ter\n")
    t.read_until(b"after")
    t.type(b"exit 5\n")
    code, err = t.end()
    check_eq(code, 5, err)


def test_exec_ends_with_its_link():
    p = cluster.start("exec", task, "--", "sh", "-c", "echo up; exec sleep 987")
    check_eq(p.stdout.readline(), b"up\n")
    p.kill()
    p.communicate()
    end = time.monotonic() + lib.TIMEOUT_S
    while subprocess.run(["pgrep", "-f", "sleep 987"], stdout=subprocess.DEVNULL).returncode == 0:
        check(time.monotonic() < end, "what exec started lives on")


def test_exec_ends_with_its_task():
    r = cluster.proffer("run", "-d", "--", "sleep", "1000")
    other = r.out.strip()
    p = cluster.start("exec", other, "--", "sh", "-c", "echo up; exec sleep 986")
    check_eq(p.stdout.readline(), b"up\n", p.stderr.read() if p.poll() is not None else "")
    check_eq(cluster.proffer("kill", "--wait", other).code, 0)
    r = finish(p)
    check_eq(r.code, 137, r)


def test_cp_both_ways():
    base = cluster.path("cp")
    os.mkdir(base)
    data = os.urandom(200001)
    with open(os.path.join(base, "data"), "wb") as f:
        f.write(data)
    os.chmod(os.path.join(base, "data"), 0o750)
    os.makedirs(os.path.join(base, "tree", "sub"))
    for name in ("a", "sub/b", "sub/empty"):
        with open(os.path.join(base, "tree", name), "w") as f:
            f.write("" if name.endswith("empty") else name)
    os.symlink("/etc/passwd", os.path.join(base, "tree", "link"))
    r = cluster.proffer("cp", os.path.join(base, "data"), task + ":")
    check_eq(r.code, 0, r)
    r = cluster.proffer("cp", os.path.join(base, "tree"), task + ":copy")
    check_eq(r.code, 0, r)
    check("1 left out" in r.err, r)
    r = cluster.proffer("exec", task, "--", "sh", "-c", "stat -c %a data; find copy | sort")
    check_eq(r.out, "750\ncopy\ncopy/a\ncopy/sub\ncopy/sub/b\ncopy/sub/empty\n", r)
    r = cluster.proffer("cp", task + ":data", os.path.join(base, "back"))
    check_eq(r.code, 0, r)
    with open(os.path.join(base, "back"), "rb") as f:
        check(f.read() == data, "the file is the same")
    r = cluster.proffer("cp", task + ":copy", base)
    check_eq(r.code, 0, r)
    with open(os.path.join(base, "copy", "sub", "b")) as f:
        check_eq(f.read(), "sub/b")
    r = cluster.proffer("cp", "-", task + ":typed", stdin=b"from a pipe")
    check_eq(r.code, 0, r)
    r = cluster.proffer("cp", task + ":typed", "-")
    check_eq(r.out, "from a pipe", r)


def test_cp_stays_in_the_sandbox():
    outside = cluster.path("outside")
    with open(outside, "w") as f:
        f.write("secret")
    r = cluster.proffer("exec", task, "--", "sh", "-c",
                        "ln -s %s out; ln -s %s dir" % (outside, cluster.base))
    check_eq(r.code, 0, r)
    for path in ("out", "dir/outside", "../../outside", "/etc/passwd"):
        r = cluster.proffer("cp", "%s:%s" % (task, path), "-")
        check_eq(r.code, 1, path, r)
        check_eq(r.out, "", path, r)
    for path in ("dir/new", "../new", "/tmp/new"):
        r = cluster.proffer("cp", "-", "%s:%s" % (task, path), stdin=b"x")
        check_eq(r.code, 1, path, r)
    r = cluster.proffer("cp", "-", task + ":out", stdin=b"x")
    check_eq(r.code, 0, "the link itself is replaced", r)
    with open(outside) as f:
        check_eq(f.read(), "secret")


def test_cp_wrong_input():
    check_eq(cluster.proffer("cp", "a", "b").code, 2)
    check_eq(cluster.proffer("cp", task + ":a", task + ":b").code, 2)
    check_eq(cluster.proffer("cp", "nosuch:a", "b").code, 3)
    check_eq(cluster.proffer("cp", task + ":nosuch", cluster.path("x")).code, 1)
    check_eq(cluster.proffer("cp", cluster.path("nosuch"), task + ":").code, 1)


def test_files_and_output_of_ended_tasks():
    r = cluster.proffer("run", "-d", "--", "sh", "-c", "echo said; echo kept >file; exit 3")
    ended = r.out.strip()
    check_eq(cluster.proffer("wait", ended).code, 3)
    check_eq(cluster.proffer("logs", ended).out, "said\n")
    r = cluster.proffer("cp", ended + ".0:file", "-")
    check_eq(r.out, "kept\n", r)
    r = cluster.proffer("cp", "-", ended + ".0:file", stdin=b"x")
    check_eq(r.code, 1, r)
    check("ended" in r.err, r)


def test_run_in_a_terminal():
    t = Terminal("run", "-t", "--name", "shell", "--", "sh")
    t.type(b"stty size; echo te''rm $TERM\n")
    t.read_until(b"33 99")
    t.read_until(b"term vt100")
    t.resize(50, 150)
    os.kill(t.process.pid, signal.SIGWINCH)
    t.type(b"while [ \"$(stty size)\" != '50 150' ]; do :; done; echo siz''ed\n")
    t.read_until(b"sized")
    cluster.kill("agent")
    t.type(b"echo li''ves\n")
    t.read_until(b"lives")
    t.type(b"exit 9\n")
    code, err = t.end()
    check_eq(code, 9, err)
    r = cluster.proffer("run", "-t", "--", "true")
    check_eq(r.code, 125, "not a terminal", r)


if __name__ == "__main__":
    with Cluster(agents=1) as cluster:
        main([test_exec_status_output_and_place, test_exec_ends_that_are_not_0,
              test_exec_refusals, test_exec_input_and_much_output, test_exec_in_a_terminal,
              test_exec_ends_with_its_link, test_exec_ends_with_its_task, test_cp_both_ways,
              test_cp_stays_in_the_sandbox, test_cp_wrong_input,
              test_files_and_output_of_ended_tasks, test_run_in_a_terminal])
