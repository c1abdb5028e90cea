/* SPDX-License-Identifier: Apache-2.0 */
/* The hash map against an array that is searched from front to back. */
#include "common/base/map.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

enum { KEYS = 4000 };

struct entry {
    char key[40];
    uint32_t len;
    bool is_in;
};

static void test_empty_map(void **state)
{
    struct pf_map m = {0};
    uint32_t cursor = 0;

    (void)state;
    assert_null(pf_map_get(&m, "a", 1));
    assert_null(pf_map_del(&m, "a", 1));
    assert_null(pf_map_next(&m, &cursor));
    pf_map_fini(&m);
}

static void test_keys_of_length_zero_and_with_nuls(void **state)
{
    struct pf_map m = {.seed = 9};
    int empty, nul, two;

    (void)state;
    pf_map_put(&m, "", 0, &empty);
    pf_map_put(&m, "\0", 1, &nul);
    pf_map_put(&m, "\0\0", 2, &two);
    assert_ptr_equal(pf_map_get_str(&m, pf_str(NULL)), &empty);
    assert_ptr_equal(pf_map_get(&m, "\0", 1), &nul);
    assert_ptr_equal(pf_map_get(&m, "\0\0", 2), &two);
    assert_ptr_equal(pf_map_del(&m, "", 0), &empty);
    assert_null(pf_map_get(&m, "", 0));
    pf_map_fini(&m);
    assert_int_equal(m.seed, 9);
}

static void test_u64_keys(void **state)
{
    static uint64_t key[1000];
    struct pf_map m = {0};

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        key[i] = (uint64_t)i << 32;
        pf_map_put(&m, &key[i], sizeof key[i], &key[i]);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t k = (uint64_t)i << 32;

        assert_ptr_equal(pf_map_get_u64(&m, &k), &key[i]);
    }
    pf_map_fini(&m);
}

static void map_compare(const struct pf_map *m, const struct entry *e)
{
    uint32_t n = 0, walked = 0, cursor = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        n += e[i].is_in ? 1 : 0;
        assert_ptr_equal(pf_map_get(m, e[i].key, e[i].len), e[i].is_in ? &e[i] : NULL);
    }
    while (pf_map_next(m, &cursor)) {
        walked++;
    }
    assert_int_equal(m->len, n);
    assert_int_equal(walked, n);
}

static void test_random_operations_agree_with_the_model(void **state)
{
    static struct entry e[KEYS];
    struct pf_rng rng;

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct pf_map m = {.seed = seed};

        pf_rng_seed(&rng, seed);
        for (uint32_t i = 0; i < KEYS; i++) {
            e[i].is_in = false;
            e[i].len = (uint32_t)snprintf(e[i].key, sizeof e[i].key, "%.*s%u", (int)(i % 30),
                                          "task-of-a-framework-with-a-name", i);
        }
        for (int phase = 0; phase < 6; phase++) {
            uint64_t puts = phase % 2 ? 1 : 3; /* grows, then shrinks */

            for (int step = 0; step < 12000; step++) {
                struct entry *x = &e[pf_rng_below(&rng, KEYS)];

                if (pf_rng_below(&rng, 4) < puts && !x->is_in) {
                    pf_map_put(&m, x->key, x->len, x);
                    x->is_in = true;
                } else if (x->is_in && pf_rng_below(&rng, 4) >= puts) {
                    assert_ptr_equal(pf_map_del(&m, x->key, x->len), x);
                    x->is_in = false;
                }
            }
            map_compare(&m, e);
        }
        for (uint32_t i = 0; i < KEYS; i++) {
            assert_ptr_equal(pf_map_del(&m, e[i].key, e[i].len), e[i].is_in ? &e[i] : NULL);
        }
        assert_int_equal(m.len, 0);
        assert_true(m.cap <= 1024); /* memory is given back */
        pf_map_fini(&m);
    }
}

/* A large table is moved over bit by bit: whatever is done meanwhile, it holds what it should. */
static void test_half_moved_tables_agree_with_the_model(void **state)
{
    static struct entry e[KEYS];
    struct pf_map m = {.seed = 3};
    struct pf_rng rng;
    uint32_t n_half = 0;

    (void)state;
    pf_rng_seed(&rng, 3);
    for (uint32_t i = 0; i < KEYS; i++) {
        e[i].len = (uint32_t)snprintf(e[i].key, sizeof e[i].key, "%u", i);
        e[i].is_in = false;
    }
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            struct entry *x = &e[pf_rng_below(&rng, i + 1)];

            if (!e[i].is_in) {
                pf_map_put(&m, e[i].key, e[i].len, &e[i]);
                e[i].is_in = true;
            }
            if (x->is_in && i % 3 == 0) {
                assert_ptr_equal(pf_map_del(&m, x->key, x->len), x);
                x->is_in = false;
            }
            n_half += m.old != NULL;
            if (m.old && i % 8 == 0) {
                map_compare(&m, e);
            }
        }
        for (uint32_t i = 0; i < KEYS; i++) { /* and shrinks */
            struct entry *x = &e[(i * 7919u) % KEYS];

            assert_ptr_equal(pf_map_del(&m, x->key, x->len), x->is_in ? x : NULL);
            x->is_in = false;
            if (m.old && i % 8 == 0) {
                map_compare(&m, e);
            }
        }
        assert_int_equal(m.len, 0);
    }
    assert_true(n_half > 100);
    pf_map_fini(&m);
    assert_null(m.old);
}

static void put_twice(void *ctx)
{
    struct pf_map m = {0};

    pf_map_put(&m, "a", 1, ctx);
    pf_map_put(&m, "a", 1, ctx);
}

static void put_null(void *ctx)
{
    struct pf_map m = {0};

    (void)ctx;
    pf_map_put(&m, "a", 1, NULL);
}

static void test_misuse_aborts(void **state)
{
    int value;

    (void)state;
    assert_true(test_aborts(put_twice, &value));
    assert_true(test_aborts(put_null, &value));
}

static void test_hash_spreads_and_depends_on_seed_and_every_byte(void **state)
{
    uint8_t key[64] = {0};
    uint32_t bucket[256] = {0};

    (void)state;
    for (size_t len = 0; len <= sizeof key; len++) {
        uint64_t h = pf_hash(key, len, 1);

        assert_int_not_equal(h, pf_hash(key, len, 2));
        assert_true(len == 0 || h != pf_hash(key, len - 1, 1));
        for (size_t i = 0; i < len; i++) {
            key[i] ^= 0x40;
            assert_int_not_equal(h, pf_hash(key, len, 1));
            key[i] ^= 0x40;
        }
    }
    for (uint64_t i = 0; i < 256000; i++) {
        bucket[pf_hash(&i, sizeof i, 5) & 255]++;
    }
    for (int i = 0; i < 256; i++) {
        assert_in_range(bucket[i], 800, 1200);
    }
}

/* A map that was only zeroed has seed 0: its keys must not all have one hash. */
static void test_hash_spreads_with_seed_zero(void **state)
{
    uint32_t bucket[256] = {0};

    (void)state;
    for (size_t len = 1; len <= 16; len++) {
        uint8_t a[16] = {1}, b[16] = {2};

        assert_int_not_equal(pf_hash(a, len, 0), pf_hash(b, len, 0));
    }
    for (uint64_t i = 0; i < 256000; i++) {
        bucket[pf_hash(&i, sizeof i, 0) & 255]++;
    }
    for (int i = 0; i < 256; i++) {
        assert_in_range(bucket[i], 800, 1200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_map),
        cmocka_unit_test(test_keys_of_length_zero_and_with_nuls),
        cmocka_unit_test(test_u64_keys),
        cmocka_unit_test(test_random_operations_agree_with_the_model),
        cmocka_unit_test(test_half_moved_tables_agree_with_the_model),
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_hash_spreads_and_depends_on_seed_and_every_byte),
        cmocka_unit_test(test_hash_spreads_with_seed_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
