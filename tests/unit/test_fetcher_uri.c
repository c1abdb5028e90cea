/* SPDX-License-Identifier: Apache-2.0 */
/* URIs of tasks: where their content is, what the file is called, what is shown of them. */
#include "agent/fetcher/uri.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/support/test.h"

struct parsed {
    const char *uri, *base;
    enum pf_uri_kind kind; /* INVALID: refused, with `text` in the reason */
    const char *text;      /* the source */
};

static void test_fetcher_uri_parse(void **state)
{
    static const struct parsed rows[] = {
        {"http://h/f", "", PF_URI_REMOTE, "http://h/f"},
        {"HTTPS://h:1/f?q#x", "", PF_URI_REMOTE, "HTTPS://h:1/f?q#x"},
        {"ftp://h/f", "", PF_URI_REMOTE, "ftp://h/f"},
        {"ftps://h/f", "", PF_URI_REMOTE, "ftps://h/f"},
        {"/a/b", "/base", PF_URI_LOCAL, "/a/b"},
        {"file:///a/b", "", PF_URI_LOCAL, "/a/b"},
        {"FILE://localhost/a", "", PF_URI_LOCAL, "/a"},
        {"a/b", "/base", PF_URI_LOCAL, "/base/a/b"},
        {"http:/x", "/base", PF_URI_LOCAL, "/base/http:/x"},
        {"1x://a", "/base", PF_URI_LOCAL, "/base/1x://a"},
        {"a/b", "", PF_URI_INVALID, "no base"},
        {"file://a/b", "/base", PF_URI_INVALID, "absolute path"},
        {"file://localhost", "/base", PF_URI_INVALID, "absolute path"},
        {"file://", "/base", PF_URI_INVALID, "absolute path"},
        {"hdfs://h/f", "", PF_URI_INVALID, "scheme hdfs is not supported"},
        {"s3a+x://h/f", "/base", PF_URI_INVALID, "scheme s3a+x is not supported"},
        {"httpx://h/f", "", PF_URI_INVALID, "scheme httpx"},
        {"", "/base", PF_URI_INVALID, "empty"},
        {"http://h/\n", "", PF_URI_INVALID, "control characters"},
        {"/a\x7f", "", PF_URI_INVALID, "control characters"},
    };

    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        struct pf_buf out = {0};
        struct pf_err err = {0};
        enum pf_uri_kind kind = PF_URI_INVALID;
        int rc = pf_uri_parse(pf_str(rows[i].uri), pf_str(rows[i].base), &kind, &out, &err);
        assert_int_equal(kind, rows[i].kind);
        if (rows[i].kind == PF_URI_INVALID) {
            assert_int_equal(rc, PF_EINVAL);
            assert_non_null(strstr(err.msg, rows[i].text));
        } else {
            assert_int_equal(rc, 0);
            assert_string_equal(pf_buf_cstr(&out), rows[i].text);
        }
        pf_buf_fini(&out);
    }
}

static void test_fetcher_uri_parse_refuses_nul_and_length(void **state)
{
    enum pf_uri_kind kind = PF_URI_INVALID;
    struct pf_buf out = {0};
    struct pf_buf uri = {0};

    (void)state;
    assert_int_equal(pf_uri_parse((struct pf_str){"/a\0b", 4}, PF_STR(""), &kind, &out, NULL),
                     PF_EINVAL);
    while (uri.len < PF_URI_MAX_BYTES) {
        pf_buf_add_byte(&uri, '/');
    }
    struct pf_str s = {pf_buf_cstr(&uri), (uint32_t)uri.len};
    assert_int_equal(pf_uri_parse(s, PF_STR(""), &kind, &out, NULL), 0);
    pf_buf_add_byte(&uri, 'a');
    s = (struct pf_str){pf_buf_cstr(&uri), (uint32_t)uri.len};
    assert_int_equal(pf_uri_parse(s, PF_STR(""), &kind, &out, NULL), PF_ELIMIT);
    pf_buf_fini(&uri);
    pf_buf_fini(&out);
}

static void test_fetcher_uri_name(void **state)
{
    static const char *const rows[][2] = {
        {"http://h/a/b.tgz", "b.tgz"},
        {"http://h/a/b.tgz?x=/c#/d", "b.tgz"},
        {"http://h/b#d", "b"},
        {"ftp://u:p@h/a%20b", "a%20b"},
        {"file:///a/b?c", "b?c"},
        {"/a/b#c", "b#c"},
        {"b", "b"},
        {"../b", "b"},
        {"http://h/a/", NULL},
        {"http://h", NULL},
        {"http://h/?x/y", NULL},
        {"http://h?x/y", NULL},
        {"http://h/..", NULL},
        {"/a/.", NULL},
        {"..", NULL},
        {"/", NULL},
        {"file://b", NULL},
    };

    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        struct pf_buf out = {0};
        int rc = pf_uri_name(pf_str(rows[i][0]), &out, NULL);
        assert_int_equal(rc, rows[i][1] != NULL ? 0 : PF_EINVAL);
        assert_string_equal(pf_buf_cstr(&out), rows[i][1] != NULL ? rows[i][1] : "");
        pf_buf_fini(&out);
    }
}

static void test_fetcher_uri_show_hides_secrets(void **state)
{
    static const char *const rows[][2] = {
        {"http://h/a", "http://h/a"},
        {"http://u:p@h:80/a@b", "http://h:80/a@b"},
        {"http://u@x:p@h/a", "http://h/a"},
        {"http://u:p/w@h/a", "http://h/a"},
        {"http://u:p?w@h/a", "http://h/a"},
        {"http://[::1]:80/a@b", "http://[::1]:80/a@b"},
        {"http://h/a?token=x#y", "http://h/a?..."},
        {"hdfs://u:p@h/a", "hdfs://h/a"},
        {"/a@b?c", "/a@b?c"},
        {"a\nb", "a?b"},
        {"", ""},
    };
    char longest[4000];
    struct pf_buf out = {0};

    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        pf_buf_clear(&out);
        pf_uri_show(pf_str(rows[i][0]), &out);
        assert_string_equal(pf_buf_cstr(&out), rows[i][1]);
    }
    memset(longest, 'a', sizeof longest);
    pf_uri_show((struct pf_str){longest, sizeof longest}, &out);
    assert_int_equal(out.len, PF_URI_SHOWN_MAX);
    pf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetcher_uri_parse),
        cmocka_unit_test(test_fetcher_uri_parse_refuses_nul_and_length),
        cmocka_unit_test(test_fetcher_uri_name),
        cmocka_unit_test(test_fetcher_uri_show_hides_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
