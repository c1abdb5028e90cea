# SPDX-License-Identifier: Apache-2.0
"""`proffer drill` on three masters with relays: who leads afterwards, and what is broken by what.
Random rounds: test_drill_random.py."""
import json

from cluster import Cluster, check, check_eq, main

DRILL_S = 200
QUORUM = ["--masters", "3", "--relays"]


def drill(c, name, *args):
    r = c.proffer("drill", name, "-o", "json", "--pause-limit", "10s", *args, timeout=DRILL_S)
    check_eq(r.code, 0, r)
    check("lost 0, doubled 0, restarted 0" in r.err, r)
    return json.loads(r.out)


def leader(c):
    masters = [m for m in c.list("masters") if m["leading"]]
    check_eq(len(masters), 1, masters)
    return masters[0]["address"], masters[0]["epoch"]


def test_relays_are_part_of_the_shape():
    with Cluster(agents=1, up_args=QUORUM) as c:
        relays = [d for d in c.state()["daemons"] if d["name"] == "relay"]
        check_eq(len(relays), 1)
        c.up_args.remove("--relays")
        r = c.up()
        check_eq(r.code, 1, r)
        check("with relays" in r.err, r)
        r = c.proffer("up", "--relays", "--dir", c.path("other"))
        check_eq(r.code, 2, r)


def test_kills():
    with Cluster(agents=2, up_args=QUORUM) as c:
        before = leader(c)
        rounds = drill(c, "leader-kill", "--rounds", "2")
        check(all(x["leader_after"] != x["leader_before"] for x in rounds), rounds)
        check_eq(rounds[0]["leader_before"], before[0])
        check_eq(leader(c), (rounds[1]["leader_after"], rounds[1]["epoch_after"]))
        drill(c, "double-kill")
        drill(c, "mid-accept", "--rounds", "3")
        drill(c, "zk-leader-kill")


def test_hand_over():
    with Cluster(agents=2, up_args=QUORUM) as c:
        rounds = drill(c, "hand-over", "--rounds", "3", "--rest", "300ms")
        for x in rounds:
            check(x["leader_after"] != x["leader_before"], x)
            check_eq(x["epoch_after"], x["epoch_before"] + 1)
            check(x["longest_wait_us"] > 0, x)


def test_a_leader_that_stops_and_one_that_is_cut_off():
    with Cluster(agents=1, up_args=QUORUM) as c:
        for name in ("leader-hang", "leader-host-dead"):
            before = leader(c)
            x = drill(c, name)[0]
            check(x["leader_after"] != before[0], x)
            check_eq(leader(c), (x["leader_after"], before[1] + 1), "it took the lead back", x)


def test_resets_and_partitions():
    with Cluster(agents=2, up_args=QUORUM) as c:
        before = leader(c)
        drill(c, "rst-between-masters", "--rounds", "2")
        check_eq(leader(c), before)
        drill(c, "partition", "--for", "3s", "--rounds", "2", "--seed", "5")
        drill(c, "zk-outage", "--for", "3s")
        drill(c, "zk-server-kill")


if __name__ == "__main__":
    main([test_relays_are_part_of_the_shape, test_kills, test_hand_over,
          test_a_leader_that_stops_and_one_that_is_cut_off, test_resets_and_partitions])
