/* SPDX-License-Identifier: Apache-2.0 */
/* Resources against a naive model: numbers in arrays, ports and set items as bits. */
#include "common/base/resources.h"

#include <math.h>
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "tests/support/test.h"

static struct pf_resources parse(const char *text)
{
    struct pf_resources r = {0};
    struct pf_err err = {0};

    if (pf_res_parse(pf_str(text), &r, &err) < 0) {
        fail_msg("%s: %s", text, err.msg);
    }
    pf_res_check(&r);
    return r;
}

static void assert_res_is(const struct pf_resources *r, const char *text)
{
    struct pf_buf b = {0};

    pf_res_check(r);
    pf_res_format(r, &b);
    assert_string_equal(pf_buf_cstr(&b), text);
    pf_buf_fini(&b);
}

/* The model. */
enum { NAMES = 6, BITS = 24 };
static const char *const scalar_name[NAMES] = {"cpus", "mem", "disk", "gpus", "bandwidth", "zz"};

struct model {
    int64_t milli[NAMES];
    uint32_t ports, racks; /* bit i: port i, item "ri" */
};

static struct model model_random(struct pf_rng *rng)
{
    struct model m = {.ports = 0};

    for (uint32_t i = 0; i < NAMES; i++) {
        m.milli[i] = pf_rng_below(rng, 2) ? (int64_t)pf_rng_below(rng, 5) * 250 : 0;
    }
    if (pf_rng_below(rng, 3) > 0) {
        m.ports = (uint32_t)(pf_rng_next(rng) & pf_rng_next(rng)) & ((1u << BITS) - 1);
    }
    if (pf_rng_below(rng, 3) == 0) {
        m.racks = (uint32_t)(pf_rng_next(rng) & pf_rng_next(rng)) & ((1u << BITS) - 1);
    }
    return m;
}

static struct pf_resources model_build(const struct model *m, struct pf_rng *rng)
{
    struct pf_resources r = {0};
    char text[8];

    for (uint32_t i = 0; i < NAMES; i++) {
        assert_int_equal(pf_res_add_scalar(&r, pf_str(scalar_name[i]), m->milli[i], NULL), 0);
    }
    for (uint32_t k = 0, i = (uint32_t)pf_rng_below(rng, BITS); k < BITS; k++) {
        i = (i + 7) % BITS; /* all of them, in a scattered order */
        if (m->ports >> i & 1) {
            assert_int_equal(pf_res_add_range(&r, PF_STR("ports"), i, i, NULL), 0);
        }
        if (m->racks >> i & 1) {
            (void)snprintf(text, sizeof text, "r%u", i);
            assert_int_equal(pf_res_add_set_item(&r, PF_STR("racks"), pf_str(text), NULL), 0);
        }
    }
    pf_res_check(&r);
    return r;
}

static uint32_t bits(uint32_t v)
{
    uint32_t n = 0;

    for (; v != 0; v &= v - 1) {
        n++;
    }
    return n;
}

static bool model_contains(const struct model *a, const struct model *b)
{
    for (uint32_t i = 0; i < NAMES; i++) {
        if (a->milli[i] < b->milli[i]) {
            return false;
        }
    }
    return (b->ports & ~a->ports) == 0 && (b->racks & ~a->racks) == 0;
}

static struct model model_sum(const struct model *a, const struct model *b, int sign)
{
    struct model sum = *a;

    for (uint32_t i = 0; i < NAMES; i++) {
        sum.milli[i] += sign * b->milli[i];
    }
    sum.ports = sign > 0 ? a->ports | b->ports : a->ports & ~b->ports;
    sum.racks = sign > 0 ? a->racks | b->racks : a->racks & ~b->racks;
    return sum;
}

static void assert_is_model(const struct pf_resources *r, const struct model *m,
                            struct pf_rng *rng)
{
    struct pf_resources want = model_build(m, rng);

    pf_res_check(r);
    assert_true(pf_res_eq(r, &want));
    for (uint32_t i = 0; i < NAMES; i++) {
        assert_int_equal(pf_res_scalar(r, pf_str(scalar_name[i])), m->milli[i]);
    }
    assert_int_equal(pf_res_range_count(r, PF_STR("ports")), bits(m->ports));
    pf_res_fini(&want);
}

static void test_sums_agree_with_the_model(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 11);
    for (int round = 0; round < 5000; round++) {
        struct model ma = model_random(&rng), mb = model_random(&rng);
        struct pf_resources a = model_build(&ma, &rng), b = model_build(&mb, &rng);
        struct model sum = model_sum(&ma, &mb, 1);

        assert_int_equal(pf_res_contains(&a, &b), model_contains(&ma, &mb));
        assert_int_equal(pf_res_eq(&a, &b), memcmp(&ma, &mb, sizeof ma) == 0);
        pf_res_add(&a, &b);
        assert_is_model(&a, &sum, &rng);
        assert_true(pf_res_contains(&a, &b));
        pf_res_sub(&a, &b);
        struct model rest = model_sum(&sum, &mb, -1);
        assert_is_model(&a, &rest, &rng);
        pf_res_fini(&a);
        pf_res_fini(&b);
    }
}

static void test_long_life_of_a_pool(void **state)
{
    struct model pool_model = {{8000, 8000, 8000, 8000, 8000, 8000}, (1u << BITS) - 1, 0xffff};
    struct model taken[10];
    struct pf_rng rng;
    uint32_t n = 0;

    (void)state;
    pf_rng_seed(&rng, 12);
    struct pf_resources pool = model_build(&pool_model, &rng);
    for (int step = 0; step < 5000; step++) {
        if (n < 10 && pf_rng_below(&rng, 2)) {
            struct model m = model_random(&rng);

            if (!model_contains(&pool_model, &m)) {
                continue;
            }
            struct pf_resources r = model_build(&m, &rng);
            pf_res_sub(&pool, &r);
            pf_res_fini(&r);
            pool_model = model_sum(&pool_model, &m, -1);
            taken[n++] = m;
        } else if (n > 0) {
            uint64_t i = pf_rng_below(&rng, n);
            struct pf_resources r = model_build(&taken[i], &rng);

            pf_res_add(&pool, &r);
            pf_res_fini(&r);
            pool_model = model_sum(&pool_model, &taken[i], 1);
            taken[i] = taken[--n];
        }
        assert_is_model(&pool, &pool_model, &rng);
    }
    pf_res_fini(&pool);
}

static void test_pick_takes_the_lowest_of_enough(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 13);
    for (int round = 0; round < 5000; round++) {
        struct model mh = model_random(&rng), mw = model_random(&rng), part_model = mw;
        struct pf_resources have = model_build(&mh, &rng), want = model_build(&mw, &rng);
        struct pf_resources part = {0};
        int64_t lacking = -1;
        struct model reach = mw; /* what contains would ask */

        reach.ports = bits(mh.ports) >= bits(mw.ports) ? 0 : 1u << BITS;
        bool fits = model_contains(&mh, &reach);
        assert_int_equal(pf_res_shortage(&have, &want, &lacking) == NULL, fits);
        assert_int_equal(lacking > 0, !fits);
        assert_int_equal(pf_res_pick(&have, &want, &part), fits);
        if (fits) {
            part_model.ports = 0;
            for (uint32_t i = 0; bits(part_model.ports) < bits(mw.ports); i++) {
                part_model.ports |= mh.ports & 1u << i;
            }
            assert_is_model(&part, &part_model, &rng);
            assert_true(pf_res_contains(&have, &part));
        } else {
            assert_true(pf_res_is_empty(&part));
        }
        pf_res_fini(&have);
        pf_res_fini(&want);
        pf_res_fini(&part);
    }
}

static void test_text_round_trip(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 14);
    for (int round = 0; round < 2000; round++) {
        struct model m = model_random(&rng);
        struct pf_resources r = model_build(&m, &rng), again = {0}, copy = pf_res_dup(&r);
        struct pf_buf text = {0};

        pf_res_format(&r, &text);
        assert_int_equal(pf_res_parse(pf_str(pf_buf_cstr(&text)), &again, NULL), 0);
        assert_true(pf_res_eq(&r, &again));
        assert_true(pf_res_eq(&r, &copy));
        pf_res_assign(&again, &again);
        assert_true(pf_res_eq(&r, &again));
        pf_res_clear(&again);
        assert_true(pf_res_is_empty(&again));
        pf_res_assign(&again, &r);
        assert_true(pf_res_eq(&r, &again));
        pf_res_fini(&r);
        pf_res_fini(&again);
        pf_res_fini(&copy);
        pf_buf_fini(&text);
    }
}

static void test_texts_of_mesos(void **state)
{
    static const char *const row[][2] = {
        {"", ""},
        {" ; ", ""},
        {"cpus:4;mem:1024;ports:[31000-32000];set:{a,b}",
         "cpus:4;mem:1024;ports:[31000-32000];set:{a,b}"},
        {" cpus(*) : 0.5 ; ports(*):[ 5 - 6 , 1-2,3-3 ] ; set:{ b , a , b }",
         "cpus:0.5;ports:[1-3,5-6];set:{a,b}"},
        {"gpus:1;disk:2.25;cpus:.125", "cpus:0.125;disk:2.25;gpus:1"},
        {"cpus:1;cpus:2", "cpus:3"},
        {"foo:0;ports:[];set:{}", ""},
        {"bar:0.0005;foo:0.00049", "bar:0.001"},
        {"ports:[0-9223372036854775806]", "ports:[0-9223372036854775806]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct pf_resources r = parse(row[i][0]);

        assert_res_is(&r, row[i][1]);
        pf_res_fini(&r);
    }
}

static void test_bad_texts_are_refused(void **state)
{
    static const char *const bad[] = {
        "cpus", "cpus:", ":4", "cpus:four", "cpus:-1", "cpus:1e3", "cpus:1.2.3", "cpus:.",
        "cpus:4000000000.001", "cpus:99999999999999999999", "ports:[1]", "ports:[2-1]",
        "ports:[1-2", "ports:1-2", "ports:[1-2,]x", "ports:[-]", "ports:[1--2]",
        "ports:[1-9223372036854775807]", "ports:[1-99999999999999999999]", "ports:[1-2,,3-4]",
        "cpus:[1-2]", "mem:{a}", "set:{a b}", "set:{a};set:1", "cpus(role):1", "a b:1",
        "set:{,}", "cpus:2000000000;cpus:2000000001",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pf_resources r = {0};
        struct pf_err err = {0};

        if (pf_res_parse(pf_str(bad[i]), &r, &err) == 0) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(err.code < 0);
        assert_true(err.msg[0] != '\0');
        assert_true(pf_res_is_empty(&r));
    }
}

static void test_names_are_checked(void **state)
{
    struct pf_resources r = {0};
    char name[256];

    (void)state;
    memset(name, 'n', sizeof name);
    assert_int_equal(pf_res_add_scalar(&r, (struct pf_str){name, 255}, 1, NULL), 0);
    assert_int_equal(pf_res_add_scalar(&r, (struct pf_str){name, 256}, 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_scalar(&r, pf_str(NULL), 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_range(&r, PF_STR("a;b"), 1, 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_range(&r, PF_STR("a\x7f"), 1, 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_range(&r, PF_STR("a\xc3\xa4"), 1, 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_range(&r, PF_STR("a\0b"), 1, 1, NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_set_item(&r, PF_STR("s"), PF_STR("a,b"), NULL), PF_EINVAL);
    assert_int_equal(pf_res_add_set_item(&r, PF_STR("s"), PF_STR(""), NULL), PF_EINVAL);
    assert_int_equal(r.n_items, 1);
    pf_res_fini(&r);
}

static void test_limits(void **state)
{
    struct pf_resources r = {0};
    char name[16];

    (void)state;
    assert_int_equal(pf_res_add_scalar(&r, PF_STR("cpus"), PF_RES_MILLI_MAX, NULL), 0);
    assert_int_equal(pf_res_add_scalar(&r, PF_STR("cpus"), 1, NULL), PF_ELIMIT);
    assert_int_equal(pf_res_add_scalar(&r, PF_STR("mem"), -1, NULL), PF_ELIMIT);
    for (uint64_t i = 0; i < PF_RES_RANGES_MAX; i++) {
        assert_int_equal(pf_res_add_range(&r, PF_STR("ports"), 2 * i, 2 * i, NULL), 0);
    }
    assert_int_equal(pf_res_add_range(&r, PF_STR("ports"), 9999, 9999, NULL), PF_ELIMIT);
    for (uint32_t i = 0; i < PF_RES_SET_MAX; i++) {
        (void)snprintf(name, sizeof name, "i%u", i);
        assert_int_equal(pf_res_add_set_item(&r, PF_STR("set"), pf_str(name), NULL), 0);
    }
    assert_int_equal(pf_res_add_set_item(&r, PF_STR("set"), PF_STR("x"), NULL), PF_ELIMIT);
    for (uint32_t i = r.n_items; i < PF_RES_ITEMS_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(pf_res_add_scalar(&r, pf_str(name), 1, NULL), 0);
    }
    assert_int_equal(pf_res_add_scalar(&r, PF_STR("x"), 1, NULL), PF_ELIMIT);
    assert_int_equal(pf_res_add_scalar(&r, PF_STR("n9"), 1, NULL), 0);
    pf_res_check(&r);
    pf_res_fini(&r);
}

static void test_shortage_names_what_is_missing(void **state)
{
    static const struct {
        const char *have, *want, *name;
        int64_t lacking;
    } row[] = {
        {"cpus:1;mem:1", "cpus:1;mem:1", NULL, 0},
        {"cpus:1", "cpus:1.5", "cpus", 500},
        {"cpus:1", "mem:2", "mem", 2000},
        {"ports:[1-3]", "ports:[7-9]", NULL, 0},
        {"ports:[1-3]", "ports:[1-5]", "ports", 2},
        {"", "ports:[5-5]", "ports", 1},
        {"foo:1", "foo:3", "foo", 2000},
        {"set:{a}", "set:{a,b,c}", "set", 2},
        {"foo:1", "foo:[1-2]", "foo", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct pf_resources have = parse(row[i].have), want = parse(row[i].want);
        int64_t lacking = -1;
        const char *name = pf_res_shortage(&have, &want, &lacking);

        assert_int_equal(lacking, row[i].lacking);
        assert_int_equal(name == NULL, row[i].name == NULL);
        assert_string_equal(name ? name : "", row[i].name ? row[i].name : "");
        pf_res_fini(&have);
        pf_res_fini(&want);
    }
}

/* Two agents may give one name two kinds: their sum keeps both apart. */
static void test_a_name_of_two_kinds_adds_up(void **state)
{
    struct pf_resources a = parse("foo:1"), b = parse("foo:[1-2]");

    (void)state;
    assert_false(pf_res_contains(&a, &b));
    pf_res_add(&a, &b);
    assert_res_is(&a, "foo:1;foo:[1-2]");
    assert_int_equal(pf_res_scalar(&a, PF_STR("foo")), 1000);
    assert_int_equal(pf_res_range_count(&a, PF_STR("foo")), 2);
    pf_res_sub(&a, &b);
    assert_res_is(&a, "foo:1");
    pf_res_fini(&a);
    pf_res_fini(&b);
}

static void test_scalars_alone(void **state)
{
    struct pf_resources sum = {0}, a = parse("cpus:1;foo:2;ports:[1-9]");

    (void)state;
    pf_res_add_scalars(&sum, &a);
    pf_res_add_scalars(&sum, &a);
    assert_res_is(&sum, "cpus:2;foo:4");
    pf_res_sub_scalars(&sum, &a);
    assert_res_is(&sum, "cpus:1;foo:2");
    pf_res_sub_scalars(&sum, &a);
    assert_true(pf_res_is_empty(&sum));
    assert_null(sum.item);
    pf_res_fini(&a);
}

static void test_find(void **state)
{
    struct pf_resources r = parse("cpus:1;foo:2;ports:[1-9]");

    (void)state;
    assert_null(pf_res_find(&r, PF_STR("cpus")));
    assert_null(pf_res_find(&r, PF_STR("fo")));
    assert_int_equal(pf_res_find(&r, PF_STR("foo"))->milli, 2000);
    assert_int_equal(pf_res_find(&r, PF_STR("ports"))->range[0].end, 9);
    assert_int_equal(pf_res_scalar(&r, PF_STR("none")), 0);
    assert_int_equal(pf_res_range_count(&r, PF_STR("foo")), 0);
    pf_res_fini(&r);
}

static void sub_from(void *ctx)
{
    const char *const *text = ctx;
    struct pf_resources a = parse(text[0]), b = parse(text[1]);

    pf_res_sub(&a, &b);
}

static void sub_scalars_from_nothing(void *ctx)
{
    struct pf_resources a = {0}, b = parse(ctx);

    pf_res_sub_scalars(&a, &b);
}

static void test_taking_what_is_not_there_aborts(void **state)
{
    static const char *row[][2] = {
        {"cpus:1", "cpus:1.001"},          {"", "ports:[1-1]"}, {"ports:[1-5]", "ports:[5-6]"},
        {"ports:[1-2,4-5]", "ports:[2-4]"}, {"set:{a}", "set:{b}"}, {"foo:1", "foo:2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_true(test_aborts(sub_from, row[i]));
    }
    assert_true(test_aborts(sub_scalars_from_nothing, (char[]){"cpus:1"}));
    assert_true(test_aborts(sub_scalars_from_nothing, (char[]){"foo:1"}));
}

static void test_doubles_of_mesos(void **state)
{
    static const struct {
        double v;
        int64_t milli;
    } row[] = {
        {0, 0},         {1, 1000},       {0.1, 100},       {0.1 + 0.2, 300}, {1.0005, 1001},
        {0.0004999, 0}, {2.9999999, 3000}, {4e9, PF_RES_MILLI_MAX}, {-0.0, 0}, {0.29, 290},
    };
    const double bad[] = {-0.001, -1e-9, 4e9 + 1, 1e300, (double)INFINITY, -(double)INFINITY,
                          (double)NAN};
    int64_t milli = 7;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(pf_milli_from_double(row[i].v, &milli, NULL), 0);
        assert_int_equal(milli, row[i].milli);
        assert_int_equal(pf_milli_from_double(pf_milli_to_double(milli), &milli, NULL), 0);
        assert_int_equal(milli, row[i].milli);
    }
    milli = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(pf_milli_from_double(bad[i], &milli, NULL), PF_EINVAL);
        assert_int_equal(milli, 7);
    }
}

static void test_thousandths_survive_doubles_and_text(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 15);
    for (int i = 0; i < 20000; i++) {
        uint64_t bound = (uint64_t)PF_RES_MILLI_MAX >> pf_rng_below(&rng, 42);
        int64_t milli = (int64_t)pf_rng_below(&rng, bound + 1), again = -1;
        struct pf_buf b = {0};

        assert_int_equal(pf_milli_from_double(pf_milli_to_double(milli), &again, NULL), 0);
        assert_int_equal(again, milli);
        pf_milli_format(milli, &b);
        again = -1;
        assert_int_equal(pf_milli_parse(pf_str(pf_buf_cstr(&b)), &again, NULL), 0);
        assert_int_equal(again, milli);
        pf_buf_fini(&b);
    }
}

static void test_shortest_decimals(void **state)
{
    static const struct {
        int64_t milli;
        const char *text;
    } row[] = {{0, "0"},      {1, "0.001"},     {10, "0.01"},     {125, "0.125"},
               {1500, "1.5"}, {2000, "2"},      {-1250, "-1.25"}, {1001, "1.001"}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct pf_buf b = {0};

        pf_milli_format(row[i].milli, &b);
        assert_string_equal(pf_buf_cstr(&b), row[i].text);
        pf_buf_fini(&b);
    }
}

static void check_negative(void *ctx)
{
    struct pf_resources r = {.scalar_milli = {-1}};

    (void)ctx;
    pf_res_check(&r);
}

static void check_touching_ranges(void *ctx)
{
    struct pf_resources r = parse("ports:[1-2,5-6]");

    (void)ctx;
    r.item[0].range[1].begin = 3;
    pf_res_check(&r);
}

static void test_check_finds_broken_forms(void **state)
{
    (void)state;
    assert_true(test_aborts(check_negative, NULL));
    assert_true(test_aborts(check_touching_ranges, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_agree_with_the_model),
        cmocka_unit_test(test_long_life_of_a_pool),
        cmocka_unit_test(test_pick_takes_the_lowest_of_enough),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_texts_of_mesos),
        cmocka_unit_test(test_bad_texts_are_refused),
        cmocka_unit_test(test_names_are_checked),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_shortage_names_what_is_missing),
        cmocka_unit_test(test_a_name_of_two_kinds_adds_up),
        cmocka_unit_test(test_scalars_alone),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_taking_what_is_not_there_aborts),
        cmocka_unit_test(test_doubles_of_mesos),
        cmocka_unit_test(test_thousandths_survive_doubles_and_text),
        cmocka_unit_test(test_shortest_decimals),
        cmocka_unit_test(test_check_finds_broken_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
