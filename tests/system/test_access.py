# SPDX-License-Identifier: Apache-2.0
"""What a second, unprivileged user may and may not do. Needs root, to become that user."""
import os
import pwd
import sys

from cluster import Cluster, PROFFER, check, check_eq, clean_env, command, main

cluster = None
OTHER = pwd.getpwnam("nobody")


def as_other(*args):
    """The command line as user nobody, without the key, at the master's address."""
    native = [d for d in cluster.state()["daemons"] if d["kind"] == "master"][0]["native"]
    return command(PROFFER, args[0], "--master", native, *args[1:],
                   env=clean_env(HOME="/nonexistent"), user=OTHER.pw_uid, group=OTHER.pw_gid,
                   extra_groups=[])


def test_key_file_is_private():
    for root, _, files in os.walk(cluster.dir):
        for name in files:
            if "key" in name:
                check_eq(os.stat(os.path.join(root, name)).st_mode & 0o777, 0o600, name)


def test_other_sees_state_but_no_logs():
    run = cluster.proffer("run", "-d", "--", "sh", "-c", "echo secret; sleep 0.2").out.strip()
    r = as_other("ps", "-o", "json")
    check_eq(r.code, 0, r)
    check(any(t["framework_id"] == run for t in r.json()), r)
    r = as_other("logs", run)
    check(r.code != 0 and "secret" not in r.out and "key" in r.err, r)
    check_eq(cluster.proffer("wait", run).code, 0)


def test_other_cannot_end_foreign_tasks():
    run = cluster.proffer("run", "-d", "--", "sleep", "30").out.strip()
    for args in (("kill", run + ".0"), ("teardown", run)):
        r = as_other(*args)
        check(r.code == 1 and "key" in r.err, r)
    rows = [t for t in cluster.list("ps") if t["framework_id"] == run]
    check_eq(rows[0]["state"], "TASK_RUNNING", rows)
    check_eq(cluster.proffer("kill", "--wait", run + ".0").code, 0)
    cluster.proffer("wait", run)


def test_other_launches_only_as_the_task_user():
    r = as_other("run", "-q", "--report", "/dev/null", "--", "sh", "-c", "test $(id -un) = nobody")
    check_eq(r.code, 0, "its tasks run as nobody", r)
    r = as_other("run", "--user", "root", "--", "true")
    check_eq(r.code, 125, r)


def test_root_may_choose_the_user():
    r = cluster.proffer("run", "--user", "nobody", "--", "id", "-un")
    check_eq((r.code, r.out), (0, "nobody\n"), r)
    r = cluster.proffer("run", "--", "id", "-u")
    check_eq((r.code, r.out), (0, "0\n"), r)
    r = cluster.proffer("run", "--user", "no-such-user", "--", "true")
    check(r.code != 0 and "no-such-user" in r.err, r)


if __name__ == "__main__":
    if os.getuid() != 0:
        print("needs root, to become another user (tests/needs)")
        sys.exit(77)
    with Cluster(agents=1) as cluster:
        os.chmod(cluster.base, 0o755)
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
