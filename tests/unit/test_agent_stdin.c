/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input through pipes: taken bytes, back-pressure, ends of either side. */
#include "agent/daemon/stdin.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

enum { REPLIES_MAX = 256 };

struct world {
    struct pf_loop *loop;
    struct pf_stdin *in;
    struct pf_uuid launch;
    int read_fd, write_fd; /* of the pipe; write_fd: until it is handed over */
    uint64_t last_request;
    uint8_t code[REPLIES_MAX]; /* by request id */
    uint32_t n_replies, n_asked, n_closed;
    bool has_launcher;
    enum { ANSWER_LATER, ANSWER_PIPE, ANSWER_NONE } answer;
    uint8_t chunk[PF_STDIN_CHUNK_BYTES];
};

static void on_reply(void *ctx, uint64_t peer, struct pf_msg reply)
{
    struct world *w = ctx;
    struct pf_envelope e = pf_envelope_of(reply);
    assert_int_equal(peer, 1);
    assert_true(e.is_reply && e.request_id < REPLIES_MAX);
    assert_int_equal(w->code[e.request_id], 255);
    w->code[e.request_id] = e.code;
    w->n_replies++;
}

static int hand_over(struct world *w)
{
    int fd = w->write_fd;
    w->write_fd = -1;
    return fd;
}

static bool on_ask(void *ctx, struct pf_uuid launch)
{
    struct world *w = ctx;
    assert_true(pf_uuid_eq(launch, w->launch));
    if (!w->has_launcher) {
        return false;
    }
    w->n_asked++;
    if (w->answer == ANSWER_PIPE) {
        pf_stdin_set(w->in, launch, hand_over(w));
    } else if (w->answer == ANSWER_NONE) {
        pf_stdin_none(w->in, launch);
    }
    return true;
}

static bool on_close(void *ctx, struct pf_uuid launch)
{
    struct world *w = ctx;
    assert_true(pf_uuid_eq(launch, w->launch));
    w->n_closed++;
    return w->has_launcher;
}

static int setup(void **state)
{
    static const struct pf_stdin_ops ops = {on_reply, on_ask, on_close};
    struct world *w = pf_alloc(sizeof *w);
    int fd[2];
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    w->in = pf_stdin_create(w->loop, &ops, w);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    w->read_fd = fd[0];
    w->write_fd = fd[1];
    w->launch.b[0] = 7;
    w->has_launcher = true;
    memset(w->code, 255, sizeof w->code);
    for (size_t i = 0; i < sizeof w->chunk; i++) {
        w->chunk[i] = (uint8_t)(i * 7 + i / 256);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    pf_stdin_destroy(w->in);
    pf_loop_destroy(w->loop);
    if (w->read_fd >= 0) {
        (void)close(w->read_fd);
    }
    if (w->write_fd >= 0) {
        (void)close(w->write_fd);
    }
    pf_free(w);
    return 0;
}

static uint64_t send_input(struct world *w, const void *data, size_t n, bool eof)
{
    const struct pf_agent_act_stdin act = {.peer = 1,
                                           .request_id = ++w->last_request,
                                           .launch = w->launch,
                                           .data = {data, (uint32_t)n},
                                           .eof = eof};
    pf_stdin_write(w->in, &act);
    return w->last_request;
}

static uint64_t send_chunk(struct world *w)
{
    return send_input(w, w->chunk, sizeof w->chunk, false);
}

static void set_pipe(struct world *w)
{
    pf_stdin_set(w->in, w->launch, hand_over(w));
}

/* Reads `n` bytes that must come, turning the loop meanwhile. */
static void take(struct world *w, uint8_t *out, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(w->read_fd, out + have, n - have);
        if (got > 0) {
            have += (size_t)got;
        } else {
            assert_true(got < 0 && errno == EAGAIN);
            assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
        }
    }
}

static bool is_at_end(const struct world *w)
{
    char c;
    return read(w->read_fd, &c, 1) == 0;
}

static void test_stdin_small_writes_are_taken_at_once(void **state)
{
    struct world *w = *state;
    uint8_t got[8];
    set_pipe(w);
    assert_int_equal(w->code[send_input(w, "abc", 3, false)], ReplyCode_OK);
    assert_int_equal(w->code[send_input(w, NULL, 0, false)], ReplyCode_OK);
    assert_int_equal(w->code[send_input(w, "def", 3, false)], ReplyCode_OK);
    take(w, got, 6);
    assert_memory_equal(got, "abcdef", 6);
    assert_int_equal(w->n_asked + w->n_closed, 0);
}

static void test_stdin_full_pipe_holds_the_answer(void **state)
{
    struct world *w = *state;
    uint8_t *got = pf_alloc(3 * sizeof w->chunk);
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    assert_int_equal(w->code[send_chunk(w)], ReplyCode_OK);
    uint64_t second = send_chunk(w);
    uint64_t third = send_chunk(w);
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_int_equal(w->n_replies, 1);
    take(w, got, 2 * sizeof w->chunk);
    test_turn_until(w->loop, w->n_replies == 3);
    assert_int_equal(w->code[second], ReplyCode_OK);
    assert_int_equal(w->code[third], ReplyCode_OK);
    take(w, got + 2 * sizeof w->chunk, sizeof w->chunk);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(got + (size_t)i * sizeof w->chunk, w->chunk, sizeof w->chunk);
    }
    pf_free(got);
}

static void test_stdin_queue_is_bounded_by_bytes(void **state)
{
    struct world *w = *state;
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    (void)send_chunk(w); /* fills the pipe */
    for (uint32_t i = 0; i < PF_STDIN_QUEUE_MAX_BYTES / PF_STDIN_CHUNK_BYTES; i++) {
        assert_int_equal(w->code[send_chunk(w)], 255);
    }
    assert_int_equal(w->code[send_input(w, "x", 1, false)], ReplyCode_TOO_MANY);
    assert_int_equal(w->n_replies, 2);
}

static void test_stdin_queue_is_bounded_by_requests(void **state)
{
    struct world *w = *state;
    w->answer = ANSWER_LATER;
    for (uint32_t i = 0; i < PF_STDIN_QUEUE_MAX; i++) {
        assert_int_equal(w->code[send_input(w, NULL, 0, false)], 255);
    }
    assert_int_equal(w->code[send_input(w, NULL, 0, false)], ReplyCode_TOO_MANY);
    set_pipe(w);
    assert_int_equal(w->n_replies, PF_STDIN_QUEUE_MAX + 1);
    assert_int_equal(w->code[send_input(w, NULL, 0, false)], ReplyCode_OK);
}

static void test_stdin_end_closes_the_pipe(void **state)
{
    struct world *w = *state;
    uint8_t got[4];
    set_pipe(w);
    assert_int_equal(w->code[send_input(w, "last", 4, true)], ReplyCode_OK);
    assert_int_equal(w->n_closed, 1);
    take(w, got, 4);
    assert_memory_equal(got, "last", 4);
    assert_true(is_at_end(w));
    w->answer = ANSWER_NONE;
    assert_int_equal(w->code[send_input(w, "more", 4, false)], ReplyCode_CONFLICT);
}

static void test_stdin_end_waits_for_what_was_sent_before(void **state)
{
    struct world *w = *state;
    uint8_t *got = pf_alloc(2 * sizeof w->chunk);
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    (void)send_chunk(w);
    (void)send_chunk(w);
    uint64_t end = send_input(w, NULL, 0, true);
    uint64_t late = send_input(w, "x", 1, false);
    assert_int_equal(w->n_closed, 0);
    take(w, got, 2 * sizeof w->chunk);
    test_turn_until(w->loop, w->n_replies == 4);
    assert_int_equal(w->code[end], ReplyCode_OK);
    assert_int_equal(w->code[late], ReplyCode_CONFLICT);
    assert_int_equal(w->n_closed, 1);
    assert_true(is_at_end(w));
    pf_free(got);
}

static void test_stdin_nobody_reads(void **state)
{
    struct world *w = *state;
    set_pipe(w);
    assert_int_equal(close(w->read_fd), 0);
    w->read_fd = -1;
    assert_int_equal(w->code[send_input(w, "x", 1, false)], ReplyCode_CONFLICT);
    assert_int_equal(w->n_closed, 1);
}

static void test_stdin_reader_goes_while_we_wait(void **state)
{
    struct world *w = *state;
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    (void)send_chunk(w);
    uint64_t second = send_chunk(w);
    uint64_t third = send_chunk(w);
    assert_int_equal(close(w->read_fd), 0);
    w->read_fd = -1;
    test_turn_until(w->loop, w->n_replies == 3);
    assert_int_equal(w->code[second], ReplyCode_CONFLICT);
    assert_int_equal(w->code[third], ReplyCode_CONFLICT);
}

static void test_stdin_asks_the_launcher_after_a_restart(void **state)
{
    struct world *w = *state;
    uint8_t got[2];
    w->answer = ANSWER_LATER;
    uint64_t first = send_input(w, "a", 1, false);
    uint64_t second = send_input(w, "b", 1, false);
    assert_int_equal(w->n_asked, 1);
    assert_int_equal(w->n_replies, 0);
    set_pipe(w);
    assert_int_equal(w->code[first], ReplyCode_OK);
    assert_int_equal(w->code[second], ReplyCode_OK);
    take(w, got, 2);
    assert_memory_equal(got, "ab", 2);
}

static void test_stdin_launcher_may_answer_at_once(void **state)
{
    struct world *w = *state;
    w->answer = ANSWER_NONE;
    assert_int_equal(w->code[send_input(w, "a", 1, false)], ReplyCode_CONFLICT);
    w->answer = ANSWER_PIPE;
    assert_int_equal(w->code[send_input(w, "b", 1, false)], ReplyCode_OK);
    assert_int_equal(w->n_asked, 2);
}

static void test_stdin_launcher_has_none_later(void **state)
{
    struct world *w = *state;
    uint64_t id = send_input(w, "a", 1, false);
    pf_stdin_none(w->in, w->launch);
    assert_int_equal(w->code[id], ReplyCode_CONFLICT);
    pf_stdin_none(w->in, w->launch);
    assert_int_equal(w->n_replies, 1);
}

static void test_stdin_without_a_launcher_is_unavailable(void **state)
{
    struct world *w = *state;
    w->has_launcher = false;
    assert_int_equal(w->code[send_input(w, "a", 1, false)], ReplyCode_UNAVAILABLE);
    w->has_launcher = true;
    uint64_t id = send_input(w, "a", 1, false);
    pf_stdin_launcher_down(w->in);
    assert_int_equal(w->code[id], ReplyCode_UNAVAILABLE);
    set_pipe(w); /* of a newer launcher */
    pf_stdin_launcher_down(w->in);
    assert_int_equal(w->code[send_input(w, "b", 1, false)], ReplyCode_OK);
}

static void test_stdin_second_write_end_is_closed(void **state)
{
    struct world *w = *state;
    int second = dup(w->write_fd);
    assert_true(second >= 0);
    set_pipe(w);
    pf_stdin_set(w->in, w->launch, second);
    assert_int_equal(fcntl(second, F_GETFD), -1);
    assert_int_equal(w->code[send_input(w, NULL, 0, true)], ReplyCode_OK);
    assert_true(is_at_end(w));
}

static void test_stdin_task_ends(void **state)
{
    struct world *w = *state;
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    (void)send_chunk(w);
    uint64_t waits = send_chunk(w);
    pf_stdin_ended(w->in, w->launch);
    assert_int_equal(w->code[waits], ReplyCode_CONFLICT);
    pf_stdin_ended(w->in, w->launch);
    assert_int_equal(w->n_replies, 2);
}

static void test_stdin_gone_peer_is_not_answered(void **state)
{
    struct world *w = *state;
    uint8_t *got = pf_alloc(2 * sizeof w->chunk);
    set_pipe(w);
    assert_true(fcntl(w->read_fd, F_SETPIPE_SZ, PF_STDIN_CHUNK_BYTES) >= 0);
    (void)send_chunk(w);
    (void)send_chunk(w);
    pf_stdin_forget_peer(w->in, 1);
    take(w, got, 2 * sizeof w->chunk);
    assert_int_equal(w->n_replies, 1);
    assert_int_equal(w->code[send_input(w, "x", 1, false)], ReplyCode_OK);
    pf_free(got);
}

#define T(name) cmocka_unit_test_setup_teardown(test_stdin_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(small_writes_are_taken_at_once),
        T(full_pipe_holds_the_answer),
        T(queue_is_bounded_by_bytes),
        T(queue_is_bounded_by_requests),
        T(end_closes_the_pipe),
        T(end_waits_for_what_was_sent_before),
        T(nobody_reads),
        T(reader_goes_while_we_wait),
        T(asks_the_launcher_after_a_restart),
        T(launcher_may_answer_at_once),
        T(launcher_has_none_later),
        T(without_a_launcher_is_unavailable),
        T(second_write_end_is_closed),
        T(task_ends),
        T(gone_peer_is_not_answered),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("agent_stdin", tests, NULL, NULL);
}
