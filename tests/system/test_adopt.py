# SPDX-License-Identifier: Apache-2.0
"""An agent of one registry that is pointed at another: it refuses, says why, and is adopted."""
import json
import os
import subprocess
import tempfile
import urllib.error
import urllib.request

from cluster import BIN, Cluster, check, check_eq, clean_env, command, finish, main

AGENT = os.path.join(BIN, "proffer-agent")


def agent_start(work_dir, c, ready_when):
    """The agent, and what it told when it was ready."""
    ready, told = os.pipe()
    native = [d for d in c.state()["daemons"] if d["kind"] == "master"][0]["native"]
    p = subprocess.Popen(
        [AGENT, "--work-dir", work_dir, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
         "--master", native, "--key-file", os.path.join(c.dir, "key"), "--resources",
         "cpus:2;mem:256", "--attributes", "odd:yes", "--ready-when", ready_when, "--ready-fd",
         str(told)],
        pass_fds=[told], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env())
    os.close(told)
    with os.fdopen(ready, "rb") as pipe:
        line = pipe.readline()
    check(line, "the agent ended")
    return p, json.loads(line)


def await_line(p, words):
    for line in p.stderr:
        if all(w in line.decode() for w in words):
            return line.decode()
    raise AssertionError("the agent does not say " + str(words))


def health(address):
    try:
        with urllib.request.urlopen("http://%s/health" % address, timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_agent_of_another_registry_is_adopted():
    with tempfile.TemporaryDirectory() as work_dir, Cluster(agents=1) as old, \
            Cluster(agents=1) as new:
        p = None
        try:
            p, _ = agent_start(work_dir, old, "registered")
            p.terminate()
            finish(p)
            p, at = agent_start(work_dir, new, "listening")
            line = await_line(p, ["no master to obey"])
            agent_id = line.split("agent=")[1].split()[0]
            check("proffer adopt " + agent_id in line and at["native"] in line, line)
            code, text = health(at["http"])
            check(code == 503 and "proffer adopt " + agent_id in text, code, text)
            check_eq([a for a in new.list("agents") if a["id"] == agent_id], [])

            r = new.proffer("adopt", agent_id[:8])
            check(r.code == 3 and "--address" in r.err, r)
            r = new.proffer("adopt", "00000000", "--address", at["native"])
            check(r.code == 3 and agent_id in r.err, r)
            r = new.proffer("adopt", agent_id[:8], "--address", at["native"])
            check_eq(r.code, 0, r)
            r = new.proffer("run", "--constraint", "odd=yes", "--", "echo", "here")
            check_eq((r.code, r.out), (0, "here\n"), r)
            check_eq(health(at["http"])[0], 200)
            r = new.proffer("adopt", agent_id, "--address", at["native"])
            check(r.code == 1 and "already" in r.err, r)
        finally:
            if p is not None:
                p.terminate()
                finish(p)
            check_eq(command(AGENT, "--stop-launcher", "--work-dir", work_dir).code, 0)


if __name__ == "__main__":
    main([v for k, v in list(globals().items()) if k.startswith("test_")])
