/* SPDX-License-Identifier: Apache-2.0 */
/* See follow.h. */
#include "framework/cli/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "common/link/backoff.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"
#include "schemas/proffer.h"

#define AGAIN_MS 200 /* the agent had no room, or no launcher, for it */

struct reading {
    struct source *source;
    char *framework_id, *task_id;
    uint32_t user;
    int stream;
    bool follow, has_offset;
    uint32_t tail_lines;
    int64_t since_ms;
    uint64_t offset;
    uint64_t request_id; /* of the open request; 0: to be sent (again) */
};

/* One piece for a standard input. */
struct writing {
    char *framework_id, *task_id;
    struct pf_buf data;
    bool eof;
    uint64_t request_id; /* 0: to be sent (again) */
    void (*on_done)(void *ctx, const struct pf_err *err);
    void *ctx;
};

/* An agent. */
struct source {
    struct pf_follow *follow;
    char address[PF_ADDRESS_MAX];
    uint64_t peer; /* connecting or up; 0 = waiting to try again */
    bool is_up;
    int64_t down_since_ms;
    struct pf_backoff backoff;
    struct pf_timer *retry;
    struct pf_ptrs readings; /* struct reading, owned */
    struct writing *writing; /* owned, NULL = none */
};

struct pf_follow {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_link_self self;
    int32_t give_up_ms;
    struct pf_follow_ops ops;
    void *ctx;
    struct pf_ptrs sources; /* owned */
    uint64_t next_request;
    struct pf_rng dice;
    struct pf_fb_builder builder;
};

static void reading_free(struct reading *r)
{
    pf_free(r->framework_id);
    pf_free(r->task_id);
    pf_free(r);
}

static void writing_free(struct writing *w)
{
    if (w != NULL) {
        pf_free(w->framework_id);
        pf_free(w->task_id);
        pf_buf_fini(&w->data);
        pf_free(w);
    }
}

static void send_body(struct source *s, uint64_t request_id, uint8_t type, struct pf_ref body)
{
    struct pf_follow *f = s->follow;
    struct pf_msg m = pf_envelope_finish(
        &f->builder, &(struct pf_envelope){.request_id = request_id, .body_type = type}, body);
    pf_peer_send(f->net, s->peer, pf_msg_bytes(m));
}

static void reading_ask(struct reading *r)
{
    struct pf_follow *f = r->source->follow;
    pf_fb_builder_reset(&f->builder);
    r->request_id = ++f->next_request;
    struct pf_ref body =
        ReadFile__put(&f->builder, &(struct ReadFile__args){
                                       .framework_id = pf_str(r->framework_id),
                                       .task_id = pf_str(r->task_id),
                                       .stream = r->stream == PF_STREAM_STDERR ? TaskStream_STDERR
                                                                               : TaskStream_STDOUT,
                                       .offset = r->offset,
                                       .limit = PF_READ_CHUNK_BYTES,
                                       .follow = r->follow,
                                       .tail_lines = r->has_offset ? 0 : r->tail_lines,
                                       .since_ms = r->has_offset ? 0 : r->since_ms,
                                   });
    send_body(r->source, r->request_id, Body_ReadFile, body);
}

static void writing_send(struct source *s)
{
    struct pf_follow *f = s->follow;
    struct writing *w = s->writing;
    pf_fb_builder_reset(&f->builder);
    w->request_id = ++f->next_request;
    struct pf_ref body =
        WriteStdin__put(&f->builder, &(struct WriteStdin__args){
                                         .framework_id = pf_str(w->framework_id),
                                         .task_id = pf_str(w->task_id),
                                         .data = {w->data.data, (uint32_t)w->data.len},
                                         .eof = w->eof,
                                     });
    send_body(s, w->request_id, Body_WriteStdin, body);
}

/* Forgets the reading, then tells; the callback may add others. */
static void reading_end(struct source *s, uint32_t i, const struct pf_err *err)
{
    struct pf_follow *f = s->follow;
    struct reading *r = s->readings.at[i];
    uint32_t user = r->user;
    int stream = r->stream;
    pf_ptrs_remove(&s->readings, i);
    reading_free(r);
    f->ops.on_end(f->ctx, user, stream, err);
}

static void writing_end(struct source *s, const struct pf_err *err)
{
    struct writing *w = s->writing;
    s->writing = NULL;
    void (*on_done)(void *, const struct pf_err *) = w->on_done;
    void *ctx = w->ctx;
    writing_free(w);
    on_done(ctx, err);
}

static void source_connect(struct source *s)
{
    s->peer = pf_net_connect(s->follow->net, s->address, NULL);
}

/* Sends what is not under way. */
static void source_ask(struct source *s)
{
    for (uint32_t i = 0; i < s->readings.len; i++) {
        struct reading *r = s->readings.at[i];
        if (r->request_id == 0) {
            reading_ask(r);
        }
    }
    if (s->writing != NULL && s->writing->request_id == 0) {
        writing_send(s);
    }
}

static void source_retry(void *ctx)
{
    struct source *s = ctx;
    if (s->is_up) {
        source_ask(s);
    } else if (s->peer == 0 && (s->readings.len > 0 || s->writing != NULL)) {
        source_connect(s);
    }
}

static void source_ask_later(struct source *s)
{
    pf_timer_set(s->retry, pf_loop_now_ms(s->follow->loop) + AGAIN_MS);
}

static struct source *source_of_peer(struct pf_follow *f, uint64_t peer)
{
    for (uint32_t i = 0; i < f->sources.len; i++) {
        struct source *s = f->sources.at[i];
        if (s->peer == peer) {
            return s;
        }
    }
    return NULL;
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct source *s = source_of_peer(ctx, up->peer);
    if (s == NULL) {
        return;
    }
    s->is_up = true;
    s->backoff.failures = 0;
    source_ask(s);
}

static bool reading_reply(struct source *s, uint32_t i, const struct pf_envelope *e,
                          struct pf_msg envelope)
{
    struct pf_follow *f = s->follow;
    struct reading *r = s->readings.at[i];
    if (r->request_id != e->request_id) {
        return false;
    }
    r->request_id = 0;
    if (e->code == ReplyCode_TOO_MANY) { /* until others have ended */
        source_ask_later(s);
        return true;
    }
    struct pf_err err = {0};
    struct FileData d = {pf_envelope_body(envelope, Body_FileData)};
    if (pf_reply_error(e, &err) < 0 || d.tab.p == NULL) {
        if (err.code == 0) {
            (void)pf_err_set(&err, PF_EPROTO, "the agent's answer is no file data");
        }
        reading_end(s, i, &err);
        return true;
    }
    struct pf_bytes data = FileData_data(d);
    bool is_end = FileData_eof(d) || (!r->follow && data.len == 0);
    r->offset = FileData_offset(d) + data.len;
    r->has_offset = true;
    uint32_t user = r->user;
    int stream = r->stream;
    if (!is_end) {
        reading_ask(r); /* the next piece comes while this one is written */
    }
    if (data.len > 0) {
        f->ops.on_data(f->ctx, user, stream, data);
    }
    if (is_end) {
        reading_end(s, i, NULL);
    }
    return true;
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct source *s = source_of_peer(ctx, peer);
    struct pf_envelope e = pf_envelope_of(envelope);
    if (s == NULL || !e.is_reply) {
        return;
    }
    for (uint32_t i = 0; i < s->readings.len; i++) {
        if (reading_reply(s, i, &e, envelope)) {
            return;
        }
    }
    if (s->writing != NULL && s->writing->request_id == e.request_id) {
        struct pf_err err = {0};
        if (e.code == ReplyCode_UNAVAILABLE) { /* none of it was taken */
            s->writing->request_id = 0;
            source_ask_later(s);
            return;
        }
        int rc = pf_reply_error(&e, &err);
        writing_end(s, rc < 0 ? &err : NULL);
    }
}

static void source_give_up(struct source *s, const struct pf_err *why)
{
    struct pf_err err = *why;
    pf_err_wrap(&err, "agent at %s", s->address);
    while (s->readings.len > 0) {
        reading_end(s, 0, &err);
    }
    if (s->writing != NULL) {
        writing_end(s, &err);
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_follow *f = ctx;
    struct source *s = source_of_peer(f, peer);
    if (s == NULL) {
        return;
    }
    int64_t now_ms = pf_loop_now_ms(f->loop);
    if (s->is_up) {
        s->down_since_ms = now_ms;
    }
    s->is_up = false;
    s->peer = 0;
    for (uint32_t i = 0; i < s->readings.len; i++) {
        struct reading *r = s->readings.at[i];
        r->request_id = 0;
    }
    if (s->writing != NULL && s->writing->data.len == 0) {
        s->writing->request_id = 0; /* an end may be told twice */
    } else if (s->writing != NULL && s->writing->request_id != 0) {
        /* perhaps taken, perhaps not: bytes are neither lost nor doubled in silence */
        writing_end(s, why);
    }
    bool is_final = why->code == PF_EAUTH || why->code == PF_EVERSION;
    if (is_final || (f->give_up_ms >= 0 && now_ms - s->down_since_ms >= f->give_up_ms)) {
        source_give_up(s, why);
        return;
    }
    pf_timer_set(s->retry, now_ms + pf_backoff_next(&s->backoff, &f->dice));
}

static struct source *source_get(struct pf_follow *f, struct pf_str address)
{
    for (uint32_t i = 0; i < f->sources.len; i++) {
        struct source *s = f->sources.at[i];
        if (pf_str_is(address, s->address)) {
            return s;
        }
    }
    struct source *s = PF_NEW(struct source);
    s->follow = f;
    (void)snprintf(s->address, sizeof s->address, "%.*s", PF_STR_ARG(address));
    s->retry = pf_timer_create(f->loop, PF_PRIO_NORMAL, source_retry, s);
    pf_ptrs_push(&f->sources, s);
    return s;
}

/* Something to do for the source: connects if it must, sends now if it can. */
static bool source_wake(struct source *s)
{
    if (!s->is_up && s->peer == 0 && s->readings.len + (s->writing != NULL) == 1) {
        s->down_since_ms = pf_loop_now_ms(s->follow->loop);
        pf_timer_set(s->retry, INT64_MAX);
        source_connect(s);
    }
    return s->is_up;
}

int pf_follow_create(struct pf_loop *loop, const struct pf_key *key, int32_t give_up_ms,
                     const struct pf_follow_ops *ops, void *ctx, struct pf_follow **out,
                     struct pf_err *err)
{
    static const struct pf_net_ops net_ops = {on_up, on_message, on_down, NULL};
    struct pf_follow *f = PF_NEW(struct pf_follow);
    f->loop = loop;
    f->give_up_ms = give_up_ms;
    f->ops = *ops;
    f->ctx = ctx;
    f->self = (struct pf_link_self){.kind = PeerKind_OPERATOR, .key = key, .version = PF_VERSION};
    pf_fb_builder_init(&f->builder, NULL);
    pf_rng_seed(&f->dice, pf_random_u64());
    struct pf_net_options no = {.self = &f->self, .seed = pf_random_u64()};
    int rc = pf_net_create(loop, &no, &net_ops, f, &f->net, err);
    if (rc < 0) {
        pf_fb_builder_fini(&f->builder);
        pf_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void pf_follow_destroy(struct pf_follow *f)
{
    if (f == NULL) {
        return;
    }
    pf_net_destroy(f->net);
    for (uint32_t i = 0; i < f->sources.len; i++) {
        struct source *s = f->sources.at[i];
        pf_timer_destroy(s->retry);
        for (uint32_t k = 0; k < s->readings.len; k++) {
            reading_free(s->readings.at[k]);
        }
        pf_ptrs_fini(&s->readings);
        writing_free(s->writing);
        pf_free(s);
    }
    pf_ptrs_fini(&f->sources);
    pf_fb_builder_fini(&f->builder);
    pf_free(f);
}

void pf_follow_add(struct pf_follow *f, const struct pf_follow_task *task)
{
    struct source *s = source_get(f, task->agent_address);
    for (int stream = 0; stream < PF_STREAM_COUNT; stream++) {
        if (!task->streams[stream]) {
            continue;
        }
        struct reading *r = PF_NEW(struct reading);
        r->source = s;
        r->framework_id = pf_strndup(task->framework_id.at, task->framework_id.len);
        r->task_id = pf_strndup(task->task_id.at, task->task_id.len);
        r->user = task->user;
        r->stream = stream;
        r->follow = task->follow;
        r->tail_lines = task->tail_lines;
        r->since_ms = task->since_ms;
        pf_ptrs_push(&s->readings, r);
        if (source_wake(s)) {
            reading_ask(r);
        }
    }
}

void pf_follow_write(struct pf_follow *f, const struct pf_follow_stdin *in)
{
    struct source *s = source_get(f, in->agent_address);
    PF_ASSERT(s->writing == NULL);
    struct writing *w = PF_NEW(struct writing);
    w->framework_id = pf_strndup(in->framework_id.at, in->framework_id.len);
    w->task_id = pf_strndup(in->task_id.at, in->task_id.len);
    pf_buf_add(&w->data, in->data.at, in->data.len);
    w->eof = in->eof;
    w->on_done = in->on_done;
    w->ctx = in->ctx;
    s->writing = w;
    if (source_wake(s)) {
        writing_send(s);
    }
}

void pf_follow_resize(struct pf_follow *f, struct pf_str agent_address, struct pf_str framework_id,
                      struct pf_str task_id, uint32_t rows, uint32_t columns)
{
    for (uint32_t i = 0; i < f->sources.len; i++) {
        const struct source *s = f->sources.at[i];
        if (s->is_up && pf_str_is(agent_address, s->address)) {
            const struct pf_envelope e = {.body_type = Body_SessionResize};
            struct SessionResize__args args = {
                .rows = rows, .columns = columns, .framework_id = framework_id, .task_id = task_id};
            pf_fb_builder_reset(&f->builder);
            struct pf_ref body = SessionResize__put(&f->builder, &args);
            pf_peer_send(f->net, s->peer, pf_msg_bytes(pf_envelope_finish(&f->builder, &e, body)));
        }
    }
}
