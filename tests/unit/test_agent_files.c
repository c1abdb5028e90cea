/* SPDX-License-Identifier: Apache-2.0 */
/* Output files as readers see them: where a read begins, what it refuses, how long it waits. */
#include "agent/daemon/files.h"

#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/sys/file.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

#define MIB (UINT64_C(1) << 20)

struct world {
    struct pf_loop *loop;
    struct pf_files *files;
    char sandbox[64], out[80], err[80];
    struct pf_agent_act_read r; /* what a test asks, but for the request id */
    uint64_t last_request;
    /* the last answer */
    uint32_t n_replies;
    uint64_t peer, request_id, offset, size;
    uint8_t code;
    bool eof, has_data;
    char *data;
    uint32_t len;
};

static void on_reply(void *ctx, uint64_t peer, struct pf_msg reply)
{
    struct world *w = ctx;
    struct pf_envelope e = pf_envelope_of(reply);
    struct FileData d = Envelope_body_as_FileData(Envelope__root(reply));
    assert_true(e.is_reply);
    pf_free(w->data);
    w->n_replies++;
    w->peer = peer;
    w->request_id = e.request_id;
    w->code = e.code;
    w->has_data = e.body_type == Body_FileData;
    w->offset = FileData_offset(d);
    w->size = FileData_size(d);
    w->eof = FileData_eof(d);
    w->len = FileData_data(d).len;
    w->data = pf_strndup((const char *)FileData_data(d).at, w->len);
    assert_int_equal(w->has_data, e.code == ReplyCode_OK);
}

static int setup(void **state)
{
    struct world *w = pf_alloc(sizeof *w);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    assert_int_equal(pf_files_create(w->loop, on_reply, w, &w->files, NULL), 0);
    (void)snprintf(w->sandbox, sizeof w->sandbox, "/tmp/pf-files-XXXXXX");
    assert_non_null(mkdtemp(w->sandbox));
    (void)snprintf(w->out, sizeof w->out, "%s/stdout", w->sandbox);
    (void)snprintf(w->err, sizeof w->err, "%s/stderr", w->sandbox);
    w->r = (struct pf_agent_act_read){.peer = 1, .path = pf_str(w->out)};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    pf_files_check(w->files);
    pf_files_destroy(w->files);
    pf_loop_destroy(w->loop);
    assert_int_equal(pf_remove_tree(w->sandbox, NULL), 0);
    pf_free(w->data);
    pf_free(w);
    return 0;
}

static void append(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    assert_int_equal(close(fd), 0);
}

static void add(const char *path, const char *text)
{
    append(path, text, strlen(text));
}

static void ask(struct world *w)
{
    w->r.request_id = ++w->last_request;
    pf_files_read(w->files, &w->r);
    pf_files_check(w->files);
}

/* Asks for what must be answered at once. */
static void ask_now(struct world *w)
{
    uint32_t before = w->n_replies;
    ask(w);
    assert_int_equal(w->n_replies, before + 1);
    assert_int_equal(w->request_id, w->last_request);
    assert_int_equal(w->peer, w->r.peer);
}

static void ask_later(struct world *w)
{
    uint32_t before = w->n_replies;
    uint32_t waiting = pf_files_counters(w->files)->n_waiting;
    ask(w);
    assert_int_equal(w->n_replies, before);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, waiting + 1);
}

static void expect(const struct world *w, uint64_t offset, const char *data, uint64_t size,
                   bool eof)
{
    assert_int_equal(w->code, ReplyCode_OK);
    assert_int_equal(w->offset, offset);
    assert_string_equal(w->data, data);
    assert_int_equal(w->size, size);
    assert_int_equal(w->eof, eof);
}

/* --- answers at once -------------------------------------------------------------------------- */

static void test_files_read_from_an_offset(void **state)
{
    struct world *w = *state;
    add(w->out, "0123456789");
    ask_now(w);
    expect(w, 0, "0123456789", 10, false);
    w->r.offset = 4;
    w->r.limit = 3;
    ask_now(w);
    expect(w, 4, "456", 10, false);
    w->r.ended = true;
    ask_now(w);
    expect(w, 4, "456", 10, false);
    w->r.offset = 7;
    ask_now(w);
    expect(w, 7, "789", 10, true);
    w->r.offset = 10;
    ask_now(w);
    expect(w, 10, "", 10, true);
    assert_int_equal(pf_files_counters(w->files)->bytes, 10 + 3 + 3 + 3);
}

static void test_files_offset_behind_the_end_is_brought_back(void **state)
{
    struct world *w = *state;
    add(w->out, "abc");
    w->r.offset = UINT64_MAX;
    ask_now(w);
    expect(w, 3, "", 3, false);
    w->r.follow = true;
    ask_now(w);
    expect(w, 3, "", 3, false);
}

static void test_files_answers_are_bounded(void **state)
{
    struct world *w = *state;
    char *big = pf_alloc(PF_READ_CHUNK_BYTES + 10);
    memset(big, 'x', PF_READ_CHUNK_BYTES + 10);
    append(w->out, big, PF_READ_CHUNK_BYTES + 10);
    w->r.limit = UINT32_MAX;
    w->r.ended = true;
    ask_now(w);
    assert_int_equal(w->len, PF_READ_CHUNK_BYTES);
    assert_false(w->eof);
    w->r.offset = PF_READ_CHUNK_BYTES;
    ask_now(w);
    assert_int_equal(w->len, 10);
    assert_true(w->eof);
    pf_free(big);
}

static void test_files_tail_begins_at_a_line(void **state)
{
    struct world *w = *state;
    add(w->out, "one\ntwo\nthree\n");
    static const struct {
        uint32_t lines;
        const char *data;
    } rows[] = {{1, "three\n"}, {2, "two\nthree\n"}, {3, "one\ntwo\nthree\n"},
                {4, "one\ntwo\nthree\n"}, {UINT32_MAX, "one\ntwo\nthree\n"}};
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        w->r.tail_lines = rows[i].lines;
        ask_now(w);
        expect(w, 14 - strlen(rows[i].data), rows[i].data, 14, false);
    }
    add(w->out, "open");
    w->r.tail_lines = 2;
    ask_now(w);
    expect(w, 8, "three\nopen", 18, false);
    w->r.tail_lines = 1;
    ask_now(w);
    expect(w, 14, "open", 18, false);
}

static void test_files_tail_reads_back_over_long_lines(void **state)
{
    struct world *w = *state;
    size_t n = 3 * PF_READ_CHUNK_BYTES + 17;
    char *line = pf_alloc(n);
    memset(line, 'x', n);
    line[n - 1] = '\n';
    append(w->out, line, n);
    append(w->out, line, n);
    w->r.tail_lines = 1;
    ask_now(w);
    assert_int_equal(w->offset, n);
    assert_int_equal(w->len, PF_READ_CHUNK_BYTES);
    w->r.tail_lines = 2;
    ask_now(w);
    assert_int_equal(w->offset, 0);
    pf_free(line);
}

static void test_files_tail_looks_back_so_far_only(void **state)
{
    struct world *w = *state;
    add(w->out, "line\n");
    assert_int_equal(truncate(w->out, (off_t)(PF_FILES_TAIL_MAX_BYTES + MIB)), 0);
    w->r.tail_lines = 1;
    ask_now(w);
    assert_int_equal(w->offset, MIB);
    assert_int_equal(w->size, PF_FILES_TAIL_MAX_BYTES + MIB);
}

static void test_files_since_spares_old_output(void **state)
{
    struct world *w = *state;
    add(w->out, "old");
    const struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, w->out, long_ago, 0), 0);
    w->r.since_ms = 1000 * 1000;
    ask_now(w);
    expect(w, 0, "old", 3, false);
    w->r.since_ms = 1000 * 1000 + 1;
    ask_now(w);
    expect(w, 3, "", 3, false);
    w->r.ended = true;
    ask_now(w);
    expect(w, 3, "", 3, true);
}

static void test_files_missing_is_empty(void **state)
{
    struct world *w = *state;
    ask_now(w);
    expect(w, 0, "", 0, false);
    w->r.ended = true;
    w->r.follow = true;
    ask_now(w);
    expect(w, 0, "", 0, true);
}

static void test_files_refuses_what_is_no_plain_file(void **state)
{
    struct world *w = *state;
    char secret[96];
    (void)snprintf(secret, sizeof secret, "%s/secret", w->sandbox);
    add(secret, "secret");
    assert_int_equal(symlink(secret, w->out), 0);
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_UNAVAILABLE);
    assert_int_equal(unlink(w->out), 0);
    assert_int_equal(mkfifo(w->out, 0600), 0); /* nobody writes it: must not block */
    w->r.follow = true;
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_UNAVAILABLE);
    assert_int_equal(unlink(w->out), 0);
    assert_int_equal(mkdir(w->out, 0700), 0);
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_UNAVAILABLE);
    assert_int_equal(pf_files_counters(w->files)->refused, 3);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void test_files_follow_is_answered_when_there_is_more(void **state)
{
    struct world *w = *state;
    add(w->out, "abc");
    w->r.follow = true;
    ask_now(w);
    expect(w, 0, "abc", 3, false);
    w->r.offset = 3;
    ask_later(w);
    add(w->out, "def");
    test_turn_until(w->loop, w->n_replies == 2);
    expect(w, 3, "def", 6, false);
    assert_int_equal(w->request_id, 2);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 0);
}

static void test_files_follow_shares_a_file(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    add(w->err, "");
    w->r.follow = true;
    w->r.tail_lines = 5;
    ask_later(w);
    w->r.peer = 2;
    ask_later(w);
    w->r.path = pf_str(w->err);
    ask_later(w);
    add(w->out, "x");
    test_turn_until(w->loop, w->n_replies == 2);
    expect(w, 0, "x", 1, false);
    pf_files_check(w->files);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 1);
    add(w->err, "y");
    test_turn_until(w->loop, w->n_replies == 3);
    expect(w, 0, "y", 1, false);
}

static void test_files_follow_waits_for_the_file_itself(void **state)
{
    struct world *w = *state;
    w->r.follow = true;
    ask_later(w);
    ask_later(w);
    add(w->out, "");
    pf_files_made(w->files, pf_str(w->sandbox));
    pf_files_check(w->files);
    assert_int_equal(w->n_replies, 0);
    add(w->out, "begun");
    test_turn_until(w->loop, w->n_replies == 2);
    expect(w, 0, "begun", 5, false);
}

static void test_files_end_answers_everybody(void **state)
{
    struct world *w = *state;
    add(w->out, "abc");
    w->r.follow = true;
    w->r.offset = 3;
    ask_later(w);
    w->r.path = pf_str(w->err);
    w->r.offset = 0;
    ask_later(w);
    pf_files_ended(w->files, w->r.launch, pf_str("/tmp/pf-files-another"));
    assert_int_equal(w->n_replies, 0);
    add(w->out, "def"); /* the last words, not noticed yet */
    pf_files_ended(w->files, w->r.launch, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 2);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 0);
    expect(w, 0, "", 0, true); /* stderr, never made */
    w->r.path = pf_str(w->out);
    w->r.offset = 3;
    w->r.ended = true;
    ask_now(w);
    expect(w, 3, "def", 6, true);
}

/* Two tasks of one executor write to one file: the end of one is not the other's. */
static void test_files_end_of_another_task_is_no_end(void **state)
{
    struct world *w = *state;
    struct pf_uuid one = {{1}}, two = {{2}};
    add(w->out, "abc");
    w->r.follow = true;
    w->r.offset = 3;
    w->r.launch = one;
    ask_later(w);
    pf_files_ended(w->files, two, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 0);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 1);
    pf_files_ended(w->files, one, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 1);
    expect(w, 3, "", 3, true);
}

static void test_files_end_with_much_left_is_no_eof(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    w->r.follow = true;
    w->r.limit = 2;
    ask_later(w);
    add(w->out, "abc");
    pf_files_ended(w->files, w->r.launch, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 1);
    expect(w, 0, "ab", 3, false);
}

static void test_files_cut_short_answers_with_the_new_end(void **state)
{
    struct world *w = *state;
    add(w->out, "abcdef");
    w->r.follow = true;
    w->r.offset = 6;
    ask_later(w);
    assert_int_equal(truncate(w->out, 2), 0);
    test_turn_until(w->loop, w->n_replies == 1);
    expect(w, 2, "", 2, false);
}

static void test_files_replaced_file_is_followed(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    w->r.follow = true;
    ask_later(w);
    char other[96];
    (void)snprintf(other, sizeof other, "%s/other", w->sandbox);
    add(other, "");
    assert_int_equal(rename(other, w->out), 0); /* the watched file goes for good */
    uint64_t turns = pf_loop_counters(w->loop)->events;
    test_turn_until(w->loop, pf_loop_counters(w->loop)->events > turns);
    pf_files_check(w->files);
    add(w->out, "new");
    test_turn_until(w->loop, w->n_replies == 1);
    expect(w, 0, "new", 3, false);
}

static void test_files_new_reader_watches_what_has_the_name_now(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    int held = open(w->out, O_RDONLY | O_CLOEXEC); /* so that the old file lives on */
    assert_true(held >= 0);
    w->r.follow = true;
    ask_later(w);
    assert_int_equal(unlink(w->out), 0);
    add(w->out, "");
    ask_later(w);
    add(w->out, "new");
    test_turn_until(w->loop, w->n_replies == 2);
    expect(w, 0, "new", 3, false);
    assert_int_equal(close(held), 0);
}

static void test_files_second_name_of_a_watched_file_is_refused(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    assert_int_equal(link(w->out, w->err), 0);
    w->r.follow = true;
    ask_later(w);
    w->r.path = pf_str(w->err);
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_UNAVAILABLE);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 1);
}

static void test_files_gone_peer_waits_for_nothing(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    w->r.follow = true;
    ask_later(w);
    w->r.path = pf_str(w->err);
    ask_later(w);
    w->r.peer = 2;
    ask_later(w);
    pf_files_forget_peer(w->files, 1);
    pf_files_forget_peer(w->files, 1);
    pf_files_check(w->files);
    assert_int_equal(pf_files_counters(w->files)->n_waiting, 1);
    pf_files_ended(w->files, w->r.launch, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 1);
    assert_int_equal(w->peer, 2);
}

static void test_files_waiting_requests_are_bounded(void **state)
{
    struct world *w = *state;
    add(w->out, "");
    w->r.follow = true;
    for (uint32_t i = 0; i < PF_READS_PER_PEER_MAX; i++) {
        w->r.request_id = ++w->last_request;
        pf_files_read(w->files, &w->r);
    }
    assert_int_equal(pf_files_counters(w->files)->n_waiting, PF_READS_PER_PEER_MAX);
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_TOO_MANY);
    w->r.follow = false;
    ask_now(w);
    assert_int_equal(w->code, ReplyCode_OK);
    w->r.follow = true;
    w->r.peer = 2;
    ask_later(w);
    pf_files_ended(w->files, w->r.launch, pf_str(w->sandbox));
    assert_int_equal(w->n_replies, 2 + PF_READS_PER_PEER_MAX + 1);
    pf_files_check(w->files);
}

#define T(name) cmocka_unit_test_setup_teardown(test_files_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(read_from_an_offset),
        T(offset_behind_the_end_is_brought_back),
        T(answers_are_bounded),
        T(tail_begins_at_a_line),
        T(tail_reads_back_over_long_lines),
        T(tail_looks_back_so_far_only),
        T(since_spares_old_output),
        T(missing_is_empty),
        T(refuses_what_is_no_plain_file),
        T(follow_is_answered_when_there_is_more),
        T(follow_shares_a_file),
        T(follow_waits_for_the_file_itself),
        T(end_answers_everybody),
        T(end_of_another_task_is_no_end),
        T(end_with_much_left_is_no_eof),
        T(cut_short_answers_with_the_new_end),
        T(replaced_file_is_followed),
        T(new_reader_watches_what_has_the_name_now),
        T(second_name_of_a_watched_file_is_refused),
        T(gone_peer_waits_for_nothing),
        T(waiting_requests_are_bounded),
    };
    return cmocka_run_group_tests_name("agent_files", tests, NULL, NULL);
}
