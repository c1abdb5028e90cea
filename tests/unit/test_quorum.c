/* SPDX-License-Identifier: Apache-2.0 */
/* Election and registry log as one: three masters without cores over the model of ZooKeeper. Links
 * between them are told at once, messages arrive in the same millisecond. */
#include "common/elect/quorum.h"

#include <stdio.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/elect/replog_nodes.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"
#include "tests/sim/zk_model.h"
#include "tests/support/test.h"

enum { N = 3, MS = 1000 };

struct mail {
    int to; /* -1: nobody any more */
    uint8_t *bytes;
    uint32_t len;
};

struct master {
    struct pf_quorum *q;
    char instance[PF_UUID_TEXT_LEN + 1], address[16];
    uint32_t client[PF_ZK_SESSIONS];
    bool leads, is_linked, is_dead;
    uint64_t epoch, stored, n_stops;
    struct pf_buf rows, said; /* "+key" and "-key", told while it did not lead */
};

struct world {
    struct zkm *zk;
    int64_t now_ms;
    struct master m[N];
    struct mail mail[4096];
    uint32_t n_mail;
};

static void step(struct world *w, int i, struct pf_quorum_event ev);

static void send_mail(struct world *w, int from, struct pf_str instance, struct pf_bytes bytes)
{
    for (int i = 0; i < N; i++) {
        bool is_for = instance.at == NULL || pf_str_is(instance, w->m[i].instance);

        if (i != from && is_for && w->m[i].is_linked && w->m[from].is_linked) {
            assert_true(w->n_mail < PF_ARRAY_LEN(w->mail));
            w->mail[w->n_mail++] = (struct mail){i, pf_memdup(bytes.at, bytes.len), bytes.len};
        }
    }
}

static void carry_out(struct world *w, int i, const struct pf_quorum_effect *e)
{
    struct master *m = &w->m[i];

    switch (e->type) {
    case PF_QUORUM_ZK:
        zkm_run(w->zk, w->now_ms * MS);
        zkm_submit(w->zk, m->client[e->zk.session], &e->zk);
        break;
    case PF_QUORUM_LEAD:
        assert_false(m->leads);
        m->leads = true;
        m->epoch = e->lead.epoch;
        m->stored = 0;
        break;
    case PF_QUORUM_STOP:
        assert_true(m->leads);
        m->leads = false;
        m->n_stops++;
        break;
    case PF_QUORUM_ROW:
        assert_false(m->leads);
        pf_buf_printf(&m->rows, "%c%.*s ", e->row.is_del ? '-' : '+', (int)e->row.key.len,
                      (const char *)e->row.key.at);
        break;
    case PF_QUORUM_STORED:
        assert_int_equal(e->stored.number, m->stored + 1);
        m->stored = e->stored.number;
        break;
    case PF_QUORUM_STREAM: send_mail(w, i, (struct pf_str){NULL, 0}, e->send.message); break;
    case PF_QUORUM_SEND: send_mail(w, i, e->send.instance, e->send.message); break;
    case PF_QUORUM_SAY:
    case PF_QUORUM_FATAL: pf_buf_printf(&m->said, "%.*s\n", PF_STR_ARG(e->say.text)); break;
    case PF_QUORUM_PROBE: /* whom we ask is gone */
        step(w, i,
             (struct pf_quorum_event){.type = PF_QUORUM_EV_PROBED,
                                      .probed = {.result = PF_PROBE_REFUSED}});
        break;
    case PF_QUORUM_VIEW: break;
    }
}

static void step(struct world *w, int i, struct pf_quorum_event ev)
{
    const struct pf_quorum_effect *e;
    int n_leading = 0;

    ev.boot_ms = w->now_ms;
    ev.wall_ms = INT64_C(1800000000000) + w->now_ms;
    pf_quorum_step(w->m[i].q, &ev);
    pf_quorum_check(w->m[i].q);
    while ((e = pf_quorum_next(w->m[i].q)) != NULL) {
        carry_out(w, i, e);
    }
    for (int k = 0; k < N; k++) {
        n_leading += !w->m[k].is_dead && pf_quorum_may_act(w->m[k].q, w->now_ms);
    }
    assert_in_range(n_leading, 0, 1);
}

static void deliver_zk(struct world *w)
{
    struct zkm_event ev;

    zkm_run(w->zk, w->now_ms * MS);
    while (zkm_take(w->zk, &ev)) {
        for (int i = 0; i < N; i++) {
            for (int k = 0; k < PF_ZK_SESSIONS; k++) {
                if (w->m[i].client[k] == ev.client) {
                    struct pf_quorum_event q = {0};

                    q.type = ev.type == ZKM_SESSION ? PF_QUORUM_EV_SESSION
                             : ev.type == ZKM_REPLY ? PF_QUORUM_EV_REPLY
                                                    : PF_QUORUM_EV_WATCH;
                    if (ev.type == ZKM_SESSION) {
                        q.session = ev.session;
                    } else if (ev.type == ZKM_REPLY) {
                        q.reply = &ev.reply;
                    } else {
                        q.watch = ev.watch;
                    }
                    step(w, i, q);
                }
            }
        }
    }
}

static void deliver_mail(struct world *w)
{
    for (uint32_t n = 0; n < w->n_mail; n++) { /* what is sent meanwhile comes behind */
        struct mail *x = &w->mail[n];
        struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_MESSAGE};
        struct pf_err err = {0};

        assert_int_equal(
            pf_envelope_parse((struct pf_bytes){x->bytes, x->len}, &ev.master.message, &err), 0);
        step(w, x->to, ev);
        pf_free(x->bytes);
    }
    w->n_mail = 0;
}

static void pass(struct world *w, int64_t ms)
{
    for (int64_t end = w->now_ms + ms; w->now_ms < end;) {
        w->now_ms++;
        deliver_zk(w);
        deliver_mail(w);
        for (int i = 0; i < N; i++) {
            if (!w->m[i].is_dead && pf_quorum_deadline(w->m[i].q) <= w->now_ms) {
                step(w, i, (struct pf_quorum_event){.type = PF_QUORUM_EV_TICK});
            }
        }
    }
}

static void link_all(struct world *w, int i, bool is_up)
{
    w->m[i].is_linked = is_up;
    for (int k = 0; k < N; k++) {
        struct pf_quorum_event ev = {.type =
                                         is_up ? PF_QUORUM_EV_MASTER_UP : PF_QUORUM_EV_MASTER_DOWN};

        if (k != i && w->m[k].is_linked) {
            ev.master.instance = pf_str(w->m[i].instance);
            step(w, k, ev);
            ev.master.instance = pf_str(w->m[k].instance);
            step(w, i, ev);
        }
    }
}

static int leader(const struct world *w)
{
    int found = -1;

    for (int i = 0; i < N; i++) {
        if (w->m[i].leads) {
            assert_int_equal(found, -1);
            found = i;
        }
    }
    return found;
}

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);

    w->zk = zkm_create(
        &(struct zkm_options){.seed = 7, .n_servers = 3, .tick_ms = 500, .sync_limit_ms = 1000});
    for (int i = 0; i < N; i++) {
        struct master *m = &w->m[i];

        (void)snprintf(m->instance, sizeof m->instance, "%08d-0000-4000-8000-000000000000", i + 1);
        (void)snprintf(m->address, sizeof m->address, "m%d:5055", i);
        m->q = pf_quorum_create(&(struct pf_quorum_options){
            .elect = {.seed = (uint64_t)i + 1,
                      .instance = m->instance,
                      .place = m->instance,
                      .cluster = "",
                      .address = m->address,
                      .http_address = m->address,
                      .hostname = "h",
                      .version = "1",
                      .format_min = 1,
                      .format_max = 1},
            .log = {.seed = (uint64_t)i + 1, .format_min = 1, .format_max = 1}});
        for (int k = 0; k < PF_ZK_SESSIONS; k++) {
            m->client[k] = zkm_open(w->zk, (uint8_t)k, (uint32_t)(i + k), 6000);
        }
    }
    /* The ensemble elects first. */
    for (uint32_t i = 0; i < 3; i++) {
        zkm_server_kill(w->zk, i);
        zkm_server_start(w->zk, i);
    }
    *state = w;
    pass(w, 4000);
    for (int i = 0; i < N; i++) {
        link_all(w, i, true);
    }
    pass(w, 200);
    assert_int_not_equal(leader(w), -1);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < N; i++) {
        pf_quorum_destroy(w->m[i].q);
        pf_buf_fini(&w->m[i].rows);
        pf_buf_fini(&w->m[i].said);
    }
    for (uint32_t n = 0; n < w->n_mail; n++) {
        pf_free(w->mail[n].bytes);
    }
    zkm_destroy(w->zk);
    pf_free(w);
    return 0;
}

static void submit(struct world *w, uint64_t number, const char *key)
{
    const struct pf_row_op op = {.table = 2,
                                 .key = {(const uint8_t *)key, (uint32_t)strlen(key)},
                                 .row = {(const uint8_t *)"row", 3}};
    const struct pf_batch batch = {number, &op, 1, 16};

    step(w, leader(w), (struct pf_quorum_event){.type = PF_QUORUM_EV_SUBMIT, .submit = &batch});
}

/* What the leader stores its standbys are told, whether they hear the stream or not. */
static void test_rows_reach_the_standbys(void **state)
{
    struct world *w = *state;
    int l = leader(w), heard = (l + 1) % N, deaf = (l + 2) % N;

    submit(w, 1, "a1");
    pass(w, 300);
    assert_int_equal(w->m[l].stored, 1);
    assert_string_equal(pf_buf_cstr(&w->m[heard].rows), "+a1 ");
    assert_string_equal(pf_buf_cstr(&w->m[deaf].rows), "+a1 ");
    w->m[deaf].is_linked = false;
    submit(w, 2, "a2");
    pass(w, 1000);
    assert_int_equal(w->m[l].stored, 2);
    assert_string_equal(pf_buf_cstr(&w->m[heard].rows), "+a1 +a2 ");
    assert_string_equal(pf_buf_cstr(&w->m[deaf].rows), "+a1 +a2 ");
    assert_string_equal(pf_buf_cstr(&w->m[l].rows), "");
}

static void test_view_tells_leader_links_and_lag(void **state)
{
    struct world *w = *state;
    int l = leader(w), other = (l + 1) % N;
    struct pf_quorum_master v[PF_MASTERS_MAX];

    submit(w, 1, "a1");
    pass(w, 1500);
    for (int i = 0; i < N; i++) {
        uint32_t n = pf_quorum_view(w->m[i].q, v);

        assert_int_equal(n, N);
        for (uint32_t k = 0; k < n; k++) {
            assert_int_equal(v[k].is_self, strcmp(v[k].m->instance, w->m[i].instance) == 0);
            assert_int_equal(v[k].is_leading, strcmp(v[k].m->instance, w->m[l].instance) == 0);
            assert_true(v[k].is_linked);
            assert_true(v[k].has_lag);
            assert_int_equal(v[k].lag, 0);
            assert_int_equal(v[k].epoch, w->m[l].epoch);
        }
    }
    link_all(w, other, false);
    (void)pf_quorum_view(w->m[l].q, v);
    assert_int_equal(v[0].is_linked + v[1].is_linked + v[2].is_linked, 2);
}

static void hand_over(struct world *w, int to)
{
    int l = leader(w);
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_STEP_DOWN};

    ev.step_down.to = to >= 0 ? pf_str(w->m[to].instance) : PF_STR("");
    step(w, l, ev);
}

static void test_hand_over_freezes_drains_and_names_the_next(void **state)
{
    struct world *w = *state;
    int l = leader(w), to = (l + 2) % N;
    uint64_t epoch = w->m[l].epoch;

    hand_over(w, to);
    assert_true(pf_quorum_is_frozen(w->m[l].q));
    assert_true(pf_quorum_may_act(w->m[l].q, w->now_ms)); /* what is under way is finished */
    step(w, l, (struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED});
    assert_false(w->m[l].leads);
    assert_int_equal(leader(w), -1);
    pass(w, 300);
    assert_int_equal(leader(w), to);
    assert_true(w->m[to].epoch > epoch);
    assert_int_equal(w->m[l].n_stops, 1);
}

static void test_hand_over_that_does_not_drain_is_called_off(void **state)
{
    struct world *w = *state;
    int l = leader(w);

    hand_over(w, -1);
    assert_true(pf_quorum_is_frozen(w->m[l].q));
    pass(w, 1100);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    assert_int_equal(leader(w), l);
    assert_non_null(strstr(pf_buf_cstr(&w->m[l].said), "no hand-over: the registry did not come"));
}

static void test_hand_over_to_nobody_is_told(void **state)
{
    struct world *w = *state;
    int l = leader(w), gone = (l + 1) % N;

    link_all(w, gone, false);
    hand_over(w, gone);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    assert_non_null(strstr(pf_buf_cstr(&w->m[l].said), "that master is not linked"));
    link_all(w, (l + 2) % N, false);
    hand_over(w, -1);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    assert_non_null(strstr(pf_buf_cstr(&w->m[l].said), "no standby that could lead is linked"));
    assert_int_equal(leader(w), l);
}

/* A standby that could not lead says so, and is handed nothing: nobody would lead. */
static void test_no_hand_over_to_a_standby_in_trouble(void **state)
{
    struct world *w = *state;
    int l = leader(w), cut = (l + 1) % N, fit = (l + 2) % N;
    struct pf_quorum_master v[PF_MASTERS_MAX];

    for (int k = 0; k < PF_ZK_SESSIONS; k++) {
        zkm_client_cut(w->zk, w->m[cut].client[k], true);
    }
    for (int i = 0; i < 50 && pf_quorum_trouble(w->m[cut].q) == NULL; i++) {
        pass(w, 100);
    }
    assert_non_null(pf_quorum_trouble(w->m[cut].q));
    pass(w, 1100);
    uint32_t n = pf_quorum_view(w->m[l].q, v);

    for (uint32_t k = 0; k < n; k++) {
        bool is_cut = strcmp(v[k].m->instance, w->m[cut].instance) == 0;

        assert_int_equal(v[k].trouble[0] != '\0', is_cut);
    }
    hand_over(w, cut);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    assert_non_null(strstr(pf_buf_cstr(&w->m[l].said), "could not lead: cannot reach ZooKeeper"));
    hand_over(w, -1);
    assert_true(pf_quorum_is_frozen(w->m[l].q));
    step(w, l, (struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED});
    pass(w, 300);
    assert_int_equal(leader(w), fit);
}

static void stream(struct world *w, int to, struct pf_uuid incarnation)
{
    const struct pf_row_op op = {
        .table = 2, .key = {(const uint8_t *)"x", 1}, .row = {(const uint8_t *)"row", 3}};
    const struct pf_batch batch = {1, &op, 1, 16};
    struct pf_fb_builder node, b;
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_MESSAGE};

    pf_fb_builder_init(&node, NULL);
    pf_fb_builder_init(&b, NULL);
    struct RegistryBatch__args args = {
        .number = 1, .node = log_batch_put(&node, &(struct log_head){.number = 1}, 1, &batch)};
    const struct pf_envelope e = {.incarnation = {incarnation.b, sizeof incarnation.b},
                                  .body_type = Body_RegistryBatch};

    ev.master.instance = pf_str(w->m[leader(w)].instance);
    ev.master.message = pf_envelope_finish(&b, &e, RegistryBatch__put(&b, &args));
    step(w, to, ev);
    pf_fb_builder_fini(&node);
    pf_fb_builder_fini(&b);
}

/* A master that was restarted with another registry under our address. */
static void test_batches_of_another_registry_are_ignored(void **state)
{
    struct world *w = *state;
    int to = (leader(w) + 1) % N;
    struct pf_uuid ours = pf_quorum_incarnation(w->m[to].q), other = ours;

    other.b[3] ^= 1;
    stream(w, to, other);
    stream(w, to, (struct pf_uuid){0});
    assert_string_equal(pf_buf_cstr(&w->m[to].rows), "");
    stream(w, to, ours);
    assert_string_equal(pf_buf_cstr(&w->m[to].rows), "+x ");
}

/* One that is stopped keeps its connection. */
static void test_no_hand_over_to_a_standby_that_hangs(void **state)
{
    struct world *w = *state;
    int l = leader(w), hung = (l + 1) % N;
    struct pf_quorum_master v[PF_MASTERS_MAX];

    w->m[hung].is_dead = true;
    pass(w, 6500);
    uint32_t n = pf_quorum_view(w->m[l].q, v);

    for (uint32_t k = 0; k < n; k++) {
        bool is_hung = strcmp(v[k].m->instance, w->m[hung].instance) == 0;

        assert_int_equal(strstr(v[k].trouble, "it may hang") != NULL, is_hung);
    }
    hand_over(w, hung);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    w->m[hung].is_dead = false;
    pass(w, 1500);
    hand_over(w, hung);
    assert_true(pf_quorum_is_frozen(w->m[l].q));
}

/* A standby that sees over 10 % more agents for 10 s is handed the lead; not one that sees 10 %. */
static void test_grey_partition(void **state)
{
    struct world *w = *state;
    int l = leader(w), better = (l + 1) % N;
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_PEERS};

    ev.peers.n_agents = 10;
    step(w, l, ev);
    ev.peers.n_agents = 11;
    step(w, better, ev);
    pass(w, 15000);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    ev.peers.n_agents = 12;
    step(w, better, ev);
    pass(w, 9000);
    assert_false(pf_quorum_is_frozen(w->m[l].q));
    for (int i = 0; i < 40 && !pf_quorum_is_frozen(w->m[l].q); i++) {
        pass(w, 100);
    }
    assert_true(pf_quorum_is_frozen(w->m[l].q));
    step(w, l, (struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED});
    pass(w, 300);
    assert_int_equal(leader(w), better);
}

/* Cut off from ZooKeeper it stops before anybody else leads (step() looks at every step). */
static void test_leader_without_zookeeper_stops_in_time(void **state)
{
    struct world *w = *state;
    int l = leader(w);

    for (int k = 0; k < PF_ZK_SESSIONS; k++) {
        zkm_client_cut(w->zk, w->m[l].client[k], true);
    }
    pass(w, 4100);
    assert_false(w->m[l].leads);
    assert_int_equal(w->m[l].n_stops, 1);
    pass(w, 4000);
    assert_int_not_equal(leader(w), -1);
    assert_int_not_equal(leader(w), l);
}

static void test_dead_leader_is_replaced_by_the_fast_path(void **state)
{
    struct world *w = *state;
    int l = leader(w);

    for (int k = 0; k < PF_ZK_SESSIONS; k++) {
        zkm_abandon(w->zk, w->m[l].client[k]);
    }
    w->m[l].is_dead = true;
    w->m[l].leads = false;
    w->m[l].is_linked = false;
    for (int i = 0; i < N; i++) {
        if (i != l) {
            struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_DOWN};

            ev.master.instance = pf_str(w->m[l].instance);
            step(w, i, ev);
        }
    }
    pass(w, 1000);
    assert_int_not_equal(leader(w), -1);
    assert_int_not_equal(leader(w), l);
}

static void test_higher_epoch_of_an_agent_is_taken_over(void **state)
{
    struct world *w = *state;
    int l = leader(w);
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_EPOCH_SEEN};

    ev.epoch_seen.epoch = w->m[l].epoch + 40;
    step(w, l, ev);
    pass(w, 1000);
    l = leader(w);
    assert_int_not_equal(l, -1);
    assert_true(w->m[l].epoch > ev.epoch_seen.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_reach_the_standbys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_view_tells_leader_links_and_lag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hand_over_freezes_drains_and_names_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_hand_over_that_does_not_drain_is_called_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_hand_over_to_nobody_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_hand_over_to_a_standby_in_trouble, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batches_of_another_registry_are_ignored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_hand_over_to_a_standby_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grey_partition, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leader_without_zookeeper_stops_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_dead_leader_is_replaced_by_the_fast_path, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_higher_epoch_of_an_agent_is_taken_over, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
