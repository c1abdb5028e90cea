/* SPDX-License-Identifier: Apache-2.0 */
/* See taskwatch.h. */
#include "framework/cli/taskwatch.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"
#include "schemas/proffer.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 1000

/* A call that was made and has no answer: sent again on a new link. */
struct call {
    uint64_t request_id; /* 0: not sent on this link */
    struct pf_buf body;  /* a finished Master_Call */
};

struct pf_taskwatch {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_timer *retry;
    struct pf_link_self self;
    struct pf_taskwatch_ops ops;
    void *ctx;
    const char *masters;
    uint32_t at; /* which of the masters is tried */
    char *framework_id;
    struct pf_str *task_id; /* owned, with owned texts */
    uint32_t n_task_ids;
    int32_t give_up_ms;
    uint64_t peer;
    bool is_up, has_answer, has_ended;
    int64_t down_since_ms, retry_ms;
    uint64_t sequence, next_request, wait_request;
    struct pf_ptrs calls; /* struct call, owned */
    struct pf_fb_builder builder;
};

static void watch_end(struct pf_taskwatch *w, const struct pf_err *err)
{
    if (!w->has_ended) {
        w->has_ended = true;
        pf_timer_set(w->retry, INT64_MAX);
        w->ops.on_end(w->ctx, err);
    }
}

static void send_call(struct pf_taskwatch *w, uint64_t request_id, struct pf_ref call)
{
    struct pf_msg m = pf_envelope_finish(
        &w->builder, &(struct pf_envelope){.request_id = request_id, .body_type = Body_Master_Call},
        call);
    pf_peer_send(w->net, w->peer, pf_msg_bytes(m));
}

static void watch_ask(struct pf_taskwatch *w)
{
    struct pf_fb_builder *b = &w->builder;
    pf_fb_builder_reset(b);
    struct pf_ref wait = Master_Call_WaitTasks__put(
        b, &(struct Master_Call_WaitTasks__args){.framework_id = pf_str(w->framework_id),
                                                 .task_ids = {w->task_id, w->n_task_ids},
                                                 .sequence = w->sequence});
    w->wait_request = ++w->next_request;
    send_call(
        w, w->wait_request,
        Master_Call__put(b, &(struct Master_Call__args){.type = PF_OPT(Master_Call_Type_WAIT_TASKS),
                                                        .wait_tasks = wait}));
}

static void call_send(struct pf_taskwatch *w, struct call *c)
{
    struct pf_msg msg;
    int rc = pf_fb_verify((struct pf_bytes){c->body.data, (uint32_t)c->body.len},
                          &Master_Call__desc, &msg, NULL);
    PF_ASSERT(rc == 0);
    pf_fb_builder_reset(&w->builder);
    c->request_id = ++w->next_request;
    send_call(w, c->request_id, Master_Call__copy(&w->builder, Master_Call__root(msg)));
}

static void call_free(struct call *c)
{
    pf_buf_fini(&c->body);
    pf_free(c);
}

/* The address whose turn it is. */
static void watch_connect(struct pf_taskwatch *w)
{
    const char *at = w->masters;
    for (uint32_t i = 0; i < w->at; i++) {
        const char *comma = strchr(at, ',');
        if (comma == NULL) {
            w->at = 0;
            at = w->masters;
            break;
        }
        at = comma + 1;
    }
    char address[PF_ADDRESS_MAX];
    (void)snprintf(address, sizeof address, "%.*s", (int)strcspn(at, ","), at);
    w->peer = pf_net_connect(w->net, address, NULL);
}

static void watch_retry(void *ctx)
{
    struct pf_taskwatch *w = ctx;
    if (w->is_up) {
        watch_ask(w); /* the framework was not known a moment ago */
    } else {
        watch_connect(w);
    }
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_taskwatch *w = ctx;
    struct Welcome welcome = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    if (Welcome_role(welcome) == MasterRole_STANDBY) {
        pf_peer_close(w->net, up->peer, false); /* on_down tries the next one */
        return;
    }
    w->is_up = true;
    w->retry_ms = RETRY_MIN_MS;
    w->sequence = 0;
    watch_ask(w);
    for (uint32_t i = 0; i < w->calls.len; i++) {
        call_send(w, w->calls.at[i]);
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_taskwatch *w = ctx;
    if (peer != w->peer || w->has_ended) {
        return;
    }
    int64_t now_ms = pf_loop_now_ms(w->loop);
    if (w->is_up) {
        w->down_since_ms = now_ms;
    }
    w->is_up = false;
    w->peer = 0;
    if (why->code == PF_EAUTH || why->code == PF_EVERSION ||
        now_ms - w->down_since_ms >= w->give_up_ms) {
        watch_end(w, why);
        return;
    }
    w->at++;
    pf_timer_set(w->retry, now_ms + w->retry_ms);
    w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
}

static void wait_reply(struct pf_taskwatch *w, const struct pf_envelope *e, struct pf_msg envelope)
{
    struct pf_err err = {0};
    int rc = pf_reply_error(e, &err);
    struct Master_Response r = {pf_envelope_body(envelope, Body_Master_Response)};
    if (rc == 0 && r.tab.p == NULL) {
        rc = pf_err_set(&err, PF_EPROTO, "the master's answer is no list of tasks");
    }
    if (rc == PF_ECONN || (rc == PF_ENOENT && w->has_answer)) {
        /* a master that has just started learns of frameworks when their agents are back */
        int64_t now_ms = pf_loop_now_ms(w->loop);
        if (now_ms - w->down_since_ms < w->give_up_ms) {
            pf_timer_set(w->retry, now_ms + w->retry_ms);
            w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
            return;
        }
    }
    if (rc < 0) {
        watch_end(w, &err);
        return;
    }
    struct Master_Response_WaitTasks tasks = Master_Response_wait_tasks(r);
    w->has_answer = true;
    w->sequence = Master_Response_WaitTasks_sequence(tasks);
    watch_ask(w);
    w->ops.on_tasks(w->ctx, tasks);
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_taskwatch *w = ctx;
    struct pf_envelope e = pf_envelope_of(envelope);
    if (peer != w->peer || !e.is_reply || w->has_ended) {
        return;
    }
    if (e.request_id == w->wait_request) {
        wait_reply(w, &e, envelope);
        return;
    }
    for (uint32_t i = 0; i < w->calls.len; i++) {
        struct call *c = w->calls.at[i];
        if (c->request_id == e.request_id) {
            struct pf_err err = {0};
            int rc = pf_reply_error(&e, &err);
            pf_ptrs_remove(&w->calls, i);
            call_free(c);
            if (w->ops.on_reply != NULL) {
                w->ops.on_reply(w->ctx, rc < 0 ? &err : NULL);
            }
            return;
        }
    }
}

int pf_taskwatch_create(struct pf_loop *loop, const struct pf_taskwatch_options *o,
                        const struct pf_taskwatch_ops *ops, void *ctx, struct pf_taskwatch **out,
                        struct pf_err *err)
{
    static const struct pf_net_ops net_ops = {on_up, on_message, on_down, NULL};
    struct pf_taskwatch *w = PF_NEW(struct pf_taskwatch);
    w->loop = loop;
    w->ops = *ops;
    w->ctx = ctx;
    w->masters = o->masters;
    w->give_up_ms = o->give_up_ms;
    w->retry_ms = RETRY_MIN_MS;
    w->down_since_ms = pf_loop_now_ms(loop);
    w->self =
        (struct pf_link_self){.kind = PeerKind_OPERATOR, .key = o->key, .version = PF_VERSION};
    struct pf_net_options no = {.self = &w->self, .seed = pf_random_u64()};
    int rc = pf_net_create(loop, &no, &net_ops, w, &w->net, err);
    if (rc < 0) {
        pf_free(w);
        return rc;
    }
    pf_fb_builder_init(&w->builder, NULL);
    w->framework_id = pf_strndup(o->framework_id.at, o->framework_id.len);
    w->task_id = pf_alloc(o->n_task_ids * sizeof *w->task_id + 1);
    w->n_task_ids = o->n_task_ids;
    for (uint32_t i = 0; i < o->n_task_ids; i++) {
        w->task_id[i] =
            (struct pf_str){pf_strndup(o->task_id[i].at, o->task_id[i].len), o->task_id[i].len};
    }
    w->retry = pf_timer_create(loop, PF_PRIO_NORMAL, watch_retry, w);
    watch_connect(w);
    *out = w;
    return 0;
}

void pf_taskwatch_destroy(struct pf_taskwatch *w)
{
    if (w == NULL) {
        return;
    }
    pf_net_destroy(w->net);
    pf_timer_destroy(w->retry);
    for (uint32_t i = 0; i < w->n_task_ids; i++) {
        pf_free((char *)(uintptr_t)w->task_id[i].at);
    }
    pf_free(w->task_id);
    pf_free(w->framework_id);
    for (uint32_t i = 0; i < w->calls.len; i++) {
        call_free(w->calls.at[i]);
    }
    pf_ptrs_fini(&w->calls);
    pf_fb_builder_fini(&w->builder);
    pf_free(w);
}

/* Keeps the call that stands in the builder and sends it if the link is up. */
static void call_add(struct pf_taskwatch *w, const struct Master_Call__args *args)
{
    struct pf_msg m = Master_Call__finish(&w->builder, Master_Call__put(&w->builder, args));
    struct call *c = PF_NEW(struct call);
    pf_buf_add(&c->body, m.data, m.len);
    pf_ptrs_push(&w->calls, c);
    if (w->is_up) {
        call_send(w, c);
    }
}

void pf_taskwatch_acknowledge(struct pf_taskwatch *w, struct pf_str task_id, struct pf_bytes uuid)
{
    pf_fb_builder_reset(&w->builder);
    struct pf_ref ack = Master_Call_AcknowledgeTask__put(
        &w->builder,
        &(struct Master_Call_AcknowledgeTask__args){
            .framework_id = pf_str(w->framework_id), .task_id = task_id, .uuid = uuid});
    call_add(w, &(struct Master_Call__args){.type = PF_OPT(Master_Call_Type_ACKNOWLEDGE_TASK),
                                            .acknowledge_task = ack});
}

uint32_t pf_taskwatch_pending(const struct pf_taskwatch *w)
{
    return w->calls.len;
}
