/* SPDX-License-Identifier: Apache-2.0 */
/* See taskwatch.h. */
#include "framework/cli/taskwatch.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "common/link/backoff.h"
#include "common/link/envelope.h"
#include "common/link/leader.h"
#include "common/net/peer.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"
#include "schemas/proffer.h"

#define NOTE_AFTER_MS 5000 /* without a leader: say so */
#define CALL_AGAIN_MS 200  /* a call that was put off */

/* A call that was made and has no answer: sent again on a new link. */
struct call {
    uint64_t request_id; /* 0: not sent on this link */
    struct pf_buf body;  /* a finished Master_Call */
};

struct pf_taskwatch {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_leader *links;
    uint64_t master_peer[PF_MASTERS_MAX]; /* connecting or up, 0 = none */
    struct pf_timer *links_timer, *retry, *note_timer, *calls_timer;
    struct pf_rng dice;
    struct pf_backoff backoff; /* of questions that were put off */
    struct pf_link_self self;
    struct pf_taskwatch_ops ops;
    void *ctx;
    char *framework_id;
    struct pf_str *task_id; /* owned, with owned texts */
    uint32_t n_task_ids;
    int32_t give_up_ms;
    uint64_t peer; /* of the leader that is asked, 0 = none */
    uint64_t epoch;
    bool has_answer, has_ended;
    int64_t lost_ms; /* when the last leader was lost, or another one asked */
    uint64_t sequence, next_request, wait_request;
    struct pf_ptrs calls; /* struct call, owned */
    struct pf_fb_builder builder;
};

static void watch_end(struct pf_taskwatch *w, const struct pf_err *err)
{
    if (!w->has_ended) {
        w->has_ended = true;
        pf_timer_set(w->retry, INT64_MAX);
        pf_timer_set(w->note_timer, INT64_MAX);
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

/* --- links ------------------------------------------------------------------------------------ */

static void watch_begin(struct pf_taskwatch *w, uint32_t leader)
{
    w->peer = w->master_peer[leader];
    w->epoch = pf_leader_epoch(w->links, leader);
    w->lost_ms = pf_loop_now_ms(w->loop);
    w->backoff.failures = 0;
    w->sequence = 0;
    pf_timer_set(w->note_timer, INT64_MAX);
    watch_ask(w);
    for (uint32_t i = 0; i < w->calls.len; i++) {
        call_send(w, w->calls.at[i]);
    }
}

static void watch_lose(struct pf_taskwatch *w)
{
    w->lost_ms = pf_loop_now_ms(w->loop);
    w->peer = w->wait_request = 0;
    pf_timer_set(w->retry, INT64_MAX);
    pf_timer_set(w->note_timer, w->lost_ms + NOTE_AFTER_MS);
}

/* Carries out what the links want, and turns to who leads now. */
static void watch_work(struct pf_taskwatch *w)
{
    enum pf_leader_act act;
    uint32_t i;

    while (!w->has_ended && pf_leader_next(w->links, &act, &i)) {
        if (act == PF_LEADER_CLOSE) {
            pf_peer_close(w->net, w->master_peer[i], false);
            w->master_peer[i] = 0;
        } else {
            w->master_peer[i] = pf_net_connect(w->net, pf_leader_address(w->links, i), NULL);
        }
    }
    int32_t leader = pf_leader_index(w->links);
    bool is_same = leader >= 0 && w->peer == w->master_peer[leader] &&
                   w->epoch == pf_leader_epoch(w->links, (uint32_t)leader);

    if (w->peer != 0 && !is_same) {
        watch_lose(w);
    }
    if (leader >= 0 && !is_same) {
        watch_begin(w, (uint32_t)leader);
    }
    pf_timer_set(w->links_timer, w->has_ended ? INT64_MAX : pf_leader_deadline(w->links));
}

static bool find_master(const struct pf_taskwatch *w, uint64_t peer, uint32_t *out)
{
    for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
        if (w->master_peer[i] == peer) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void on_links_time(void *ctx)
{
    struct pf_taskwatch *w = ctx;
    pf_leader_tick(w->links, pf_loop_now_ms(w->loop));
    watch_work(w);
}

static void watch_retry(void *ctx)
{
    struct pf_taskwatch *w = ctx;
    if (w->peer != 0) {
        watch_ask(w); /* the framework was not known a moment ago */
    }
}

static void on_note_time(void *ctx)
{
    struct pf_taskwatch *w = ctx;
    struct pf_buf why = {0};
    pf_leader_describe(w->links, &why);
    if (w->ops.on_waiting != NULL) {
        w->ops.on_waiting(w->ctx, NOTE_AFTER_MS, pf_buf_cstr(&why));
    }
    pf_buf_fini(&why);
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_taskwatch *w = ctx;
    struct Welcome welcome = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    uint32_t i;
    if (find_master(w, up->peer, &i)) {
        (void)pf_leader_up(w->links, i, welcome, pf_loop_now_ms(w->loop));
        watch_work(w);
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_taskwatch *w = ctx;
    int64_t now_ms = pf_loop_now_ms(w->loop);
    uint32_t i;
    if (w->has_ended || !find_master(w, peer, &i)) {
        return;
    }
    w->master_peer[i] = 0;
    pf_leader_down(w->links, i, why->code, now_ms);
    bool is_alone = pf_leader_n_up(w->links) == 0;
    if (is_alone && (why->code == PF_EAUTH || why->code == PF_EVERSION ||
                     (w->peer == 0 && now_ms - w->lost_ms >= w->give_up_ms))) {
        watch_end(w, why);
        return;
    }
    watch_work(w);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void wait_reply(struct pf_taskwatch *w, const struct pf_envelope *e, struct pf_msg envelope)
{
    struct pf_err err = {0};
    int rc = pf_reply_error(e, &err);
    struct Master_Response r = {pf_envelope_body(envelope, Body_Master_Response)};
    if (rc == 0 && r.tab.p == NULL) {
        rc = pf_err_set(&err, PF_EPROTO, "the master's answer is no list of tasks");
    }
    int64_t now_ms = pf_loop_now_ms(w->loop);
    /* a new leader is put off until it may speak, and learns of frameworks when their agents are
     * back */
    if (rc == PF_ECONN ||
        (rc == PF_ENOENT && w->has_answer && now_ms - w->lost_ms < w->give_up_ms)) {
        pf_timer_set(w->retry, now_ms + pf_backoff_pause(&w->backoff, &w->dice));
        return;
    }
    if (rc < 0) {
        watch_end(w, &err);
        return;
    }
    struct Master_Response_WaitTasks tasks = Master_Response_wait_tasks(r);
    w->has_answer = true;
    w->backoff.failures = 0;
    w->sequence = Master_Response_WaitTasks_sequence(tasks);
    watch_ask(w);
    w->ops.on_tasks(w->ctx, tasks);
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_taskwatch *w = ctx;
    struct pf_envelope e = pf_envelope_of(envelope);
    struct Welcome again = {pf_envelope_body(envelope, Body_Welcome)};
    uint32_t master;
    if (again.tab.p != NULL && !w->has_ended && find_master(w, peer, &master)) {
        (void)pf_leader_again(w->links, master, again, pf_loop_now_ms(w->loop));
        watch_work(w);
        return;
    }
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
            if (rc == PF_ECONN) {
                c->request_id = 0; /* put off: said again to the next leader, or soon */
                pf_timer_set(w->calls_timer, pf_loop_now_ms(w->loop) + CALL_AGAIN_MS);
                return;
            }
            pf_ptrs_remove(&w->calls, i);
            call_free(c);
            if (w->ops.on_reply != NULL) {
                w->ops.on_reply(w->ctx, rc < 0 ? &err : NULL);
            }
            return;
        }
    }
}

/* Calls that were put off. */
static void on_calls_time(void *ctx)
{
    struct pf_taskwatch *w = ctx;
    for (uint32_t i = 0; w->peer != 0 && i < w->calls.len; i++) {
        struct call *c = w->calls.at[i];
        if (c->request_id == 0) {
            call_send(w, c);
        }
    }
}

static void watch_links(struct pf_taskwatch *w, const char *masters)
{
    w->links = pf_leader_create(&(struct pf_leader_options){.seed = pf_random_u64()});
    for (const char *at = masters; *at != '\0';) {
        uint32_t len = (uint32_t)strcspn(at, ",");
        pf_leader_add(w->links, (struct pf_str){at, len});
        at += len + (at[len] == ',' ? 1 : 0);
    }
    pf_leader_start(w->links, w->lost_ms);
    pf_timer_set(w->note_timer, w->lost_ms + NOTE_AFTER_MS);
    watch_work(w);
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
    w->give_up_ms = o->give_up_ms;
    w->lost_ms = pf_loop_now_ms(loop);
    pf_rng_seed(&w->dice, pf_random_u64());
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
    w->links_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_links_time, w);
    w->note_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_note_time, w);
    w->calls_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_calls_time, w);
    watch_links(w, o->masters);
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
    pf_timer_destroy(w->links_timer);
    pf_timer_destroy(w->note_timer);
    pf_timer_destroy(w->calls_timer);
    pf_leader_destroy(w->links);
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
    if (w->peer != 0) {
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
