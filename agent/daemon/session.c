/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. SIGPIPE is ignored in the process (common/net). */
#include "agent/daemon/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/link/envelope.h"
#include "common/sys/fd.h"
#include "schemas/proffer.h"

enum { CHUNK_BYTES = 32 << 10, OUT_STDOUT = 0, OUT_STDERR = 1, N_OUTS = 2 };

struct session;

/* One stream of output. */
struct outlet {
    struct session *session;
    enum TaskStream stream;
    int fd; /* -1: ended */
    struct pf_watch *watch;
};

struct session {
    struct pf_uuid id; /* key of by_id */
    struct pf_sessions *owner;
    uint64_t peer;
    struct outlet out[N_OUTS];
    uint64_t sent, taken; /* bytes of output */
    int in_fd;            /* -1: closed; of a terminal a duplicate of its near side */
    bool is_terminal, in_eof;
    struct pf_watch *in_watch;
    struct pf_buf input; /* not written yet */
    uint64_t request_id; /* to be answered when it is, 0 = none */
    bool has_ended;
    int32_t wait_status;
    char *text;
};

struct pf_sessions {
    struct pf_loop *loop;
    pf_sessions_send_fn *send;
    void *ctx;
    struct pf_map by_id;
    struct pf_fb_builder builder;
};

/* --- messages --------------------------------------------------------------------------------- */

static struct pf_bytes id_bytes(const struct session *x)
{
    return (struct pf_bytes){x->id.b, sizeof x->id.b};
}

static void send_body(struct session *x, enum Body type, struct pf_ref body)
{
    struct pf_sessions *s = x->owner;
    const struct pf_envelope e = {.body_type = (uint8_t)type};

    s->send(s->ctx, x->peer, pf_envelope_finish(&s->builder, &e, body));
}

static void send_output(struct session *x, enum TaskStream stream, const void *data, size_t bytes)
{
    struct pf_fb_builder *b = &x->owner->builder;

    pf_fb_builder_reset(b);
    struct SessionOutput__args args = {
        .session = id_bytes(x), .stream = stream, .data = {data, (uint32_t)bytes}};
    send_body(x, Body_SessionOutput, SessionOutput__put(b, &args));
    x->sent += bytes;
}

static void send_ended(struct session *x)
{
    struct pf_fb_builder *b = &x->owner->builder;
    struct SessionEnded__args args = {.session = id_bytes(x), .text = pf_str(x->text)};

    if (x->wait_status >= 0 && WIFEXITED(x->wait_status)) {
        args.exit_status = (struct pf_opt_i32){true, WEXITSTATUS(x->wait_status)};
    } else if (x->wait_status >= 0 && WIFSIGNALED(x->wait_status)) {
        args.signal = (struct pf_opt_i32){true, WTERMSIG(x->wait_status)};
    }
    pf_fb_builder_reset(b);
    send_body(x, Body_SessionEnded, SessionEnded__put(b, &args));
}

static void answer(struct session *x, uint64_t request_id, enum ReplyCode code, const char *text)
{
    struct pf_sessions *s = x->owner;

    if (request_id != 0) {
        pf_fb_builder_reset(&s->builder);
        s->send(s->ctx, x->peer,
                pf_envelope_reply(&s->builder, request_id, (uint8_t)code, pf_str(text)));
    }
}

/* --- output ----------------------------------------------------------------------------------- */

static void watch_drop(struct pf_watch **w)
{
    if (*w != NULL) {
        pf_watch_destroy(*w);
        *w = NULL;
    }
}

static void outlet_close(struct outlet *o)
{
    watch_drop(&o->watch);
    pf_fd_close(&o->fd);
}

static void input_close(struct session *x)
{
    watch_drop(&x->in_watch);
    pf_fd_close(&x->in_fd);
}

static void session_destroy(struct session *x)
{
    input_close(x);
    for (int i = 0; i < N_OUTS; i++) {
        outlet_close(&x->out[i]);
    }
    (void)pf_map_del(&x->owner->by_id, &x->id, sizeof x->id);
    pf_buf_fini(&x->input);
    pf_free(x->text);
    pf_free(x);
}

static bool has_room(const struct session *x)
{
    return x->sent - x->taken < PF_SESSION_AHEAD_BYTES;
}

/* Once: true if there may be more. */
static bool outlet_read(struct outlet *o)
{
    struct session *x = o->session;
    char data[CHUNK_BYTES];

    if (o->fd < 0 || !has_room(x)) {
        return false;
    }
    ssize_t n = read(o->fd, data, sizeof data);
    if (n > 0) {
        send_output(x, o->stream, data, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        outlet_close(o); /* a terminal without anybody on its other side says EIO */
    }
    return n < 0 && errno == EINTR;
}

/* Of a process that has ended: all that it left, as far as there is room, then the last word. What
 * processes of its own hold open does not keep it. */
static void finish(struct session *x)
{
    for (int i = 0; i < N_OUTS; i++) {
        while (outlet_read(&x->out[i])) {
        }
    }
    if (has_room(x)) {
        send_ended(x);
        session_destroy(x);
    }
}

static void outlets_watch(struct session *x)
{
    for (int i = 0; i < N_OUTS; i++) {
        if (x->out[i].watch != NULL) {
            pf_watch_set(x->out[i].watch, has_room(x) ? PF_WATCH_READ : 0);
        }
    }
}

static void on_readable(void *ctx, unsigned ready)
{
    struct outlet *o = ctx;
    struct session *x = o->session;

    (void)ready;
    (void)outlet_read(o);
    outlets_watch(x);
}

/* --- input ------------------------------------------------------------------------------------ */

static void input_advance(struct session *x)
{
    static const char end_of_file = 4; /* what a terminal takes for it (VEOF) */

    while (x->in_fd >= 0 && x->input.len > 0) {
        ssize_t n = write(x->in_fd, x->input.data, x->input.len);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            pf_buf_fini(&x->input);
            answer(x, x->request_id, ReplyCode_CONFLICT, "nobody reads this input");
            x->request_id = 0;
            input_close(x);
            return;
        }
        pf_buf_drop_front(&x->input, n > 0 ? (size_t)n : 0);
    }
    if (x->input.len == 0 && x->request_id != 0) {
        answer(x, x->request_id, ReplyCode_OK, NULL);
        x->request_id = 0;
    }
    if (x->input.len == 0 && x->in_eof && x->in_fd >= 0) {
        if (x->is_terminal) {
            (void)!write(x->in_fd, &end_of_file, 1); /* full of unread input: then it is lost */
            x->in_eof = false;
        } else {
            input_close(x);
        }
    }
    if (x->in_watch != NULL) {
        pf_watch_set(x->in_watch, x->input.len > 0 ? PF_WATCH_WRITE : 0);
    }
}

static void on_writable(void *ctx, unsigned ready)
{
    (void)ready;
    input_advance(ctx);
}

static void input_add(struct session *x, const struct pf_agent_act_session_input *a)
{
    if (x->in_fd < 0 || x->in_eof) {
        answer(x, a->request_id, ReplyCode_CONFLICT, "its input is closed");
    } else if (x->request_id != 0 || a->data.len > PF_SESSION_INPUT_BYTES - x->input.len) {
        answer(x, a->request_id, ReplyCode_TOO_MANY, "too much unread input");
    } else {
        pf_buf_add(&x->input, a->data.at, a->data.len);
        x->request_id = a->request_id;
        x->in_eof = a->eof;
        input_advance(x);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct pf_sessions *pf_sessions_create(struct pf_loop *loop, pf_sessions_send_fn *send, void *ctx)
{
    struct pf_sessions *s = PF_NEW(struct pf_sessions);

    s->loop = loop;
    s->send = send;
    s->ctx = ctx;
    pf_fb_builder_init(&s->builder, NULL);
    return s;
}

void pf_sessions_destroy(struct pf_sessions *s)
{
    uint32_t cursor = 0;
    struct session *x;

    if (s == NULL) {
        return;
    }
    while ((x = pf_map_next(&s->by_id, &cursor)) != NULL) {
        session_destroy(x);
        cursor = 0;
    }
    pf_map_fini(&s->by_id);
    pf_fb_builder_fini(&s->builder);
    pf_free(s);
}

int pf_terminal_open(uint32_t rows, uint32_t columns, int *out_near, int *out_far)
{
    struct winsize size = {.ws_row = (unsigned short)(rows < 1000 ? rows : 1000),
                           .ws_col = (unsigned short)(columns < 1000 ? columns : 1000)};
    char name[64];

    *out_far = -1;
    *out_near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*out_near < 0) {
        return errno;
    }
    if (grantpt(*out_near) == 0 && unlockpt(*out_near) == 0 &&
        ptsname_r(*out_near, name, sizeof name) == 0) {
        *out_far = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    int sys = *out_far < 0 || ioctl(*out_near, TIOCSWINSZ, &size) != 0 ? errno : 0;
    if (sys != 0) {
        pf_fd_close(out_near);
        pf_fd_close(out_far);
    }
    return sys;
}

static int pipe_open(int *out_read, int *out_write)
{
    int fd[2] = {-1, -1};

    int sys = pipe2(fd, O_CLOEXEC) == 0 ? 0 : errno;
    *out_read = fd[0];
    *out_write = fd[1];
    return sys;
}

static int ends_of_terminal(struct session *x, const struct pf_agent_act_session *a, int far[3])
{
    int sys = pf_terminal_open(a->rows, a->columns, &x->out[OUT_STDOUT].fd, &far[0]);

    for (int i = 1; i < 3 && sys == 0; i++) {
        far[i] = fcntl(far[0], F_DUPFD_CLOEXEC, 3);
        sys = far[i] < 0 ? errno : 0;
    }
    if (sys == 0) { /* a watch watches one way */
        x->in_fd = fcntl(x->out[OUT_STDOUT].fd, F_DUPFD_CLOEXEC, 3);
        sys = x->in_fd < 0 ? errno : 0;
    }
    return sys;
}

static int ends_of_pipes(struct session *x, const struct pf_agent_act_session *a, int far[3])
{
    int sys = 0;

    if (a->keeps_stdin) {
        sys = pipe_open(&far[0], &x->in_fd);
    } else {
        far[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sys = far[0] < 0 ? errno : 0;
    }
    sys = sys != 0 ? sys : pipe_open(&x->out[OUT_STDOUT].fd, &far[1]);
    return sys != 0 ? sys : pipe_open(&x->out[OUT_STDERR].fd, &far[2]);
}

static int ends_watch(struct session *x)
{
    struct pf_loop *loop = x->owner->loop;
    struct pf_err err = {0};
    int rc = 0;

    for (int i = 0; i < N_OUTS && rc == 0; i++) {
        struct outlet *o = &x->out[i];
        if (o->fd >= 0) {
            rc = pf_fd_set_nonblock(o->fd, true, &err);
            rc = rc != 0 ? rc
                         : pf_watch_create(loop, o->fd, PF_WATCH_READ, PF_PRIO_NORMAL, on_readable,
                                           o, &o->watch, &err);
        }
    }
    if (rc == 0 && x->in_fd >= 0) {
        rc = pf_fd_set_nonblock(x->in_fd, true, &err);
        rc = rc != 0 ? rc
                     : pf_watch_create(loop, x->in_fd, 0, PF_PRIO_NORMAL, on_writable, x,
                                       &x->in_watch, &err);
    }
    return rc == 0 ? 0 : err.sys != 0 ? err.sys : EIO;
}

int pf_sessions_open(struct pf_sessions *s, const struct pf_agent_act_session *a, int out_far[3])
{
    struct session *x = PF_NEW(struct session);

    x->id = a->session;
    x->owner = s;
    x->peer = a->peer;
    x->in_fd = -1;
    x->is_terminal = a->rows > 0;
    for (int i = 0; i < N_OUTS; i++) {
        x->out[i] =
            (struct outlet){x, i == OUT_STDOUT ? TaskStream_STDOUT : TaskStream_STDERR, -1, NULL};
    }
    out_far[0] = out_far[1] = out_far[2] = -1;
    pf_map_put(&s->by_id, &x->id, sizeof x->id, x);
    int sys = x->is_terminal ? ends_of_terminal(x, a, out_far) : ends_of_pipes(x, a, out_far);
    sys = sys != 0 ? sys : ends_watch(x);
    if (sys != 0) {
        session_destroy(x);
        for (int i = 0; i < 3; i++) {
            pf_fd_close(&out_far[i]);
        }
    }
    return sys;
}

static struct session *find(const struct pf_sessions *s, struct pf_uuid id)
{
    return pf_map_get(&s->by_id, &id, sizeof id);
}

void pf_sessions_input(struct pf_sessions *s, const struct pf_agent_act_session_input *a)
{
    struct session *x = find(s, a->session);

    if (x == NULL) {
        if (a->request_id != 0) {
            pf_fb_builder_reset(&s->builder);
            s->send(s->ctx, a->peer,
                    pf_envelope_reply(&s->builder, a->request_id, ReplyCode_NOT_FOUND,
                                      PF_STR("the session has ended")));
        }
        return;
    }
    if (a->rows > 0 && x->is_terminal && x->in_fd >= 0) {
        struct winsize size = {.ws_row = (unsigned short)a->rows,
                               .ws_col = (unsigned short)a->columns};
        (void)ioctl(x->in_fd, TIOCSWINSZ, &size); /* cannot fail on a terminal */
    } else if (a->taken > 0) {
        x->taken = a->taken < x->sent ? a->taken : x->sent;
        outlets_watch(x);
        if (x->has_ended) {
            finish(x);
        }
    } else {
        input_add(x, a);
    }
}

void pf_sessions_end(struct pf_sessions *s, const struct pf_agent_act_session_end *a)
{
    struct session *x = find(s, a->session);

    if (x == NULL) {
        return;
    }
    if (a->is_silent) {
        session_destroy(x);
        return;
    }
    x->has_ended = true;
    x->wait_status = a->wait_status;
    x->text = a->text.len > 0 ? pf_strndup(a->text.at, a->text.len) : NULL;
    finish(x);
}

uint32_t pf_sessions_count(const struct pf_sessions *s)
{
    return s->by_id.len;
}
