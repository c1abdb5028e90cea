# SPDX-License-Identifier: Apache-2.0
"""The systemd units of deploy/: systemd-analyze accepts them, they promise what they must, and
their command lines with the sample configuration do what they are for. systemd itself is played by
this test; deploy/try-units does the same where systemd runs."""
import configparser
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from cluster import BIN, PROFFER, TIMEOUT_S, check, check_eq, clean_env, command, main

DEPLOY = os.path.join(os.environ["PF_SOURCE"], "deploy")
UNITS = sorted(glob.glob(os.path.join(DEPLOY, "systemd", "*.service")))
FENCES = re.compile(r"^(Protect|Private|Restrict|NoNew|ReadOnly|Inaccessible|SystemCall|Memory|"
                    r"Capability|Ambient|User=|DynamicUser|CPUQuota|OOMScore|Nice)", re.M)

base = None


def unit(name):
    """A unit's sections; a key that is given several times has its values in lines."""
    class Multi(dict):
        def __setitem__(self, key, value):
            if key in self and isinstance(value, list):
                self[key].extend(value)
            else:
                super().__setitem__(key, value)
    p = configparser.RawConfigParser(strict=False, dict_type=Multi, interpolation=None)
    p.optionxform = str
    check_eq(p.read(os.path.join(DEPLOY, "systemd", name)),
             [os.path.join(DEPLOY, "systemd", name)])
    return p


def setting(path, key):
    with open(path) as f:
        return re.search(r"^%s = (.*)$" % re.escape(key), f.read(), re.M).group(1)


def moved(text):
    """A text of units or configuration with its paths in this test's directory."""
    return (text.replace("/usr/local/bin", BIN).replace("/var/lib/proffer", base + "/lib")
            .replace("/etc/proffer", base + "/etc"))


class Service:
    """What systemd would do with a unit, as far as this test needs it."""

    def __init__(self, name, *args):
        section = unit(name)["Service"]
        if "ExecStartPre" in section:
            os.makedirs(moved("/var/lib/proffer/agent"), exist_ok=True)
            r = command(*moved(section["ExecStartPre"]).split())
            check_eq(r.code, 0, r)
        argv = moved(section["ExecStart"]).split() + list(args)
        self.ready = None
        if "launcher.service" not in name:
            read_end, write_end = os.pipe()
            argv += ["--ready-fd", str(write_end)]
        else:
            read_end = write_end = None
        with open(os.path.join(base, name + ".log"), "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=clean_env(),
                pass_fds=[write_end] if write_end else [])
        if write_end:
            os.close(write_end)
            with os.fdopen(read_end) as f:
                line = f.readline()
            check(line, "%s is not ready: %s" % (name, argv))
            self.ready = json.loads(line)

    def end(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)
        return self.process.wait(TIMEOUT_S)


def parent_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def running(words):
    """Pids of a command line."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if f.read().split(b"\0")[:-1] == [w.encode() for w in words]:
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def until(what, condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        check(time.monotonic() < end, "waited in vain: " + what)


def test_analyze_accepts_units():
    check(len(UNITS) == 3, UNITS)
    folder = os.path.join(base, "units")
    os.mkdir(folder)
    for path in UNITS:
        with open(path) as f, open(os.path.join(folder, os.path.basename(path)), "w") as out:
            out.write(f.read().replace("/usr/local/bin", BIN))
    r = command("systemd-analyze", "verify", "--man=no", "--recursive-errors=one",
                *sorted(glob.glob(folder + "/*")), env=clean_env(SYSTEMD_UNIT_PATH=folder + ":"))
    check_eq((r.code, r.out, r.err), (0, "", ""), r)


def test_drop_ins_are_units_too():
    drop_ins = sorted(glob.glob(os.path.join(DEPLOY, "systemd", "cgroup2", "*.conf")))
    check_eq([os.path.basename(d) for d in drop_ins], ["before-254.conf", "since-254.conf"])
    for path in drop_ins:
        folder = tempfile.mkdtemp(dir=base)
        place = os.path.join(folder, "proffer-launcher.service")
        with open(UNITS[1]) as f, open(place, "w") as out:
            out.write(f.read().replace("/usr/local/bin", BIN))
        os.mkdir(place + ".d")
        shutil.copy(path, place + ".d")
        r = command("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", place,
                    env=clean_env(SYSTEMD_UNIT_PATH=folder + ":"))
        lines = r.err.splitlines()
        is_old = len(lines) == 1 and "Unknown key 'DelegateSubgroup'" in lines[0]
        check((r.code, r.out, lines) == (0, "", []) or is_old, r)


def test_what_units_promise():
    launcher, agent = unit("proffer-launcher.service"), unit("proffer-agent.service")
    check_eq(launcher["Service"]["KillMode"], "process")
    check_eq(launcher["Service"]["Delegate"], "cpu memory pids")
    check_eq(launcher["Service"]["OOMPolicy"], "continue")
    with open(UNITS[1]) as f:
        check(UNITS[1].endswith("proffer-launcher.service"))
        check_eq(FENCES.findall(f.read()), [], "tasks would inherit it")
    check("proffer-launcher.service" in agent["Unit"]["Requires"].split())
    check("proffer-launcher.service" in agent["Unit"]["After"].split())
    check(agent["Service"]["ExecStart"].endswith(" --launcher external"))
    check_eq(setting(os.path.join(DEPLOY, "agent.conf"), "work-dir") + "/run",
             launcher["Service"]["ExecStart"].split("--dir ")[1])
    for sample in ("agent.conf", "three-machines/agent.conf"):
        check_eq(setting(os.path.join(DEPLOY, sample), "work-dir"), "/var/lib/proffer/agent")


def configure():
    os.mkdir(os.path.join(base, "etc"))
    for name in ("master.conf", "agent.conf"):
        with open(os.path.join(DEPLOY, name)) as f, \
                open(os.path.join(base, "etc", name), "w") as out:
            out.write(moved(f.read()))
    key = os.path.join(base, "etc", "key")
    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(os.urandom(32).hex() + "\n")
    return key


LOOPBACK = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")


def test_agent_goes_and_comes_and_the_task_stays():
    key = configure()
    master = Service("proffer-master.service", *LOOPBACK)
    agent_args = LOOPBACK + ("--master", master.ready["native"], "--ready-when", "registered")
    launcher = Service("proffer-launcher.service")
    services = [master, launcher]
    try:
        agent = Service("proffer-agent.service", *agent_args)
        services.append(agent)
        env = clean_env(PROFFER_MASTER=master.ready["native"], PROFFER_KEY_FILE=key, HOME=base,
                        XDG_CONFIG_HOME=base)
        words = ["sleep", "1000.%d" % os.getpid()]
        r = command(PROFFER, "run", "-d", "--", *words, env=env)
        check_eq(r.code, 0, r)
        until("the task runs", lambda: running(words))
        pids = running(words)
        check_eq(len(pids), 1)
        for signo in (signal.SIGTERM, signal.SIGKILL):
            agent.end(signo)
            check_eq(running(words), pids)
            services[-1] = agent = Service("proffer-agent.service", *agent_args)
            check_eq((running(words), parent_of(pids[0])), (pids, launcher.process.pid))
        launcher.end(signal.SIGKILL)
        check_eq(running(words), pids)
        services[1] = launcher = Service("proffer-launcher.service")
        r = command(PROFFER, "run", "--", "sh", "-c", "echo parent $PPID", env=env)
        check_eq((r.code, r.out), (0, "parent %d\n" % launcher.process.pid), r)
        check_eq(running(words), pids)
        check_eq(agent.end(), 0)
        check_eq(launcher.end(), 0)
        until("the launcher's end is the task's", lambda: not running(words))
        check_eq(master.end(), 0)
    finally:
        for s in services:
            if s.process.poll() is None:
                s.end(signal.SIGKILL)


def run():
    global base
    base = tempfile.mkdtemp(prefix="pf-units.")
    os.chmod(base, 0o755)
    try:
        main([test_analyze_accepts_units, test_drop_ins_are_units_too, test_what_units_promise,
              test_agent_goes_and_comes_and_the_task_stays])
    except BaseException:
        for path in glob.glob(base + "/*.log") + glob.glob(base + "/lib/agent/run/*.log"):
            with open(path, errors="replace") as f:
                print("---- %s\n%s" % (path, f.read()[-4000:]))
        raise
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    run()
