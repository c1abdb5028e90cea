/* SPDX-License-Identifier: Apache-2.0 */
/* See stdin.h. SIGPIPE is ignored in the process (common/net). */
#include "agent/daemon/stdin.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/map.h"
#include "common/link/envelope.h"
#include "common/sys/fd.h"
#include "schemas/proffer.h"

struct input {
    uint64_t peer, request_id; /* peer 0: gone */
    struct pf_bytes data;      /* owned */
    uint32_t done;
    bool eof;
    STAILQ_ENTRY(input) link;
};

/* The pipe of one launch. */
struct inlet {
    struct pf_uuid launch; /* key of by_launch */
    struct pf_stdin *owner;
    int fd;                /* -1: the launcher was asked for it */
    struct pf_watch *watch;
    uint32_t n_queued, queued_bytes;
    STAILQ_HEAD(, input) queue;
};

struct pf_stdin {
    struct pf_loop *loop;
    struct pf_stdin_ops ops;
    void *ctx;
    struct pf_map by_launch;
    struct pf_fb_builder builder;
};

static void reply(struct pf_stdin *s, uint64_t peer, uint64_t request_id, uint8_t code,
                  const char *text)
{
    if (peer != 0) {
        pf_fb_builder_reset(&s->builder);
        s->ops.on_reply(s->ctx, peer,
                        pf_envelope_reply(&s->builder, request_id, code, pf_str(text)));
    }
}

static void input_end(struct inlet *in, uint8_t code, const char *text)
{
    struct input *i = STAILQ_FIRST(&in->queue);

    STAILQ_REMOVE_HEAD(&in->queue, link);
    in->queued_bytes -= i->data.len;
    in->n_queued--;
    reply(in->owner, i->peer, i->request_id, code, text);
    pf_free((void *)(uintptr_t)i->data.at);
    pf_free(i);
}

static void inlet_refuse(struct inlet *in, uint8_t code, const char *text)
{
    while (!STAILQ_EMPTY(&in->queue)) {
        input_end(in, code, text);
    }
}

static void inlet_destroy(struct inlet *in)
{
    if (in->watch != NULL) {
        pf_watch_destroy(in->watch);
    }
    pf_fd_close(&in->fd);
    (void)pf_map_del(&in->owner->by_launch, &in->launch, sizeof in->launch);
    pf_free(in);
}

/* Writes what the pipe takes of the first input: 1 all, 0 not all, -1 nobody reads. */
static int input_write(struct inlet *in, struct input *i)
{
    while (i->done < i->data.len) {
        ssize_t n = write(in->fd, i->data.at + i->done, i->data.len - i->done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        }
        i->done += (uint32_t)n;
    }
    return 1;
}

static void inlet_advance(struct inlet *in)
{
    static const char end_of_file = 4; /* what a terminal takes for it (VEOF) */
    struct pf_stdin *s = in->owner;
    struct input *i;

    while (in->fd >= 0 && (i = STAILQ_FIRST(&in->queue)) != NULL) {
        int did = input_write(in, i);
        if (did == 0) {
            break;
        }
        if (did < 0) {
            inlet_refuse(in, ReplyCode_CONFLICT, "the task does not read its standard input");
            (void)s->ops.close(s->ctx, in->launch); /* no launcher: it sees the same itself */
            inlet_destroy(in);
            return;
        }
        if (i->eof && isatty(in->fd)) { /* it goes on: only what reads now is told */
            (void)!write(in->fd, &end_of_file, 1); /* full of unread input: then it is lost */
        } else if (i->eof) {
            (void)s->ops.close(s->ctx, in->launch); /* likewise */
            input_end(in, ReplyCode_OK, NULL);
            inlet_refuse(in, ReplyCode_CONFLICT, "the standard input is closed");
            inlet_destroy(in);
            return;
        }
        input_end(in, ReplyCode_OK, NULL);
    }
    if (in->watch != NULL) {
        pf_watch_set(in->watch, STAILQ_EMPTY(&in->queue) ? 0 : PF_WATCH_WRITE);
    }
}

static void on_writable(void *ctx, unsigned ready)
{
    (void)ready;
    inlet_advance(ctx);
}

static struct inlet *inlet_find(struct pf_stdin *s, struct pf_uuid launch)
{
    return pf_map_get(&s->by_launch, &launch, sizeof launch);
}

static struct inlet *inlet_create(struct pf_stdin *s, struct pf_uuid launch)
{
    struct inlet *in = PF_NEW(struct inlet);

    in->launch = launch;
    in->owner = s;
    in->fd = -1;
    STAILQ_INIT(&in->queue);
    pf_map_put(&s->by_launch, &in->launch, sizeof in->launch, in);
    return in;
}

struct pf_stdin *pf_stdin_create(struct pf_loop *loop, const struct pf_stdin_ops *ops, void *ctx)
{
    struct pf_stdin *s = PF_NEW(struct pf_stdin);

    s->loop = loop;
    s->ops = *ops;
    s->ctx = ctx;
    pf_fb_builder_init(&s->builder, NULL);
    return s;
}

void pf_stdin_destroy(struct pf_stdin *s)
{
    uint32_t cursor = 0;
    struct inlet *in;

    if (s == NULL) {
        return;
    }
    while ((in = pf_map_next(&s->by_launch, &cursor)) != NULL) {
        struct input *i;
        STAILQ_FOREACH(i, &in->queue, link) {
            i->peer = 0; /* nobody is left to answer */
        }
        inlet_refuse(in, ReplyCode_UNAVAILABLE, NULL);
        inlet_destroy(in);
        cursor = 0;
    }
    pf_map_fini(&s->by_launch);
    pf_fb_builder_fini(&s->builder);
    pf_free(s);
}

void pf_stdin_set(struct pf_stdin *s, struct pf_uuid launch, int fd)
{
    struct inlet *in = inlet_find(s, launch);
    struct pf_err err = {0};

    if (in == NULL) {
        in = inlet_create(s, launch);
    }
    if (in->fd >= 0) {
        pf_fd_close(&fd); /* another write end of the same pipe */
        return;
    }
    in->fd = fd;
    if (pf_fd_set_nonblock(fd, true, &err) != 0 ||
        pf_watch_create(s->loop, fd, PF_WATCH_WRITE, PF_PRIO_NORMAL, on_writable, in, &in->watch,
                        &err) != 0) {
        inlet_refuse(in, ReplyCode_UNAVAILABLE, "the standard input cannot be written");
        inlet_destroy(in);
        return;
    }
    inlet_advance(in);
}

void pf_stdin_none(struct pf_stdin *s, struct pf_uuid launch)
{
    struct inlet *in = inlet_find(s, launch);

    if (in != NULL && in->fd < 0) {
        inlet_refuse(in, ReplyCode_CONFLICT, "the standard input is closed");
        inlet_destroy(in);
    }
}

void pf_stdin_write(struct pf_stdin *s, const struct pf_agent_act_stdin *w)
{
    struct inlet *in = inlet_find(s, w->launch);

    if (in == NULL) {
        in = inlet_create(s, w->launch);
        if (!s->ops.ask(s->ctx, w->launch)) {
            reply(s, w->peer, w->request_id, ReplyCode_UNAVAILABLE, "there is no launcher now");
            inlet_destroy(in);
            return;
        }
        in = inlet_find(s, w->launch); /* the answer may have come at once */
        if (in == NULL) {
            reply(s, w->peer, w->request_id, ReplyCode_CONFLICT, "the standard input is closed");
            return;
        }
    }
    if (w->data.len > PF_STDIN_QUEUE_MAX_BYTES - in->queued_bytes ||
        in->n_queued == PF_STDIN_QUEUE_MAX) {
        reply(s, w->peer, w->request_id, ReplyCode_TOO_MANY, "too much unread standard input");
        return;
    }
    struct input *i = PF_NEW(struct input);
    i->peer = w->peer;
    i->request_id = w->request_id;
    i->data = (struct pf_bytes){pf_memdup(w->data.at, w->data.len), w->data.len};
    i->eof = w->eof;
    in->queued_bytes += w->data.len;
    in->n_queued++;
    STAILQ_INSERT_TAIL(&in->queue, i, link);
    inlet_advance(in);
}

void pf_stdin_ended(struct pf_stdin *s, struct pf_uuid launch)
{
    struct inlet *in = inlet_find(s, launch);

    if (in != NULL) {
        inlet_refuse(in, ReplyCode_CONFLICT, "the task has ended");
        inlet_destroy(in);
    }
}

void pf_stdin_forget_peer(struct pf_stdin *s, uint64_t peer)
{
    uint32_t cursor = 0;
    struct inlet *in;

    while ((in = pf_map_next(&s->by_launch, &cursor)) != NULL) {
        struct input *i;
        STAILQ_FOREACH(i, &in->queue, link) {
            if (i->peer == peer) {
                i->peer = 0;
            }
        }
    }
}

void pf_stdin_launcher_down(struct pf_stdin *s)
{
    struct pf_ptrs asked = {0};
    uint32_t cursor = 0;
    struct inlet *in;

    while ((in = pf_map_next(&s->by_launch, &cursor)) != NULL) {
        if (in->fd < 0) {
            pf_ptrs_push(&asked, in);
        }
    }
    for (uint32_t i = 0; i < asked.len; i++) {
        inlet_refuse(asked.at[i], ReplyCode_UNAVAILABLE, "there is no launcher now");
        inlet_destroy(asked.at[i]);
    }
    pf_ptrs_fini(&asked);
}
