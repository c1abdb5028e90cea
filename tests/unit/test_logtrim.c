/* SPDX-License-Identifier: Apache-2.0 */
/* Output that grows is cut in front, and nobody who writes or reads it loses his place. */
#include "agent/daemon/logtrim.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "agent/daemon/files.h"
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/sys/file.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

enum { KIB = 1 << 10, MIB = 1 << 20, MAX = 256 * KIB, EXIT_SKIP = 77 };

struct world {
    struct pf_loop *loop;
    struct pf_logtrim *trim;
    struct pf_files *files;
    char dir[64], sandbox[80], out[100], err[100];
    struct pf_uuid launch, gone;
    uint32_t n_gone;
    /* the last answer */
    uint64_t offset, size;
    uint32_t len;
    bool eof;
    char first[16];
};

static void on_gone(void *ctx, struct pf_uuid launch)
{
    struct world *w = ctx;

    w->n_gone++;
    w->gone = launch;
}

static void on_reply(void *ctx, uint64_t peer, struct pf_msg reply)
{
    struct world *w = ctx;
    struct FileData d = Envelope_body_as_FileData(Envelope__root(reply));

    (void)peer;
    assert_int_equal(pf_envelope_of(reply).code, ReplyCode_OK);
    w->offset = FileData_offset(d);
    w->size = FileData_size(d);
    w->len = FileData_data(d).len;
    w->eof = FileData_eof(d);
    memset(w->first, 0, sizeof w->first);
    memcpy(w->first, FileData_data(d).at, w->len < 15 ? w->len : 15);
}

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);

    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pf-trim-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->sandbox, sizeof w->sandbox, "%s/sandbox", w->dir);
    (void)snprintf(w->out, sizeof w->out, "%s/stdout", w->sandbox);
    (void)snprintf(w->err, sizeof w->err, "%s/stderr", w->sandbox);
    assert_int_equal(mkdir(w->sandbox, 0755), 0);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    assert_int_equal(pf_files_create(w->loop, on_reply, w, &w->files, NULL), 0);
    w->trim = pf_logtrim_create(w->loop,
                                &(struct pf_logtrim_options){
                                    .max_bytes = MAX, .dir = w->dir, .on_gone = on_gone, .ctx = w});
    w->launch.b[0] = 1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_logtrim_destroy(w->trim);
    pf_files_destroy(w->files);
    pf_loop_destroy(w->loop);
    assert_int_equal(pf_remove_tree(w->dir, NULL), 0);
    pf_free(w);
    return 0;
}

static int open_out(const struct world *w)
{
    int fd = open(w->out, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* Lines of 16 bytes that say where in the file they are. */
static void write_lines(int fd, uint64_t from, uint64_t bytes)
{
    char block[64 * KIB];

    for (uint64_t at = from; at < from + bytes; at += sizeof block) {
        for (size_t i = 0; i < sizeof block; i += 16) {
            char line[24];
            (void)snprintf(line, sizeof line, "%015llu\n", (unsigned long long)(at + i));
            memcpy(block + i, line, 16);
        }
        assert_int_equal(write(fd, block, sizeof block), (ssize_t)sizeof block);
    }
}

static const struct pf_logtrim_counters *counters(const struct world *w)
{
    return pf_logtrim_counters(w->trim);
}

static void read_at(struct world *w, uint64_t offset, uint32_t tail_lines)
{
    const struct pf_agent_act_read r = {.peer = 1,
                                        .request_id = 1,
                                        .path = pf_str(w->out),
                                        .offset = offset,
                                        .tail_lines = tail_lines,
                                        .ended = true};
    pf_files_read(w->files, &r);
}

static uint64_t held(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void test_logtrim_keeps_the_end_and_the_offsets(void **state)
{
    struct world *w = *state;
    char expected[24];
    int fd = open_out(w);

    write_lines(fd, 0, MIB);
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    assert_int_equal(counters(w)->n, 1);
    test_turn_until(w->loop, counters(w)->cuts == 1);
    assert_int_equal(counters(w)->emptied, 0);
    assert_int_equal(size_of(w->out), MIB);
    assert_true(held(w->out) <= MAX + 8 * KIB);
    assert_int_equal(counters(w)->cut_bytes, MIB - held(w->out));
    read_at(w, 0, 0); /* from the first byte that is there */
    assert_int_equal(w->offset, MIB - MAX);
    assert_int_equal(w->size, MIB);
    (void)snprintf(expected, sizeof expected, "%015u", MIB - MAX);
    assert_string_equal(w->first, expected);
    read_at(w, MIB - 32, 0);
    assert_int_equal(w->offset, MIB - 32);
    read_at(w, 0, 2);
    assert_int_equal(w->offset, MIB - 32);
    read_at(w, 0, 1000000); /* more lines than there are */
    assert_int_equal(w->offset, MIB - MAX);
    write_lines(fd, MIB, 64 * KIB); /* who writes goes on behind its end */
    read_at(w, MIB, 0);
    (void)snprintf(expected, sizeof expected, "%015u", MIB);
    assert_string_equal(w->first, expected);
    assert_int_equal(close(fd), 0);
}

/* A hole of the task's own, behind data, is what it always was: zeros. */
static void test_logtrim_leaves_other_holes_to_readers(void **state)
{
    struct world *w = *state;
    int fd = open_out(w);

    assert_int_equal(write(fd, "begin", 5), 5);
    assert_int_equal(ftruncate(fd, MIB), 0);
    read_at(w, 100, 0);
    assert_int_equal(w->offset, 100);
    assert_true(w->len > 0);
    assert_string_equal(w->first, "");
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    test_turn_until(w->loop, counters(w)->looks >= 1);
    assert_int_equal(counters(w)->cuts, 0); /* it holds no more than a block */
    assert_int_equal(close(fd), 0);
}

static void test_logtrim_cuts_again_while_it_grows(void **state)
{
    struct world *w = *state;
    uint64_t at = 0;
    int fd = open_out(w);

    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    for (struct test_wait t = test_wait_begin(w->loop);
         !test_wait_is_over(&t, counters(w)->cuts >= 3);) {
        write_lines(fd, at, 64 * KIB);
        at += 64 * KIB;
        test_wait_turn(&t);
    }
    assert_int_equal(size_of(w->out), at);
    assert_true(held(w->out) < at);
    assert_int_equal(close(fd), 0);
}

static void test_logtrim_looks_rarely_while_nothing_grows(void **state)
{
    struct world *w = *state;
    int64_t begin = pf_now_ms();

    assert_int_equal(close(open_out(w)), 0);
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    test_turn_until(w->loop, counters(w)->looks == 2);
    /* 1 s, then 2 s, then 4 ...; sooner only if others fill this disk meanwhile */
    assert_true(pf_now_ms() - begin >= 2900 || counters(w)->sweeps > 0);
}

static void test_logtrim_looks_at_all_when_the_disk_fills(void **state)
{
    struct world *w = *state;
    uint64_t at = 0;
    int fd = open_out(w);
    int i = 0;

    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    for (struct test_wait t = test_wait_begin(w->loop);
         !test_wait_is_over(&t, counters(w)->sweeps > 0);) {
        if (i++ % 8 == 0 && at < 64 * MIB) { /* faster than the looks at it */
            write_lines(fd, at, 16 * MIB);
            at += 16 * MIB;
        }
        test_wait_turn(&t);
    }
    assert_int_equal(close(fd), 0);
}

/* What a task may put in place of its output must not be cut: another's file, by either link. */
static void test_logtrim_spares_the_files_of_others(void **state)
{
    struct world *w = *state;
    char other[100];
    int fd;

    (void)snprintf(other, sizeof other, "%s/other", w->dir);
    fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    write_lines(fd, 0, MIB);
    assert_int_equal(close(fd), 0);
    assert_int_equal(link(other, w->out), 0);
    assert_int_equal(symlink(other, w->err), 0);
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    test_turn_until(w->loop, counters(w)->looks >= 1);
    assert_int_equal(counters(w)->cuts, 0);
    assert_true(held(other) >= MIB);
}

static void test_logtrim_end_is_a_last_look(void **state)
{
    struct world *w = *state;
    int fd = open_out(w);

    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    write_lines(fd, 0, MIB);
    assert_int_equal(close(fd), 0);
    pf_logtrim_ended(w->trim, w->launch);
    assert_int_equal(counters(w)->cuts, 1);
    assert_int_equal(counters(w)->n, 0);
    pf_logtrim_ended(w->trim, w->launch); /* nothing */
    assert_int_equal(counters(w)->looks, 1);
}

static void test_logtrim_tells_once_that_a_sandbox_is_gone(void **state)
{
    struct world *w = *state;

    assert_int_equal(close(open_out(w)), 0);
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    assert_int_equal(pf_remove_tree(w->sandbox, NULL), 0);
    test_turn_until(w->loop, w->n_gone > 0);
    assert_true(pf_uuid_eq(w->gone, w->launch));
    assert_int_equal(counters(w)->n, 0);
    pf_logtrim_ended(w->trim, w->launch);
    assert_int_equal(w->n_gone, 1);
}

/* Its own output removed is the task's business. */
static void test_logtrim_minds_the_directory_only(void **state)
{
    struct world *w = *state;

    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    test_turn_until(w->loop, counters(w)->looks == 1);
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(counters(w)->n, 1);
}

/* ramfs knows no holes: the file is emptied, and says so. In a mount namespace of a child. */
static void without_holes(void *ctx)
{
    struct world *w = ctx;
    int fd;

    if (mount("ramfs", w->sandbox, "ramfs", 0, NULL) != 0) {
        return;
    }
    fd = open_out(w);
    write_lines(fd, 0, MIB);
    pf_logtrim_add(w->trim, w->launch, pf_str(w->sandbox));
    pf_logtrim_ended(w->trim, w->launch);
    write_lines(fd, 0, 64 * KIB);
    read_at(w, 0, 0);
    if (counters(w)->emptied == 1 && size_of(w->out) < 65 * KIB && w->offset == 0 &&
        strncmp(w->first, "[proffer: 10485", 15) == 0) {
        abort(); /* as it should be: the parent counts this */
    }
}

static void test_logtrim_empties_where_no_holes_are(void **state)
{
    struct world *w = *state;

    assert_int_equal(unshare(CLONE_NEWNS), 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        assert_int_equal(errno, EINVAL); /* the root of a chroot: what is mounted is undone below */
    }
    assert_true(test_aborts(without_holes, w));
    assert_int_equal(umount2(w->sandbox, MNT_DETACH), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logtrim_keeps_the_end_and_the_offsets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_leaves_other_holes_to_readers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_cuts_again_while_it_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_looks_rarely_while_nothing_grows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_looks_at_all_when_the_disk_fills, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_spares_the_files_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_end_is_a_last_look, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_tells_once_that_a_sandbox_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_minds_the_directory_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logtrim_empties_where_no_holes_are, setup, teardown),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "needs to be root, to mount a ramfs\n");
        return EXIT_SKIP;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
