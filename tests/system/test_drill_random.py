# SPDX-License-Identifier: Apache-2.0
"""Random rounds of drills under load on a quorum whose connections go through relays: nothing may
be lost. PF_DRILL_ROUNDS (20) and PF_DRILL_SEED say how many and which; few rounds are quick ones,
many are of every sort."""
import os
import sys

from cluster import Cluster, check_eq, main

ROUNDS = int(os.environ.get("PF_DRILL_ROUNDS", "20"))
SEED = os.environ.get("PF_DRILL_SEED", "20")
ROUND_S = 70


def test_random_rounds():
    quick = ["--quick"] if ROUNDS <= 20 else []
    with Cluster(agents=2, up_args=["--masters", "3", "--relays"]) as c:
        r = c.proffer("drill", "random", "--rounds", str(ROUNDS), "--seed", SEED, "--for", "8s",
                      "--pause-limit", "10s", *quick, timeout=ROUND_S * (ROUNDS + 1))
        sys.stderr.write(r.err + r.out)
        check_eq(r.code, 0, r)


if __name__ == "__main__":
    main([test_random_rounds])
