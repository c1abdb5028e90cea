/* SPDX-License-Identifier: Apache-2.0 */
/* See remote.h. */
#include "framework/cli/remote.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "common/sys/fd.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"
#include "framework/cli/tty.h"

enum { REQUEST_OPEN = 1, REQUEST_INPUT = 2, TAKEN_EVERY_BYTES = 64 << 10 };

struct remote {
    struct pf_session *s;
    const struct pf_remote_spec *spec;
    struct pf_net *net;
    struct pf_link_self self;
    struct pf_fb_builder builder;
    uint64_t peer;
    uint8_t id[16];
    bool is_open, is_over;
    struct pf_watch *stdin_watch;
    bool stdin_is_file; /* epoll knows none: read when there is room */
    uint64_t taken, told;
    int status;
    struct pf_err failure;
};

static void end(struct remote *r)
{
    r->is_over = true;
    pf_loop_stop(r->s->loop);
}

static void fail(struct remote *r, const struct pf_err *why)
{
    if (!r->is_over) {
        r->failure = *why;
        end(r);
    }
}

static struct pf_bytes id_bytes(const struct remote *r)
{
    return (struct pf_bytes){r->id, sizeof r->id};
}

static void say(struct remote *r, enum Body type, struct pf_ref body, uint64_t request_id)
{
    const struct pf_envelope e = {.body_type = (uint8_t)type, .request_id = request_id};

    pf_peer_send(r->net, r->peer, pf_msg_bytes(pf_envelope_finish(&r->builder, &e, body)));
}

/* --- input ------------------------------------------------------------------------------------ */

static void send_input(struct remote *r, const void *p, size_t n)
{
    pf_fb_builder_reset(&r->builder);
    struct SessionInput__args args = {
        .session = id_bytes(r), .data = {p, (uint32_t)n}, .eof = n == 0};
    say(r, Body_SessionInput, SessionInput__put(&r->builder, &args), REQUEST_INPUT);
    if (r->stdin_watch != NULL) {
        pf_watch_set(r->stdin_watch, 0); /* until it was taken */
    }
    if (n == 0) {
        pf_watch_destroy(r->stdin_watch);
        r->stdin_watch = NULL;
        r->stdin_is_file = false;
    }
}

static void read_input(struct remote *r)
{
    uint8_t piece[PF_STDIN_CHUNK_BYTES];
    ssize_t n;

    do {
        n = read(STDIN_FILENO, piece, sizeof piece);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 || errno != EAGAIN) {
        send_input(r, piece, n > 0 ? (size_t)n : 0);
    }
}

static void on_stdin(void *ctx, unsigned ready)
{
    (void)ready;
    read_input(ctx);
}

static void begin_input(struct remote *r)
{
    if (r->spec->sends_stdin &&
        pf_watch_create(r->s->loop, STDIN_FILENO, PF_WATCH_READ, PF_PRIO_NORMAL, on_stdin, r,
                        &r->stdin_watch, NULL) < 0) {
        r->stdin_watch = NULL;
        r->stdin_is_file = true;
        read_input(r);
    }
}

static void on_input_taken(struct remote *r, const struct pf_envelope *e)
{
    if (e->code != ReplyCode_OK) { /* nobody reads: as with a closed pipe, that is its affair */
        pf_watch_destroy(r->stdin_watch);
        r->stdin_watch = NULL;
    } else if (r->stdin_watch != NULL) {
        pf_watch_set(r->stdin_watch, PF_WATCH_READ);
    } else if (r->stdin_is_file) {
        read_input(r);
    }
}

/* --- output ----------------------------------------------------------------------------------- */

static void on_output(struct remote *r, struct SessionOutput o)
{
    struct pf_bytes data = SessionOutput_data(o);
    int fd = SessionOutput_stream(o) == TaskStream_STDERR ? STDERR_FILENO : STDOUT_FILENO;
    struct pf_err err = {0};

    if (pf_fd_write_all(fd, data.at, data.len, &err) != 0) {
        pf_err_wrap(&err, "output");
        fail(r, &err);
        return;
    }
    r->taken += data.len;
    if (r->taken - r->told >= TAKEN_EVERY_BYTES) {
        r->told = r->taken;
        pf_fb_builder_reset(&r->builder);
        struct SessionTaken__args args = {.session = id_bytes(r), .acknowledged = r->taken};
        say(r, Body_SessionTaken, SessionTaken__put(&r->builder, &args), 0);
    }
}

static void on_ended(struct remote *r, struct SessionEnded e)
{
    struct pf_str text = SessionEnded_text(e);

    if (text.len > 0) {
        pf_tty_restore();
        pf_cli_note(r->s->cli, "%.*s", PF_STR_ARG(text));
    }
    r->status = SessionEnded__has_exit_status(e) ? SessionEnded_exit_status(e)
                : SessionEnded__has_signal(e)    ? 128 + SessionEnded_signal(e)
                                                 : PF_EXIT_OURS;
    end(r);
}

/* --- the link --------------------------------------------------------------------------------- */

static void send_size(struct remote *r)
{
    struct SessionResize__args args = {.session = id_bytes(r)};

    pf_tty_size(&args.rows, &args.columns);
    pf_fb_builder_reset(&r->builder);
    say(r, Body_SessionResize, SessionResize__put(&r->builder, &args), 0);
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct remote *r = ctx;
    const struct pf_remote_spec *spec = r->spec;
    struct pf_str args_list[PF_ARGV_MAX];

    (void)up;
    for (uint32_t i = 0; i < spec->n_args; i++) {
        args_list[i] = pf_str(spec->args[i]);
    }
    struct SessionOpen__args args = {
        .framework_id = spec->framework_id,
        .task_id = spec->task_id,
        .args = {args_list, spec->n_args},
        .env = {spec->env, spec->n_env},
        .cwd = pf_str(spec->cwd),
        .keeps_stdin = spec->sends_stdin,
    };
    if (spec->has_terminal) {
        pf_tty_size(&args.rows, &args.columns);
    }
    pf_fb_builder_reset(&r->builder);
    say(r, Body_SessionOpen, SessionOpen__put(&r->builder, &args), REQUEST_OPEN);
}

static void on_opened(struct remote *r, const struct pf_envelope *e, struct SessionOpened opened)
{
    struct pf_err err = {0};
    struct pf_bytes id = SessionOpened_session(opened);

    if (pf_reply_error(e, &err) != 0) {
        fail(r, &err);
        return;
    }
    if (id.len != sizeof r->id) {
        (void)pf_err_set(&err, PF_EPROTO, "the agent named no session");
        fail(r, &err);
        return;
    }
    memcpy(r->id, id.at, sizeof r->id);
    r->is_open = true;
    if (r->spec->has_terminal) {
        pf_tty_raw();
    }
    begin_input(r);
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct remote *r = ctx;
    struct pf_envelope e = pf_envelope_of(envelope);
    struct Envelope env = Envelope__root(envelope);

    (void)peer;
    if (r->is_over) {
        return;
    }
    if (e.is_reply && e.request_id == REQUEST_OPEN) {
        on_opened(r, &e, Envelope_body_as_SessionOpened(env));
    } else if (e.is_reply && e.request_id == REQUEST_INPUT) {
        on_input_taken(r, &e);
    } else if (e.body_type == Body_SessionOutput) {
        on_output(r, Envelope_body_as_SessionOutput(env));
    } else if (e.body_type == Body_SessionEnded) {
        on_ended(r, Envelope_body_as_SessionEnded(env));
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_err err = *why;

    (void)peer;
    pf_err_wrap(&err, "the agent at %.*s", PF_STR_ARG(((struct remote *)ctx)->spec->agent_address));
    fail(ctx, &err);
}

static void on_signal(void *ctx, int signo)
{
    struct remote *r = ctx;

    if (!r->is_open) {
        r->status = 128 + signo;
        end(r);
        return;
    }
    if (signo == SIGWINCH) {
        if (r->spec->has_terminal) {
            send_size(r);
        }
        return;
    }
    pf_fb_builder_reset(&r->builder);
    struct SessionSignal__args args = {.session = id_bytes(r), .signal = signo};
    say(r, Body_SessionSignal, SessionSignal__put(&r->builder, &args), 0);
}

int pf_remote_run(struct pf_session *s, const struct pf_remote_spec *spec, int *out_status,
                  struct pf_err *err)
{
    static const struct pf_net_ops ops = {
        .on_up = on_up, .on_message = on_message, .on_down = on_down};
    static const int signals[] = {SIGINT, SIGTERM, SIGWINCH};
    struct remote r = {.s = s, .spec = spec, .status = PF_EXIT_OURS};
    int rc = 0;

    r.self = (struct pf_link_self){.kind = PeerKind_OPERATOR, .key = s->key, .version = PF_VERSION};
    pf_fb_builder_init(&r.builder, NULL);
    struct pf_net_options o = {.self = &r.self, .seed = pf_random_u64()};
    rc = pf_net_create(s->loop, &o, &ops, &r, &r.net, err);
    for (size_t i = 0; i < PF_ARRAY_LEN(signals) && rc == 0; i++) {
        rc = pf_loop_on_signal(s->loop, signals[i], on_signal, &r, err);
    }
    if (rc == 0) {
        r.peer =
            pf_net_connect(r.net, pf_arena_strdup(&s->cli->arena, spec->agent_address).at, NULL);
        rc = pf_loop_run(s->loop, err);
    }
    pf_tty_restore();
    pf_watch_destroy(r.stdin_watch);
    pf_net_destroy(r.net);
    pf_fb_builder_fini(&r.builder);
    if (rc == 0 && r.failure.code != 0) {
        rc = pf_err_set(err, r.failure.code, "%s", r.failure.msg);
    }
    *out_status = r.status;
    return rc;
}
