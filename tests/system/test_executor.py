# SPDX-License-Identifier: Apache-2.0
"""Custom executors on a real cluster: the examples pingpong (a scheduler) and echo_executor.
Several tasks in one process, messages both ways, a kill; the agent is killed and the executor
comes back to the next one; the executor is killed and its tasks end with a reason."""
import os
import queue
import signal
import subprocess
import threading
import time

from cluster import BIN, TIMEOUT_S, Cluster, check, check_eq, command, main

EXAMPLES = os.path.join(BIN, "examples")
ECHO = os.path.join(EXAMPLES, "echo_executor")


class Pingpong:
    """The scheduler, its lines read by a thread; commands go to its standard input."""

    def __init__(self, c, tasks, executor="exec " + ECHO):
        at = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
        self.process = subprocess.Popen(
            [os.path.join(EXAMPLES, "pingpong"),
             executor, str(tasks)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            bufsize=0, env=dict(c.env, PROFFER_MASTER=at,
                                PROFFER_KEY_FILE=os.path.join(c.dir, "key")))
        self.lines = []
        self.queue = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.queue.put(line.decode(errors="replace").rstrip("\n"))
        self.queue.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, line):
        self.process.stdin.write((line + "\n").encode())

    def hear(self, *wanted):
        """Reads until each of these beginnings of lines was seen since the last time."""
        missing, seen = list(wanted), []
        end = time.monotonic() + TIMEOUT_S
        while missing:
            try:
                line = self.queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            check(line is not None, "never heard: %s" % missing, "heard:", *self.lines)
            self.lines.append(line)
            seen.append(line)
            for w in missing:
                if line.startswith(w):
                    missing.remove(w)
                    break
        return seen

    def ask(self, line):
        """A message until it comes back: each may get lost while the agent is away."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            self.say(line)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    got = self.queue.get(timeout=0.1)
                except queue.Empty:
                    continue
                check(got is not None, "pingpong ended", *self.lines)
                self.lines.append(got)
                if got == "echo says: " + line:
                    return
            check(time.monotonic() < end, "no answer to", line, *self.lines)

    def finish(self):
        """Everything up to its end."""
        check_eq(self.process.wait(timeout=TIMEOUT_S), 0, *self.lines)
        while True:
            line = self.queue.get(timeout=TIMEOUT_S)
            if line is None:
                return self.lines
            self.lines.append(line)


def executor_pids(c):
    """Of echo executors of this cluster (their environment names its directory)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % name, "rb") as f:
                line = f.read().split(b"\0")[0]
            with open("/proc/%s/environ" % name, "rb") as f:
                environ = f.read()
        except OSError:
            continue
        if line.endswith(b"/echo_executor") and c.base.encode() in environ:
            found.append(int(name))
    return found


def wait_for_no_executor(c):
    end = time.monotonic() + TIMEOUT_S
    while executor_pids(c):
        check(time.monotonic() < end, "executors that nobody ends", executor_pids(c))


def running(n, first=0):
    return ["ping.%d is TASK_RUNNING" % i for i in range(first, first + n)]


def test_tasks_share_an_executor_and_messages_go_both_ways():
    with Cluster(agents=1) as c, Pingpong(c, 3) as p:
        p.hear(*running(3))
        check_eq(len(executor_pids(c)), 1)
        p.say("hello there")
        p.hear("echo says: hello there")
        p.say("kill ping.1")
        p.hear("ping.1 is TASK_KILLED")
        p.say("launch extra")
        p.hear("extra is TASK_RUNNING")
        check_eq(len(executor_pids(c)), 1, "one more task is no reason for one more executor")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.say("end")
        p.hear("ping.2 is TASK_KILLED", "extra is TASK_KILLED")
        p.finish()


def test_executor_comes_back_after_the_agent_was_killed():
    with Cluster(agents=1) as c, Pingpong(c, 2) as p:
        p.hear(*running(2))
        before = executor_pids(c)
        c.kill("agent")
        check_eq(executor_pids(c), before, "the executor did not outlive its agent")
        p.ask("are you there?")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.say("kill ping.1")
        p.hear("ping.1 is TASK_KILLED")
        lines = p.finish()
        ends = [x for x in lines if x.startswith("ping.") and "TASK_RUNNING" not in x]
        check_eq(len(ends), 2, "each task ends once", *lines)


def test_executor_outlives_agent_and_launcher():
    """Nobody is left who could see how it ends: that is what is said then."""
    with Cluster(agents=1) as c, Pingpong(c, 2) as p:
        p.hear(*running(2))
        with open(os.path.join(c.dir, "agent-0", "run", "launcher.lock")) as f:
            os.kill(int(f.read()), signal.SIGKILL)
        c.kill("agent")
        p.ask("are you there?")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        os.kill(executor_pids(c)[0], signal.SIGKILL)
        seen = p.hear("ping.1 is TASK_FAILED: ")
        lines = seen + p.finish()
        check("echo ended, nobody saw how" in lines, *lines)


def test_executor_that_dies_while_the_agent_is_away():
    """What it said before its end is not lost: the agent looks at it when it is back."""
    with Cluster(agents=1) as c, Pingpong(c, 2) as p:
        p.hear(*running(2))
        pid = executor_pids(c)[0]
        agent = [d for d in c.state()["daemons"] if d["kind"] == "agent"][0]
        os.kill(agent["pid"], signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        p.hear("ping.0 is TASK_FAILED", "ping.1 is TASK_FAILED")
        p.finish()


def test_executor_that_is_killed_ends_its_tasks_with_a_reason():
    with Cluster(agents=1) as c, Pingpong(c, 2) as p:
        p.hear(*running(2))
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.say("launch extra")
        p.hear("extra is TASK_RUNNING")
        os.kill(executor_pids(c)[0], signal.SIGKILL)
        seen = p.hear("ping.1 is TASK_FAILED", "extra is TASK_FAILED")
        lines = seen + p.finish()
        check(any("is TASK_FAILED: " in x for x in lines), "no words for people", *lines)
        check("echo ended by signal 9" in lines, *lines)


# Speaks no protocol at all, to the agent's native port.
GARBAGE = """python3 -c '
import os, socket
host, port = os.environ["PROFFER_AGENT"].rsplit(":", 1)
for i in range(20):
    s = socket.create_connection((host, int(port)))
    s.sendall(os.urandom(5000))
    s.close()
os._exit(3)'"""


def test_executors_that_are_no_good_end_their_tasks_and_nothing_else():
    bad = {"exit 3": "echo ended with 3",
           "kill -SEGV $$": "echo ended by signal 11",
           "/no/such/program": "echo ended with 127",
           GARBAGE: "echo ended with 3",
           "PROFFER_EXECUTOR_TOKEN=wrong exec " + ECHO: "echo ended with 1",
           "PROFFER_EXECUTOR_ID=other exec " + ECHO: "echo ended with 1",
           "unset PROFFER_EXECUTOR_TOKEN MESOS_EXECUTOR_AUTHENTICATION_TOKEN; exec " + ECHO:
               "echo ended with 1"}
    with Cluster(agents=1) as c:
        for executor, end in bad.items():
            with Pingpong(c, 2, executor) as p:
                seen = p.hear("ping.0 is TASK_FAILED: ", "ping.1 is TASK_FAILED: ")
                lines = seen + p.finish()
                check(end in lines, executor, *lines)
        wait_for_no_executor(c)
        with Pingpong(c, 1) as p:  # the agent is well
            p.hear(*running(1))
            p.say("end")
            p.hear("ping.0 is TASK_KILLED")
            p.finish()


def test_executor_that_subscribes_twice_ends_each_task_once():
    """The later one counts, and it does not have what the former was told to run."""
    with Cluster(agents=1) as c:
        with Pingpong(c, 3, "%s & exec %s" % (ECHO, ECHO)) as p:
            while not any(" is TASK_" in x for x in p.lines):
                p.hear("ping.")
            try:
                p.say("end")
            except BrokenPipeError:
                pass  # all tasks were over before
            lines = p.finish()
        for i in range(3):
            ends = [x for x in lines if x.startswith("ping.%d is TASK_" % i)
                    and "TASK_RUNNING" not in x]
            check_eq(len(ends), 1, *lines)
        wait_for_no_executor(c)


def group(c, *commands):
    at = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
    return command(os.path.join(EXAMPLES, "group"), *commands,
                   env=dict(c.env, PROFFER_MASTER=at,
                            PROFFER_KEY_FILE=os.path.join(c.dir, "key")))


def test_group_starts_all_and_one_that_fails_takes_the_others_along():
    with Cluster(agents=1) as c:
        r = group(c, "exit 0", "true", "echo hello")
        check_eq(r.code, 0, r)
        for i in range(3):
            check("group.%d is TASK_FINISHED" % i in r.out, r)
        r = group(c, "sleep 1000", "sleep 0.3; exit 3", "sleep 1000")
        check_eq(r.code, 1, r)
        check("group.1 is TASK_FAILED" in r.out, r)
        for i in (0, 2):
            check("group.%d is TASK_KILLED" % i in r.out, r)


if __name__ == "__main__":
    main([test_tasks_share_an_executor_and_messages_go_both_ways,
          test_executor_comes_back_after_the_agent_was_killed,
          test_executor_outlives_agent_and_launcher,
          test_executor_that_dies_while_the_agent_is_away,
          test_executor_that_is_killed_ends_its_tasks_with_a_reason,
          test_executors_that_are_no_good_end_their_tasks_and_nothing_else,
          test_executor_that_subscribes_twice_ends_each_task_once,
          test_group_starts_all_and_one_that_fails_takes_the_others_along])
