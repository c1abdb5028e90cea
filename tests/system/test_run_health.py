# SPDX-License-Identifier: Apache-2.0
"""run --health-*: a task that is not well any more is ended, and says why; one that is well is
left alone; what makes no sense is refused before anything runs."""
from cluster import Cluster, check, check_eq, main

FAST = ["--health-delay", "0", "--health-interval", "100ms"]
# Answers /well for so many seconds, then ends.
SERVER = """
import http.server, os, socketserver, threading, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ok = self.path == "/well"
        self.send_response(200 if ok else 500); self.end_headers()
    def log_message(self, *a): pass
socketserver.TCPServer.allow_reuse_address = True
s = socketserver.TCPServer(("127.0.0.1", int(os.environ["PROFFER_PORT_0"])), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
time.sleep(float(os.environ["FOR"]))
os._exit(0)
"""

cluster = None


def run(*args):
    return cluster.proffer("run", *args)


def test_task_that_is_well_runs_to_its_end():
    r = run("--health-cmd", "true", *FAST, "--", "sleep", "0.5")
    check_eq((r.code, r.out), (0, ""), r)


def test_task_that_nobody_watches():
    """Its first words are not taken by anybody: wait takes them all, and gets the end."""
    r = run("-d", "--health-cmd", "test -e well", *FAST, "--", "sh", "-c",
            "touch well; sleep 0.5; rm well; exec sleep 1000")
    check_eq(r.code, 0, r)
    task = r.out.strip()
    r = cluster.proffer("wait", task)
    check_eq(r.code, 143, r)
    r = cluster.proffer("show", task + ".0", "-o", "json")
    check("Health check failed 3 times" in r.json()[0]["message"], r)


def test_task_whose_check_fails_is_ended_with_a_reason():
    r = run("--health-cmd", "test -e well", "--grace", "1s", *FAST, "--", "sh", "-c",
            "touch well; sleep 0.5; rm well; exec sleep 1000")
    check(r.code != 0, r)
    check("Health check failed 3 times: command `test -e well` exited with status 1" in r.err, r)
    r = run("--health-tcp", "1", "--grace", "1s", *FAST, "--", "sleep", "1000")
    check(r.code != 0 and "Health check failed 3 times: TCP port 1: connect" in r.err, r)
    r = run("--health-http", "1/well", "--grace", "1s", *FAST, "--", "sleep", "1000")
    check(r.code != 0 and "Health check failed 3 times: HTTP port 1 /well" in r.err, r)


def test_commands_see_the_ports_of_their_task():
    fetch = ("import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/well' "
             "% os.environ['PROFFER_PORT_0'])")
    r = run("--ports", "1", "-e", "FOR=1", "--health-cmd", 'python3 -c "%s"' % fetch,
            "--health-delay", "300ms", "--health-interval", "300ms", "--",
            "python3", "-c", SERVER)
    check_eq(r.code, 0, r)


def test_what_makes_no_sense_is_refused():
    for words in (["--health-tcp", "x"], ["--health-tcp", "80/x"], ["--health-http", "0"],
                  ["--health-http", "70000/x"], ["--health-delay", "1s"],
                  ["--health-cmd", "true", "--health-tcp", "80"]):
        r = run(*words, "--", "true")
        check_eq(r.code, 125, r)
        check("health" in r.err, r)


def all_tests():
    global cluster
    with Cluster(agents=1) as c:
        cluster = c
        main([test_task_that_is_well_runs_to_its_end,
              test_task_that_nobody_watches,
              test_task_whose_check_fails_is_ended_with_a_reason,
              test_commands_see_the_ports_of_their_task,
              test_what_makes_no_sense_is_refused])


if __name__ == "__main__":
    all_tests()
