# SPDX-License-Identifier: Apache-2.0
"""A custom executor that knows nothing of Proffer: Python's http.client against the agent's
executor API. Tasks, messages, kills, an agent that was killed, and calls that must be refused."""
import http.client
import json
import os
import sys

from cluster import TIMEOUT_S, Cluster, check, check_eq, main
from test_executor import Pingpong

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http_executor.py")
PATH = "/api/v1/executor"
JSON = "application/json"


class HttpPingpong(Pingpong):
    """The same scheduler; its tasks run under the Python executor."""

    def __init__(self, c, tasks):
        self.env_file = c.path("env.json")
        super().__init__(c, tasks,
                         "exec '%s' '%s' '%s'" % (sys.executable, SCRIPT, self.env_file))

    def executor_env(self):
        with open(self.env_file) as f:
            return json.load(f)


def agent_http(c):
    host, port = [d for d in c.state()["daemons"] if d["kind"] == "agent"][0]["http"].rsplit(":", 1)
    return host, int(port)


def request(c, method, body, path=PATH, **headers):
    connection = http.client.HTTPConnection(*agent_http(c), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body if isinstance(body, str) else json.dumps(body),
                           {k.replace("_", "-"): v for k, v in headers.items()})
        r = connection.getresponse()
        return r.status, r.getheaders(), r.read().decode()
    finally:
        connection.close()


def test_python_executor_runs_tasks():
    with Cluster(agents=1) as c, HttpPingpong(c, 2) as p:
        p.hear("ping.0 is TASK_RUNNING", "ping.1 is TASK_RUNNING")
        env = p.executor_env()
        for name in ("MESOS_DIRECTORY", "MESOS_SANDBOX", "MESOS_SLAVE_ID", "MESOS_SLAVE_PID",
                     "MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID",
                     "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "PROFFER_EXECUTOR_TOKEN"):
            check(name in env, "%s is missing" % name, env)
        p.say("hello there")
        p.hear("echo says: hello there")
        p.say("kill ping.1")
        p.hear("ping.1 is TASK_KILLED")
        p.say("launch extra")
        p.hear("extra is TASK_RUNNING")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.say("end")
        p.hear("extra is TASK_KILLED")
        p.finish()


def test_python_executor_outlives_its_agent():
    """The agent comes back on the same port: that is what executors of Mesos know of it."""
    with Cluster(agents=1) as c, HttpPingpong(c, 2) as p:
        p.hear("ping.0 is TASK_RUNNING", "ping.1 is TASK_RUNNING")
        before = agent_http(c)
        c.kill("agent")
        check_eq(agent_http(c), before, "the agent came back on another port")
        p.ask("are you there?")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.say("kill ping.1")
        p.hear("ping.1 is TASK_KILLED")
        lines = p.finish()
        ends = [x for x in lines if x.startswith("ping.") and "TASK_RUNNING" not in x]
        check_eq(len(ends), 2, "each task ends once", *lines)


def test_calls_are_refused_by_their_codes():
    with Cluster(agents=1) as c, HttpPingpong(c, 1) as p:
        p.hear("ping.0 is TASK_RUNNING")
        env = p.executor_env()
        ids = {"framework_id": {"value": env["MESOS_FRAMEWORK_ID"]},
               "executor_id": {"value": env["MESOS_EXECUTOR_ID"]}}
        token = "Bearer " + env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
        message = dict(ids, type="MESSAGE", message={"data": "aGk="})

        def code(wanted, method, body, path=PATH, **headers):
            got, answer, text = request(c, method, body, path, **headers)
            check_eq(got, wanted, method, body, headers, answer, text)
            return dict(answer), text

        allow, _ = code(405, "GET", "")
        check_eq(allow["Allow"], "POST")
        code(400, "POST", message)
        code(415, "POST", message, Content_Type="text/plain")
        code(400, "POST", "{", Content_Type=JSON)
        code(400, "POST", dict(ids), Content_Type=JSON)
        code(406, "POST", dict(ids, type="SUBSCRIBE", subscribe={}), Content_Type=JSON,
             Accept="text/html")
        code(202, "POST", dict(ids, type="HEARTBEAT"), Content_Type=JSON)
        code(400, "POST", dict(message, framework_id={"value": "nobody"}), Content_Type=JSON)
        code(400, "POST", dict(message, executor_id={"value": "nobody"}), Content_Type=JSON)
        code(403, "POST", message, Content_Type=JSON, Authorization="Bearer wrong")
        code(403, "POST", dict(ids, type="SUBSCRIBE", subscribe={}), Content_Type=JSON,
             Authorization="Bearer wrong")
        _, text = code(202, "POST", message, Content_Type=JSON, Authorization=token)
        check_eq(text, "")
        p.hear("echo says: hi")
        code(202, "POST", message, path="/slave(1)" + PATH, Content_Type=JSON)
        p.hear("echo says: hi")
        p.say("finish ping.0")
        p.hear("ping.0 is TASK_FINISHED")
        p.finish()


if __name__ == "__main__":
    main([test_python_executor_runs_tasks, test_python_executor_outlives_its_agent,
          test_calls_are_refused_by_their_codes])
