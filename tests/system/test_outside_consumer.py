# SPDX-License-Identifier: Apache-2.0
"""Installs the library into a private prefix and uses it as a stranger would: the compiler,
pkg-config and nothing of this repository but a copy of the example."""
import os
import shutil
import subprocess
import sys
import tempfile

from cluster import Cluster, check

CMAKE, BUILD, SOURCE, CC = (os.environ[k] for k in
                            ("PF_CMAKE", "PF_BUILD", "PF_SOURCE", "PF_CC"))
FLAGS = os.environ.get("PF_CFLAGS", "").split()
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

CPP = r"""
#include <proffer/executor.h>
static void on_launch(void *, pf_executor *, const pf_task_view *) {}
static void on_status(void *, pf_scheduler *, const pf_task_status *) {}
int main()
{
    pf_scheduler_options options = PF_SCHEDULER_OPTIONS_INIT;
    pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
    pf_task_spec task = PF_TASK_SPEC_INIT;
    pf_demand demand = PF_DEMAND_INIT;
    pf_executor_spec executor = PF_EXECUTOR_SPEC_INIT;
    pf_health_check check = PF_HEALTH_CHECK_INIT;
    pf_executor_options executor_options = PF_EXECUTOR_OPTIONS_INIT;
    pf_executor_callbacks executor_callbacks = PF_EXECUTOR_CALLBACKS_INIT;
    pf_task_update update = PF_TASK_UPDATE_INIT;
    pf_scheduler *s = nullptr;
    pf_executor *e = nullptr;
    pf_problem problem;
    callbacks.on_status = on_status;
    executor_callbacks.on_launch = on_launch;
    if (pf_executor_create(&executor_options, &executor_callbacks, nullptr, &e, &problem) !=
            PF_ERROR_INVALID || executor.size != sizeof executor || check.size != sizeof check ||
        update.size != sizeof update) {
        return 1;
    }
    /* without a name: refused, and the problem says so */
    return pf_scheduler_create(&options, &callbacks, nullptr, &s, &problem) == PF_ERROR_INVALID &&
                   task.size == sizeof task && demand.size == sizeof demand
               ? 0 : 1;
}
"""


def run(*argv, **kw):
    p = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **kw)
    if p.returncode != 0:
        sys.exit("%s\n-> %d\n%s%s" % (" ".join(argv), p.returncode, p.stdout, p.stderr))
    return p.stdout


def against_a_cluster(program, env):
    """The example as its user runs it: three tasks on a cluster of `up`."""
    with Cluster(agents=1) as c:
        at = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
        p = subprocess.run([program, "3", "exit 0"], capture_output=True, text=True, timeout=60,
                           env=dict(env, PROFFER_MASTER=at,
                                    PROFFER_KEY_FILE=os.path.join(c.dir, "key")), check=False)
        check(p.returncode == 0, p)
        for i in range(3):
            check("hello.%d launched on " % i in p.stdout, p)
            check("hello.%d is TASK_FINISHED, exit status 0" % i in p.stdout, p)


def executor_against_a_cluster(scheduler, executor, env):
    """Both examples as their user runs them: tasks that share a process, a message, the end."""
    with Cluster(agents=1) as c:
        at = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
        command = "LD_LIBRARY_PATH=%s exec %s" % (env["LD_LIBRARY_PATH"], executor)
        p = subprocess.Popen([scheduler, command, "2"], stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=dict(env, PROFFER_MASTER=at,
                                      PROFFER_KEY_FILE=os.path.join(c.dir, "key")))
        seen = []
        while len([x for x in seen if x.endswith("is TASK_RUNNING\n")]) < 2:
            seen.append(p.stdout.readline())
            check(seen[-1], seen, "ended early")
        out, err = p.communicate("hello\nfinish ping.0\nend\n", timeout=60)
        check(p.returncode == 0, p.returncode, seen, out, err)
        check("echo says: hello\n" in out, out)
        check("ping.0 is TASK_FINISHED" in out and "ping.1 is TASK_KILLED" in out, out)


def main():
    top = tempfile.mkdtemp(prefix="pf-outside-")
    try:
        prefix = os.path.join(top, "usr")
        run(CMAKE, "--install", BUILD, "--prefix", prefix, "--component", "libproffer")
        pc = next(d for d, _, files in os.walk(prefix) if "proffer.pc" in files)
        lib = os.path.dirname(pc)
        env = dict(os.environ, PKG_CONFIG_PATH=pc)
        work = os.path.join(top, "work")
        os.mkdir(work)
        for name in ("hello", "echo_executor", "group", "pingpong"):
            shutil.copy(os.path.join(SOURCE, "framework/examples/%s.c" % name), work)

        def config(*what):
            return run("pkg-config", *what, "proffer", env=env).split()

        version = config("--modversion")[0]
        shared = os.path.join(work, "hello-shared")
        run(CC, *WARNINGS, *FLAGS, "hello.c", "-o", shared, *config("--cflags", "--libs"), cwd=work)
        static = os.path.join(work, "hello-static")
        libs = [os.path.join(lib, "libproffer.a") if x == "-lproffer" else x
                for x in config("--libs", "--static")]
        run(CC, *WARNINGS, *FLAGS, "hello.c", "-o", static, *config("--cflags"), *libs, cwd=work)
        for name in ("echo_executor", "group", "pingpong"):
            run(CC, *WARNINGS, *FLAGS, name + ".c", "-o", name, *config("--cflags", "--libs"),
                cwd=work)
        with open(os.path.join(work, "outside.cc"), "w", encoding="ascii") as f:
            f.write(CPP)
        run(os.environ["PF_CXX"], "-Wall", "-Wextra", "-Werror", *FLAGS, "outside.cc", "-o",
            "outside", *config("--cflags", "--libs"), cwd=work)

        # nothing listens there: a clear end, by both
        env["LD_LIBRARY_PATH"] = lib
        run(os.path.join(work, "outside"), env=env)
        env["PROFFER_MASTER"] = "no port here:x"
        for program in (shared, static):
            p = subprocess.run([program, "2", "true"], env=env, capture_output=True, text=True,
                               timeout=60, check=False)
            assert p.returncode == 1 and "masters" in p.stderr, (p.returncode, p.stderr)
            assert subprocess.run([program, "0"], env=env, capture_output=True, timeout=60,
                                  check=False).returncode == 2
        p = subprocess.run([os.path.join(work, "echo_executor")], env=env, capture_output=True,
                           text=True, timeout=60, check=False)
        assert p.returncode == 1 and "not started by an agent" in p.stderr, p
        for program in (shared, static):
            against_a_cluster(program, env)
        executor_against_a_cluster(os.path.join(work, "pingpong"),
                                   os.path.join(work, "echo_executor"), env)
        symbols = run("nm", "-D", "--defined-only", os.path.join(lib, "libproffer.so"))
        shown = {line.split()[-1].split("@")[0] for line in symbols.splitlines()}
        inner = {s for s in shown if not s.startswith(("pf_scheduler_", "pf_task_", "pf_offer_",
                                                       "pf_demand_", "pf_library_", "pf_executor_",
                                                       "PROFFER_"))}
        assert not inner, "the shared library shows %s" % sorted(inner)
        print("libproffer %s: shared, static and C++ build outside" % version)
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
