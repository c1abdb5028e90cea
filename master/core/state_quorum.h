/* SPDX-License-Identifier: Apache-2.0 */
/* What state.h remembers because there are other masters: agents that are linked to this one,
 * doubts whether an agent is gone, limits of giving agents up. */
#ifndef PF_MASTER_CORE_STATE_QUORUM_H
#define PF_MASTER_CORE_STATE_QUORUM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct m_agent;

/* An agent of which at least one link is up. */
struct m_linked {
    char *id;
    uint32_t n;
};

/* Is it linked to another master? */
enum m_doubt { M_DOUBT_NONE = 0, M_DOUBT_WAITING, M_DOUBT_ASKED };
enum m_hold { M_HOLD_NONE = 0, M_HOLD_RATE, M_HOLD_SAFETY, M_HOLD_COUNT };
TAILQ_HEAD(m_agents, m_agent);

/* The question to the other masters. */
struct m_seen {
    struct m_agents waiting, asked; /* of the next question, of the one under way */
    uint32_t n_waiting, n_asked, n_unanswered;
    uint64_t request_id;
    int64_t until_ms;
};

/* How many agents were given up. */
struct m_removals {
    int64_t *at_ms; /* the last ones, round and round; room for `limit` */
    uint32_t limit, n, next;
    uint32_t n_known, n_not_back; /* agents at the takeover; those given up since */
    uint32_t n_held[M_HOLD_COUNT];
};

#endif
