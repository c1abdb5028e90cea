# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, a clear error or a closed connection with a counted metric, and the cluster
goes on: after each test a `run` must still work."""
import os
import re
import signal
import socket
import struct
import urllib.error
import urllib.request

from cluster import BIN, Cluster, PROFFER, check, check_eq, clean_env, command, finish, main

cluster = None


def ports(kind):
    """(native, http) of the first daemon of the kind."""
    d = [d for d in cluster.state()["daemons"] if d["kind"] == kind][0]
    split = lambda a: (a.rsplit(":", 1)[0], int(a.rsplit(":", 1)[1]))
    return split(d["native"]), split(d["http"])


def metric(kind, name):
    host, port = ports(kind)[1]
    with urllib.request.urlopen("http://%s:%d/metrics" % (host, port), timeout=10) as r:
        text = r.read().decode()
    m = re.search(r"^%s (\S+)$" % name, text, re.M)
    check(m, "no metric " + name, text)
    return float(m.group(1))


def still_works():
    r = cluster.proffer("run", "--", "echo", "fine")
    check_eq((r.code, r.out), (0, "fine\n"), r)


def two_lines(r, code):
    check_eq(r.code, code, r)
    check_eq(len(r.err.strip().splitlines()), 2, "one line what, one line what to do", r)


def closed_by_peer(s):
    """Reads until the other side closes."""
    s.settimeout(30)
    n = 0
    while True:
        try:
            data = s.recv(65536)
        except ConnectionResetError:
            return n
        if not data:
            return n
        n += len(data)


def test_wrong_flags():
    two_lines(cluster.proffer("run", "--cpu", "1", "--", "true"), 125)
    two_lines(cluster.proffer("runn"), 2)
    two_lines(cluster.proffer("ps", "--columns", "nonsense"), 2)
    two_lines(cluster.proffer("run", "--mem", "12Q", "--", "true"), 125)
    two_lines(cluster.proffer("run"), 125)
    two_lines(cluster.proffer("run", "--ports", "101", "--", "true"), 125)
    two_lines(cluster.proffer("ps", "--dir", "/a", "--master", "b:1"), 2)
    for daemon in ("proffer-master", "proffer-agent"):
        r = command(os.path.join(BIN, daemon), "--listne", "127.0.0.1:0")
        check(r.code == 2 and "--listne" in r.err, r)
        r = command(os.path.join(BIN, daemon), "--listen", "0.0.0.0:0", "--work-dir",
                    cluster.path("w"))
        check(r.code != 0 and "--key-file" in r.err and "--insecure" in r.err, r)


def test_unreachable_master():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        free = "127.0.0.1:%d" % s.getsockname()[1]
        two_lines(command(PROFFER, "ps", "--master", free), 4)
        two_lines(command(PROFFER, "run", "--master", free, "--", "true"), 125)
    two_lines(command(PROFFER, "ps", "--dir", cluster.path("no-such")), 4)


def test_a_cluster_that_was_taken_down():
    """Its port may be another's by now: it is named as down, and nobody is asked there."""
    at = ("--dir", cluster.path("gone"))
    r = command(PROFFER, "up", *at, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    check_eq(r.code, 0, r)
    check_eq(command(PROFFER, "down", "--yes", *at).code, 0)
    r = command(PROFFER, "ps", *at)
    two_lines(r, 4)
    check("taken down" in r.err, r)
    check_eq(command(PROFFER, "down", "--yes", "--purge", *at).code, 0)


def test_occupied_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        busy = "127.0.0.1:%d" % s.getsockname()[1]
        r = command(os.path.join(BIN, "proffer-master"), "--listen", busy, "--http",
                    "127.0.0.1:0", "--work-dir", cluster.path("w2"))
        check(r.code == 1 and busy in r.err and "in use" in r.err, r)


def test_unwritable_directory():
    r = command(os.path.join(BIN, "proffer-master"), "--listen", "127.0.0.1:0", "--http",
                "127.0.0.1:0", "--work-dir", "/proc/nothing/here")
    check(r.code == 1 and "/proc/nothing" in r.err, r)
    r = command(PROFFER, "up", "--dir", "/proc/nothing/here")
    check(r.code == 1 and "/proc/nothing" in r.err, r)


def test_second_holder_of_a_work_directory():
    work = [d for d in cluster.state()["daemons"] if d["kind"] == "agent"][0]["work_dir"]
    r = command(os.path.join(BIN, "proffer-agent"), "--master", "127.0.0.1:1", "--listen",
                "127.0.0.1:0", "--http", "127.0.0.1:0", "--work-dir", work)
    check(r.code == 1 and work in r.err, r)


def test_wrong_key():
    native = "%s:%d" % ports("master")[0]
    bad = cluster.path("bad.key")
    with open(bad, "w") as f:
        f.write("00" * 32 + "\n")
    os.chmod(bad, 0o600)
    before = metric("master", "proffer_net_auth_failures_total")
    r = command(PROFFER, "ps", "--master", native, env=clean_env(PROFFER_KEY_FILE=bad))
    check(r.code == 4 and "key" in r.err, r)
    check(metric("master", "proffer_net_auth_failures_total") > before, "not counted")
    os.chmod(bad, 0o644)
    r = command(PROFFER, "ps", "--master", native, env=clean_env(PROFFER_KEY_FILE=bad))
    check(r.code != 0 and "chmod 600" in r.err, r)


def test_garbage_on_native_ports():
    for kind in ("master", "agent"):
        before = (metric(kind, "proffer_net_bad_frames_total") +
                  metric(kind, "proffer_net_over_limit_total"))
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000),
                        struct.pack("<I", 16) + b"x" * 16, b"\0" * 4,
                        struct.pack("<I", 0xffffffff), struct.pack("<I", 5 << 20)):
            with socket.create_connection(ports(kind)[0]) as s:
                s.sendall(garbage)
                closed_by_peer(s)
        after = (metric(kind, "proffer_net_bad_frames_total") +
                 metric(kind, "proffer_net_over_limit_total"))
        check(after >= before + 6, kind, before, after)


def test_garbage_on_http_ports():
    for kind in ("master", "agent"):
        with socket.create_connection(ports(kind)[1]) as s:
            s.sendall(b"\x16\x03\x01" + b"\r\n\r\n" * 3)
            closed_by_peer(s)
        host, port = ports(kind)[1]
        for path, want in (("/nothing", 404), ("/../etc/passwd", 404)):
            try:
                urllib.request.urlopen("http://%s:%d%s" % (host, port, path), timeout=10)
                check(False, "no error for " + path)
            except urllib.error.HTTPError as e:
                check_eq(e.code, want, path)


def post(body, content_type="application/json", path="/api/v1"):
    host, port = ports("master")[1]
    req = urllib.request.Request("http://%s:%d%s" % (host, port, path), data=body, method="POST")
    if content_type:
        req.add_header("Content-Type", content_type)
    try:
        with urllib.request.urlopen(req, timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_bad_operator_calls():
    check_eq(post(b"{")[0], 400)
    code, text = post(b'{"type":"KILL_TASK","kill_task":{"task_id":5}}')
    check(code == 400 and "kill_task.task_id" in text, code, text)
    check_eq(post(b'{"type":"GET_STATE"}', "text/plain")[0], 415)
    with socket.create_connection(ports("master")[1]) as s:
        s.sendall(b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 5242880\r\n\r\n")
        s.settimeout(30)
        answer = s.recv(100)
        check(b" 413 " in answer, "a body over the limit", answer)
    check_eq(post(b'{"type":"UPDATE_QUOTA"}')[0], 501)
    run = cluster.proffer("run", "-d", "--", "sleep", "100").out.strip()
    kill = '{"type":"KILL_TASK","kill_task":{"framework_id":"%s","task_id":"%s.0"}}' % (run, run)
    code, text = post(kill.encode())
    check_eq(code, 403, "without the token", text)
    check_eq(post(b'{"type":"KILL_TASK","kill_task":{"framework_id":"f","task_id":"t"}}')[0], 404)
    check_eq(cluster.proffer("teardown", run).code, 0)
    check_eq(post(b'{"type":"GET_HEALTH"}')[0], 200)


def test_half_open_and_idle_connections():
    """Thousands of connections that never greet: memory stays bounded, work goes on."""
    held = []
    try:
        for _ in range(2000):
            held.append(socket.create_connection(ports("master")[0]))
        still_works()
        pid = [d for d in cluster.state()["daemons"] if d["kind"] == "master"][0]["pid"]
        with open("/proc/%d/status" % pid) as f:
            rss = int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
        check(rss < 64 << 10, "RssAnon %d KiB with 2000 idle connections" % rss)
    finally:
        for s in held:
            s.close()


def test_a_reader_of_logs_that_stops_reading():
    """64 MB of output to a `logs` nobody reads: the agent's memory stays bounded."""
    r = cluster.proffer("run", "-d", "--", "sh", "-c", "head -c 64000000 /dev/zero")
    run = r.out.strip()
    check_eq(cluster.proffer("wait", run).code, 0)
    stuck = cluster.start("logs", "-f", run)
    check_eq(stuck.stdout.read(1), b"\0")
    still_works()
    for d in cluster.state()["daemons"]:
        if d["kind"] == "agent":
            with open("/proc/%d/status" % d["pid"]) as f:
                rss = int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
            check(rss < 64 << 10, "RssAnon %d KiB" % rss)
    stuck.send_signal(signal.SIGKILL)
    finish(stuck)


def with_checks():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            tests.append(test)
            tests.append(still_works)


tests = []

if __name__ == "__main__":
    with Cluster(agents=2) as cluster:
        with_checks()
        main(tests)
