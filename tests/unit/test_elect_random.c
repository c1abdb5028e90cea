/* SPDX-License-Identifier: Apache-2.0 */
/* Three elect machines on one tree, all dice from a seed: connections break with and without the
 * request, sessions expire, servers hang, time jumps, masters die and come back, agents and people
 * ask for other epochs. Never do two lead in one epoch, never does one act past its lease; and when
 * the faults end, exactly one leads. */
#include "tests/support/elect_world.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

enum { SEEDS = 300, STEPS = 400 };

struct chaos {
    struct ew_world *w;
    struct pf_rng rng;
    uint32_t n_instances;
};

static uint32_t roll(struct chaos *c, uint32_t n)
{
    return (uint32_t)pf_rng_below(&c->rng, n);
}

static void restart(struct chaos *c, uint32_t i)
{
    char instance[PF_UUID_TEXT_LEN + 1];
    const struct ew_node *head = ew_node(c->w, "/registry/head");

    for (uint8_t s = 0; s < PF_ZK_SESSIONS && roll(c, 2) == 0; s++) {
        ew_expire(c->w, i, s);
    }
    (void)snprintf(instance, sizeof instance, "00000000-0000-4000-8000-%012u",
                   100 + c->n_instances++);
    ew_restart(c->w, i, instance, NULL);
    ew_applied(c->w, i, true, head->version, 0);
}

/* The leader's log: a fenced write straight into the tree, or the news that it is fenced. */
static void write_log(struct chaos *c, uint32_t i)
{
    struct ew_world *w = c->w;
    const struct ew_node *epoch = ew_node(w, "/epoch");
    struct pf_elect *e = w->m[i].e;

    if (!pf_elect_may_act(e, w->now_ms)) {
        return;
    }
    if (epoch == NULL || epoch->version != pf_elect_epoch_version(e)) {
        ew_step(w, i, (struct pf_elect_event){.type = PF_ELECT_FENCED});
        assert_false(pf_elect_is_leading(e));
        return;
    }
    ew_set(w, "/registry/head", "", 0);
    ew_applied(w, i, true, ew_node(w, "/registry/head")->version, 1);
    struct pf_elect_event ev = {.type = PF_ELECT_RENEWED};

    ev.renewed.sent_ms = w->now_ms;
    ew_step(w, i, ev);
}

static void other_event(struct chaos *c, uint32_t i)
{
    struct ew_world *w = c->w;
    struct pf_elect_event ev = {.type = PF_ELECT_RESIGN};
    uint32_t other = roll(c, w->n);

    switch (roll(c, 6)) {
    case 0: ew_link(w, i, other, roll(c, 3) == 0); break;
    case 1: ew_probed(w, i, (enum pf_elect_probe)roll(c, 3), w->m[other].instance); break;
    case 2:
        ev.resign.why = PF_STR("asked to");
        ew_step(w, i, ev);
        ev.type = PF_ELECT_TAKE;
        ev.take.epoch = pf_elect_epoch(w->m[i].e);
        ew_step(w, other, ev);
        break;
    case 3:
        ev.type = PF_ELECT_EPOCH_SEEN;
        ev.epoch_seen.epoch = pf_elect_epoch(w->m[i].e) + roll(c, 3);
        ew_step(w, i, ev);
        break;
    case 4: ew_applied(w, i, roll(c, 4) != 0, ew_node(w, "/registry/head")->version, 0); break;
    default: write_log(c, i); break;
    }
}

static void fault(struct chaos *c, uint32_t i, uint8_t s)
{
    struct ew_world *w = c->w;

    switch (roll(c, 12)) {
    case 0:
    case 1:
    case 2: ew_drop(w, i, s, roll(c, 2) == 0); break;
    case 3: ew_expire(w, i, s); break;
    case 4: w->m[i].session[s].is_hung = true; break;
    case 5: restart(c, i); break;
    case 6:
        w->now_ms += roll(c, 3000); /* the machine slept */
        w->wall_ms += roll(c, 5000);
        break;
    case 7: ew_auth_failed(w, i, s); break;
    default: ew_connect(w, i, s); break;
    }
}

static void chaos_step(struct chaos *c)
{
    struct ew_world *w = c->w;
    uint32_t i = roll(c, w->n), what = roll(c, 100);
    uint8_t s = (uint8_t)roll(c, 2);

    if (what < 45) {
        for (uint32_t k = roll(c, 6); k > 0; k--) {
            (void)ew_carry_out(w, i, s);
        }
    } else if (what < 80) {
        for (uint32_t k = roll(c, 6); k > 0; k--) {
            (void)ew_deliver(w, i, s);
        }
    } else if (what < 85) {
        ew_run(w);
    } else if (what < 92) {
        ew_advance(w, 1 + roll(c, 500));
    } else if (what < 96) {
        other_event(c, i);
    } else {
        fault(c, i, s);
    }
}

static void tell_world(const struct ew_world *w)
{
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        print_message("%s version %d of %llu\n", w->node[i].path, w->node[i].version,
                      (unsigned long long)w->node[i].owner);
    }
    for (uint32_t i = 0; i < w->n; i++) {
        const char *trouble = pf_elect_trouble(w->m[i].e);

        const struct pf_elect_master *m;

        (void)printf("%s: %s, sees %u, leader %s, leads: %d\n%s", w->m[i].instance,
                     trouble != NULL ? trouble : "well", pf_elect_masters(w->m[i].e, &m),
                     pf_elect_leader(w->m[i].e), pf_elect_is_leading(w->m[i].e), w->m[i].trace);
    }
}

static void heal(struct chaos *c)
{
    struct ew_world *w = c->w;
    uint32_t n_leading = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
            w->m[i].session[s].is_hung = false;
            ew_connect(w, i, s);
        }
        ew_applied(w, i, true, ew_node(w, "/registry/head")->version, 0);
    }
    ew_advance(w, 10000);
    for (uint32_t i = 0; i < w->n; i++) {
        const struct pf_elect_master *m;

        n_leading += pf_elect_may_act(w->m[i].e, w->now_ms);
        if (pf_elect_trouble(w->m[i].e) != NULL || pf_elect_masters(w->m[i].e, &m) != w->n ||
            ew_leader(w) < 0 ||
            strcmp(pf_elect_leader(w->m[i].e), w->m[ew_leader(w)].instance) != 0) {
            tell_world(w);
            fail_msg("not whole again");
        }
    }
    assert_int_equal(n_leading, 1);
}

static void test_one_leads_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct chaos c = {.w = ew_create(3)};

        print_message("seed %llu\n", (unsigned long long)seed);
        pf_rng_seed(&c.rng, seed);
        ew_start(c.w);
        for (uint32_t k = 0; k < STEPS; k++) {
            chaos_step(&c);
        }
        heal(&c);
        ew_destroy(c.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_leads_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
