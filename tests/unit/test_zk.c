/* SPDX-License-Identifier: Apache-2.0 */
/* The client against real ZooKeeper servers: what only it can show. What every ZooKeeper does,
 * modelled or real, stands in test_zk_conformance.c. */
#include "common/zk/client.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "common/net/resolve.h"
#include "common/zk/url.h"
#include "tests/support/net.h"
#include "tests/support/zk_rec.h"
#include "tests/support/zk_server.h"

#define SESSION_MS 1000

static struct zks *ensemble; /* of the group */
static uint32_t n_names;     /* each test works under a path of its own */

struct client {
    struct pf_loop *loop;
    struct pf_zk *zk;
    struct zk_rec rec;
};

static const struct pf_zk_ops ops = {zk_rec_session, zk_rec_reply, zk_rec_watch};

static void client_open_url(struct client *c, const char *url, bool has_spare)
{
    *c = (struct client){0};
    struct pf_zk_options options = {
        .url = url, .session_ms = SESSION_MS, .has_spare = has_spare, .seed = 1};
    assert_int_equal(pf_loop_create(&c->loop, NULL), 0);
    assert_int_equal(pf_zk_create(c->loop, &options, &ops, &c->rec, &c->zk, NULL), 0);
}

static void client_open(struct client *c, const char *path)
{
    char url[256];
    (void)snprintf(url, sizeof url, "zk://%s%s", zks_hosts(ensemble), path);
    client_open_url(c, url, false);
    test_turn_until(c->loop, zk_rec_is_connected(&c->rec, 0));
}

static void client_close(struct client *c)
{
    pf_zk_destroy(c->zk);
    pf_loop_destroy(c->loop);
    zk_rec_fini(&c->rec);
}

static void client_abandon(struct client *c)
{
    pf_zk_abandon(c->zk);
    c->zk = NULL;
    client_close(c);
}

static struct pf_zk_op op(enum pf_zk_op_type type, const char *path, const char *data)
{
    return (struct pf_zk_op){.type = type,
                             .path = pf_str(path),
                             .data = {(const uint8_t *)data, data ? (uint32_t)strlen(data) : 0},
                             .version = -1};
}

static void submit(struct client *c, uint64_t id, uint8_t session, struct pf_zk_op o)
{
    struct pf_zk_request q = {.id = id, .session = session, .n_ops = 1, .op = &o};
    pf_zk_submit(c->zk, &q);
}

static const struct zk_rec_event *answer(struct client *c, uint64_t id)
{
    test_turn_until(c->loop, zk_rec_find_reply(&c->rec, id) >= 0);
    return &c->rec.at[zk_rec_find_reply(&c->rec, id)];
}

static enum pf_zk_code ask(struct client *c, uint64_t id, struct pf_zk_op o)
{
    submit(c, id, 0, o);
    return answer(c, id)->code;
}

static const char *fresh_path(void)
{
    static char path[32];
    (void)snprintf(path, sizeof path, "/t/%u", n_names++);
    return path;
}

/* --- URLs ------------------------------------------------------------------------------------ */

static void test_zk_url_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "zk",
        "http://a:1/p",
        "zk://",
        "zk:///p",
        "zk://a:1",
        "zk://a:1/",
        "zk://a:1/p/",
        "zk://a:1//p",
        "zk://a:1/p//q",
        "zk://a:1/./p",
        "zk://a:1/..",
        "zk://a:1/p q",
        "zk://a:1/p\x01",
        "zk://a:1/p\xc3\xa4",
        "zk://a:1,/p",
        "zk://,a:1/p",
        "zk://a:1,,b:1/p",
        "zk://a:1,a:1/p",
        "zk://a:0/p",
        "zk://a:x/p",
        "zk://a:99999/p",
        "zk://a b:1/p",
        "zk://::1:2181/p",
        "zk://@a:1/p",
        "zk://u@a:1/p",
        "zk://:p@a:1/p",
        "zk://u:@a:1/p",
        "zk://u:p q@a:1/p",
        "zk://u:p/q@a:1/p",
        "zk://a:1/zookeeper",
        "zk://a:1/zookeeper/p",
        "zk://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/p",
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        struct pf_err err = {0};
        assert_int_equal(pf_zk_url_check(bad[i], &err), PF_EINVAL);
        assert_true(err.msg[0] != '\0');
    }
    static const char *const good[] = {
        "zk://a/p",           "zk://a:1,b:2,[::1]:3/p/q",       "zk://u:p@a:1/p",
        "zk://u:p@q:r@a:1/p", "zk://localhost:2181/zookeeper2",
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(good); i++) {
        assert_int_equal(pf_zk_url_check(good[i], NULL), 0);
    }
}

static void test_zk_url_errors_hide_the_password(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "zk://u:secret/x@a:1/p", "zk://u:secret@/p",   "zk://u:secret@a:1",  "zk://u:secret@a:x/p",
        "zk://:secret@a:1/p",    "zk://u:sec ret@a/p", "zk://u:secret@a:1/",
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        struct pf_err err = {0};
        assert_int_equal(pf_zk_url_check(bad[i], &err), PF_EINVAL);
        assert_null(strstr(err.msg, "sec"));
    }
}

static void test_zk_url_parts(void **state)
{
    (void)state;
    struct pf_zk_url u;
    assert_int_equal(pf_zk_url_parse("zk://tom:a@b@h1,[::1]:77/p/q", &u, NULL), 0);
    assert_string_equal(u.auth, "tom:a@b");
    assert_int_equal(u.n_hosts, 2);
    assert_string_equal(u.host[0].host, "h1");
    assert_int_equal(u.host[0].port, 2181);
    assert_string_equal(u.host[1].host, "::1");
    assert_int_equal(u.host[1].port, 77);
    assert_string_equal(u.path, "/p/q");
    pf_zk_url_fini(&u);
}

static void note_resolved(void *ctx, const struct pf_hostport *at, uint32_t n, const char *why)
{
    char *out = ctx;
    (void)snprintf(out, 64, "%u %.40s %u%.10s", n, n > 0 ? at[0].host : "", n > 0 ? at[0].port : 0,
                   why);
}

static void test_zk_resolve_numeric_names_need_no_server(void **state)
{
    (void)state;
    struct pf_loop *loop;
    char a[64] = "", b[64] = "", c[64] = "";
    assert_int_equal(pf_loop_create(&loop, NULL), 0);
    struct pf_hostport v4 = {"localhost", 7}, v6 = {"::1", 8};
    assert_non_null(pf_resolve_start(loop, &v4, note_resolved, a));
    assert_non_null(pf_resolve_start(loop, &v6, note_resolved, b));
    pf_resolve_cancel(pf_resolve_start(loop, &v6, note_resolved, c));
    assert_string_equal(a, ""); /* never inside the call */
    assert_int_equal(pf_loop_turn(loop, false, NULL), 0);
    assert_string_equal(a, "1 127.0.0.1 7");
    assert_string_equal(b, "1 ::1 8");
    assert_string_equal(c, "");
    pf_loop_destroy(loop);
}

/* Whatever bytes come: an answer, and no harm. */
static void test_zk_url_takes_any_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = "zk:/@,[].a1 \x7f\xff%";
    struct pf_rng dice;
    uint32_t n_good = 0;
    pf_rng_seed(&dice, 7);
    for (int i = 0; i < 20000; i++) {
        char text[64] = "zk://";
        size_t n = pf_rng_below(&dice, 5) != 0 ? 5 : 0;
        size_t end = n + pf_rng_below(&dice, 24);
        while (n < end) {
            text[n++] = alphabet[pf_rng_below(&dice, sizeof alphabet - 1)];
        }
        text[n] = '\0';
        struct pf_err err = {0};
        int rc = pf_zk_url_check(text, &err);
        assert_true(rc == 0 || (rc == PF_EINVAL && err.msg[0] != '\0'));
        n_good += rc == 0;
    }
    assert_true(n_good > 0);
}

/* --- one server ------------------------------------------------------------------------------ */

static void test_zk_connects_and_makes_the_prefix(void **state)
{
    (void)state;
    struct client c;
    client_open(&c, "/deep/er/and/deeper");
    assert_int_equal(c.rec.n, 1);
    assert_true(c.rec.session_id[0] != 0);
    assert_int_equal(c.rec.at[0].timeout_ms, SESSION_MS);
    assert_string_equal(pf_zk_server(c.zk, 0), zks_address(ensemble, 0));
    assert_string_equal(pf_zk_server(c.zk, 1), "");
    assert_int_equal(ask(&c, 1, op(PF_ZK_CREATE, "/a", "1")), PF_ZK_OK);
    assert_int_equal(ask(&c, 2, op(PF_ZK_CHILDREN, "", NULL)), PF_ZK_OK);
    assert_string_equal(answer(&c, 2)->text, "a"); /* the probe left nothing */
    client_close(&c);
    client_open(&c, "/deep/er/and/deeper"); /* it is there already */
    assert_int_equal(ask(&c, 1, op(PF_ZK_GET, "/a", NULL)), PF_ZK_OK);
    assert_string_equal(answer(&c, 1)->text, "1");
    client_close(&c);
}

static void test_zk_refuses_what_is_too_large_in_its_turn(void **state)
{
    (void)state;
    struct client c;
    client_open(&c, fresh_path());
    uint8_t *big = pf_alloc(2u << 20);
    struct pf_zk_op set = op(PF_ZK_CREATE, "/big", NULL);
    set.data = (struct pf_bytes){big, 2u << 20};
    submit(&c, 1, 0, op(PF_ZK_CREATE, "/a", "1"));
    submit(&c, 2, 0, set);
    submit(&c, 3, 0, op(PF_ZK_CREATE, "no-slash", ""));
    submit(&c, 4, 0, op(PF_ZK_EXISTS, "/big", NULL));
    assert_int_equal(answer(&c, 4)->code, PF_ZK_NO_NODE);
    assert_int_equal(answer(&c, 2)->code, PF_ZK_FAILED);
    for (int id = 1; id < 4; id++) {
        assert_true(zk_rec_find_reply(&c.rec, (uint64_t)id) <
                    zk_rec_find_reply(&c.rec, (uint64_t)id + 1));
    }
    assert_true(zk_rec_is_connected(&c.rec, 0));
    pf_free(big);
    client_close(&c);
}

static void test_zk_ephemeral_goes_with_goodbye_and_after_a_crash(void **state)
{
    (void)state;
    struct client a, b, watcher;
    const char *path = fresh_path();
    client_open(&a, path);
    client_open(&b, path);
    client_open(&watcher, path);
    struct pf_zk_op node = op(PF_ZK_CREATE, "/said", "");
    node.is_ephemeral = true;
    assert_int_equal(ask(&a, 1, node), PF_ZK_OK);
    node.path = pf_str("/crashed");
    assert_int_equal(ask(&b, 1, node), PF_ZK_OK);
    struct pf_zk_op look = op(PF_ZK_EXISTS, "/said", NULL);
    look.watch = true;
    assert_int_equal(ask(&watcher, 1, look), PF_ZK_OK);
    assert_true(answer(&watcher, 1)->stat.ephemeral_owner == a.rec.session_id[0]);
    look.path = pf_str("/crashed");
    assert_int_equal(ask(&watcher, 2, look), PF_ZK_OK);
    client_close(&a);
    int64_t began_ms = pf_now_ms();
    client_abandon(&b);
    test_turn_until(watcher.loop,
                    zk_rec_find_watch(&watcher.rec, PF_ZK_NODE_DELETED, "/said") >= 0);
    test_turn_until(watcher.loop,
                    zk_rec_find_watch(&watcher.rec, PF_ZK_NODE_DELETED, "/crashed") >= 0);
    assert_true(pf_now_ms() - began_ms >= SESSION_MS / 2); /* not by a goodbye */
    client_close(&watcher);
}

static void test_zk_expired_session_is_told_and_replaced(void **state)
{
    (void)state;
    struct client c, other;
    const char *path = fresh_path();
    client_open(&c, path);
    client_open(&other, path);
    struct pf_zk_op node = op(PF_ZK_CREATE, "/mine", "");
    node.is_ephemeral = true;
    assert_int_equal(ask(&c, 1, node), PF_ZK_OK);
    uint64_t old_id = c.rec.session_id[0];
    struct pf_zk_op look = op(PF_ZK_EXISTS, "/mine", NULL);
    look.watch = true;
    assert_int_equal(ask(&other, 1, look), PF_ZK_OK);
    /* the loop of `c` stands still until its session is gone */
    test_turn_until(other.loop, zk_rec_find_watch(&other.rec, PF_ZK_NODE_DELETED, "/mine") >= 0);
    submit(&c, 2, 0, op(PF_ZK_GET, "", NULL));
    test_turn_until(c.loop, zk_rec_find_state(&c.rec, 0, PF_ZK_EXPIRED, 0) >= 0 &&
                                zk_rec_is_connected(&c.rec, 0));
    int expired = zk_rec_find_state(&c.rec, 0, PF_ZK_EXPIRED, 0);
    int lost = expired; /* told or not before that */
    while (c.rec.at[lost - 1].kind == ZK_REC_SESSION &&
           c.rec.at[lost - 1].state == PF_ZK_CONNECTING) {
        lost--;
    }
    assert_int_equal(answer(&c, 2)->code,
                     zk_rec_find_reply(&c.rec, 2) < lost ? PF_ZK_UNKNOWN : PF_ZK_NOT_SENT);
    assert_int_equal(zk_rec_find_state(&c.rec, 0, PF_ZK_EXPIRED, 1), -1);
    assert_true(c.rec.session_id[0] != old_id);
    assert_int_equal(ask(&c, 3, node), PF_ZK_OK);
    client_close(&c);
    client_close(&other);
}

static void url_with(char *out, size_t size, const char *auth, const char *path)
{
    (void)snprintf(out, size, "zk://%s%s%s%s", auth, auth[0] != '\0' ? "@" : "",
                   zks_hosts(ensemble), path);
}

static void test_zk_user_owns_what_it_makes(void **state)
{
    (void)state;
    struct client owner, stranger, nobody;
    char url[256], path[64];
    (void)snprintf(path, sizeof path, "%s/owned", fresh_path());
    url_with(url, sizeof url, "tom:secret", path);
    client_open_url(&owner, url, false);
    test_turn_until(owner.loop, zk_rec_is_connected(&owner.rec, 0));
    assert_int_equal(ask(&owner, 1, op(PF_ZK_CREATE, "/a", "1")), PF_ZK_OK);
    url_with(url, sizeof url, "tom:wrong", path);
    client_open_url(&stranger, url, false);
    test_turn_until(stranger.loop, stranger.rec.n > 0);
    assert_int_equal(stranger.rec.at[0].state, PF_ZK_AUTH_FAILED);
    assert_non_null(strstr(stranger.rec.at[0].text, "user 'tom'"));
    assert_null(strstr(stranger.rec.at[0].text, "wrong:"));
    assert_null(strstr(stranger.rec.at[0].text, "tom:"));
    submit(&stranger, 1, 0, op(PF_ZK_DELETE, "/a", NULL));
    assert_int_equal(answer(&stranger, 1)->code, PF_ZK_NOT_SENT);
    url_with(url, sizeof url, "", path);
    client_open_url(&nobody, url, false);
    test_turn_until(nobody.loop, nobody.rec.n > 0);
    assert_int_equal(nobody.rec.at[0].state, PF_ZK_AUTH_FAILED);
    assert_non_null(strstr(nobody.rec.at[0].text, "zk://user:password@"));
    client_close(&nobody);
    client_close(&stranger);
    client_close(&owner);
}

static void test_zk_name_is_resolved(void **state)
{
    (void)state;
    struct client c;
    char url[128];
    (void)snprintf(url, sizeof url, "zk://localhost%s%s", strchr(zks_address(ensemble, 0), ':'),
                   fresh_path());
    client_open_url(&c, url, true);
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0) && zk_rec_is_connected(&c.rec, 1));
    assert_string_equal(pf_zk_server(c.zk, 1), zks_address(ensemble, 0));
    submit(&c, 1, 1, op(PF_ZK_EXISTS, "", NULL));
    assert_int_equal(answer(&c, 1)->code, PF_ZK_OK);
    client_close(&c);
}

static void test_zk_unknown_name_is_told(void **state)
{
    (void)state;
    struct client c;
    client_open_url(&c, "zk://no-such-host.invalid:2181/p", false);
    test_turn_until(c.loop, c.rec.n > 0);
    assert_int_equal(c.rec.at[0].state, PF_ZK_CONNECTING);
    assert_non_null(strstr(c.rec.at[0].text, "no-such-host.invalid"));
    client_close(&c);
}

static void test_zk_killed_server_comes_back(void **state)
{
    (void)state;
    struct client c;
    client_open(&c, fresh_path());
    assert_int_equal(ask(&c, 1, op(PF_ZK_CREATE, "/a", "1")), PF_ZK_OK);
    struct pf_zk_op look = op(PF_ZK_GET, "/a", NULL);
    look.watch = true;
    assert_int_equal(ask(&c, 2, look), PF_ZK_OK);
    zks_kill(ensemble, 0);
    submit(&c, 3, 0, op(PF_ZK_SET, "/a", "2"));
    submit(&c, 4, 0, op(PF_ZK_SET, "/a", "3"));
    test_turn_until(c.loop, zk_rec_find_state(&c.rec, 0, PF_ZK_CONNECTING, 1) >= 0);
    int lost = zk_rec_find_state(&c.rec, 0, PF_ZK_CONNECTING, 0);
    int absent = zk_rec_find_state(&c.rec, 0, PF_ZK_CONNECTING, 1);
    assert_true(zk_rec_find_reply(&c.rec, 3) < zk_rec_find_reply(&c.rec, 4));
    assert_true(zk_rec_find_reply(&c.rec, 3) < lost);
    assert_int_equal(answer(&c, 3)->code, PF_ZK_UNKNOWN);
    assert_int_equal(answer(&c, 4)->code,
                     zk_rec_find_reply(&c.rec, 4) < lost ? PF_ZK_UNKNOWN : PF_ZK_NOT_SENT);
    assert_non_null(strstr(c.rec.at[absent].text, zks_hosts(ensemble)));
    assert_non_null(strstr(c.rec.at[absent].text, "refused"));
    submit(&c, 5, 0, op(PF_ZK_SET, "/a", "4"));
    assert_int_equal(answer(&c, 5)->code, PF_ZK_NOT_SENT);
    assert_string_equal(pf_zk_server(c.zk, 0), "");
    struct pf_err err = {0};
    assert_int_equal(zks_start(ensemble, &err), 0);
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0));
    assert_int_equal(zk_rec_find_state(&c.rec, 0, PF_ZK_CONNECTING, 2), -1); /* told once */
    assert_int_equal(ask(&c, 6, op(PF_ZK_SET, "/a", "5")), PF_ZK_OK);
    if (zk_rec_find_state(&c.rec, 0, PF_ZK_EXPIRED, 0) < 0) { /* the watch outlived the server */
        test_turn_until(c.loop, zk_rec_find_watch(&c.rec, PF_ZK_NODE_CHANGED, "/a") >= 0);
    }
    client_close(&c);
}

struct destroyer {
    struct pf_zk *zk;
    uint32_t n;
};

static void destroy_on_reply(void *ctx, const struct pf_zk_reply *r)
{
    struct destroyer *d = ctx;
    (void)r;
    d->n++;
    pf_zk_destroy(d->zk);
    d->zk = NULL;
}

static void submit_on_session(void *ctx, const struct pf_zk_session *s)
{
    struct destroyer *d = ctx;
    if (s->state == PF_ZK_CONNECTED) {
        struct pf_zk_op o = op(PF_ZK_EXISTS, "", NULL);
        struct pf_zk_request q = {.id = 1, .n_ops = 1, .op = &o};
        pf_zk_submit(d->zk, &q);
        pf_zk_submit(d->zk, &q);
    }
}

static void test_zk_callback_may_destroy(void **state)
{
    (void)state;
    struct destroyer d = {0};
    struct pf_loop *loop;
    char url[128];
    url_with(url, sizeof url, "", fresh_path());
    const struct pf_zk_ops mine = {submit_on_session, destroy_on_reply, zk_rec_watch};
    struct pf_zk_options options = {.url = url, .session_ms = SESSION_MS};
    assert_int_equal(pf_loop_create(&loop, NULL), 0);
    assert_int_equal(pf_zk_create(loop, &options, &mine, &d, &d.zk, NULL), 0);
    test_turn_until(loop, d.n > 0);
    assert_null(d.zk);
    assert_int_equal(d.n, 1);
    pf_loop_destroy(loop);
}

static void test_zk_metrics(void **state)
{
    (void)state;
    struct client c;
    struct pf_buf out = {.limit = 0};
    client_open(&c, fresh_path());
    assert_int_equal(ask(&c, 1, op(PF_ZK_EXISTS, "/no", NULL)), PF_ZK_NO_NODE);
    pf_zk_metrics(c.zk, &out);
    const char *text = pf_buf_cstr(&out);
    assert_non_null(strstr(text, "\nproffer_zk_connected{session=\"0\"} 1\n"));
    assert_non_null(strstr(text, "\nproffer_zk_replies_total{session=\"0\",code=\"no_node\"} 1\n"));
    assert_non_null(strstr(text, "\nproffer_zk_request_seconds_count{session=\"0\"} 1\n"));
    pf_buf_fini(&out);
    client_close(&c);
}

static int ensemble_setup(uint32_t n)
{
    struct pf_err err = {0};
    if (zks_create(n, &ensemble, &err) != 0 || zks_start(ensemble, &err) != 0) {
        print_error("%s\n", err.msg);
        return -1;
    }
    return 0;
}

static int one_setup(void **state)
{
    (void)state;
    return ensemble_setup(1);
}

static int ensemble_teardown(void **state)
{
    (void)state;
    zks_destroy(ensemble);
    ensemble = NULL;
    return 0;
}

/* --- absent at first ------------------------------------------------------------------------- */

static void test_zk_absent_at_start_is_told_once(void **state)
{
    (void)state;
    struct client c;
    struct pf_err err = {0};
    char url[128];
    assert_int_equal(zks_create(1, &ensemble, &err), 0);
    url_with(url, sizeof url, "", "/late");
    client_open_url(&c, url, false);
    test_turn_until(c.loop, c.rec.n > 0);
    assert_int_equal(c.rec.at[0].state, PF_ZK_CONNECTING);
    assert_non_null(strstr(c.rec.at[0].text, zks_address(ensemble, 0)));
    uint64_t turns = pf_loop_counters(c.loop)->turns;
    int64_t began_ms = pf_now_ms();
    test_turn_until(c.loop, pf_now_ms() > began_ms + 500);
    assert_true(pf_loop_counters(c.loop)->turns - turns < 100); /* no busy loop */
    assert_int_equal(c.rec.n, 1);
    zks_launch(ensemble, 0);
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0));
    assert_int_equal(c.rec.n, 2);
    client_close(&c);
}

/* --- three servers --------------------------------------------------------------------------- */

static int three_setup(void **state)
{
    (void)state;
    return ensemble_setup(3);
}

static void test_zk_sessions_prefer_different_servers(void **state)
{
    (void)state;
    struct client c;
    char url[256];
    url_with(url, sizeof url, "", fresh_path());
    client_open_url(&c, url, true);
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0) && zk_rec_is_connected(&c.rec, 1));
    int first = zks_find(ensemble, pf_zk_server(c.zk, 0));
    int spare = zks_find(ensemble, pf_zk_server(c.zk, 1));
    assert_true(first >= 0 && spare >= 0 && first != spare);
    assert_int_equal(ask(&c, 1, op(PF_ZK_CREATE, "/a", "1")), PF_ZK_OK);
    submit(&c, 2, 1, op(PF_ZK_SYNC, "/a", NULL));
    submit(&c, 3, 1, op(PF_ZK_GET, "/a", NULL));
    assert_int_equal(answer(&c, 2)->code, PF_ZK_OK);
    assert_string_equal(answer(&c, 3)->text, "1");
    client_close(&c);
}

/* The server of the main session dies: it goes to the third, not to that of the spare. */
static void test_zk_own_server_killed(void **state)
{
    (void)state;
    struct client c;
    char url[256];
    url_with(url, sizeof url, "", fresh_path());
    client_open_url(&c, url, true);
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0) && zk_rec_is_connected(&c.rec, 1));
    int leader = zks_leader(ensemble);
    uint8_t s = zks_find(ensemble, pf_zk_server(c.zk, 0)) != leader ? 0 : 1; /* on a follower */
    int own = zks_find(ensemble, pf_zk_server(c.zk, s));
    uint64_t id = c.rec.session_id[s];
    assert_true(own >= 0 && own != leader);
    for (uint64_t i = 100; i < 140; i++) { /* some of it breaks on the dead socket */
        if (i == 120) {
            zks_kill(ensemble, (uint32_t)own);
        }
        submit(&c, i, s, op(PF_ZK_EXISTS, "", NULL));
    }
    int64_t began_ms = pf_now_ms();
    test_turn_until(c.loop, zk_rec_find_state(&c.rec, s, PF_ZK_CONNECTED, 1) >= 0);
    assert_true(pf_now_ms() - began_ms < 1000);
    assert_true(c.rec.session_id[s] == id);
    assert_string_not_equal(pf_zk_server(c.zk, s), "");
    assert_string_not_equal(pf_zk_server(c.zk, 0), pf_zk_server(c.zk, 1));
    for (uint64_t i = 101; i < 140; i++) {
        assert_true(zk_rec_find_reply(&c.rec, i - 1) >= 0);
        assert_true(zk_rec_find_reply(&c.rec, i - 1) < zk_rec_find_reply(&c.rec, i));
    }
    submit(&c, 140, s, op(PF_ZK_CREATE, "/after", ""));
    assert_int_equal(answer(&c, 140)->code, PF_ZK_OK);
    assert_int_equal(zk_rec_find_state(&c.rec, s, PF_ZK_CONNECTED, 2), -1); /* lost once */
    struct pf_err err = {0};
    assert_int_equal(zks_start(ensemble, &err), 0);
    client_close(&c);
}

/* A server that accepts and then says nothing does not cost two thirds of a session. */
static void test_zk_hung_server_is_passed_over(void **state)
{
    (void)state;
    struct client c;
    struct pf_err err = {0};
    char url[256];
    assert_int_equal(zks_start(ensemble, &err), 0);
    int leader = zks_leader(ensemble);
    uint32_t hung = leader == 0 ? 1 : 0;
    assert_true(leader >= 0);
    zks_stop(ensemble, hung);
    url_with(url, sizeof url, "", fresh_path());
    client_open_url(&c, url, true); /* one of the two begins with it, or ends there after a loss */
    test_turn_until(c.loop, zk_rec_is_connected(&c.rec, 0) && zk_rec_is_connected(&c.rec, 1));
    assert_int_not_equal(zks_find(ensemble, pf_zk_server(c.zk, 0)), hung);
    assert_int_not_equal(zks_find(ensemble, pf_zk_server(c.zk, 1)), hung);
    zks_cont(ensemble, hung);
    client_close(&c);
}

int main(void)
{
    const struct CMUnitTest urls[] = {
        cmocka_unit_test(test_zk_url_refused),
        cmocka_unit_test(test_zk_url_errors_hide_the_password),
        cmocka_unit_test(test_zk_url_takes_any_bytes),
        cmocka_unit_test(test_zk_url_parts),
        cmocka_unit_test(test_zk_resolve_numeric_names_need_no_server),
    };
    const struct CMUnitTest one[] = {
        cmocka_unit_test(test_zk_connects_and_makes_the_prefix),
        cmocka_unit_test(test_zk_refuses_what_is_too_large_in_its_turn),
        cmocka_unit_test(test_zk_ephemeral_goes_with_goodbye_and_after_a_crash),
        cmocka_unit_test(test_zk_expired_session_is_told_and_replaced),
        cmocka_unit_test(test_zk_user_owns_what_it_makes),
        cmocka_unit_test(test_zk_name_is_resolved),
        cmocka_unit_test(test_zk_unknown_name_is_told),
        cmocka_unit_test(test_zk_callback_may_destroy),
        cmocka_unit_test(test_zk_metrics),
        cmocka_unit_test(test_zk_killed_server_comes_back),
    };
    const struct CMUnitTest absent[] = {
        cmocka_unit_test(test_zk_absent_at_start_is_told_once),
    };
    const struct CMUnitTest three[] = {
        cmocka_unit_test(test_zk_sessions_prefer_different_servers),
        cmocka_unit_test(test_zk_own_server_killed),
        cmocka_unit_test(test_zk_hung_server_is_passed_over),
    };
    int rc = cmocka_run_group_tests(urls, NULL, NULL);
    rc += cmocka_run_group_tests(one, one_setup, ensemble_teardown);
    rc += cmocka_run_group_tests(absent, NULL, ensemble_teardown);
    rc += cmocka_run_group_tests(three, three_setup, ensemble_teardown);
    return rc;
}
