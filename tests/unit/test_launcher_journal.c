/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher's journal: what is read back, torn ends, foreign files, rewriting, a full disk. */
#include "agent/launcher/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/sys/file.h"
#include "tests/support/test.h"

struct world {
    char dir[64];
    int dir_fd;
    struct pf_journal j;
    struct pf_journal_record got[64];
    uint32_t n;
};

static const struct pf_uuid boot = {{9}};

static void on_record(void *ctx, const struct pf_journal_record *r)
{
    struct world *w = ctx;

    assert_true(w->n < PF_ARRAY_LEN(w->got));
    w->got[w->n++] = *r;
}

static int load(struct world *w)
{
    w->n = 0;
    return pf_journal_load(w->dir_fd, on_record, w, NULL);
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pf-journal-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->dir_fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(w->dir_fd >= 0);
    w->j.fd = -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_journal_close(&w->j);
    assert_int_equal(close(w->dir_fd), 0);
    assert_int_equal(pf_remove_tree(w->dir, NULL), 0);
    test_free(w);
    return 0;
}

static void begin(struct world *w)
{
    assert_int_equal(pf_journal_rewrite(&w->j, w->dir_fd, boot, 4711, NULL), 0);
    assert_int_equal(pf_journal_rewritten(&w->j, NULL), 0);
}

static struct pf_journal_record record(enum pf_journal_kind kind, uint8_t id)
{
    return (struct pf_journal_record){
        .kind = (uint8_t)kind, .uuid = {{id}}, .pid = id, .wait_status = -1, .stage = "exec"};
}

static void test_records_come_back_in_order(void **state)
{
    struct world *w = *state;

    assert_int_equal(load(w), 0); /* none yet */
    assert_int_equal(w->n, 0);
    begin(w);
    pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, 1));
    pf_journal_add(&w->j, record(PF_JOURNAL_EXITED, 2));
    assert_int_equal(pf_journal_flush(&w->j), 0);
    pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, 3)); /* never flushed */
    assert_int_equal(load(w), 0);
    assert_int_equal(w->n, 3);
    assert_int_equal(w->got[0].kind, PF_JOURNAL_BEGIN);
    assert_true(pf_uuid_eq(w->got[0].uuid, boot));
    assert_int_equal(w->got[0].pid, 4711);
    assert_int_equal(w->got[1].kind, PF_JOURNAL_INTENT);
    assert_int_equal(w->got[2].uuid.b[0], 2);
    assert_int_equal(w->got[2].wait_status, -1);
    assert_string_equal(w->got[2].stage, "exec");
}

static void cut_or_break(struct world *w, off_t size, off_t flip_at)
{
    int fd = openat(w->dir_fd, "launcher.journal", O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    if (flip_at >= 0) {
        assert_int_equal(pread(fd, &byte, 1, flip_at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, flip_at), 1);
    } else {
        assert_int_equal(ftruncate(fd, size), 0);
    }
    assert_int_equal(close(fd), 0);
}

static void test_torn_end_is_left_out(void **state)
{
    struct world *w = *state;

    begin(w);
    for (uint8_t i = 1; i <= 3; i++) {
        pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, i));
    }
    assert_int_equal(pf_journal_flush(&w->j), 0);
    for (off_t size = 3 * 64; size < 4 * 64; size++) {
        cut_or_break(w, size, -1);
        assert_int_equal(load(w), 0);
        assert_int_equal(w->n, 3);
    }
    cut_or_break(w, 0, 2 * 64 + 30);
    assert_int_equal(load(w), 0);
    assert_int_equal(w->n, 2);
}

static void test_file_of_another_kind_is_refused(void **state)
{
    struct world *w = *state;
    struct pf_journal_record r = record(PF_JOURNAL_INTENT, 1);

    begin(w);
    assert_int_equal(ftruncate(w->j.fd, 0), 0);
    pf_journal_add(&w->j, r);
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_int_equal(load(w), PF_EPROTO);
    assert_int_equal(ftruncate(w->j.fd, 0), 0);
    r = record(PF_JOURNAL_BEGIN, 1);
    r.start_time = 99;
    pf_journal_add(&w->j, r);
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_int_equal(load(w), PF_EVERSION);
}

/* Until the new file is whole the old one stands. */
static void test_rewriting_replaces_at_once(void **state)
{
    struct world *w = *state;
    struct pf_journal fresh = {.fd = -1};

    begin(w);
    pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, 1));
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_int_equal(pf_journal_rewrite(&fresh, w->dir_fd, boot, 1, NULL), 0);
    pf_journal_add(&fresh, record(PF_JOURNAL_INTENT, 2));
    assert_int_equal(load(w), 0);
    assert_int_equal(w->got[1].uuid.b[0], 1);
    assert_int_equal(pf_journal_rewritten(&fresh, NULL), 0);
    assert_int_equal(load(w), 0);
    assert_int_equal(w->n, 2);
    assert_int_equal(w->got[1].uuid.b[0], 2);
    pf_journal_close(&fresh);
}

static void test_bloat_is_mostly_history(void **state)
{
    struct world *w = *state;

    begin(w);
    for (uint32_t i = 0; i < 20000; i++) {
        pf_journal_add(&w->j, record(PF_JOURNAL_FORGOTTEN, 1));
    }
    assert_false(pf_journal_is_bloated(&w->j, 0));
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_true(pf_journal_is_bloated(&w->j, 0));
    assert_false(pf_journal_is_bloated(&w->j, 10000));
}

/* What cannot be written stays for the next try; nothing torn is left in the file. */
static void test_failed_write_is_kept(void **state)
{
    struct world *w = *state;

    begin(w);
    int fd = w->j.fd;
    w->j.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(w->j.fd >= 0);
    pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, 1));
    assert_int_equal(pf_journal_flush(&w->j), ENOSPC);
    assert_int_equal(close(w->j.fd), 0);
    w->j.fd = fd;
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_int_equal(load(w), 0);
    assert_int_equal(w->n, 2);
    pf_journal_add(&w->j, record(PF_JOURNAL_INTENT, 2));
    pf_journal_drop(&w->j);
    assert_int_equal(pf_journal_flush(&w->j), 0);
    assert_int_equal(load(w), 0);
    assert_int_equal(w->n, 2);
}

static void test_unwritable_directory_is_refused(void **state)
{
    struct world *w = *state;
    struct pf_journal j = {.fd = -1};

    assert_int_equal(mkdirat(w->dir_fd, "launcher.journal.new", 0700), 0);
    assert_int_not_equal(pf_journal_rewrite(&j, w->dir_fd, boot, 1, NULL), 0);
    assert_int_equal(j.fd, -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_records_come_back_in_order),
        CASE(test_torn_end_is_left_out),
        CASE(test_file_of_another_kind_is_refused),
        CASE(test_rewriting_replaces_at_once),
        CASE(test_bloat_is_mostly_history),
        CASE(test_failed_write_is_kept),
        CASE(test_unwritable_directory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
