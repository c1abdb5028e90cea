/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: made once, read back, refused when others could read them. */
#include "common/net/keyfile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "tests/support/test.h"

struct place {
    char dir[32];
    char path[64];
};

static int setup(void **state)
{
    struct place *p = pf_alloc(sizeof *p);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/test_keyfile.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->path, sizeof p->path, "%s/key", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    (void)unlink(p->path);
    (void)rmdir(p->dir);
    pf_free(p);
    return 0;
}

static void put_file(const struct place *p, const char *text, size_t len, mode_t mode)
{
    int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void test_keyfile_create_then_read(void **state)
{
    struct place *p = *state;
    struct pf_key made, read, zero = {{0}};
    struct stat st;
    assert_int_equal(pf_keyfile_create(p->path, &made, NULL), 0);
    assert_memory_not_equal(made.b, zero.b, sizeof zero.b);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pf_keyfile_read(p->path, &read, NULL), 0);
    assert_memory_equal(read.b, made.b, sizeof made.b);
    struct pf_err err = {0};
    assert_int_equal(pf_keyfile_create(p->path, &made, &err), PF_EEXIST);
}

static void test_keyfile_read_raw_bytes(void **state)
{
    struct place *p = *state;
    struct pf_key key;
    static const char raw[33] = "0123456789abcdef0123456789abcdef";
    put_file(p, raw, 32, 0400);
    assert_int_equal(pf_keyfile_read(p->path, &key, NULL), 0);
    assert_memory_equal(key.b, raw, 32);
}

static void test_keyfile_read_says_what_is_wrong(void **state)
{
    struct place *p = *state;
    struct pf_key key;
    struct pf_err none = {0}, open_to_all = {0}, not_key = {0}, dir = {0}, owner = {0};
    assert_int_equal(pf_keyfile_read(p->path, &key, &none), PF_ENOENT);
    static const char raw[33] = "0123456789abcdef0123456789abcdef";
    put_file(p, raw, 32, 0640);
    assert_int_equal(pf_keyfile_read(p->path, &key, &open_to_all), PF_EACCESS);
    assert_non_null(strstr(open_to_all.msg, "chmod 600"));
    put_file(p, raw, 31, 0600);
    assert_int_equal(pf_keyfile_read(p->path, &key, &not_key), PF_EINVAL);
    assert_non_null(strstr(not_key.msg, p->path));
    assert_int_equal(pf_keyfile_read(p->dir, &key, &dir), PF_EINVAL);
    if (geteuid() == 0) { /* only root can give files away */
        put_file(p, raw, 32, 0600);
        assert_int_equal(chown(p->path, 12345, (gid_t)-1), 0);
        assert_int_equal(pf_keyfile_read(p->path, &key, &owner), PF_EACCESS);
        assert_non_null(strstr(owner.msg, "12345"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keyfile_create_then_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyfile_read_raw_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyfile_read_says_what_is_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
