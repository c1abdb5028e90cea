/* SPDX-License-Identifier: Apache-2.0 */
/* Elections before anybody leads: state tables, sessions, set-up, what is read, bad nodes. Taking
 * over is test_elect_take.c, leading test_elect_lease.c. */
#include "common/elect/elect.h"

#include "common/elect/elect_internal.h"
#include "common/elect/zk_op.h"
#include "schemas/quorum.h"
#include "tests/support/elect_world.h"
#include "tests/support/test.h"

static const char OTHER[] = "00000000-0000-4000-8000-0000000000ff";

static int setup(void **state)
{
    *state = ew_create(1);
    return 0;
}

static int teardown(void **state)
{
    ew_destroy(*state);
    return 0;
}

static const char *trouble(struct ew_world *w, uint32_t i)
{
    const char *t = pf_elect_trouble(w->m[i].e);

    return t != NULL ? t : "";
}

#define ASSERT_TROUBLE(w, i, text) assert_non_null(strstr(trouble(w, i), text))
#define ASSERT_WELL(w, i)          assert_string_equal(trouble(w, i), "")

/* --- tables ----------------------------------------------------------------------------------- */

/* Every edge, "from>to"; a test below or beside goes along each. */
static const char *const edges[TABLE_COUNT] = {
    [TABLE_SESSION] = "connecting>connected connecting>expired connecting>auth_failed "
                      "connected>connecting connected>expired connected>auth_failed "
                      "expired>connecting expired>connected expired>auth_failed "
                      "auth_failed>connecting auth_failed>connected auth_failed>expired ",
    [TABLE_SETUP] = "away>tree tree>rights tree>wait tree>away rights>epoch rights>wait "
                    "rights>away epoch>make epoch>done epoch>wait epoch>away make>epoch "
                    "make>wait make>away wait>tree wait>away done>wait ",
    [TABLE_PLACE] = "absent>creating creating>standing creating>looking creating>absent "
                    "looking>standing looking>dropping looking>absent dropping>absent "
                    "standing>absent ",
    [TABLE_ROLE] = "standby>taking taking>leading taking>resolving taking>standby "
                   "resolving>leading resolving>standby leading>standby leading>resigned "
                   "resigned>standby ",
    [TABLE_PROBE] = "idle>asking asking>pause asking>idle pause>asking pause>idle ",
};

struct pair {
    const struct pf_sm_table *table;
    uint32_t from, to;
};

static void move_pair(void *ctx)
{
    const struct pair *p = ctx;
    struct pf_sm sm = {p->table, p->from};

    pf_sm_move(&sm, p->to, "x", "test", NULL);
}

static void test_every_other_edge_aborts(void **state)
{
    (void)state;
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        const struct pf_sm_table *table = &elect_tables[t];

        for (uint32_t k = 0; k < table->n_states * table->n_states; k++) {
            struct pair p = {table, k / table->n_states, k % table->n_states};
            char text[64];

            (void)snprintf(text, sizeof text, "%s>%s ", table->states[p.from].name,
                           table->states[p.to].name);
            const char *at = strstr(edges[t], text);

            if (at != NULL && (at == edges[t] || at[-1] == ' ')) {
                move_pair(&p);
            } else {
                assert_true(test_aborts(move_pair, &p));
            }
        }
    }
}

/* --- sessions --------------------------------------------------------------------------------- */

static void session_is(struct ew_world *w, enum pf_zk_state state, const char *why)
{
    struct pf_elect_event ev = {.type = PF_ELECT_SESSION};

    ev.session.state = state;
    ev.session.why = pf_str(why);
    ew_step(w, 0, ev);
}

/* An outage is said once, but not instead of its reason, nor of a refusal. */
static void test_reasons_of_an_outage_are_said(void **state)
{
    struct ew_world *w = *state;

    session_is(w, PF_ZK_CONNECTING, "");
    session_is(w, PF_ZK_CONNECTING, "no answer");
    session_is(w, PF_ZK_CONNECTING, "something else");
    session_is(w, PF_ZK_AUTH_FAILED, "wrong password");
    assert_true(ew_said(w, 0, "cannot reach ZooKeeper (connecting): no answer"));
    assert_false(ew_said(w, 0, "something else"));
    assert_true(ew_said(w, 0, "ZooKeeper refuses our user or password: wrong password"));
}

static void test_sessions_go_along_every_edge(void **state)
{
    struct ew_world *w = *state;
    static const enum pf_zk_state walk[] = {
        PF_ZK_EXPIRED,    PF_ZK_CONNECTING, PF_ZK_AUTH_FAILED, PF_ZK_CONNECTING, PF_ZK_CONNECTED,
        PF_ZK_CONNECTING, PF_ZK_CONNECTED,  PF_ZK_EXPIRED,     PF_ZK_CONNECTED,  PF_ZK_AUTH_FAILED,
        PF_ZK_CONNECTED,  PF_ZK_EXPIRED,    PF_ZK_AUTH_FAILED, PF_ZK_EXPIRED,
    };

    for (uint32_t i = 0; i < PF_ARRAY_LEN(walk); i++) {
        struct pf_elect_event ev = {.type = PF_ELECT_SESSION};

        ev.session.session = 1;
        ev.session.state = walk[i];
        ev.session.session_id = walk[i] == PF_ZK_CONNECTED ? 7 + i : 0;
        ev.session.timeout_ms = 6000;
        ew_step(w, 0, ev);
        ew_step(w, 0, ev); /* said twice is said once */
    }
    for (const char *at = edges[TABLE_SESSION]; *at != '\0'; at = strchr(at, ' ') + 1) {
        char text[64];
        int n = (int)(strchr(at, '>') - at), m = (int)(strchr(at, ' ') - at) - n - 1;

        (void)snprintf(text, sizeof text, "zk_session %.*s->%.*s", n, at, m, at + n + 1);
        if (!ew_traced(w, 0, text)) {
            fail_msg("%s", text);
        }
    }
}

static void test_absent_zookeeper_is_told_once(void **state)
{
    struct ew_world *w = *state;

    ASSERT_TROUBLE(w, 0, "cannot reach ZooKeeper (connecting)");
    ew_advance(w, 60000);
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_TICK});
    assert_true(ew_said(w, 0, "cannot reach ZooKeeper"));
    assert_null(strchr(strchr(w->m[0].said, '\n') + 1, '\n'));
    ew_start(w);
    ASSERT_WELL(w, 0);
    assert_true(ew_said(w, 0, "reached again"));
}

static void test_refused_password_is_told(void **state)
{
    struct ew_world *w = *state;

    ew_auth_failed(w, 0, 0);
    ASSERT_TROUBLE(w, 0, "refuses our user or password: as the test wants");
    ew_start(w);
    ASSERT_WELL(w, 0);
}

/* --- set-up ----------------------------------------------------------------------------------- */

static void test_one_master_makes_all_and_leads(void **state)
{
    struct ew_world *w = *state;
    const struct pf_elect_master *m;

    ew_start(w);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(pf_elect_epoch_version(w->m[0].e), 1);
    assert_int_equal(pf_elect_session(w->m[0].e), 0);
    assert_false(pf_uuid_is_nil(pf_elect_incarnation(w->m[0].e)));
    assert_string_equal(pf_elect_leader(w->m[0].e), w->m[0].instance);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), 1);
    assert_string_equal(m->instance, w->m[0].instance);
    assert_string_equal(m->address, "10.0.0.1:5050");
    assert_string_equal(m->hostname, "host");
    assert_int_equal(m->format_max, 2);
    assert_int_equal(ew_node(w, "/leader")->owner, w->m[0].session[0].id);
    assert_int_equal(w->n_nodes, 6); /* /registry, its head, /masters, ours, /epoch, /leader */
}

static void test_the_spare_session_does_when_the_main_is_away(void **state)
{
    struct ew_world *w = *state;

    ew_connect(w, 0, 1);
    ew_applied(w, 0, true, 0, 0);
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_session(w->m[0].e), 1);
}

/* A set-up is cut off at its n-th request, for every n, with and without the request done. */
static void test_setup_survives_a_loss_at_each_step(void **state)
{
    static const char *const edge[] = {"tree->away",  "rights->away", "rights->away", "epoch->away",
                                       "epoch->away", "epoch->away",  "make->away"};

    (void)state;
    for (uint32_t n = 0; n < 2 * PF_ARRAY_LEN(edge); n++) {
        struct ew_world *w = ew_create(1);
        char text[64];

        ew_connect(w, 0, 0);
        for (uint32_t k = 0; k < n / 2; k++) {
            assert_true(ew_carry_out(w, 0, 0) && ew_deliver(w, 0, 0));
        }
        ew_drop(w, 0, 0, n % 2 == 1);
        (void)snprintf(text, sizeof text, "elect_setup %s", edge[n / 2]);
        assert_true(ew_traced(w, 0, text));
        ew_start(w);
        assert_int_equal(ew_leader(w), 0);
        assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
        ew_destroy(w);
    }
}

static void check_right(const char *path, enum pf_zk_op_type op, const char *text, const char *edge)
{
    struct ew_world *w = ew_create(1);

    (void)snprintf(w->no_auth, sizeof w->no_auth, "%s", path);
    w->no_auth_op = op;
    ew_start(w);
    ASSERT_TROUBLE(w, 0, text);
    /* Who cannot list the masters may lead all the same. */
    assert_int_equal(ew_leader(w), op == PF_ZK_CHILDREN ? 0 : -1);
    assert_true(ew_traced(w, 0, edge));
    uint32_t asked = w->m[0].n_requests;

    ew_advance(w, 999);
    assert_int_equal(w->m[0].n_requests, asked);
    ew_advance(w, 60000); /* after 1, 2, 4, 8, 16, 30 s */
    assert_in_range(w->m[0].n_requests, asked + 1, asked + 120);
    ASSERT_TROUBLE(w, 0, text);
    w->no_auth[0] = '\0';
    ew_advance(w, 30000);
    assert_true(ew_traced(w, 0, "elect_setup wait->tree"));
    ASSERT_WELL(w, 0);
    assert_int_equal(ew_leader(w), 0);
    ew_destroy(w);
}

static void test_missing_rights_are_named(void **state)
{
    (void)state;
    check_right("/.rights", PF_ZK_CREATE, "no right to create nodes below the cluster's path",
                "elect_setup rights->wait");
    check_right("/.rights", PF_ZK_SET, "no right to change nodes below the cluster's path",
                "elect_setup rights->wait");
    check_right("/masters/.rights", PF_ZK_DELETE, "no right to delete nodes below /masters",
                "elect_setup rights->wait");
    check_right("/masters", PF_ZK_CREATE, "no right to create nodes below",
                "elect_setup tree->wait");
    check_right("/epoch", PF_ZK_CREATE, "no right to create nodes below", "elect_setup make->wait");
    check_right("/epoch", PF_ZK_GET, "cannot read /epoch", "elect_setup epoch->wait");
    check_right("/leader", PF_ZK_GET, "cannot read /leader", "elect_setup done->wait");
    check_right("/masters", PF_ZK_CHILDREN, "cannot read /masters", "elect_setup done->wait");
}

static void test_a_loss_while_waiting_begins_anew(void **state)
{
    struct ew_world *w = *state;

    (void)snprintf(w->no_auth, sizeof w->no_auth, "/masters");
    ew_start(w);
    ew_drop(w, 0, 0, false);
    assert_true(ew_traced(w, 0, "elect_setup wait->away"));
    w->no_auth[0] = '\0';
    ew_connect(w, 0, 0);
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
}

static void test_losers_of_the_first_race_read_the_fence(void **state)
{
    struct ew_world *w = ew_create(3);

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        ew_connect(w, i, 0);
        ew_applied(w, i, true, 0, 0);
    }
    ew_run(w);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(pf_uuid_eq(pf_elect_incarnation(w->m[i].e), pf_elect_incarnation(w->m[0].e)));
        assert_int_equal(pf_elect_epoch(w->m[i].e), 1);
        assert_string_equal(pf_elect_leader(w->m[i].e), w->m[ew_leader(w)].instance);
    }
    ew_destroy(w);
}

/* --- /epoch ----------------------------------------------------------------------------------- */

static void test_a_malformed_epoch_is_refused_and_survived(void **state)
{
    struct ew_world *w = *state;
    static const char *const bad[] = {"", "x", "\x08\0\0\0garbage garbage garbage", "{\"json\":1}"};

    ew_put(w, "/epoch", "", 0, 0);
    ew_start(w);
    for (uint32_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        ew_set(w, "/epoch", bad[i], i == 2 ? 24 : (uint32_t)strlen(bad[i]));
        ew_advance(w, 31000);
        ASSERT_TROUBLE(w, 0, "/epoch in ZooKeeper is none of ours");
        assert_int_equal(ew_leader(w), -1);
    }
    ew_put_epoch(w, 0, 5, "c");
    ew_advance(w, 31000);
    ASSERT_TROUBLE(w, 0, "incarnation is no uuid");
    ew_put_epoch(w, 1, UINT64_MAX, "c");
    ew_advance(w, 31000);
    ASSERT_TROUBLE(w, 0, "out of range");
    ew_put_epoch(w, 1, 5, "a\nb");
    ew_advance(w, 31000);
    ASSERT_TROUBLE(w, 0, "cluster name");
    ew_put_epoch(w, 1, 5, "c");
    ew_advance(w, 31000);
    ASSERT_WELL(w, 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 6);
}

static void test_two_clusters_on_one_path(void **state)
{
    struct ew_world *w = *state;

    ew_put_epoch(w, 1, 5, "another");
    ew_start(w);
    ASSERT_TROUBLE(w, 0, "two clusters on one path in ZooKeeper: /epoch is of cluster another");
    assert_int_equal(ew_leader(w), -1);
    assert_null(ew_node(w, "/leader"));
}

static void test_a_cluster_without_a_name_gets_ours(void **state)
{
    struct ew_world *w = *state;
    struct elect_epoch_node n;

    ew_put_epoch(w, 1, 5, "");
    ew_start(w);
    assert_int_equal(ew_leader(w), 0);
    const struct ew_node *node = ew_node(w, "/epoch");

    assert_null(elect_epoch_parse((struct pf_bytes){node->data, node->len}, &n));
    assert_string_equal(n.cluster, "c");
}

static void test_a_wiped_zookeeper_is_not_obeyed(void **state)
{
    struct ew_world *w = *state;

    ew_start(w);
    struct ew_node epoch = *ew_node(w, "/epoch");

    while (w->n_nodes > 0) {
        ew_delete(w, w->node[0].path);
    }
    ew_run(w);
    assert_int_equal(ew_leader(w), -1);
    ASSERT_TROUBLE(w, 0, "the registry in ZooKeeper is gone");
    ew_advance(w, 120000);
    assert_int_equal(w->n_nodes, 0); /* nothing is made anew */
    ASSERT_TROUBLE(w, 0, "restore it, or restart all masters to begin anew");
    assert_string_equal(pf_elect_leader(w->m[0].e), "");
    ew_put(w, "/registry", "", 0, 0);
    ew_put(w, "/registry/head", "", 0, 0);
    ew_put(w, "/epoch", epoch.data, epoch.len, 0);
    ew_advance(w, 31000);
    ASSERT_WELL(w, 0);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

static void test_another_or_older_registry_is_not_obeyed(void **state)
{
    struct ew_world *w = *state;

    ew_put_epoch(w, 1, 5, "c");
    ew_start(w);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 6);
    ew_put_epoch(w, 2, 9, "c");
    ew_run(w);
    assert_int_equal(ew_leader(w), -1);
    ASSERT_TROUBLE(w, 0, "is another one (/epoch has incarnation 02000000-");
    assert_int_equal(pf_elect_epoch(w->m[0].e), 6);
    ew_put_epoch(w, 1, 3, "c");
    ew_run(w);
    ASSERT_TROUBLE(w, 0, "is an older one (/epoch is 3, we know 6)");
    ew_put_epoch(w, 1, 7, "c");
    ew_advance(w, 31000);
    ASSERT_WELL(w, 0);
    assert_false(strcmp(pf_elect_leader(w->m[0].e), OTHER) == 0);
}

static void put_exported(struct ew_world *w, uint64_t epoch, const char *exported_to)
{
    struct pf_fb_builder b;
    uint8_t uuid[16] = {1};
    struct ZkEpoch__args a = {.incarnation = {uuid, sizeof uuid},
                              .epoch = epoch,
                              .cluster = PF_STR("c"),
                              .exported_to = pf_str(exported_to)};

    pf_fb_builder_init(&b, NULL);
    struct pf_bytes node = pf_msg_bytes(ZkEpoch__finish(&b, ZkEpoch__put(&b, &a)));

    if (ew_node(w, "/epoch") != NULL) {
        ew_set(w, "/epoch", node.at, node.len);
    } else {
        ew_put(w, "/epoch", node.at, node.len, 0);
    }
    pf_fb_builder_fini(&b);
}

/* An exported registry is led by nobody here, whether it was known or not, until it comes back. */
static void test_an_exported_registry_is_not_led(void **state)
{
    struct ew_world *w = *state;
    char path[200];

    put_exported(w, 5, "host1:/var/lib/proffer/master");
    ew_start(w);
    ASSERT_TROUBLE(w, 0, "the registry left ZooKeeper for host1:/var/lib/proffer/master: start");
    ASSERT_TROUBLE(w, 0, "--import-registry");
    ew_advance(w, 120000);
    assert_int_equal(ew_leader(w), -1);
    assert_null(ew_node(w, "/leader"));
    put_exported(w, 6, "");
    ew_advance(w, 31000);
    ASSERT_WELL(w, 0);
    assert_int_equal(ew_leader(w), 0);
    put_exported(w, 8, "host2:/x");
    ew_advance(w, 31000);
    assert_int_equal(ew_leader(w), -1);
    ASSERT_TROUBLE(w, 0, "for host2:/x: start");
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    put_exported(w, 9, path); /* cut, but not forgotten */
    ew_advance(w, 31000);
    ASSERT_TROUBLE(w, 0, "the registry left ZooKeeper for ppp");
    put_exported(w, 9, "a\nb");
    ew_advance(w, 31000);
    ASSERT_TROUBLE(w, 0, "not printable");
    assert_int_equal(ew_leader(w), -1);
}

/* --- /leader and /masters --------------------------------------------------------------------- */

static void test_a_foreign_leader_node_is_told_and_left_alone(void **state)
{
    struct ew_world *w = *state;

    ew_put(w, "/leader", "what", 4, 0);
    ew_start(w);
    ASSERT_TROUBLE(w, 0, "/leader in ZooKeeper is none of ours: it is not in our format");
    assert_int_equal(ew_leader(w), -1);
    ew_put_leader(w, OTHER, "", 0, 0);
    ew_run(w);
    ASSERT_TROUBLE(w, 0, "no session holds it");
    ew_put_leader(w, "me", "", 0, 1);
    ew_run(w);
    ASSERT_TROUBLE(w, 0, "its instance is no uuid");
    ew_put_leader(w, OTHER, "no place", 0, 1);
    ew_run(w);
    ASSERT_TROUBLE(w, 0, "its place is no uuid");
    assert_string_equal(pf_elect_leader(w->m[0].e), "");
    ew_put_leader(w, OTHER, "", 0, 1);
    ew_run(w);
    ASSERT_WELL(w, 0);
    assert_string_equal(pf_elect_leader(w->m[0].e), OTHER);
    ew_delete(w, "/leader");
    ew_advance(w, 1000);
    assert_int_equal(ew_leader(w), 0);
}

static void test_bad_master_nodes_are_ignored_and_told_once(void **state)
{
    struct ew_world *w = *state;
    const struct pf_elect_master *m;
    char path[96];

    ew_start(w);
    (void)snprintf(path, sizeof path, "/masters/%s", OTHER);
    ew_put(w, path, "what", 4, 1);
    ew_put(w, "/masters/somebody", "", 0, 0);
    ew_put(w, "/masters/.rights-x", "", 0, 0);
    ew_run(w);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), 1);
    assert_true(ew_said(w, 0, "0000000000ff in ZooKeeper is ignored: it is not in our format"));
    assert_true(ew_said(w, 0, "/masters/somebody in ZooKeeper is ignored"));
    w->m[0].said[0] = '\0';
    ew_set(w, path, "what else", 9);
    ew_put(w, "/masters/.rights-y", "", 0, 0);
    ew_run(w);
    assert_string_equal(w->m[0].said, "");
    ew_put_master(w, OTHER, "", 0);
    ew_run(w);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), 2);
    assert_string_equal(m[1].instance, OTHER);
    uint64_t view = pf_elect_view_number(w->m[0].e);

    ew_delete(w, path);
    ew_run(w);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), 1);
    assert_true(pf_elect_view_number(w->m[0].e) > view);
}

static void test_more_masters_than_fit_are_ignored(void **state)
{
    struct ew_world *w = *state;
    const struct pf_elect_master *m;

    ew_start(w);
    for (uint32_t i = 0; i < PF_MASTERS_MAX + 3; i++) {
        char instance[PF_UUID_TEXT_LEN + 1];

        (void)snprintf(instance, sizeof instance, "00000000-0000-4000-8000-%012u", 500 - i);
        ew_put_master(w, instance, "", 0);
    }
    ew_run(w);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), PF_MASTERS_MAX);
    assert_true(ew_said(w, 0, "more than 16 entries"));
}

static void test_a_hung_server_does_not_stop_reading(void **state)
{
    struct ew_world *w = *state;

    ew_start(w);
    ew_put_leader(w, OTHER, "", 9, 1); /* not seen yet: the main session hangs */
    w->m[0].session[0].is_hung = true;
    ew_step(w, 0,
            (struct pf_elect_event){.type = PF_ELECT_WATCH,
                                    .watch = {1, PF_ZK_NODE_CHANGED, PF_STR("/leader")}});
    ew_advance(w, PF_ELECT_HEDGE_MS + 1);
    assert_string_equal(pf_elect_leader(w->m[0].e), OTHER);
}

/* --- our own place ---------------------------------------------------------------------------- */

static struct ew_node *own(struct ew_world *w)
{
    static char path[96];

    (void)snprintf(path, sizeof path, "/masters/%s", w->m[0].instance);
    return ew_node(w, path);
}

static void test_the_place_is_taken_again_after_expiry(void **state)
{
    struct ew_world *w = *state;

    ew_start(w);
    ew_expire(w, 0, 0);
    assert_true(ew_traced(w, 0, "elect_place standing->absent"));
    ew_connect(w, 0, 0);
    ew_run(w);
    assert_int_equal(
        own(w)->owner == w->m[0].session[0].id || own(w)->owner == w->m[0].session[1].id, 1);
    ew_delete(w, own(w)->path);
    ew_run(w);
    assert_non_null(own(w)); /* somebody deleted it */
}

static void run_until_creating(struct ew_world *w)
{
    ew_connect(w, 0, 0);
    while (!ew_traced(w, 0, "elect_place absent->creating")) {
        assert_true(ew_carry_out(w, 0, 0) || ew_deliver(w, 0, 0));
    }
}

static void test_a_place_of_unknown_outcome_is_ours(void **state)
{
    struct ew_world *w = *state;

    run_until_creating(w);
    ew_drop(w, 0, 0, true);
    assert_true(ew_traced(w, 0, "elect_place creating->absent"));
    ew_start(w);
    assert_true(ew_traced(w, 0, "elect_place creating->looking"));
    assert_true(ew_traced(w, 0, "elect_place looking->standing"));
    assert_int_equal(own(w)->owner, w->m[0].session[0].id);
}

static void test_a_place_of_an_ended_session_is_dropped(void **state)
{
    struct ew_world *w = *state;

    ew_put(w, "/masters", "", 0, 0);
    ew_put_master(w, w->m[0].instance, "", 0);
    ew_start(w);
    assert_true(ew_traced(w, 0, "elect_place looking->dropping"));
    assert_true(ew_traced(w, 0, "elect_place dropping->absent"));
    assert_int_equal(own(w)->owner, w->m[0].session[0].id);
}

static void test_a_place_that_goes_meanwhile_is_made(void **state)
{
    struct ew_world *w = *state;

    ew_put(w, "/masters", "", 0, 0);
    ew_put_master(w, w->m[0].instance, "", 0);
    run_until_creating(w);
    while (!ew_traced(w, 0, "elect_place creating->looking")) {
        assert_true(ew_carry_out(w, 0, 0) || ew_deliver(w, 0, 0));
    }
    ew_delete(w, own(w)->path);
    ew_start(w);
    ew_advance(w, 2000);
    assert_true(ew_traced(w, 0, "elect_place looking->absent"));
    assert_int_equal(own(w)->owner, w->m[0].session[0].id);
}

static void test_the_node_of_our_former_self_is_deleted(void **state)
{
    struct ew_world *w = *state;
    char path[96];

    ew_put(w, "/masters", "", 0, 0);
    ew_put_master(w, OTHER, "00000000-0000-4000-8000-0000000000a0", 0);
    (void)snprintf(path, sizeof path, "/masters/%s", OTHER);
    ew_start(w);
    assert_null(ew_node(w, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_other_edge_aborts),
        cmocka_unit_test_setup_teardown(test_sessions_go_along_every_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reasons_of_an_outage_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_zookeeper_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_password_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_master_makes_all_and_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_spare_session_does_when_the_main_is_away, setup,
                                        teardown),
        cmocka_unit_test(test_setup_survives_a_loss_at_each_step),
        cmocka_unit_test(test_missing_rights_are_named),
        cmocka_unit_test_setup_teardown(test_a_loss_while_waiting_begins_anew, setup, teardown),
        cmocka_unit_test(test_losers_of_the_first_race_read_the_fence),
        cmocka_unit_test_setup_teardown(test_a_malformed_epoch_is_refused_and_survived, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_two_clusters_on_one_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cluster_without_a_name_gets_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wiped_zookeeper_is_not_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_or_older_registry_is_not_obeyed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_exported_registry_is_not_led, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_foreign_leader_node_is_told_and_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bad_master_nodes_are_ignored_and_told_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_more_masters_than_fit_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hung_server_does_not_stop_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_place_is_taken_again_after_expiry, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_place_of_unknown_outcome_is_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_place_of_an_ended_session_is_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_place_that_goes_meanwhile_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_node_of_our_former_self_is_deleted, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
