/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzing a core: an input is a script of one event a line, so that a corpus can be read and a
 * fuzzer can move whole lines. A line is a letter, a number and a text, "m 1 {...}"; what they mean
 * says each target. This module reads lines, makes messages, and is the world that all cores have
 * in common: turns, a memory store, peers, requests that wait for their one reply.
 *
 * A message is JSON with ' for ", in which $x stands for the variable x (what a core said before),
 * or %SEED, a random message. !SEED before either damages the finished buffer in places that the
 * verifier does not mind: absent fields, unknown enum values, unions of unknown type. */
#ifndef PF_TESTS_FUZZ_SCRIPT_H
#define PF_TESTS_FUZZ_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/fb/build.h"
#include "common/store/store.h"
#include "common/turn/turn.h"

enum {
    FUZZ_SCRIPT_MAX_BYTES = 64 << 10,
    FUZZ_LINES_MAX = 400,
    FUZZ_PEERS = 16,
    FUZZ_OPEN_MAX = 256,
    FUZZ_VAR_MAX = 64,
};

struct fuzz_line {
    char op;
    uint32_t n;
    struct pf_str text;
};

/* The next line that is neither empty nor a comment (#); false at the end. */
bool fuzz_next_line(struct pf_str *rest, struct fuzz_line *out);
/* The part of `*rest` before `divider`, which is taken away; false when nothing is left. */
bool fuzz_next_part(struct pf_str *rest, char divider, struct pf_str *out);

/* `msg` is the verified Envelope of a SEND. */
typedef void fuzz_effect_fn(void *ctx, const struct pf_effect *e, struct pf_msg msg);

struct fuzz_open {
    uint64_t peer, request_id;
    bool may_stay; /* what is no request may be answered, or not */
};

struct fuzz_world {
    struct pf_turns *turns;
    struct pf_store_image *image; /* outlives crashes */
    struct pf_store *store;
    bool is_slow; /* a batch is stored only when the next one is gathered */
    uint64_t in_flight;
    int64_t now_ms;
    fuzz_effect_fn *on_effect;
    void *ctx;
    uint64_t peer[FUZZ_PEERS]; /* 0 = down */
    uint64_t last_peer;
    struct fuzz_open open[FUZZ_OPEN_MAX];
    uint32_t n_open;
    char var[26][FUZZ_VAR_MAX];
    struct pf_arena arena; /* of one line */
    uint64_t hash;         /* of all effects */
};

void fuzz_world_init(struct fuzz_world *w, fuzz_effect_fn *on_effect, void *ctx);
void fuzz_world_fini(struct fuzz_world *w);
/* What is not stored is lost; all peers are gone. */
void fuzz_world_crash(struct fuzz_world *w);
/* Ends a line: what was borrowed for it is gone. */
void fuzz_world_end_line(struct fuzz_world *w);

/* The message that `text` stands for, borrowed until the end of the line; false: none. */
bool fuzz_message(struct fuzz_world *w, struct pf_str text, const struct pf_fb_table_desc *d,
                  struct pf_msg *out);
void fuzz_set_var(struct fuzz_world *w, char name, struct pf_str value);
void fuzz_set_var_base64(struct fuzz_world *w, char name, struct pf_bytes value);

/* A peer that was down comes up under an id of its own; 0: it is up. */
uint64_t fuzz_peer_up(struct fuzz_world *w, uint32_t n);
/* The id of a peer that is up, 0: it is down. */
uint64_t fuzz_peer_of(const struct fuzz_world *w, uint32_t n);
/* Forgets it and what it waits for; the caller tells the core. */
void fuzz_peer_down(struct fuzz_world *w, uint64_t peer);
/* An Envelope for the core from a peer; false: too many requests are open, do not deliver. */
bool fuzz_asks(struct fuzz_world *w, uint64_t peer, struct pf_msg msg);
/* Requests that nothing has answered. */
uint32_t fuzz_unanswered(const struct fuzz_world *w);
/* Somebody else (a daemon) answers this request. */
void fuzz_answered(struct fuzz_world *w, uint64_t peer, uint64_t request_id);

/* Ends a turn: stores what is to be stored and carries out what may be seen. */
void fuzz_settle(struct fuzz_world *w);
/* Another thing that two runs must have in common. */
void fuzz_mix(struct fuzz_world *w, const void *p, size_t len);

/* Runs the script twice and demands the same effects. `run` gives their hash. */
int fuzz_twice(const uint8_t *data, size_t size, uint64_t (*run)(struct pf_str script));

#endif
