# SPDX-License-Identifier: Apache-2.0
"""An executor in plain Python, over HTTP as Mesos's executors speak it: `http_executor.py FILE`
writes its environment to FILE, runs every task, sends messages back, and comes again when its agent
was away."""
import base64
import http.client
import json
import os
import sys
import time
import uuid

HOST, PORT = os.environ["MESOS_AGENT_ENDPOINT"].rsplit(":", 1)
IDS = {"framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
       "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]}}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json",
           "Connection": "close"}
if "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" in os.environ:
    HEADERS["Authorization"] = "Bearer " + os.environ["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
AGAIN_S = 0.1
PATIENCE_S = 60


class Over(Exception):
    pass


class Executor:
    def __init__(self):
        self.updates = {}  # uuid -> update, not acknowledged yet
        self.tasks = {}    # task id -> TaskInfo, likewise
        self.running = set()

    def post(self, call):
        c = http.client.HTTPConnection(HOST, int(PORT), timeout=PATIENCE_S)
        try:
            c.request("POST", "/slave(1)/api/v1/executor", json.dumps(dict(IDS, **call)), HEADERS)
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def say(self, call):
        """A call that may be lost while the agent is away: updates are told at the next
        subscription."""
        try:
            status, text = self.post(call)
        except OSError as e:
            print("lost", call["type"], e, flush=True)
            return
        if status != 202:
            print("refused", call["type"], status, text, flush=True)

    def update(self, task_id, state):
        raw = uuid.uuid4().bytes
        status = {"task_id": {"value": task_id}, "state": state, "source": "SOURCE_EXECUTOR",
                  "uuid": base64.b64encode(raw).decode(), "timestamp": time.time()}
        self.updates[status["uuid"]] = {"status": status}
        self.say({"type": "UPDATE", "update": {"status": status}})
        if state == "TASK_RUNNING":
            self.running.add(task_id)
        else:
            self.running.discard(task_id)

    def on_event(self, event):
        kind = event["type"]
        if kind == "SUBSCRIBED":
            s = event["subscribed"]
            assert s["framework_info"]["id"]["value"] == os.environ["MESOS_FRAMEWORK_ID"], s
            assert s["executor_info"]["executor_id"]["value"] == os.environ["MESOS_EXECUTOR_ID"], s
            assert s["agent_info"]["id"]["value"] == os.environ["MESOS_SLAVE_ID"], s
            print("subscribed", flush=True)
        elif kind == "LAUNCH":
            task = event["launch"]["task"]
            self.tasks[task["task_id"]["value"]] = task
            self.update(task["task_id"]["value"], "TASK_RUNNING")
        elif kind == "KILL":
            self.update(event["kill"]["task_id"]["value"], "TASK_KILLED")
        elif kind == "ACKNOWLEDGED":
            self.updates.pop(event["acknowledged"]["uuid"], None)
            self.tasks.pop(event["acknowledged"]["task_id"]["value"], None)
        elif kind == "MESSAGE":
            data = event["message"]["data"]
            text = base64.b64decode(data).decode()
            if text.startswith("finish "):
                self.update(text.split(" ", 1)[1], "TASK_FINISHED")
            else:
                self.say({"type": "MESSAGE", "message": {"data": data}})
        elif kind == "SHUTDOWN":
            for task_id in sorted(self.running):
                self.update(task_id, "TASK_KILLED")
            raise Over()
        elif kind != "HEARTBEAT":
            print("unexpected", event, flush=True)

    def follow(self):
        """One subscription, up to the end of its stream."""
        c = http.client.HTTPConnection(HOST, int(PORT), timeout=PATIENCE_S * 60)
        try:
            call = dict(IDS, type="SUBSCRIBE",
                        subscribe={"unacknowledged_tasks": list(self.tasks.values()),
                                   "unacknowledged_updates": list(self.updates.values())})
            c.request("POST", "/slave(1)/api/v1/executor", json.dumps(call), HEADERS)
            r = c.getresponse()
            if r.status != 200:
                raise OSError("SUBSCRIBE: %d %s" % (r.status, r.read()))
            assert r.getheader("Content-Type") == "application/json"
            while True:
                length = b""
                while not length.endswith(b"\n"):
                    byte = r.read(1)
                    if not byte:
                        return
                    length += byte
                record = r.read(int(length))
                if len(record) != int(length):
                    return
                self.on_event(json.loads(record))
        finally:
            c.close()

    def run(self):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                self.follow()
                end = time.monotonic() + PATIENCE_S
            except (OSError, http.client.HTTPException) as e:
                print("again:", e, flush=True)
            time.sleep(AGAIN_S)


if __name__ == "__main__":
    with open(sys.argv[1] + ".new", "w") as f:
        json.dump(dict(os.environ), f)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    try:
        Executor().run()
    except Over:
        pass
