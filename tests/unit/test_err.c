/* SPDX-License-Identifier: Apache-2.0 */
/* Error objects: filling once, wrapping, cutting long texts, meanings of errno. */
#include "common/base/err.h"

#include <errno.h>
#include "tests/support/test.h"

static void test_set_fills_and_returns_the_code(void **state)
{
    struct pf_err err = {0};

    (void)state;
    assert_int_equal(pf_err_set(&err, PF_ENOENT, "no agent %s", "a1"), PF_ENOENT);
    assert_int_equal(err.code, PF_ENOENT);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.msg, "no agent a1");
    pf_err_clear(&err);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.msg, "");
}

static void test_null_objects_are_accepted(void **state)
{
    (void)state;
    assert_int_equal(pf_err_set(NULL, PF_EIO, "x"), PF_EIO);
    assert_int_equal(pf_err_set_sys(NULL, PF_EIO, EIO, "x"), PF_EIO);
    pf_err_wrap(NULL, "x");
    pf_err_clear(NULL);
}

static void test_set_sys_appends_the_reason(void **state)
{
    struct pf_err err = {0};

    (void)state;
    assert_int_equal(pf_err_set_sys(&err, PF_ENOENT, ENOENT, "open %s", "f"), PF_ENOENT);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.msg, "open f: No such file or directory");
}

static void test_wrap_prefixes_and_ignores_empty_objects(void **state)
{
    struct pf_err err = {0};

    (void)state;
    pf_err_wrap(&err, "agent %d", 1);
    assert_string_equal(err.msg, "");
    (void)pf_err_set(&err, PF_EINVAL, "bad");
    pf_err_wrap(&err, "agent %d", 1);
    pf_err_wrap(&err, "start");
    assert_string_equal(err.msg, "start: agent 1: bad");
    assert_int_equal(err.code, PF_EINVAL);
}

static void test_long_texts_are_cut(void **state)
{
    struct pf_err err = {0};
    char text[400];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)pf_err_set_sys(&err, PF_EIO, EIO, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    pf_err_wrap(&err, "ab");
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_memory_equal(err.msg, "ab: xxx", 7);
    pf_err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void set_twice(void *ctx)
{
    struct pf_err err = {0};

    (void)ctx;
    (void)pf_err_set(&err, PF_EIO, "one");
    (void)pf_err_set(&err, PF_EIO, "two");
}

static void set_success(void *ctx)
{
    (void)ctx;
    (void)pf_err_set(NULL, PF_OK, "fine");
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(set_twice, NULL));
    assert_true(test_aborts(set_success, NULL));
}

static void test_codes_have_texts(void **state)
{
    (void)state;
    assert_string_equal(pf_err_str(PF_OK), "success");
    assert_string_equal(pf_err_str(PF_ENOENT), "not found");
    assert_string_equal(pf_err_str(PF_EAMBIGUOUS), "ambiguous");
    assert_string_equal(pf_err_str(-1000), "unknown error");
}

static void test_errno_is_translated(void **state)
{
    static const int pair[][2] = {
        {ENOMEM, PF_ENOMEM},       {EINVAL, PF_EINVAL},   {ENOENT, PF_ENOENT},
        {EEXIST, PF_EEXIST},       {EACCES, PF_EACCESS},  {EPERM, PF_EACCESS},
        {EBUSY, PF_EBUSY},         {EADDRINUSE, PF_EBUSY}, {ENOSPC, PF_ENOSPC},
        {EDQUOT, PF_ENOSPC},       {EMFILE, PF_ELIMIT},   {ECONNREFUSED, PF_EREFUSED},
        {ETIMEDOUT, PF_ETIMEOUT},  {EPROTO, PF_EPROTO},   {ECANCELED, PF_ECANCELED},
        {EIO, PF_EIO},             {12345, PF_EIO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        assert_int_equal(pf_err_from_errno(pair[i][0]), pair[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns_the_code),
        cmocka_unit_test(test_null_objects_are_accepted),
        cmocka_unit_test(test_set_sys_appends_the_reason),
        cmocka_unit_test(test_wrap_prefixes_and_ignores_empty_objects),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_codes_have_texts),
        cmocka_unit_test(test_errno_is_translated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
