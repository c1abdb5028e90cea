/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation: zeroing, copies, the failing hook, the end of memory. */
#include "common/base/alloc.h"

#include "tests/support/test.h"

static void test_alloc_zeroes(void **state)
{
    unsigned char *p = pf_alloc(100);

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    p = pf_realloc(p, 200);
    PF_FREE(p);
    assert_null(p);
    pf_free(NULL);
}

static void test_empty_sizes_give_memory_that_can_be_freed(void **state)
{
    void *p = pf_alloc(0);

    (void)state;
    assert_non_null(p);
    p = pf_realloc(p, 0);
    assert_non_null(p);
    pf_free(p);
}

static void test_copies(void **state)
{
    char *s = pf_strdup("hello");
    char *n = pf_strndup("hello", 2);
    char *e = pf_strndup(NULL, 0);
    char *m = pf_memdup("a\0b", 3);

    (void)state;
    assert_string_equal(s, "hello");
    assert_string_equal(n, "he");
    assert_string_equal(e, "");
    assert_memory_equal(m, "a\0b", 3);
    assert_null(pf_memdup("x", 0));
    pf_free(s);
    pf_free(n);
    pf_free(e);
    pf_free(m);
}

static void test_hook_fails_the_nth_try(void **state)
{
    (void)state;
    (void)pf_alloc_fail_try_at(2);
    void *one = pf_try_alloc(8);
    void *two = pf_try_realloc(one, 16);
    void *three = pf_try_realloc(one, 16);

    assert_non_null(one);
    assert_null(two);
    assert_non_null(three);
    pf_free(three);
    assert_int_equal(pf_alloc_fail_try_at(0), 3);
    assert_int_equal(pf_alloc_fail_try_at(0), 0);
}

static void leave_with_7(size_t bytes)
{
    _exit(bytes == SIZE_MAX / 2 ? 7 : 8);
}

static void eat_all(void *ctx)
{
    (void)ctx;
    pf_free(pf_alloc(SIZE_MAX / 2));
}

static void test_end_of_memory_aborts_or_calls_the_handler(void **state)
{
    int status = 0;

    (void)state;
    if (pf_try_alloc(SIZE_MAX / 2) != NULL) {
        fail_msg("half of the address space was allocated");
    }
    assert_true(test_aborts(eat_all, NULL));
    pid_t child = fork();
    if (child == 0) {
        pf_alloc_set_oom_handler(leave_with_7);
        eat_all(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
const char *__asan_default_options(void);
#define TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(TEST_ASAN)
const char *__asan_default_options(void);
#define TEST_ASAN 1
#endif
#ifdef TEST_ASAN
/* the sanitizer's allocator would end the process itself */
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_zeroes),
        cmocka_unit_test(test_empty_sizes_give_memory_that_can_be_freed),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_hook_fails_the_nth_try),
        cmocka_unit_test(test_end_of_memory_aborts_or_calls_the_handler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
