/* SPDX-License-Identifier: Apache-2.0 */
/* Archives, good and evil ones, each made here by libarchive. */
#include "agent/fetcher/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "tests/support/test.h"

/* An entry of an archive that is made. */
struct made {
    const char *path;
    unsigned type; /* AE_IF*; 0: a hard link to `link` */
    unsigned mode;
    const char *link, *data;
};

static char base[] = "/tmp/pf-unpack-XXXXXX";

static int group_setup(void **state)
{
    (void)state;
    (void)umask(077);
    return mkdtemp(base) != NULL ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 ? pf_remove_tree(base, NULL) : -1;
}

/* An empty sandbox with a neighbour that holds a file. */
static int setup(void **state)
{
    (void)state;
    return chdir(base) == 0 && pf_remove_tree("s", NULL) == 0 && pf_remove_tree("n", NULL) == 0 &&
                   mkdir("s", 0700) == 0 && mkdir("n", 0700) == 0 &&
                   pf_file_write("n/f", "mine", 4, 0600, NULL) == 0 && chdir("s") == 0
               ? 0
               : -1;
}

static void add(struct archive *a, const struct made *m)
{
    struct archive_entry *e = archive_entry_new();
    size_t len = m->data != NULL ? strlen(m->data) : 0;

    archive_entry_set_pathname(e, m->path);
    archive_entry_set_filetype(e, m->type != 0 ? m->type : AE_IFREG);
    archive_entry_set_perm(e, (mode_t)m->mode);
    archive_entry_set_uid(e, 12345);
    archive_entry_set_mtime(e, 1000000000, 0);
    if (m->type == 0) {
        archive_entry_set_hardlink(e, m->link);
    } else if (m->type == AE_IFLNK) {
        archive_entry_set_symlink(e, m->link);
    } else {
        archive_entry_set_size(e, (la_int64_t)len);
    }
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    if (len > 0) {
        assert_int_equal(archive_write_data(a, m->data, len), len);
    }
    archive_entry_free(e);
}

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name);
    size_t len = strlen(end);

    return n >= len && strcmp(name + n - len, end) == 0;
}

/* Makes an archive of the kind that its name says. */
static int make(const char *name, const struct made *m, size_t n)
{
    struct archive *a = archive_write_new();
    int rc = ends(name, ".zip") ? archive_write_set_format_zip(a)
                                : archive_write_set_format_pax_restricted(a);

    assert_int_equal(rc, ARCHIVE_OK);
    rc = ends(name, "gz")    ? archive_write_add_filter_gzip(a)
         : ends(name, "bz2") ? archive_write_add_filter_bzip2(a)
         : ends(name, "xz")  ? archive_write_add_filter_xz(a)
                             : ARCHIVE_OK;
    assert_int_equal(rc, ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, "../archive"), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        add(a, &m[i]);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a); /* closed */
    return open("../archive", O_RDONLY | O_CLOEXEC);
}

static int unpack(const char *name, const struct made *m, size_t n, uint64_t max_bytes,
                  struct pf_err *err)
{
    struct pf_unpacked done = {0, 0};
    int fd = make(name, m, n);
    int rc = pf_unpack(fd, pf_str(name), max_bytes, &done, err);

    assert_true(rc != 0 || done.n_entries == n);
    pf_fd_close(&fd);
    return rc;
}

static bool holds(const char *path, const char *text)
{
    struct pf_buf got = {0};
    bool is_same = pf_file_read(path, 100, &got, NULL) == 0 && strcmp(pf_buf_cstr(&got), text) == 0;

    pf_buf_fini(&got);
    return is_same;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_uid, geteuid());
    return st.st_mode & 07777;
}

static void test_fetcher_unpack_every_kind(void **state)
{
    static const char *const names[] = {"a.tar",  "a.tar.gz", "a.tgz", "a.tar.bz2",
                                        "a.tbz2", "a.tar.xz", "a.txz", "a.zip"};
    static const struct made entries[] = {
        {"./d/", AE_IFDIR, 0777, NULL, NULL},
        {"./d/x", AE_IFREG, 04755, NULL, "run"},
        {"d/y", AE_IFREG, 0, NULL, "read"},
        {"e/f/l", AE_IFLNK, 0777, "../../d/y", NULL},
    };

    for (size_t i = 0; i < PF_ARRAY_LEN(names); i++) {
        struct pf_err err = {0};
        assert_int_equal(setup(state), 0);
        int rc = unpack(names[i], entries, PF_ARRAY_LEN(entries), 0, &err);
        assert_string_equal(err.msg, "");
        assert_int_equal(rc, 0);
        assert_true(holds("d/x", "run") && holds("e/f/l", "read"));
        assert_int_equal(mode_of("d"), 0700);
        assert_int_equal(mode_of("d/x"), 0700);
        assert_int_equal(mode_of("d/y"), 0600);
    }
}

static void test_fetcher_unpack_kind_by_name(void **state)
{
    (void)state;
    assert_int_equal(pf_unpack_kind(PF_STR("a.tar.gz")), PF_UNPACK_TAR);
    assert_int_equal(pf_unpack_kind(PF_STR("a.gz")), PF_UNPACK_GZIP);
    assert_int_equal(pf_unpack_kind(PF_STR("a.b.zip")), PF_UNPACK_ZIP);
    assert_int_equal(pf_unpack_kind(PF_STR(".zip")), PF_UNPACK_NONE);
    assert_int_equal(pf_unpack_kind(PF_STR("a.TGZ")), PF_UNPACK_NONE);
    assert_int_equal(pf_unpack_kind(PF_STR("tar")), PF_UNPACK_NONE);
    assert_int_equal(pf_unpack_kind(PF_STR("a.tgz.sig")), PF_UNPACK_NONE);
}

struct evil {
    struct made entries[3];
    const char *reason;
};

static void test_fetcher_unpack_refuses_escapes(void **state)
{
    static const struct evil rows[] = {
        {{{"../n/f", AE_IFREG, 0644, NULL, "x"}}, "entry ../n/f: its name leads out"},
        {{{"a/../../n/f", AE_IFREG, 0644, NULL, "x"}}, "leads out of the sandbox"},
        {{{"/tmp/pf-unpack-escaped", AE_IFREG, 0644, NULL, "x"}}, "an absolute name"},
        {{{"..", AE_IFDIR, 0755, NULL, NULL}}, "leads out of the sandbox"},
        {{{"l", AE_IFLNK, 0777, "/etc/passwd", NULL}}, "entry l: a symbolic link to an absolute"},
        {{{"l", AE_IFLNK, 0777, "../n", NULL}}, "a symbolic link that leads out"},
        {{{"d/l", AE_IFLNK, 0777, "../../n", NULL}}, "a symbolic link that leads out"},
        {{{"d/l", AE_IFLNK, 0777, "..", NULL}, {"m", AE_IFLNK, 0777, "d/l/../n", NULL}},
         "entry m: a symbolic link that leads out"},
        {{{"d", AE_IFDIR, 0755, NULL, NULL},
          {"l", AE_IFLNK, 0777, "d", NULL},
          {"l/f", AE_IFREG, 0644, NULL, "x"}},
         "entry l/f"},
        {{{"h", 0, 0644, "../n/f", NULL}}, "entry h: a hard link, to"},
        {{{"h", 0, 0644, "/etc/passwd", NULL}}, "a hard link, to: an absolute name"},
        {{{"p", AE_IFIFO, 0644, NULL, NULL}}, "entry p: a device, pipe or socket"},
        {{{"c", AE_IFCHR, 0644, NULL, NULL}}, "entry c: a device, pipe or socket"},
    };

    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        struct pf_err err = {0};
        size_t n = 0;
        while (n < 3 && rows[i].entries[n].path != NULL) {
            n++;
        }
        assert_int_equal(setup(state), 0);
        assert_true(unpack("a.tar", rows[i].entries, n, 0, &err) < 0);
        if (strstr(err.msg, rows[i].reason) == NULL) {
            fail_msg("row %zu: %s", i, err.msg);
        }
        assert_true(holds("../n/f", "mine"));
        assert_int_equal(access("d/f", F_OK), -1);
        assert_int_equal(access("/tmp/pf-unpack-escaped", F_OK), -1);
    }
}

/* What another archive, or the task's own files, left there is no way out either. */
static void test_fetcher_unpack_goes_through_no_link(void **state)
{
    static const struct made through[] = {{"out/f", AE_IFREG, 0644, NULL, "x"}};
    static const struct made over[] = {{"out", AE_IFREG, 0644, NULL, "x"}};
    static const struct made hard[] = {{"h", 0, 0644, "out/f", NULL}};
    struct pf_err err = {0};

    (void)state;
    assert_int_equal(symlink("../n", "out"), 0);
    assert_true(unpack("a.tar", through, 1, 0, &err) < 0);
    assert_non_null(strstr(err.msg, "out/f"));
    assert_true(unpack("a.tar", hard, 1, 0, NULL) < 0);
    assert_int_equal(unpack("a.tar", over, 1, 0, NULL), 0);
    assert_true(holds("out", "x") && holds("../n/f", "mine"));
}

static void test_fetcher_unpack_hard_link(void **state)
{
    static const struct made entries[] = {{"d/a", AE_IFREG, 0644, NULL, "x"},
                                          {"b", 0, 0644, "d/a", NULL}};

    (void)state;
    assert_int_equal(unpack("a.tar", entries, 2, 0, NULL), 0);
    assert_true(holds("b", "x"));
}

static void test_fetcher_unpack_limit(void **state)
{
    static const struct made entries[] = {{"a", AE_IFREG, 0644, NULL, "12345"},
                                          {"b", AE_IFREG, 0644, NULL, "12345"}};
    struct pf_err err = {0};

    assert_int_equal(unpack("a.tar.gz", entries, 2, 10, NULL), 0);
    assert_int_equal(setup(state), 0);
    assert_int_equal(unpack("a.zip", entries, 2, 9, &err), PF_ELIMIT);
    assert_non_null(strstr(err.msg, "entry b: the contents are larger than 9 bytes"));
}

/* The size of a sparse file counts as if it were full. */
static void test_fetcher_unpack_limit_sparse(void **state)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    struct pf_unpacked done;
    struct pf_err err = {0};

    (void)state;
    assert_int_equal(archive_write_set_format_pax(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, "../archive"), ARCHIVE_OK);
    archive_entry_set_pathname(e, "huge");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, INT64_C(1) << 50);
    archive_entry_sparse_add_entry(e, 0, 512);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    char data[512] = "x";
    assert_int_equal(archive_write_data(a, data, sizeof data), sizeof data);
    archive_entry_free(e);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a); /* closed */
    int fd = open("../archive", O_RDONLY | O_CLOEXEC);
    int rc = pf_unpack(fd, PF_STR("a.tar"), 0, &done, &err);
    assert_int_equal(rc, PF_ELIMIT);
    assert_non_null(strstr(err.msg, "huge"));
    pf_fd_close(&fd);
}

static int unpack_bytes(const char *name, const char *bytes, size_t len, struct pf_err *err)
{
    struct pf_unpacked done;

    assert_int_equal(pf_file_write("../archive", bytes, len, 0600, NULL), 0);
    int fd = open("../archive", O_RDONLY | O_CLOEXEC);
    int rc = pf_unpack(fd, pf_str(name), 0, &done, err);
    pf_fd_close(&fd);
    return rc;
}

static void test_fetcher_unpack_gzip_alone(void **state)
{
    static const char packed[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\xc8\x04\0\xac\x2a\x93\xd8"
                                 "\x02\0\0\0";
    struct pf_err err = {0};

    (void)state;
    assert_int_equal(unpack_bytes("x.txt.gz", packed, sizeof packed - 1, NULL), 0);
    assert_true(holds("x.txt", "hi"));
    assert_int_equal(unpack_bytes("y.gz", "plain text", 10, &err), PF_EPROTO);
    assert_non_null(strstr(err.msg, "not compressed by gzip"));
    assert_true(unpack_bytes("...gz", packed, sizeof packed - 1, NULL) < 0);
    assert_true(unpack_bytes("z.gz", packed, sizeof packed - 12, NULL) < 0);
    assert_int_equal(access("z", F_OK), -1);
}

static void test_fetcher_unpack_refuses_garbage(void **state)
{
    static const char *const names[] = {"a.tar", "a.tar.gz", "a.tar.xz", "a.zip", "a.gz"};
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < PF_ARRAY_LEN(names); i++) {
        struct pf_err err = {0};
        assert_int_equal(unpack_bytes(names[i], text, sizeof text, &err), PF_EPROTO);
        assert_true(err.msg[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fetcher_unpack_every_kind, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_kind_by_name, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_refuses_escapes, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_goes_through_no_link, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_hard_link, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_limit, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_limit_sparse, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_gzip_alone, setup),
        cmocka_unit_test_setup(test_fetcher_unpack_refuses_garbage, setup),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
