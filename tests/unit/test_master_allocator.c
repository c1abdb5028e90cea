/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator: who gets what, what is looked at again, why not; and a random walk after which
 * nothing that fits may be left over. */
#include "master/core/allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/base/rng.h"

enum { HOLDS_MAX = 4096 };

struct fix {
    struct pf_allocator *al;
    int64_t now_ms;
    struct pf_al_hold *hold[HOLDS_MAX];
    uint32_t n_holds;
    uint64_t next_number;
    uint32_t n_reclaimed;
};

static int setup(void **state)
{
    struct fix *x = PF_NEW(struct fix);

    x->al = pf_allocator_create(7);
    x->now_ms = 1000;
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fix *x = *state;

    pf_allocator_check(x->al);
    pf_allocator_destroy(x->al);
    pf_free(x);
    return 0;
}

static struct pf_resources res(const char *text)
{
    struct pf_resources r = {0};

    assert_int_equal(pf_res_parse(pf_str(text), &r, NULL), 0);
    return r;
}

static struct pf_al_agent *given_agent_with(struct fix *x, const char *name, const char *total,
                                            const struct pf_al_attribute *attribute, uint32_t n)
{
    struct pf_resources r = res(total);
    struct pf_al_agent *a =
        pf_al_agent_add(x->al, &(struct pf_al_agent_info){.id = pf_str(name),
                                                          .hostname = pf_str(name),
                                                          .total = &r,
                                                          .attribute = attribute,
                                                          .n_attributes = n,
                                                          .number = ++x->next_number});

    pf_res_fini(&r);
    pf_al_agent_set_open(x->al, a, true);
    return a;
}

static struct pf_al_agent *given_agent(struct fix *x, const char *name, const char *total)
{
    return given_agent_with(x, name, total, NULL, 0);
}

static struct pf_al_framework *given_framework(struct fix *x, bool is_whole)
{
    struct pf_al_framework *f = pf_al_framework_add(x->al, ++x->next_number, NULL);

    pf_al_framework_set_whole(x->al, f, is_whole);
    pf_al_framework_set_active(x->al, f, true);
    return f;
}

static struct pf_al_want *given_demand(struct fix *x, struct pf_al_framework *f, const char *need,
                                       uint32_t count)
{
    struct pf_resources r = res(need);
    struct pf_al_want *w = pf_al_want_add(x->al, f, &r, NULL, 0, count, NULL);

    pf_res_fini(&r);
    return w;
}

static void forget(struct fix *x, struct pf_al_hold *h)
{
    for (uint32_t i = 0; i < x->n_holds; i++) {
        if (x->hold[i] == h) {
            x->hold[i] = x->hold[--x->n_holds];
            return;
        }
    }
    fail_msg("unknown hold");
}

static void end_hold(struct fix *x, struct pf_al_hold *h)
{
    forget(x, h);
    pf_al_hold_end(x->al, h, NULL, 0);
}

/* Runs until nothing is left to decide; returns how many holds were made. */
static uint32_t run(struct fix *x)
{
    uint32_t n = 0, pairs = 0;
    enum pf_al_result r;
    struct pf_al_hold *h;

    do {
        r = pf_allocator_run(x->al, x->now_ms, &pairs);
        while ((h = pf_al_reclaimed(x->al)) != NULL) {
            end_hold(x, h);
            x->n_reclaimed++;
        }
        while (r != PF_AL_RECLAIM && (h = pf_al_new_hold(x->al)) != NULL) {
            assert_true(x->n_holds < HOLDS_MAX);
            h->owner = x;
            x->hold[x->n_holds++] = h;
            n++;
        }
        pairs = r == PF_AL_MORE ? 0 : pairs;
        pf_allocator_check(x->al);
    } while (r != PF_AL_DONE);
    assert_false(pf_allocator_is_due(x->al));
    return n;
}

static uint32_t instances_of(const struct fix *x, const struct pf_al_framework *f)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < x->n_holds; i++) {
        n += x->hold[i]->framework == f ? x->hold[i]->count : 0;
    }
    return n;
}

static void test_allocator_offers_whole_agent_to_framework_without_demand(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024;ports:[1-10]");

    given_framework(x, true);
    assert_int_equal(run(x), 1);
    assert_true(pf_res_is_empty(pf_al_agent_free(a)));
    assert_true(pf_res_eq(&x->hold[0]->resources, pf_al_agent_total(a)));
    assert_true(x->hold[0]->is_reclaimable);
}

static void test_allocator_gives_nothing_below_the_minimum(void **state)
{
    struct fix *x = *state;

    given_agent(x, "a1", "cpus:0.005;mem:16");
    given_framework(x, true);
    assert_int_equal(run(x), 0);
}

static void test_allocator_gives_demand_what_it_needs_with_any_ports(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024;ports:[31000-31009]");
    struct pf_al_framework *f = given_framework(x, false);
    struct pf_al_want *w = given_demand(x, f, "cpus:1;mem:100;ports:[1-2]", 3);
    struct pf_resources expected = res("cpus:3;mem:300;ports:[31000-31005]");

    assert_int_equal(run(x), 1);
    assert_int_equal(x->hold[0]->count, 3);
    assert_true(pf_res_eq(&x->hold[0]->resources, &expected));
    assert_int_equal(pf_al_want_held(w), 3);
    assert_false(pf_al_want_is_unplaced(x->al, w));
    assert_int_equal(pf_al_agent_free(a)->scalar_milli[PF_RES_CPUS], 1000);
    pf_res_fini(&expected);
}

static void test_allocator_splits_an_agent_fairly(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *f1 = given_framework(x, false), *f2 = given_framework(x, false);

    given_agent(x, "a1", "cpus:10;mem:1000");
    given_demand(x, f1, "cpus:1;mem:10", 100);
    given_demand(x, f2, "cpus:1;mem:10", 100);
    (void)run(x);
    assert_int_equal(instances_of(x, f1), 5);
    assert_int_equal(instances_of(x, f2), 5);
    assert_int_equal(x->n_holds, 2); /* one offer each, not one per instance */
}

static void test_allocator_serves_the_smallest_dominant_share(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *f1 = given_framework(x, false), *f2 = given_framework(x, false);

    /* the example of the DRF paper: 9 cpus, 18 GB; <1 cpu, 4 GB> and <3 cpus, 1 GB> */
    given_agent(x, "a1", "cpus:9;mem:18000");
    given_demand(x, f1, "cpus:1;mem:4000", 100);
    given_demand(x, f2, "cpus:3;mem:1000", 100);
    (void)run(x);
    assert_int_equal(instances_of(x, f1), 3);
    assert_int_equal(instances_of(x, f2), 2);
}

static void test_allocator_returns_count_when_hold_ends(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *f = given_framework(x, false);
    struct pf_al_want *w;
    struct pf_resources used = res("cpus:2");

    given_agent(x, "a1", "cpus:4;mem:100");
    w = given_demand(x, f, "cpus:1", 3);
    (void)run(x);
    struct pf_al_agent *a = x->hold[0]->agent;
    struct pf_al_hold *h = x->hold[0];

    forget(x, h);
    pf_al_hold_end(x->al, h, &used, 2);
    assert_int_equal(pf_al_want_count(w), 1);
    assert_int_equal(pf_al_want_held(w), 0);
    assert_int_equal(pf_al_framework_allocated(f)->scalar_milli[PF_RES_CPUS], 2000);
    assert_int_equal(run(x), 1);
    pf_al_unuse(x->al, a, f, &used);
    end_hold(x, x->hold[0]);
    assert_true(pf_res_eq(pf_al_agent_free(a), pf_al_agent_total(a)));
    pf_res_fini(&used);
}

static void test_allocator_filter_blocks_until_it_ends(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024");
    struct pf_al_framework *f = given_framework(x, true);

    (void)run(x);
    pf_al_filter_add(x->al, f, a, &x->hold[0]->resources, x->now_ms + 5000);
    end_hold(x, x->hold[0]);
    assert_int_equal(run(x), 0);
    assert_int_equal(pf_allocator_deadline(x->al), 6000);
    x->now_ms = 5999;
    assert_int_equal(run(x), 0);
    x->now_ms = 6000;
    assert_int_equal(run(x), 1);
}

static void test_allocator_filter_lets_through_what_is_more(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024");
    struct pf_al_framework *f1 = given_framework(x, false), *f2 = given_framework(x, true);
    struct pf_resources used = res("cpus:3;mem:100");

    pf_al_use(x->al, a, f1, &used);
    assert_int_equal(run(x), 1);
    pf_al_filter_add(x->al, f2, a, &x->hold[0]->resources, x->now_ms + 100000);
    end_hold(x, x->hold[0]);
    assert_int_equal(run(x), 0);
    pf_al_unuse(x->al, a, f1, &used);
    assert_int_equal(run(x), 1);
    pf_res_fini(&used);
}

static void test_allocator_clears_filters(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024");
    struct pf_al_framework *f = given_framework(x, true);

    (void)run(x);
    pf_al_filter_add(x->al, f, a, &x->hold[0]->resources, INT64_MAX - 1);
    end_hold(x, x->hold[0]);
    assert_int_equal(run(x), 0);
    pf_al_filters_clear(x->al, f);
    assert_int_equal(run(x), 1);
}

static void test_allocator_ignores_inactive_frameworks_and_closed_agents(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *a = given_agent(x, "a1", "cpus:4;mem:1024");
    struct pf_al_framework *f = given_framework(x, true);

    pf_al_framework_set_active(x->al, f, false);
    assert_int_equal(run(x), 0);
    pf_al_agent_set_open(x->al, a, false);
    pf_al_framework_set_active(x->al, f, true);
    assert_int_equal(run(x), 0);
    pf_al_agent_set_open(x->al, a, true);
    assert_int_equal(run(x), 1);
}

static void test_allocator_respects_constraints(void **state)
{
    static const struct pf_al_attribute rack_a[] = {{{"rack", 4}, {"a", 1}}};
    static const struct pf_al_attribute rack_b[] = {{{"rack", 4}, {"b", 1}}};
    static const struct {
        struct pf_al_constraint c;
        const char *expected;
    } cases[] = {
        {{{"rack", 4}, PF_AL_EQUALS, {"b", 1}}, "host2"},
        {{{"rack", 4}, PF_AL_NOT_EQUALS, {"a", 1}}, "host2 host3"},
        {{{"rack", 4}, PF_AL_EXISTS, {"", 0}}, "host1 host2"},
        {{{"rack", 4}, PF_AL_NOT_EXISTS, {"", 0}}, "host3"},
        {{{"HOSTNAME", 8}, PF_AL_GLOB, {"*t1", 3}}, "host1"},
        {{{"agent", 5}, PF_AL_EQUALS, {"host3", 5}}, "host3"},
    };
    struct fix *x = *state;
    struct pf_resources need = res("cpus:1");
    struct pf_al_framework *f = given_framework(x, false);
    struct pf_al_agent *agents[3] = {given_agent_with(x, "host1", "cpus:1", rack_a, 1),
                                     given_agent_with(x, "host2", "cpus:1", rack_b, 1),
                                     given_agent(x, "host3", "cpus:1")};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pf_al_want *w = pf_al_want_add(x->al, f, &need, &cases[i].c, 1, 10, NULL);
        char got[64] = "";

        (void)run(x);
        for (uint32_t k = 0; k < 3; k++) {
            if (pf_al_agent_holds(agents[k])) {
                size_t len = strlen(got);
                (void)snprintf(got + len, sizeof got - len, "%shost%u", len > 0 ? " " : "", k + 1);
            }
        }
        assert_string_equal(got, cases[i].expected);
        while (x->n_holds > 0) {
            end_hold(x, x->hold[0]);
        }
        pf_al_want_remove(x->al, w);
    }
    pf_res_fini(&need);
}

static void test_allocator_reclaims_from_a_hoarder(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *hoarder = given_framework(x, true), *f = given_framework(x, false);

    given_agent(x, "a1", "cpus:4;mem:1024");
    assert_int_equal(run(x), 1);
    given_demand(x, f, "cpus:1;mem:100", 1);
    assert_int_equal(run(x), 2); /* the demand, and the rest for the hoarder again */
    assert_int_equal(x->n_reclaimed, 1);
    assert_int_equal(instances_of(x, f), 1);
    assert_int_equal(x->n_holds, 2);
    assert_true(x->hold[0]->framework == hoarder || x->hold[1]->framework == hoarder);
}

static void test_allocator_reclaims_from_smaller_share_only_after_a_second(void **state)
{
    struct fix *x = *state;
    struct pf_al_agent *big = given_agent(x, "a1", "cpus:30;mem:3000");
    struct pf_al_framework *f = given_framework(x, false), *small;
    struct pf_resources used = res("cpus:30;mem:3000");
    struct pf_al_want *w;

    pf_al_use(x->al, big, f, &used);
    small = given_framework(x, true);
    given_agent(x, "a2", "cpus:4;mem:400");
    assert_int_equal(run(x), 1);
    w = given_demand(x, f, "cpus:4;mem:400", 1);
    assert_int_equal(run(x), 0);
    assert_true(pf_al_want_is_unplaced(x->al, w));
    x->now_ms += PF_AL_RIPE_MS;
    pf_al_want_retry(x->al, w);
    assert_int_equal(run(x), 1);
    assert_ptr_equal(x->hold[0]->framework, f);
    pf_al_unuse(x->al, big, f, &used);
    pf_res_fini(&used);
    (void)small;
}

static void test_allocator_looks_once_at_unchanged_agents(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *f = given_framework(x, false);
    struct pf_resources used = res("cpus:1");
    struct pf_al_agent *a = NULL;

    for (uint32_t i = 0; i < 500; i++) {
        a = given_agent(x, "a", "cpus:2;mem:100");
    }
    given_demand(x, f, "cpus:3", 1);
    (void)run(x);
    uint64_t before = pf_allocator_n_pairs(x->al);

    assert_true(before >= 500);
    pf_al_use(x->al, a, f, &used);
    pf_al_unuse(x->al, a, f, &used);
    (void)run(x);
    assert_true(pf_allocator_n_pairs(x->al) - before <= 3);
    pf_res_fini(&used);
}

static void test_allocator_run_is_bounded_and_continues(void **state)
{
    struct fix *x = *state;
    uint32_t pairs = 0, n = 0, n_runs = 0;
    enum pf_al_result r = PF_AL_MORE;
    struct pf_al_hold *h;

    for (uint32_t i = 0; i < 2500; i++) {
        given_agent(x, "a", "cpus:2;mem:100");
    }
    given_framework(x, true);
    given_framework(x, true);
    while (r == PF_AL_MORE) {
        pairs = 0;
        r = pf_allocator_run(x->al, x->now_ms, &pairs);
        n_runs++;
        for (uint32_t made = 0; (h = pf_al_new_hold(x->al)) != NULL; made++, n++) {
            assert_true(made < PF_AL_RUN_HOLDS);
        }
    }
    assert_int_equal(n, 2500);
    assert_int_equal(n_runs, 3);
}

static void test_allocator_explains(void **state)
{
    struct fix *x = *state;
    struct pf_al_framework *hoarder = given_framework(x, true), *f = given_framework(x, false);
    struct pf_al_scan scan = {0};
    struct pf_al_agent *busy = given_agent(x, "busy", "cpus:4;mem:400");
    struct pf_resources used = res("cpus:3.5");
    struct pf_al_want *w;

    pf_al_use(x->al, busy, f, &used);
    given_agent(x, "small", "cpus:0.5;mem:400");
    pf_al_framework_set_active(x->al, hoarder, false);
    w = given_demand(x, f, "cpus:1", 1);
    (void)run(x);
    pf_al_explain(x->al, w, x->now_ms, 1, &scan);
    assert_false(scan.is_done);
    pf_al_explain(x->al, w, x->now_ms, 10, &scan);
    assert_true(scan.is_done);
    assert_int_equal(scan.n_agents, 2);
    assert_int_equal(scan.n_causes, 2);
    assert_int_equal(scan.cause[0].reason, PF_AL_IN_USE);
    assert_int_equal(scan.cause[0].short_milli, 500);
    assert_string_equal(scan.cause[0].resource, "cpus");
    assert_int_equal(scan.cause[1].reason, PF_AL_TOO_LITTLE);
    assert_int_equal(scan.largest_milli, 500);
    pf_al_unuse(x->al, busy, f, &used);
    pf_res_fini(&used);
}

/* --- a random walk --- */

enum { WALK_AGENTS = 12, WALK_FRAMEWORKS = 6, WALK_STEPS = 4000 };

struct walk {
    struct fix *x;
    struct pf_rng rng;
    struct pf_al_agent *agent[WALK_AGENTS];
    struct pf_al_framework *framework[WALK_FRAMEWORKS];
    struct pf_al_want *want[WALK_FRAMEWORKS];
    struct {
        struct pf_al_agent *a;
        struct pf_al_framework *f;
        struct pf_resources r;
    } use[HOLDS_MAX];
    uint32_t n_uses;
};

/* After a run nobody may want what is free (no filters and constraints are in this walk). */
static void check_nothing_left(struct walk *w)
{
    for (uint32_t i = 0; i < WALK_AGENTS; i++) {
        const struct pf_resources *free = pf_al_agent_free(w->agent[i]);

        for (uint32_t k = 0; pf_al_agent_is_open(w->agent[i]) && k < WALK_FRAMEWORKS; k++) {
            int64_t lacking;

            if (w->want[k] && pf_al_want_count(w->want[k]) > pf_al_want_held(w->want[k])) {
                assert_non_null(pf_res_shortage(free, pf_al_want_need(w->want[k]), &lacking));
            } else if (!w->want[k]) {
                assert_true(free->scalar_milli[PF_RES_CPUS] < PF_AL_MIN_CPU_MILLI &&
                            free->scalar_milli[PF_RES_MEM] < PF_AL_MIN_MEM_MILLI);
            }
        }
    }
}

static void walk_launch(struct walk *w)
{
    struct fix *x = w->x;
    uint32_t i = (uint32_t)pf_rng_below(&w->rng, x->n_holds);
    struct pf_al_hold *h = x->hold[i];

    w->use[w->n_uses].a = h->agent;
    w->use[w->n_uses].f = h->framework;
    w->use[w->n_uses].r = pf_res_dup(&h->resources);
    if (h->count > 1) { /* one instance only */
        pf_res_fini(&w->use[w->n_uses].r);
        w->use[w->n_uses].r = (struct pf_resources){0};
        assert_true(pf_res_pick(&h->resources, pf_al_want_need(h->want), &w->use[w->n_uses].r));
    }
    forget(x, h);
    pf_al_hold_end(x->al, h, &w->use[w->n_uses].r, 1);
    w->n_uses++;
}

static void walk_end_task(struct walk *w)
{
    uint32_t i = (uint32_t)pf_rng_below(&w->rng, w->n_uses);

    pf_al_unuse(w->x->al, w->use[i].a, w->use[i].f, &w->use[i].r);
    pf_res_fini(&w->use[i].r);
    w->use[i] = w->use[--w->n_uses];
}

static void walk_step(struct walk *w)
{
    struct fix *x = w->x;
    uint32_t k = (uint32_t)pf_rng_below(&w->rng, WALK_FRAMEWORKS);
    uint32_t i = (uint32_t)pf_rng_below(&w->rng, WALK_AGENTS);

    x->now_ms += (int64_t)pf_rng_below(&w->rng, 50);
    switch (pf_rng_below(&w->rng, 7)) {
    case 0:
    case 1:
        if (x->n_holds > 0 && w->n_uses < HOLDS_MAX) {
            walk_launch(w);
        }
        break;
    case 2:
    case 3:
        if (w->n_uses > 0) {
            walk_end_task(w);
        }
        break;
    case 4:
        if (x->n_holds > 0) {
            end_hold(x, x->hold[pf_rng_below(&w->rng, x->n_holds)]);
        }
        break;
    case 5:
        if (w->want[k]) {
            pf_al_want_set_count(x->al, w->want[k],
                                 pf_al_want_held(w->want[k]) + (uint32_t)pf_rng_below(&w->rng, 20));
        }
        break;
    default: pf_al_agent_set_open(x->al, w->agent[i], pf_rng_below(&w->rng, 4) != 0); break;
    }
}

static void test_allocator_random_walk_leaves_nothing_over(void **state)
{
    static const char *const needs[] = {"cpus:1;mem:64", "cpus:0.5;mem:200", "mem:300;ports:[1-1]",
                                        "cpus:3;gold:1"};
    struct walk *w = PF_NEW(struct walk);

    w->x = *state;
    pf_rng_seed(&w->rng, 42);
    for (uint32_t i = 0; i < WALK_AGENTS; i++) {
        w->agent[i] = given_agent(w->x, "a", "cpus:8;mem:2000;gold:2;ports:[5-9]");
    }
    for (uint32_t k = 0; k < WALK_FRAMEWORKS; k++) {
        w->framework[k] = given_framework(w->x, k >= 4);
        w->want[k] = k < 4 ? given_demand(w->x, w->framework[k], needs[k], 5) : NULL;
    }
    for (uint32_t i = 0; i < WALK_STEPS; i++) {
        walk_step(w);
        (void)run(w->x);
        check_nothing_left(w);
    }
    while (w->n_uses > 0) {
        walk_end_task(w);
    }
    pf_free(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_allocator_offers_whole_agent_to_framework_without_demand),
        T(test_allocator_gives_nothing_below_the_minimum),
        T(test_allocator_gives_demand_what_it_needs_with_any_ports),
        T(test_allocator_splits_an_agent_fairly),
        T(test_allocator_serves_the_smallest_dominant_share),
        T(test_allocator_returns_count_when_hold_ends),
        T(test_allocator_filter_blocks_until_it_ends),
        T(test_allocator_filter_lets_through_what_is_more),
        T(test_allocator_clears_filters),
        T(test_allocator_ignores_inactive_frameworks_and_closed_agents),
        T(test_allocator_respects_constraints),
        T(test_allocator_reclaims_from_a_hoarder),
        T(test_allocator_reclaims_from_smaller_share_only_after_a_second),
        T(test_allocator_looks_once_at_unchanged_agents),
        T(test_allocator_run_is_bounded_and_continues),
        T(test_allocator_explains),
        T(test_allocator_random_walk_leaves_nothing_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
