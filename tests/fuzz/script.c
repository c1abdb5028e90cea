/* SPDX-License-Identifier: Apache-2.0 */
/* See script.h. */
#include "tests/fuzz/script.h"

#include <stdio.h>
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/fb/base64.h"
#include "common/fb/json.h"
#include "schemas/proffer.h"
#include "tests/support/random_msg.h"

/* --- lines --- */

bool fuzz_next_part(struct pf_str *rest, char divider, struct pf_str *out)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = memchr(rest->at, divider, rest->len);
    uint32_t len = end != NULL ? (uint32_t)(end - rest->at) : rest->len;
    *out = (struct pf_str){rest->at, len};
    len += end != NULL ? 1 : 0;
    rest->at += len;
    rest->len -= len;
    return true;
}

/* Takes a number of at most nine digits away from the front. */
static uint32_t take_number(struct pf_str *s)
{
    uint32_t n = 0;
    for (int i = 0; i < 9 && s->len > 0 && *s->at >= '0' && *s->at <= '9'; i++) {
        n = n * 10 + (uint32_t)(*s->at - '0');
        s->at++;
        s->len--;
    }
    return n;
}

static void take_blank(struct pf_str *s)
{
    if (s->len > 0 && *s->at == ' ') {
        s->at++;
        s->len--;
    }
}

bool fuzz_next_line(struct pf_str *rest, struct fuzz_line *out)
{
    struct pf_str line;
    while (fuzz_next_part(rest, '\n', &line)) {
        if (line.len == 0 || *line.at == '#') {
            continue;
        }
        out->op = *line.at++;
        line.len--;
        take_blank(&line);
        out->n = take_number(&line);
        take_blank(&line);
        out->text = line;
        return true;
    }
    return false;
}

/* --- messages --- */

static struct pf_str with_variables(struct fuzz_world *w, struct pf_str text)
{
    struct pf_buf b = {0};
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '$' && i + 1 < text.len && text.at[i + 1] >= 'a' && text.at[i + 1] <= 'z') {
            pf_buf_add_cstr(&b, w->var[text.at[++i] - 'a']);
        } else {
            pf_buf_add_byte(&b, c == '\'' ? (uint8_t)'"' : (uint8_t)c);
        }
    }
    const char *whole = pf_buf_cstr(&b);
    struct pf_str copy = pf_arena_strdup(&w->arena, (struct pf_str){whole, (uint32_t)b.len});
    pf_buf_fini(&b);
    return copy;
}

/* Changes one place; small values are likely to be some other valid thing. */
static void damage(struct pf_rng *rng, uint8_t *at, uint32_t len)
{
    uint32_t i = (uint32_t)pf_rng_below(rng, len / 2) * 2;
    switch (pf_rng_below(rng, 4)) {
    case 0: at[i] = (uint8_t)pf_rng_next(rng); break;
    case 1: at[i] = (uint8_t)pf_rng_below(rng, 32); break;
    default: at[i] = at[i + 1] = 0; break;
    }
}

/* A few changes that leave a valid buffer. */
static bool damaged(struct fuzz_world *w, uint64_t seed, struct pf_msg *msg)
{
    struct pf_rng rng;
    pf_rng_seed(&rng, seed);
    uint32_t n = 1 + (uint32_t)pf_rng_below(&rng, 4), done = 0;
    for (int i = 0; i < 64 && done < n && msg->len >= 2; i++) {
        uint8_t *copy = pf_arena_memdup(&w->arena, msg->data, msg->len);
        damage(&rng, copy, msg->len);
        struct pf_msg changed;
        if (pf_fb_verify((struct pf_bytes){copy, msg->len}, msg->desc, &changed, NULL) == 0) {
            *msg = changed;
            done++;
        }
    }
    return done > 0;
}

bool fuzz_message(struct fuzz_world *w, struct pf_str text, const struct pf_fb_table_desc *d,
                  struct pf_msg *out)
{
    struct pf_fb_builder b;
    bool is_damaged = text.len > 0 && *text.at == '!';
    uint64_t seed = 0;
    struct pf_msg msg;
    if (is_damaged) {
        text.at++;
        text.len--;
        seed = take_number(&text);
        take_blank(&text);
    }
    pf_fb_builder_init(&b, &w->arena);
    if (text.len > 0 && *text.at == '%') {
        struct pf_rng rng;
        text.at++;
        text.len--;
        pf_rng_seed(&rng, take_number(&text));
        msg = random_msg(&b, d, &rng);
    } else if (pf_json_read(with_variables(w, text), d, &b, &msg, 0, NULL) != 0) {
        return false;
    }
    if (is_damaged && !damaged(w, seed, &msg)) {
        return false;
    }
    *out = msg;
    return true;
}

void fuzz_set_var(struct fuzz_world *w, char name, struct pf_str value)
{
    (void)snprintf(w->var[name - 'a'], FUZZ_VAR_MAX, "%.*s", PF_STR_ARG(value));
}

void fuzz_set_var_base64(struct fuzz_world *w, char name, struct pf_bytes value)
{
    struct pf_buf b = {0};
    pf_base64_encode(&b, value);
    fuzz_set_var(w, name, pf_str(pf_buf_cstr(&b)));
    pf_buf_fini(&b);
}

/* --- peers and requests --- */

uint64_t fuzz_peer_of(const struct fuzz_world *w, uint32_t n)
{
    return w->peer[n % FUZZ_PEERS];
}

uint64_t fuzz_peer_up(struct fuzz_world *w, uint32_t n)
{
    if (fuzz_peer_of(w, n) != 0) {
        return 0;
    }
    w->peer[n % FUZZ_PEERS] = ++w->last_peer;
    return w->last_peer;
}

void fuzz_peer_down(struct fuzz_world *w, uint64_t peer)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < FUZZ_PEERS; i++) {
        w->peer[i] = w->peer[i] == peer ? 0 : w->peer[i];
    }
    for (uint32_t i = 0; i < w->n_open; i++) {
        if (w->open[i].peer != peer) {
            w->open[n++] = w->open[i];
        }
    }
    w->n_open = n;
    pf_turns_forget_peer(w->turns, peer);
}

/* Greetings, heartbeats and answers ask nothing, whatever number they carry. */
static bool is_request(enum Body type)
{
    switch (type) {
    case Body_Challenge:
    case Body_Hello:
    case Body_Welcome:
    case Body_Heartbeat:
    case Body_Goodbye:
    case Body_Reply:
    case Body_AgentRegistered: return false;
    default: return true;
    }
}

bool fuzz_asks(struct fuzz_world *w, uint64_t peer, struct pf_msg msg)
{
    struct Envelope env = Envelope__root(msg);
    if (Envelope_request_id(env) == 0 || Envelope_is_reply(env)) {
        return true;
    }
    if (w->n_open == FUZZ_OPEN_MAX) {
        return false;
    }
    w->open[w->n_open++] = (struct fuzz_open){peer, Envelope_request_id(env),
                                              !is_request(Envelope_body_type(env))};
    return true;
}

uint32_t fuzz_unanswered(const struct fuzz_world *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->n_open; i++) {
        n += w->open[i].may_stay ? 0 : 1;
    }
    return n;
}

void fuzz_answered(struct fuzz_world *w, uint64_t peer, uint64_t request_id)
{
    uint32_t i = 0;
    while (i < w->n_open &&
           (w->open[i].peer != peer || w->open[i].request_id != request_id)) {
        i++;
    }
    PF_ASSERT(i < w->n_open); /* one reply to each request, none to others */
    w->open[i] = w->open[--w->n_open];
}

/* --- turns --- */

void fuzz_mix(struct fuzz_world *w, const void *p, size_t len)
{
    w->hash = pf_hash(p, len, w->hash);
}

static void collect(struct fuzz_world *w)
{
    uint64_t number = 0;
    if (w->in_flight == 0) {
        return;
    }
    int rc = pf_store_collect(w->store, &number, NULL);
    PF_ASSERT(rc == 0);
    PF_ASSERT(number == w->in_flight);
    w->in_flight = 0;
    pf_turns_stored(w->turns, number);
}

static void carry_out(struct fuzz_world *w, const struct pf_effect *e)
{
    struct pf_msg msg = {NULL, 0, NULL};
    uint32_t kind = (uint32_t)e->kind << 16 | e->act;
    fuzz_mix(w, &kind, sizeof kind);
    fuzz_mix(w, &e->peer, sizeof e->peer);
    if (e->kind == PF_EFFECT_SEND) {
        PF_ASSERT(e->message.len <= PF_FRAME_MAX_BYTES);
        int rc = pf_fb_verify(e->message, &Envelope__desc, &msg, NULL);
        PF_ASSERT(rc == 0);
        fuzz_mix(w, e->message.at, e->message.len);
        struct Envelope env = Envelope__root(msg);
        if (Envelope_is_reply(env) && Envelope_body_type(env) != Body_AgentTasksWanted) {
            fuzz_answered(w, e->peer, Envelope_request_id(env));
        }
    }
    w->on_effect(w->ctx, e, msg);
}

void fuzz_settle(struct fuzz_world *w)
{
    const struct pf_batch *batch;
    const struct pf_effect *e;
    collect(w);
    while ((batch = pf_turns_seal(w->turns)) != NULL) {
        w->in_flight = batch->number;
        pf_store_submit(w->store, batch);
        if (w->is_slow) {
            break;
        }
        collect(w);
    }
    while ((e = pf_turns_next(w->turns)) != NULL) {
        carry_out(w, e);
    }
    pf_turns_check(w->turns);
}

static void open_store(struct fuzz_world *w)
{
    w->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    w->store = pf_store_memory_open(w->image);
}

void fuzz_world_init(struct fuzz_world *w, fuzz_effect_fn *on_effect, void *ctx)
{
    *w = (struct fuzz_world){.on_effect = on_effect, .ctx = ctx, .now_ms = 1000, .hash = 1};
    w->image = pf_store_image_create();
    open_store(w);
}

void fuzz_world_crash(struct fuzz_world *w)
{
    pf_store_destroy(w->store);
    pf_turns_destroy(w->turns);
    memset(w->peer, 0, sizeof w->peer);
    w->n_open = 0;
    w->in_flight = 0;
    open_store(w);
}

void fuzz_world_end_line(struct fuzz_world *w)
{
    pf_arena_reset(&w->arena);
}

void fuzz_world_fini(struct fuzz_world *w)
{
    pf_store_destroy(w->store);
    pf_turns_destroy(w->turns);
    pf_store_image_destroy(w->image);
    pf_arena_fini(&w->arena);
}

int fuzz_twice(const uint8_t *data, size_t size, uint64_t (*run)(struct pf_str script))
{
    if (size > FUZZ_SCRIPT_MAX_BYTES) {
        return 0;
    }
    struct pf_str script = {(const char *)data, (uint32_t)size};
    uint64_t first = run(script), second = run(script);
    PF_ASSERT(first == second);
    return 0;
}
