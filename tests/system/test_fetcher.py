# SPDX-License-Identifier: Apache-2.0
"""proffer-fetcher alone, against servers that are good, slow, endless and hostile, and its cache
under concurrent use and kills."""
import gzip
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import time
import zipfile

from cluster import BIN, TIMEOUT_S, check, check_eq, clean_env, main
from fetch_servers import Ftp, Web

FETCHER = os.path.join(BIN, "proffer-fetcher")
FBTOOL = os.environ["PF_FBTOOL"]
STALL_MS = 1500

base = web = ftp = None


class Fetch:
    """A fetcher with a sandbox of its own."""

    n = 0

    def __init__(self, *uris, **plan):
        Fetch.n += 1
        self.sandbox = os.path.join(base, "s%d" % Fetch.n)
        os.mkdir(self.sandbox)
        env = clean_env(**plan.pop("env", {}))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
            env.pop(name, None)
        plan = dict({"sandbox": self.sandbox, "stall_ms": STALL_MS}, **plan)
        plan["uris"] = [u if isinstance(u, dict) else {"value": u} for u in uris]
        made = subprocess.run([FBTOOL, "plan"], input=json.dumps(plan).encode(),
                              stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S)
        self.process = subprocess.Popen([FETCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, cwd="/")
        self.process.stdin.write(made.stdout)
        self.process.stdin.close()
        self.process.stdin = None

    def wait(self):
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        self.code, self.out, self.err = self.process.returncode, out.decode(), err.decode()
        return self

    def ok(self):
        self.wait()
        check_eq((self.code, self.out), (0, ""), self.err)
        self.leaves_no_temporary()
        return self

    def fails(self, *texts):
        """Exit 1, one line with the texts, nothing half-done left."""
        self.wait()
        check_eq(self.code, 1, self.out, self.err)
        check(self.out.count("\n") == 1 and self.out.endswith("\n"), repr(self.out))
        for text in texts:
            check(text in self.out, "no %r in %r" % (text, self.out), self.err)
        check("secret" not in self.out + self.err, "a password was shown", self.out, self.err)
        self.leaves_no_temporary()
        return self

    def leaves_no_temporary(self):
        left = [f for _, _, files in os.walk(self.sandbox) for f in files if f[0] == "."]
        check_eq(left, [])

    def path(self, *parts):
        return os.path.join(self.sandbox, *parts)

    def has(self, name, content):
        with open(self.path(name), "rb") as f:
            check(f.read() == content, "%s differs" % name)
        return self

    def files(self):
        return sorted(os.path.relpath(os.path.join(d, f), self.sandbox)
                      for d, _, files in os.walk(self.sandbox) for f in files)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def local(name, content=b"local", permissions=0o644):
    path = os.path.join(base, name)
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, permissions)
    return path


def tar(*members, compression="gz"):
    """members: (name, content) or a TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:" + compression) as t:
        for m in members:
            if isinstance(m, tarfile.TarInfo):
                t.addfile(m)
            else:
                info = tarfile.TarInfo(m[0])
                info.size, info.mode = len(m[1]), 0o4755
                t.addfile(info, io.BytesIO(m[1]))
    return out.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def cache(name, max_bytes=1 << 20):
    return {"cache_dir": os.path.join(base, name), "cache_max_bytes": max_bytes}


def entries(plan):
    """Sizes of what a cache holds; nothing else but its locks may be there."""
    names = os.listdir(plan["cache_dir"])
    keys = [n for n in names if len(n) == 64]
    check_eq([n for n in names if not n.endswith("lock") and n not in keys], [])
    return sorted(os.path.getsize(os.path.join(plan["cache_dir"], k)) for k in keys)


def test_order_names_and_modes():
    f = Fetch(web.url("f/small?token=secret#x"), {"value": web.url("f/other"),
                                                  "output_file": "a/b/small"},
              {"value": web.url("f/small"), "executable": True, "output_file": "run"},
              web.url("f/empty")).ok()
    f.has("small", b"small content").has("a/b/small", b"other content").has("empty", b"")
    check_eq(mode(f.path("small")), 0o600)
    check_eq(mode(f.path("run")), 0o700)
    check_eq(mode(f.path("a")), 0o700)
    check("secret" not in f.err, f.err)
    check(f.err.index("f/small") < f.err.index("f/other"), f.err)


def test_local_files():
    plain, program = local("plain"), local("program", b"#!/bin/sh\n", 0o755)
    f = Fetch("file://" + plain, program, {"value": "plain", "output_file": "relative"},
              "/proc/version", base=base).ok()
    f.has("plain", b"local").has("relative", b"local")
    check_eq(mode(f.path("program")), 0o700)
    check(os.path.getsize(f.path("version")) > 0)
    check(os.path.exists(plain))
    Fetch("plain").fails("plain: a relative path")
    Fetch(base).fails("a directory, not a file")
    os.mkfifo(os.path.join(base, "pipe"))
    Fetch(os.path.join(base, "pipe")).fails("a device, pipe or socket")
    Fetch("/no/where").fails("/no/where: open: No such file")
    Fetch(plain, file_max_bytes=4).fails("larger than 4 bytes")


def test_archives():
    f = Fetch(web.url("f/good.tgz"), {"value": web.url("f/good.zip"), "output_file": "z/good.zip"},
              {"value": web.url("f/good.tgz"), "extract": False, "output_file": "kept.tgz"},
              {"value": web.url("f/good.tgz"), "executable": True, "output_file": "x.tgz"}).ok()
    f.has("d/one", b"one").has("zipped", b"zip")
    check_eq(f.files(), ["d/one", "good.tgz", "kept.tgz", "x.tgz", "z/good.zip", "zipped"])
    check_eq(mode(f.path("d/one")), 0o700)  # no setuid bit
    check_eq(os.stat(f.path("d/one")).st_uid, os.getuid())
    Fetch(web.url("f/wrong.tar.gz")).fails("wrong.tar.gz: unpack: ")
    Fetch(web.url("f/wrong.zip")).fails("wrong.zip: unpack: ")
    Fetch(web.url("f/cut.tgz")).fails("cut.tgz: unpack: ", "entry d/one")
    Fetch(web.url("f/bomb.gz"), file_max_bytes=1 << 20).fails("the contents are larger than")


def test_archives_that_escape():
    escaped = os.path.join(base, "escaped")
    tricks = {
        "up.tgz": (tar(("../escaped", b"x")), "entry ../escaped"),
        "abs.tgz": (tar((escaped, b"x")), "an absolute name"),
        "link.tgz": (tar(link("l", base), ("l/escaped", b"x")), "entry l: a symbolic link"),
        "up-link.tgz": (tar(link("l", ".."), ("l/escaped", b"x")), "entry l: a symbolic link"),
        "through.tgz": (tar(link("l", "d"), ("d/x", b""), ("l/escaped", b"x")), "entry l/escaped"),
        "hard.tgz": (tar(link("h", "../small", tarfile.LNKTYPE)), "entry h: a hard link"),
        "device.tgz": (tar(link("null", "", tarfile.CHRTYPE)), "entry null: a device"),
        "pipe.tgz": (tar(link("p", "", tarfile.FIFOTYPE)), "entry p: a device, pipe"),
    }
    z = io.BytesIO()
    with zipfile.ZipFile(z, "w") as out:
        out.writestr("../escaped", b"x")
    tricks["up.zip"] = (z.getvalue(), "entry ../escaped")
    for name, (content, reason) in tricks.items():
        web.files[name] = content
        Fetch(web.url("f/" + name)).fails("/" + name + ": unpack: ", reason)
        check(not os.path.exists(escaped), name)
    for path in ("../escaped", "/tmp/escaped", "a/../../escaped", "a/", ".."):
        Fetch({"value": web.url("f/small"), "output_file": path}).fails("the file's path")
    web.files["l.tgz"] = tar(link("in", "d"), ("d/x", b""))
    f = Fetch(web.url("f/l.tgz"), {"value": web.url("f/small"), "output_file": "in/small"})
    f.fails("in is a symbolic link")


def test_names_that_are_none():
    for uri in (web.url(""), web.url("f/?x"), web.url("f/.."), "http://127.0.0.1", "/"):
        Fetch(uri).fails("without the name of a file")
    Fetch("hdfs://u:secret@h/f").fails("hdfs://h/f: scheme hdfs is not supported")
    Fetch("file://h/f").fails("absolute path")
    Fetch("").fails("the URI is empty")
    Fetch("http://u:secret/x@h/f").fails("http://h/f: malformed URI")


def test_bad_servers():
    Fetch(web.url("f/none")).fails("/f/none: the server answered with status 404")
    Fetch(web.url("loop/x")).fails("more than 10 redirects")
    Fetch(web.url("hop/9/x")).ok().has("x", b"small content")
    Fetch(web.url("tofile/x")).fails("redirected to a scheme that is not supported")
    Fetch(web.url("short/x")).fails("ended early, after 5 bytes")
    Fetch(web.url("garbage/x")).fails("garbage/x: ")
    Fetch(web.url("endless/x"), file_max_bytes=1 << 20).fails("larger than 1048576 bytes")
    Fetch(web.url("huge/x"), file_max_bytes=1 << 20).fails("larger than 1048576 bytes")
    Fetch("http://127.0.0.1:1/x").fails("connect")
    Fetch("http://no-such-host.invalid/x").fails("resolve")
    Fetch(web.url("auth/x", "u:secret@")).ok().has("x", b"private")
    Fetch(web.url("auth/x", "u:secrets@")).fails("http://127.0.0.1:", "status 401")


def test_servers_that_hang():
    started = time.monotonic()
    fetches = [Fetch(web.url(how + "/x")) for how in ("hang", "drip", "stall")]
    for f in fetches:
        f.fails("no byte came for %d ms" % STALL_MS)
    check(time.monotonic() - started < TIMEOUT_S / 2, "the time-out came late")


def test_https_is_verified():
    cert = os.path.join(base, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", cert + ".key", "-out", cert],
                   check=True, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S)
    both = os.path.join(base, "both.pem")
    with open(both, "wb") as out:
        for name in (cert, cert + ".key"):
            with open(name, "rb") as f:
                out.write(f.read())
    secure = Web(web.files, both)
    try:
        Fetch(secure.url("f/small")).fails("certificate")
        Fetch(secure.url("f/small"), env={"SSL_CERT_FILE": cert}).ok().has("small",
                                                                          b"small content")
        Fetch(secure.url("f/small").replace("127.0.0.1", "localhost"),
              env={"SSL_CERT_FILE": cert}).fails("localhost")
    finally:
        secure.stop()


def test_ftp():
    Fetch(ftp.url("small")).ok().has("small", b"small content")
    Fetch(ftp.url("none")).fails("ftp://127.0.0.1:")
    Fetch(ftp.url("small"), file_max_bytes=4).fails("larger than 4 bytes")


def test_disk_full():
    """As far as a limit of the process can play it: nothing is written beyond 64 KiB."""
    web.files["medium"] = b"x" * (1 << 20)
    f = Fetch(web.url("hang/x"))  # the limit is set while it waits
    f.process.kill()
    f.wait()
    script = 'ulimit -f 64; exec "$0"'
    plan = {"sandbox": f.sandbox, "uris": [{"value": web.url("f/medium")}]}
    made = subprocess.run([FBTOOL, "plan"], input=json.dumps(plan).encode(),
                          stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S)
    r = subprocess.run(["sh", "-c", script, FETCHER], input=made.stdout, capture_output=True,
                       timeout=TIMEOUT_S, check=False, env=clean_env())
    check_eq(r.returncode, 1, r)
    check(b"f/medium: write: File too large" in r.stdout, r)
    check_eq([n for n in f.files() if n.endswith("medium")], [])


def test_plans_that_are_none():
    for plan, reason in ((b"", b"the plan: "), (b"x" * 100, b"the plan: "),
                         (b"\0" * ((1 << 20) + 2), b"the plan has more than 1048576 bytes")):
        r = subprocess.run([FETCHER], input=plan, capture_output=True, timeout=TIMEOUT_S,
                           check=False)
        check_eq(r.returncode, 1, r)
        check(reason in r.stdout and r.stdout.count(b"\n") == 1, r)
    Fetch(web.url("f/small"), sandbox="/no/where").fails("enter the sandbox: No such file")
    check_eq(subprocess.run([FETCHER, "x"], stderr=subprocess.DEVNULL, timeout=TIMEOUT_S,
                            check=False).returncode, 2)


def test_cache_downloads_once():
    """Eight at once: one asks the server, which answers when all have started."""
    plan = cache("eight")
    uri = {"value": web.url("gate/x"), "cache": True}
    fetches = [Fetch(uri, **dict(plan, stall_ms=TIMEOUT_S * 1000)) for _ in range(8)]
    check(web.reached.wait(TIMEOUT_S))
    for f in fetches:  # each has said what it fetches: all have opened the cache
        check(b"fetching" in f.process.stderr.readline())
    web.gate.set()
    for f in fetches:
        f.ok().has("x", b"small content")
    check_eq(web.count("/gate/x"), 1)
    check_eq(entries(plan), [13])
    web.gate.clear()


def test_cache_semantics():
    plan = cache("semantics", 1000)
    web.files["changing"] = b"old"
    cached = {"value": web.url("f/changing"), "cache": True}
    Fetch(cached, **plan).ok().has("changing", b"old")
    web.files["changing"] = b"new"
    Fetch(cached, **plan).ok().has("changing", b"old")
    Fetch(web.url("f/changing"), **plan).ok().has("changing", b"new")
    f = Fetch({"value": web.url("f/good.tgz"), "cache": True}, **plan).ok()
    check_eq(f.files(), ["d/one"])  # the archive stays in the cache
    f = Fetch({"value": web.url("f/good.tgz"), "cache": True, "executable": True}, **plan).ok()
    check_eq((f.files(), mode(f.path("good.tgz"))), (["good.tgz"], 0o700))
    check_eq(web.count("/f/changing"), 2)
    Fetch({"value": web.url("f/none"), "cache": True}, **plan).fails("status 404")
    web.files["large"] = b"x" * 1001
    Fetch({"value": web.url("f/large"), "cache": True}, **plan).ok().has("large", b"x" * 1001)
    Fetch({"value": web.url("f/large"), "cache": True}, file_max_bytes=999,
          **plan).fails("larger than 999 bytes")
    check_eq(len(entries(plan)), 2)
    os.chmod(plan["cache_dir"], 0o777)
    f = Fetch(cached, **plan).ok().has("changing", b"new")
    check("fetching without the cache" in f.err, f.err)


def test_cache_evicts():
    plan = cache("evicts", 1000)
    for i in range(20):
        web.files["e%d" % i] = b"x" * 300
        Fetch({"value": web.url("f/e0"), "cache": True},
              {"value": web.url("f/e%d" % i), "cache": True}, **plan).ok()
        check(sum(entries(plan)) <= 1000)
    check_eq(web.count("/f/e0"), 1)  # always just used
    check_eq(web.count("/f/e1"), 1)
    Fetch({"value": web.url("f/e1"), "cache": True}, **plan).ok()
    check_eq(web.count("/f/e1"), 2)


def test_cache_after_kill():
    """Killed while it fills an entry: the next one fills it again, nothing stays."""
    plan = cache("killed")
    web.reached.clear()
    uri = {"value": web.url("gate/y"), "cache": True}
    f = Fetch(uri, **dict(plan, stall_ms=TIMEOUT_S * 1000))
    check(web.reached.wait(TIMEOUT_S))
    f.process.send_signal(signal.SIGKILL)
    f.wait()
    names = os.listdir(plan["cache_dir"])
    check(any(n.endswith(".tmp") for n in names), names)
    Fetch({"value": web.url("f/small"), "cache": True}, **plan).ok()
    check_eq(entries(plan), [13])
    web.gate.set()
    Fetch(uri, **plan).ok().has("y", b"small content")
    check_eq(entries(plan), [13, 13])
    web.gate.clear()


def run():
    global base, web, ftp
    base = tempfile.mkdtemp(prefix="pf-fetch.")
    z = io.BytesIO()
    with zipfile.ZipFile(z, "w") as out:
        out.writestr("zipped", b"zip")
    good = tar(("d/one", b"one"))
    files = {"small": b"small content", "other": b"other content", "empty": b"",
             "good.tgz": good, "good.zip": z.getvalue(), "wrong.tar.gz": b"<html>" * 400,
             "wrong.zip": b"<html>" * 400}
    plain = tar(("d/one", b"one" * 1000), compression="")
    files["cut.tgz"] = plain[:1024]
    files["bomb.gz"] = gzip.compress(b"\0" * (8 << 20))
    web, ftp = Web(files), Ftp(files)
    try:
        main([test_order_names_and_modes, test_local_files, test_archives,
              test_archives_that_escape, test_names_that_are_none, test_bad_servers,
              test_servers_that_hang, test_https_is_verified, test_ftp, test_disk_full,
              test_plans_that_are_none, test_cache_downloads_once, test_cache_semantics,
              test_cache_evicts, test_cache_after_kill])
    finally:
        web.stop()
        ftp.stop()
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    run()
