# SPDX-License-Identifier: Apache-2.0
"""`proffer up --hosts`: daemons in network namespaces of their own, drills that lose packets
between them, and nothing left of it afterwards."""
import ctypes
import json
import os
import socket
import sys
import time

from cluster import Cluster, check, check_eq, command, finish, main

DRILL_S = 120
HOSTS = ["--masters", "3", "--hosts"]
SILENT_S = 0.5
BACK_S = 20  # a packet that was lost is sent again, more and more rarely
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def network():
    """The names of everything there is outside."""
    links = json.loads(command("ip", "-j", "link").out or "[]")
    spaces = json.loads(command("ip", "-j", "netns").out or "[]")
    rules = command("ip", "rule").out
    return sorted(x["ifname"] for x in links), sorted(x["name"] for x in spaces), rules


def of(bridge, names):
    return [n for n in names if n.startswith(bridge)]


def cluster(*args, agents=1):
    c = Cluster(agents=agents, up_args=[*HOSTS, *args])
    for option in ("--listen", "--http"):
        at = c.up_args.index(option)
        del c.up_args[at:at + 2]
    return c


def hosts(c):
    """{kind: [(name of the host, its address)]}"""
    found = {}
    for d in c.state()["daemons"]:
        found.setdefault(d["kind"], []).append((d["host"], d["native"].split(":")[0]))
    return found


def leader(c):
    masters = [m for m in c.list("masters") if m["leading"]]
    check_eq(len(masters), 1, masters)
    return masters[0]["address"].split(":")[0], masters[0]["epoch"]


class Inside:
    """This thread in the network of a host."""

    def __init__(self, host):
        self.host = host

    def enter(self, fd):
        check_eq(LIBC.setns(fd, CLONE_NEWNET), 0, os.strerror(ctypes.get_errno()))
        os.close(fd)

    def __enter__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.enter(os.open("/run/netns/" + self.host, os.O_RDONLY))

    def __exit__(self, *_):
        self.enter(self.before)


def connection(a, b):
    """A standing connection between two hosts: both ends."""
    with Inside(a[0]), socket.create_server((a[1], 0)) as listener:
        with Inside(b[0]):
            far = socket.create_connection(listener.getsockname(), timeout=5)
        near = listener.accept()[0]
    for end in near, far:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def passes(sender, receiver, seconds):
    """Does a byte get there? An error on either end is one."""
    sender.send(b"x")
    receiver.settimeout(seconds)
    try:
        check_eq(receiver.recv(1), b"x", "the connection was ended")
    except socket.timeout:
        return False
    return True


def deaf(host):
    """From which addresses it hears nothing."""
    rules = json.loads(command("ip", "-n", host, "-j", "rule").out)
    return {r["src"] for r in rules if r.get("action") == "blackhole"}


def drill(c, name, *args):
    r = c.proffer("drill", name, "-o", "json", "--pause-limit", "10s", *args, timeout=DRILL_S)
    check_eq(r.code, 0, r)
    check("lost 0, doubled 0, restarted 0" in r.err, r)
    return json.loads(r.out)


def test_each_has_a_host_and_a_dead_one_is_replaced():
    before = network()
    with cluster("--fake-agents", "2") as c:
        found = hosts(c)
        names = [h for kind in found.values() for h, _ in kind]
        addresses = [a for kind in found.values() for _, a in kind]
        check_eq(len(set(names)), 6, found)
        check_eq(len(set(addresses)), 6, found)
        links, spaces, _ = network()
        bridge = names[0].split("-")[0]
        check_eq(of(bridge, links), sorted([bridge, *names]))
        check_eq(of(bridge, spaces), sorted(names))
        r = c.proffer("drill", "rst-between-masters")
        check_eq(r.code, 2, r)
        check("--relays" in r.err, r)
        was = leader(c)
        x = drill(c, "leader-host-dead")[0]
        check(x["leader_after"].split(":")[0] != was[0], x)
        check_eq(leader(c), (x["leader_after"].split(":")[0], was[1] + 1), x)
    check_eq(network(), before, "something is left")


def partition(c, pairs):
    """One of the drill's partitions: what is cut, is cut in that direction only, silently."""
    ends = {(a, b): connection(a, b) for a, b in pairs}
    p = c.start("drill", "partition", "--for", "3s", "--pause-limit", "10s")
    everybody = {h for pair in pairs for h in pair}
    cut = set()
    while not cut and p.poll() is None:
        cut = {(source, h[1]) for h in everybody for source in deaf(h[0])}
    time_of_cut = time.monotonic()
    check(cut, "nothing was cut")
    lost = []
    for (a, b), (near, far) in ends.items():
        for sender, receiver, way in ((near, far, (a[1], b[1])), (far, near, (b[1], a[1]))):
            if way in cut or (way[1], way[0]) in cut:
                got = passes(sender, receiver, SILENT_S)
                # the drill goes from host to host: what it reaches late may still get through
                check(way not in cut or not got, "%s -> %s passes" % way)
                if way in cut:
                    lost.append(receiver)
    seconds = time.monotonic() - time_of_cut
    r = finish(p, DRILL_S)
    check_eq(r.code, 0, r)
    check(seconds < 3, "the drill was over before all was looked at: %.1f s" % seconds)
    check(lost, cut)
    check_eq({s for h in everybody for s in deaf(h[0])}, set(), "not healed")
    for receiver in lost:  # TCP delivers afterwards what was lost
        receiver.settimeout(BACK_S)
        check_eq(receiver.recv(1), b"x")
    return cut


def test_partitions_lose_packets_one_way():
    with cluster() as c:
        found = hosts(c)
        pairs = [(m, other) for m in found["master"] for other in found["agent"] + found["zk"]]
        partition(c, pairs)
        # a drill that was killed leaves a cut; the next one heals it first
        agent, master = found["agent"][0], found["master"][0]
        rule = ["ip", "-n", agent[0], "rule", "add", "pref", "10", "from", master[1], "blackhole"]
        check_eq(command(*rule).code, 0)
        drill(c, "framework-kill")
        check_eq(deaf(agent[0]), set())


def test_a_killed_supervisor_leaves_hosts_that_are_found_again():
    before = network()
    with cluster() as a, cluster() as b:
        check(not {h for h, _ in sum(hosts(a).values(), [])} &
              {h for h, _ in sum(hosts(b).values(), [])}, hosts(a), hosts(b))
        both, found = network(), hosts(a)
        task = a.start("run", "--", "sh", "-c", "echo up; while [ ! -e %s ]; do sleep 0.1; done; "
                       "ip -br -4 addr show dev eth0" % a.path("go"))
        check_eq(task.stdout.readline(), b"up\n")
        os.kill(a.state()["supervisor_pid"], 9)
        r = a.up()
        check_eq(r.code, 0, r)
        check_eq(network(), both)
        check_eq(hosts(a), found)
        with open(a.path("go"), "w"):
            pass
        r = finish(task)
        check_eq(r.code, 0, r)
        check(found["agent"][0][1] in r.out, r)
        os.kill(a.state()["supervisor_pid"], 9)
        at = a.up_args.index("--hosts")
        del a.up_args[at]  # the next one wants none
        r = a.up()
        check_eq(r.code, 0, r)
        check_eq(of(found["agent"][0][0].split("-")[0], sum(network()[:2], [])), [])
        r = a.up("--hosts")
        check_eq(r.code, 1, r)
        check("no hosts of its own" in r.err, r)
        os.kill(b.state()["supervisor_pid"], 9)
    check_eq(network(), before, "something is left")


def test_without_rights_it_says_which():
    c = cluster()
    try:
        r = command("setpriv", "--inh-caps", "-sys_admin", "--bounding-set", "-sys_admin",
                    os.path.join(os.environ["PF_BIN"], "proffer"), "up", *c.up_args, env=c.env)
        check_eq(r.code, 1, r)
        check("CAP_SYS_ADMIN" in r.err and "CAP_NET_ADMIN" not in r.err and "--relays" in r.err, r)
        for more in (["--relays"], ["--listen", "127.0.0.1:0"], ["--agents", "300"]):
            r = c.up(*more)
            check_eq(r.code, 2, r)
    finally:
        c.down("--purge")


def may_make_hosts():
    name = "pftest%d" % os.getpid()
    made = command("ip", "link", "add", name, "type", "bridge").code == 0
    made = made and command("ip", "netns", "add", name).code == 0
    made = made and command("ip", "link", "add", name + "v", "type", "veth", "peer", "name", "eth0",
                            "netns", name).code == 0
    command("ip", "link", "del", name + "v")
    command("ip", "netns", "del", name)
    command("ip", "link", "del", name)
    return made


if __name__ == "__main__":
    try:
        has_right = os.path.exists("/sys/class/net/lo") and os.getuid() == 0 and may_make_hosts()
    except FileNotFoundError as e:
        has_right = False
        print(e)
    if not has_right:
        print("needs root, sysfs, iproute2 and the right to make network namespaces (tests/needs)")
        sys.exit(77)
    main([test_each_has_a_host_and_a_dead_one_is_replaced, test_partitions_lose_packets_one_way,
          test_a_killed_supervisor_leaves_hosts_that_are_found_again,
          test_without_rights_it_says_which])
