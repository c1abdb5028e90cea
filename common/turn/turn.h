/* SPDX-License-Identifier: Apache-2.0 */
/* Durable before visible, as data. A core appends rows and effects to the open turn; this module
 * numbers the rows of a turn as one batch and hands an effect out only when every row appended
 * before it is stored. Pure: the daemon and the simulator drive it alike. One thread.
 *
 * Order: per peer, and among actions, first in, first out: a held effect holds those behind it.
 *
 * The driver's loop:
 *     while events and !pf_turns_is_full(ts):  pf_x_step(core, &event, pf_turns_open(ts));
 *     if ((batch = pf_turns_seal(ts))) store it;      (later) pf_turns_stored(ts, batch->number)
 *     while ((e = pf_turns_next(ts))) carry it out;
 */
#ifndef PF_COMMON_TURN_TURN_H
#define PF_COMMON_TURN_TURN_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/fb/build.h"

struct pf_turn;  /* what a core sees */
struct pf_turns; /* what its driver sees */

/* --- for cores ------------------------------------------------------------------------------ */

/* Memory of the turn: lives until its batch is stored and its effects were carried out; what is
 * neither a row nor in an effect lives only for the step. */
struct pf_arena *pf_turn_arena(struct pf_turn *t);
/* A reset builder on the turn's arena: what it finishes may be sent, put or acted on without a
 * copy. One message at a time; a second call invalidates an unfinished message of the first. */
struct pf_fb_builder *pf_turn_builder(struct pf_turn *t);
/* A second builder, for what is nested into a message of the first. */
struct pf_fb_builder *pf_turn_nested_builder(struct pf_turn *t);

/* Rows. `table` is a number of schemas/rows.fbs (1..PF_STORE_TABLES_MAX); `key` has 1 to
 * PF_STORE_KEY_MAX_BYTES bytes and is copied; `row` has at most PF_ROW_MAX_BYTES and must live in
 * the turn's arena. A later put or del of the same key in the batch wins. */
void pf_turn_put(struct pf_turn *t, uint8_t table, struct pf_bytes key, struct pf_bytes row);
void pf_turn_del(struct pf_turn *t, uint8_t table, struct pf_bytes key);

/* What is put behind it waits for the next batch even if that has no rows: it becomes visible only
 * once the store has proved that we still lead (DESIGN 7, rule 7: negative statements). Cheap to
 * say again in the same turn. */
void pf_turn_fence(struct pf_turn *t);

/* Sends a whole envelope; `message` must live in the turn's arena. */
void pf_turn_send(struct pf_turn *t, uint64_t peer, struct pf_bytes message);
/* The same for what tells nothing new: it waits only behind held effects of the same peer. */
void pf_turn_send_now(struct pf_turn *t, uint64_t peer, struct pf_bytes message);
/* Closes the peer after all that was sent to it before. */
void pf_turn_close(struct pf_turn *t, uint64_t peer);
/* An effect of the core's own kinds (starting a process, reading a file, telling a callback);
 * `data` must live in the turn's arena. `act_now` does not wait for rows, only for actions before
 * it. */
void pf_turn_act(struct pf_turn *t, uint32_t kind, const void *data);
void pf_turn_act_now(struct pf_turn *t, uint32_t kind, const void *data);

/* --- for drivers (daemon, simulator, tests) -------------------------------------------------- */

struct pf_row_op {
    uint8_t table;
    bool is_del;
    struct pf_bytes key, row; /* borrowed until the batch is stored */
};

struct pf_batch {
    uint64_t number; /* 1, 2, 3, ... */
    const struct pf_row_op *op;
    uint32_t n_ops;
    uint32_t bytes; /* of keys and rows */
};

enum pf_effect_kind { PF_EFFECT_SEND = 1, PF_EFFECT_CLOSE, PF_EFFECT_ACT };

struct pf_effect {
    enum pf_effect_kind kind;
    uint64_t peer;          /* SEND, CLOSE */
    struct pf_bytes message; /* SEND: borrowed until the next call of pf_turns_next */
    uint32_t act;           /* ACT: the core's kind */
    const void *data;       /* ACT: borrowed likewise */
};

/* `batch_max_bytes`: over it the gathering turn is full (a single event may exceed it by its own
 * rows). `in_flight_max`: batches that may be at the store at once, 1..PF_TURN_IN_FLIGHT_MAX, see
 * pf_store_depth. */
struct pf_turns *pf_turns_create(uint32_t batch_max_bytes, uint32_t in_flight_max);
void pf_turns_destroy(struct pf_turns *ts);

struct pf_turn *pf_turns_open(struct pf_turns *ts);
/* True: the gathering turn has reached its limit (rows, or PF_TURN_HELD_MAX_BYTES of memory). Seal
 * it; if that is refused because of those in flight, feed no events until one is stored. */
bool pf_turns_is_full(const struct pf_turns *ts);
/* Ends the gathering: the batch to store now, or NULL when there is nothing to store or
 * `in_flight_max` are in flight (then what was gathered stays open). A batch that is only a fence
 * has no rows. Borrowed until pf_turns_stored for it. */
const struct pf_batch *pf_turns_seal(struct pf_turns *ts);
/* Batches sealed and not stored. */
uint32_t pf_turns_in_flight(const struct pf_turns *ts);
/* The oldest batch in flight is stored; asserts its number. A failed store has no call: the turns
 * and the core are destroyed and rebuilt from committed rows. */
void pf_turns_stored(struct pf_turns *ts, uint64_t number);
/* The next effect that may become visible, NULL when there is none for now. */
const struct pf_effect *pf_turns_next(struct pf_turns *ts);
/* Drops all effects for a peer that is gone (nobody to see them). */
void pf_turns_forget_peer(struct pf_turns *ts, uint64_t peer);
/* Nothing gathered, nothing in flight, nothing held. */
bool pf_turns_is_idle(const struct pf_turns *ts);
void pf_turns_check(const struct pf_turns *ts);

#endif
