# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of a master: operator calls as JSON, the token, health, version, metrics, and a list
of thousands that comes in chunks and is complete."""
import hashlib
import hmac
import http.client
import json
import os
import re

from cluster import Cluster, TIMEOUT_S, check, check_eq, main

N_AGENTS, N_TASKS = 300, 3000
JSON = "application/json"

cluster = None


def master():
    host, port = [d for d in cluster.state()["daemons"]
                  if d["kind"] == "master"][0]["http"].rsplit(":", 1)
    return host, int(port)


def token():
    with open(os.path.join(cluster.dir, "key")) as f:
        key = bytes.fromhex(f.read().strip())
    return hmac.new(key, b"http", hashlib.sha256).hexdigest()


class Answer:
    def __init__(self, response):
        self.code, self.headers = response.status, response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return "%d\n%s\n%s" % (self.code, self.headers, self.text[:2000])


def request(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(*master(), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body,
                           {k.replace("_", "-"): v for k, v in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def call(kind, path="/api/v1", bearer=None, **members):
    headers = {"Content_Type": JSON, "Accept": JSON}
    if bearer is not None:
        headers["Authorization"] = "Bearer " + bearer
    return request("POST", path, json.dumps(dict(members, type=kind)), **headers)


def ok(kind, **more):
    """The member that holds the answer of a call, which names its kind."""
    r = call(kind, **more)
    check_eq(r.code, 200, r)
    check_eq(r.headers["Content-Type"], JSON)
    answer = r.json()
    check_eq(answer.pop("type"), kind)
    check_eq(set(answer) - {"next_after_id"}, {kind.lower()}, r)
    return answer[kind.lower()]


def detach(*args):
    r = cluster.proffer("run", "-d", *args)
    check_eq(r.code, 0, r)
    return r.out.strip()


def state_of(run):
    rows = [t for t in cluster.list("ps", "--filter", "framework_id=" + run)]
    return rows[0]["state"] if rows else None


def test_health_and_version():
    for path in ("/health", "/master/health"):
        r = request("GET", path)
        check_eq((r.code, r.text), (200, ""), path)
    r = request("GET", "/version")
    check(r.code == 200 and re.fullmatch(r"\d+\.\d+\.\d+", r.json()["version"]), r)
    check_eq(ok("GET_HEALTH"), {"healthy": True})
    check_eq(ok("GET_VERSION")["version_info"]["version"], r.json()["version"])
    check_eq(request("POST", "/health", "").code, 405)


def test_metrics_are_prometheus_text():
    sample = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="[^"\\\n]*"'
                        r'(,[a-zA-Z_]\w*="[^"\\\n]*")*\})? (\+Inf|-Inf|NaN|-?[0-9.]+(e[+-]?\d+)?)')
    r = request("GET", "/metrics")
    check_eq(r.code, 200)
    check(r.headers["Content-Type"].startswith("text/plain; version=0.0.4"), r)
    check(r.text.endswith("\n"), "the last line ends")
    seen, typed = set(), {}
    for line in r.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            check(name not in typed, "typed twice: " + name)
            check(kind in ("counter", "gauge", "histogram", "summary"), line)
            typed[name] = kind
        elif not line.startswith("# HELP "):
            check(sample.fullmatch(line), "no sample: " + line)
            key = line.rsplit(" ", 1)[0]
            check(key not in seen, "twice: " + key)
            seen.add(key)
            name = key.split("{")[0]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            check(name in typed or base in typed, "no type: " + line)
    check(len(seen) > 10, seen)


def test_agents_speak_mesos():
    agents = ok("GET_AGENTS")["agents"]
    check_eq(len(agents), N_AGENTS + 1)
    check_eq(len({a["agent_info"]["id"]["value"] for a in agents}), N_AGENTS + 1)
    a = agents[0]
    check(a["active"] is True and isinstance(a["version"], str), a)
    check(a["registered_time"]["nanoseconds"] > 0, a)
    cpus = [r for r in a["total_resources"] if r["name"] == "cpus"][0]
    check_eq((cpus["type"], cpus["scalar"]), ("SCALAR", {"value": 4.0}), cpus)
    ports = [r for r in a["total_resources"] if r["name"] == "ports"][0]
    check(ports["type"] == "RANGES" and set(ports["ranges"]["range"][0]) == {"begin", "end"}, ports)
    mesos = {"agent_info", "active", "deactivated", "version", "pid", "registered_time",
             "reregistered_time", "total_resources", "allocated_resources", "offered_resources",
             "capabilities", "drain_info", "estimated_drain_start_time", "resource_providers"}
    for a in agents:
        check(set(a) <= mesos, "not Mesos's: %s" % (set(a) - mesos))
    ours = ok("GET_AGENTS", path="/api/v1?proffer=1")["agents"][0]
    check({"address", "http_address", "state"} <= set(ours) - mesos, ours)


def test_frameworks_speak_mesos():
    run = detach("--name", "named", "--", "sleep", "1000")
    found = [f for f in ok("GET_FRAMEWORKS")["frameworks"]
             if f["framework_info"]["id"]["value"] == run]
    check_eq(len(found), 1)
    check_eq(found[0]["framework_info"]["name"], "named")
    mesos = {"framework_info", "active", "connected", "recovered", "registered_time",
             "reregistered_time", "unregistered_time", "offers", "inverse_offers",
             "allocated_resources", "offered_resources", "offer_constraints"}
    check(set(found[0]) <= mesos, set(found[0]) - mesos)
    check({"active", "connected", "recovered"} <= set(found[0]), found[0])
    ours = [f for f in ok("GET_FRAMEWORKS", path="/api/v1?proffer=1")["frameworks"]
            if f["framework_info"]["id"]["value"] == run][0]
    check_eq((ours["role"].split("/")[0], ours["n_tasks"]), ("run", 1), ours)
    check_eq(cluster.proffer("teardown", run).code, 0)


def test_kill_task_needs_the_token():
    run = detach("--", "sleep", "1000")
    what = {"framework_id": run, "task_id": run + ".0"}
    for bearer in (None, "", token()[:-1], "0" * 64, token() + "0"):
        r = call("KILL_TASK", bearer=bearer, kill_task=what)
        check_eq(r.code, 403, bearer, r)
    check_eq(state_of(run), "TASK_RUNNING")
    r = call("KILL_TASK", bearer=token(), kill_task=what)
    check(r.code in (200, 202), r)
    check_eq(cluster.proffer("wait", run).code, 143)


def test_teardown_needs_the_token():
    run = detach("-n", "2", "--", "sleep", "1000")
    what = {"framework_id": {"value": run}}
    r = call("TEARDOWN", teardown=what)
    check_eq(r.code, 403, r)
    check_eq(state_of(run), "TASK_RUNNING")
    r = call("TEARDOWN", bearer=token(), teardown=what)
    check(r.code in (200, 202), r)
    frameworks = ok("GET_FRAMEWORKS")
    left = [f["framework_info"]["id"]["value"] for f in frameworks.get("frameworks", [])]
    check(run not in left, run)
    r = call("TEARDOWN", bearer=token(), teardown={"framework_id": {"value": "no-such"}})
    check(r.code in (400, 404), r)
    for kind in ("TEARDOWN", "KILL_TASK"):
        r = call(kind, bearer=token())
        check(r.code == 400 and "'%s' to be present" % kind.lower() in r.text, r)


def all_tasks(answer):
    return [t for name in ("tasks", "unreachable_tasks", "completed_tasks")
            for t in answer.get(name, [])]


def test_thousands_of_tasks_come_in_chunks():
    run = detach("-n", str(N_TASKS), "--cpus", "0.01", "--mem", "1M", "--constraint", "sim=true",
                 "--", "sleep", "1000")
    want = sorted("%s.%d" % (run, i) for i in range(N_TASKS))
    ids_of = lambda tasks: sorted(t["task_id"]["value"] for t in tasks
                                  if t["framework_id"]["value"] == run)
    r = call("GET_TASKS")
    check_eq((r.code, r.headers["Transfer-Encoding"]), (200, "chunked"))
    tasks = all_tasks(r.json()["get_tasks"])
    check(ids_of(tasks) == want, "tasks missing or twice", len(tasks))
    mesos = {"name", "task_id", "framework_id", "executor_id", "agent_id", "state", "resources",
             "statuses", "status_update_state", "status_update_uuid", "labels", "discovery",
             "container", "health_check", "kill_policy", "user", "max_completion_time", "limits"}
    for t in tasks:
        check(set(t) <= mesos, "not Mesos's: %s" % (set(t) - mesos))
    one = [t for t in tasks if t["task_id"]["value"] == run + ".7"][0]
    check_eq(one["state"], "TASK_RUNNING", one)
    check(one["agent_id"]["value"] and one["resources"] and one["statuses"], one)
    ours = [t for t in all_tasks(ok("GET_TASKS", path="/api/v1?proffer=1"))
            if t["task_id"]["value"] == run + ".7"][0]
    check(set(ours) > set(one), "nothing of ours", ours)
    state = ok("GET_STATE")
    check(ids_of(all_tasks(state["get_tasks"])) == want, "GET_STATE misses tasks")
    check_eq(len(state["get_agents"]["agents"]), N_AGENTS + 1)
    check(run in [f["framework_info"]["id"]["value"] for f in
                  state["get_frameworks"]["frameworks"]], "GET_STATE misses the framework")
    page = ok("GET_TASKS", page={"limit": 10})
    check_eq(len(all_tasks(page)), 10, "a page of ten")
    check_eq(cluster.proffer("teardown", run).code, 0)


def test_a_reader_that_leaves_amid_a_list():
    for _ in range(20):
        connection = http.client.HTTPConnection(*master(), timeout=TIMEOUT_S)
        connection.request("POST", "/api/v1", '{"type":"GET_STATE"}', {"Content-Type": JSON})
        connection.getresponse().read(100)
        connection.close()
    check_eq(ok("GET_HEALTH"), {"healthy": True})
    r = cluster.proffer("run", "--constraint", "!sim", "--", "echo", "fine")
    check_eq((r.code, r.out), (0, "fine\n"), r)


if __name__ == "__main__":
    with Cluster(agents=1, up_args=["--fake-agents", str(N_AGENTS)]) as cluster:
        main([v for k, v in list(globals().items()) if k.startswith("test_")])
