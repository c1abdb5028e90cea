/* SPDX-License-Identifier: Apache-2.0 */
/* What the quorum wants done, in order. The machines of this folder append; the daemon or the
 * simulator takes. */
#ifndef PF_COMMON_ELECT_EFFECT_H
#define PF_COMMON_ELECT_EFFECT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/id.h"
#include "common/base/str.h"
#include "common/elect/zk_op.h"

enum pf_quorum_effect_type {
    PF_QUORUM_ZK = 1, /* send this request */
    PF_QUORUM_PROBE,  /* connect to `probe.address` and tell PROBED how that went, once */
    PF_QUORUM_LEAD,   /* lead: all committed rows were told before */
    PF_QUORUM_STOP,   /* lead no more: drop what is queued, close links, destroy the core; the rows
                       * of a new one are told after it */
    PF_QUORUM_ROW,    /* standby: a committed row is this now, or is gone */
    PF_QUORUM_STORED, /* leader: the submitted batch of this number is stored */
    PF_QUORUM_STREAM, /* leader: send `message` (an Envelope) to every master that is linked */
    PF_QUORUM_SEND,   /* send `message` to the master of this instance */
    PF_QUORUM_VIEW,   /* the masters, who leads, or a lag changed: see pf_quorum_view() */
    PF_QUORUM_SAY,    /* a line for the log */
    PF_QUORUM_FATAL,  /* this master cannot go on (a newer format, ...): end the process */
};

struct pf_quorum_effect {
    enum pf_quorum_effect_type type;
    union {
        struct pf_zk_request zk;
        struct {
            struct pf_str address;
        } probe;
        struct {
            struct pf_uuid incarnation;
            uint64_t epoch;
        } lead;
        struct {
            struct pf_str why;
        } stop;
        struct {
            uint8_t table;
            bool is_del;
            struct pf_bytes key, row;
        } row;
        struct {
            uint64_t number;
        } stored;
        struct {
            struct pf_str instance; /* SEND */
            struct pf_bytes message;
        } send;
        struct {
            bool is_warning;
            struct pf_str text;
        } say; /* and FATAL */
    };
};

struct pf_outbox_node;

/* First in, first out; what is put is copied deeply. */
struct pf_outbox {
    struct pf_arena arena[2]; /* the other one still holds the effect that was taken last */
    uint8_t current;
    struct pf_outbox_node *first, *last;
};

void pf_outbox_init(struct pf_outbox *o);
void pf_outbox_fini(struct pf_outbox *o);
void pf_outbox_put(struct pf_outbox *o, const struct pf_quorum_effect *effect);
/* NULL: empty. The effect is valid until the next take; putting meanwhile is fine. */
const struct pf_quorum_effect *pf_outbox_take(struct pf_outbox *o);
void pf_outbox_say(struct pf_outbox *o, bool is_warning, const char *fmt, ...) PF_PRINTF(3, 4);

#endif
