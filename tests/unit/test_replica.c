/* SPDX-License-Identifier: Apache-2.0 */
/* Rows keep the order of their first put, a picture of them does not move, and a difference applied
 * to one replica gives the other: by examples, and against a plain array of rows. */
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "common/elect/replica.h"
#include "tests/support/test.h"

static struct pf_bytes text(const char *t)
{
    return (struct pf_bytes){(const uint8_t *)t, (uint32_t)strlen(t)};
}

static void put(struct pf_replica *r, uint8_t table, const char *key, const char *row)
{
    pf_replica_put(r, table, text(key), text(row));
}

struct print {
    char at[2048];
    size_t len;
};

static void print_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                      struct pf_bytes row)
{
    struct print *p = ctx;
    int n = snprintf(p->at + p->len, sizeof p->at - p->len, "%s%u.%.*s=%.*s ", is_del ? "-" : "",
                     table, (int)key.len, (const char *)key.at, (int)row.len,
                     row.at != NULL ? (const char *)row.at : "");

    p->len += (size_t)n;
}

static void expect_rows(const struct pf_replica *r, const char *expected)
{
    struct print p = {.len = 0};

    pf_replica_check(r);
    pf_replica_each(r, print_row, &p);
    assert_string_equal(p.at, expected);
}

static void test_replica_keeps_order_of_first_put(void **state)
{
    struct pf_replica *r = pf_replica_create(1);

    (void)state;
    expect_rows(r, "");
    put(r, 1, "a", "1");
    put(r, 1, "b", "2");
    put(r, 2, "a", "3");
    put(r, 1, "a", "4444");
    expect_rows(r, "1.a=4444 1.b=2 2.a=3 ");
    assert_int_equal(pf_replica_len(r), 3);
    assert_int_equal(pf_replica_bytes(r), 3 + 6);
    pf_replica_del(r, 1, text("b"));
    pf_replica_del(r, 1, text("b"));
    pf_replica_del(r, 3, text("a"));
    put(r, 1, "b", "");
    expect_rows(r, "1.a=4444 2.a=3 1.b= ");
    pf_replica_destroy(r);
    pf_replica_destroy(NULL);
}

static void test_replica_tells_differences(void **state)
{
    struct pf_replica *a = pf_replica_create(1), *b = pf_replica_create(2);
    struct print p = {.len = 0};

    (void)state;
    put(a, 1, "same", "1");
    put(a, 1, "changed", "1");
    put(a, 1, "gone", "1");
    put(b, 1, "new", "1");
    put(b, 1, "changed", "2");
    put(b, 1, "same", "1");
    pf_replica_diff(a, b, print_row, &p);
    assert_string_equal(p.at, "-1.gone= 1.new=1 1.changed=2 ");
    p.len = 0;
    p.at[0] = '\0';
    pf_replica_diff(b, b, print_row, &p);
    assert_string_equal(p.at, "");
    pf_replica_destroy(a);
    pf_replica_destroy(b);
}

static void expect_cut(const struct pf_replica_cut *c, const char *expected)
{
    struct print p = {.len = 0};

    for (uint32_t i = 0; i < pf_replica_cut_len(c); i++) {
        uint8_t table;
        struct pf_bytes key, row;

        pf_replica_cut_at(c, i, &table, &key, &row);
        print_row(&p, table, false, key, row);
    }
    assert_string_equal(p.at, expected);
}

static void test_replica_cut_stays_as_it_was(void **state)
{
    struct pf_replica *r = pf_replica_create(1);

    (void)state;
    put(r, 1, "a", "1");
    put(r, 1, "b", "2");
    struct pf_replica_cut *c = pf_replica_cut(r);

    put(r, 1, "a", "changed");
    pf_replica_del(r, 1, text("b"));
    put(r, 1, "c", "3");
    expect_rows(r, "1.a=changed 1.c=3 ");
    expect_cut(c, "1.a=1 1.b=2 ");
    pf_replica_cut_free(c);
    c = pf_replica_cut(r);
    pf_replica_destroy(r); /* the picture outlives it */
    expect_cut(c, "1.a=changed 1.c=3 ");
    pf_replica_cut_free(c);
    pf_replica_cut_free(NULL);
}

static void cut_twice(void *ctx)
{
    (void)pf_replica_cut(ctx);
    (void)pf_replica_cut(ctx);
}

static void put_long_key(void *ctx)
{
    static const uint8_t key[PF_STORE_KEY_MAX_BYTES + 1];

    pf_replica_put(ctx, 1, (struct pf_bytes){key, sizeof key}, text(""));
}

static void put_no_key(void *ctx)
{
    pf_replica_put(ctx, 1, text(""), text(""));
}

static void put_no_table(void *ctx)
{
    pf_replica_put(ctx, PF_STORE_TABLES_MAX + 1, text("a"), text(""));
}

static void test_replica_asserts_its_limits(void **state)
{
    static const uint8_t key[PF_STORE_KEY_MAX_BYTES];
    struct pf_replica *r = pf_replica_create(1);

    (void)state;
    pf_replica_put(r, PF_STORE_TABLES_MAX, (struct pf_bytes){key, sizeof key}, text("x"));
    assert_int_equal(pf_replica_len(r), 1);
    assert_true(test_aborts(cut_twice, r));
    assert_true(test_aborts(put_long_key, r));
    assert_true(test_aborts(put_no_key, r));
    assert_true(test_aborts(put_no_table, r));
    pf_replica_destroy(r);
}

/* --- the model: keys are 0..29, a row is a number, 0 = none ------------------------------------
 */

enum { KEYS = 30 };

static void apply_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                      struct pf_bytes row)
{
    if (is_del) {
        pf_replica_del(ctx, table, key);
    } else {
        pf_replica_put(ctx, table, key, row);
    }
}

static void expect_model(const struct pf_replica *r, const uint32_t model[KEYS])
{
    struct pf_replica *expected = pf_replica_create(3);
    struct print p = {.len = 0};

    for (uint32_t k = 0; k < KEYS; k++) {
        if (model[k] != 0) {
            pf_replica_put(expected, (uint8_t)(1 + k % 3),
                           (struct pf_bytes){(const uint8_t *)&k, 4},
                           (struct pf_bytes){(const uint8_t *)&model[k], 4});
        }
    }
    assert_int_equal(pf_replica_len(r), pf_replica_len(expected));
    assert_int_equal(pf_replica_bytes(r), pf_replica_bytes(expected));
    pf_replica_diff(r, expected, print_row, &p);
    assert_int_equal(p.len, 0);
    pf_replica_destroy(expected);
}

static void test_replica_agrees_with_model(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 5);
    for (uint32_t round = 0; round < 200; round++) {
        struct pf_replica *r = pf_replica_create(round), *other = pf_replica_create(9);
        struct pf_replica *twin = pf_replica_create(9); /* has what `other` has */
        uint32_t model[KEYS] = {0};

        for (uint32_t i = 0; i < 150; i++) {
            uint32_t k = (uint32_t)pf_rng_below(&rng, KEYS);
            struct pf_bytes key = {(const uint8_t *)&k, 4};

            model[k] = pf_rng_below(&rng, 3) == 0 ? 0 : 1 + (uint32_t)pf_rng_below(&rng, 9);
            if (model[k] == 0) {
                pf_replica_del(r, (uint8_t)(1 + k % 3), key);
            } else {
                pf_replica_put(r, (uint8_t)(1 + k % 3), key,
                               (struct pf_bytes){(const uint8_t *)&model[k], 4});
            }
            if (pf_rng_below(&rng, 20) == 0) {
                pf_replica_diff(other, r, apply_row, twin);
                expect_model(twin, model);
                pf_replica_destroy(other);
                other = pf_replica_create(9);
                pf_replica_each(r, apply_row, other);
            }
        }
        pf_replica_check(r);
        expect_model(r, model);
        pf_replica_destroy(r);
        pf_replica_destroy(other);
        pf_replica_destroy(twin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replica_keeps_order_of_first_put),
        cmocka_unit_test(test_replica_tells_differences),
        cmocka_unit_test(test_replica_cut_stays_as_it_was),
        cmocka_unit_test(test_replica_asserts_its_limits),
        cmocka_unit_test(test_replica_agrees_with_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
