/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads? Whoever needs the leading master keeps a link to every master that it heard of, and
 * follows the highest epoch of its incarnation among those that are linked and say that they lead.
 * A pure state machine: the owner says what became of its connections, and carries out what
 * pf_leader_next() wants. Masters have numbers, from 0 in the order of pf_leader_add(); they keep
 * them. Not for what is sent over the links, and it refuses no command: agents persist the epoch
 * that they obey themselves. */
#ifndef PF_COMMON_LINK_LEADER_H
#define PF_COMMON_LINK_LEADER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/sm.h"
#include "common/base/str.h"
#include "schemas/proffer.h"

struct pf_leader;

enum pf_leader_act {
    PF_LEADER_CONNECT = 1, /* answer with pf_leader_up() or pf_leader_down() */
    PF_LEADER_CLOSE,       /* end its connection, and say nothing of its end */
};

/* What became of a Welcome. */
enum pf_leader_link {
    PF_LEADER_LINKED = 1,
    PF_LEADER_DUPLICATE, /* another address of a master that is linked: closed until that is down */
    PF_LEADER_FOREIGN,   /* of another incarnation: closed, tried again later */
};

struct pf_leader_options {
    uint64_t seed;     /* spreads the tries */
    int64_t spread_ms; /* more of it, where many connect alike */
    struct pf_sm_tracer tracer;
};

struct pf_leader *pf_leader_create(const struct pf_leader_options *options);
void pf_leader_destroy(struct pf_leader *l); /* NULL is fine */
/* An address to begin with, or learnt elsewhere (copied); tried at once after the start. Doubles,
 * empty or overlong ones, and more than PF_MASTERS_MAX are ignored. */
void pf_leader_add(struct pf_leader *l, struct pf_str address);

/* --- what happens; before it nothing is connected --- */
void pf_leader_start(struct pf_leader *l, int64_t now_ms);
/* The connection is made and greeted. */
enum pf_leader_link pf_leader_up(struct pf_leader *l, uint32_t master, struct Welcome w,
                                 int64_t now_ms);
/* A Welcome on a link that stands. */
enum pf_leader_link pf_leader_again(struct pf_leader *l, uint32_t master, struct Welcome w,
                                    int64_t now_ms);
/* The connection could not be made, or ended. `why`: PF_E*, for people. */
void pf_leader_down(struct pf_leader *l, uint32_t master, int why, int64_t now_ms);
/* The owner wants the link to be made anew: it is closed, and connected after a while. */
void pf_leader_drop(struct pf_leader *l, uint32_t master, int64_t now_ms);
/* This master was accepted as leader of the pair: no other incarnation and no lower epoch leads
 * from now on. `incarnation` nil: not known. */
void pf_leader_accept(struct pf_leader *l, uint32_t master, struct pf_uuid incarnation,
                      uint64_t epoch);
void pf_leader_tick(struct pf_leader *l, int64_t now_ms);

/* What is to be done next; false: nothing. To be asked until then after each of the above. */
bool pf_leader_next(struct pf_leader *l, enum pf_leader_act *out_act, uint32_t *out_master);
/* When pf_leader_tick() is wanted; INT64_MAX = never. */
int64_t pf_leader_deadline(const struct pf_leader *l);

/* --- looking --- */
/* Who leads, -1 = nobody that is known. */
int32_t pf_leader_index(const struct pf_leader *l);
uint32_t pf_leader_count(const struct pf_leader *l);
uint32_t pf_leader_n_up(const struct pf_leader *l);
bool pf_leader_is_up(const struct pf_leader *l, uint32_t master);
const char *pf_leader_address(const struct pf_leader *l, uint32_t master); /* borrowed */
uint64_t pf_leader_epoch(const struct pf_leader *l, uint32_t master);      /* as it said last */
struct pf_uuid pf_leader_incarnation(const struct pf_leader *l, uint32_t master);
/* Since when nobody leads; INT64_MAX: somebody does. */
int64_t pf_leader_none_since(const struct pf_leader *l);
/* What each is doing, for people: "m1:5055 stands by, m2:5055: connection refused". */
void pf_leader_describe(const struct pf_leader *l, struct pf_buf *out);
void pf_leader_check(const struct pf_leader *l);

#endif
