/* SPDX-License-Identifier: Apache-2.0 */
/* What the pure machines may rely on (common/elect/zk_op.h): one list of cases, run against the
 * model that the simulator uses and against a real server through common/zk. */
#include "common/elect/zk_op.h"

#include "common/base/alloc.h"
#include "common/zk/client.h"
#include "tests/sim/zk_model.h"
#include "tests/support/net.h"
#include "tests/support/zk_rec.h"
#include "tests/support/zk_server.h"

enum { A, B, N_CLIENTS };

struct world;

struct kind {
    void (*open)(struct world *w, int client);
    void (*close)(struct world *w, int client);
    void (*submit)(struct world *w, int client, const struct pf_zk_request *q);
    void (*step)(struct world *w);
};

struct world {
    const struct kind *kind;
    struct zk_rec rec[N_CLIENTS];
    uint64_t next_id;
    /* real */
    struct pf_loop *loop;
    struct pf_timer *wake;
    struct pf_zk *zk[N_CLIENTS];
    char url[128];
    int64_t until_ms;
    /* model */
    struct zkm *model;
    uint32_t number[N_CLIENTS];
    uint32_t n_steps;
};

static struct zks *server; /* of the real group */
static uint32_t n_paths;

/* --- the real one ---------------------------------------------------------------------------- */

static void real_open(struct world *w, int client)
{
    static const struct pf_zk_ops ops = {zk_rec_session, zk_rec_reply, zk_rec_watch};
    struct pf_zk_options options = {.url = w->url, .session_ms = 4000, .seed = (uint64_t)client};
    assert_int_equal(pf_zk_create(w->loop, &options, &ops, &w->rec[client], &w->zk[client], NULL),
                     0);
}

static void real_close(struct world *w, int client)
{
    pf_zk_destroy(w->zk[client]);
    w->zk[client] = NULL;
}

static void real_submit(struct world *w, int client, const struct pf_zk_request *q)
{
    pf_zk_submit(w->zk[client], q);
}

static void real_step(struct world *w)
{
    pf_timer_set(w->wake, pf_now_ms() + 20);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_true(pf_now_ms() < w->until_ms);
}

static const struct kind real_kind = {real_open, real_close, real_submit, real_step};

static int real_setup(void **state)
{
    struct world *w = PF_NEW(struct world);
    w->kind = &real_kind;
    w->until_ms = pf_now_ms() + TEST_NET_MS_MAX;
    (void)snprintf(w->url, sizeof w->url, "zk://%s/c/%u", zks_hosts(server), n_paths++);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    w->wake = pf_timer_create(w->loop, PF_PRIO_NORMAL, test_wake, NULL);
    *state = w;
    return 0;
}

/* --- the model ------------------------------------------------------------------------------- */

static void model_open(struct world *w, int client)
{
    w->number[client] = zkm_open(w->model, 0, (uint32_t)client, 4000);
}

static void model_close(struct world *w, int client)
{
    zkm_close(w->model, w->number[client]);
}

static void model_submit(struct world *w, int client, const struct pf_zk_request *q)
{
    zkm_submit(w->model, w->number[client], q);
}

static void model_step(struct world *w)
{
    struct zkm_event e;
    assert_true(++w->n_steps < 100000);
    zkm_run(w->model, zkm_next_us(w->model));
    while (zkm_take(w->model, &e)) {
        struct zk_rec *rec = &w->rec[e.client == w->number[A] ? A : B];
        switch (e.type) {
        case ZKM_SESSION: zk_rec_session(rec, &e.session); break;
        case ZKM_REPLY: zk_rec_reply(rec, &e.reply); break;
        case ZKM_WATCH: zk_rec_watch(rec, &e.watch); break;
        }
    }
}

static const struct kind model_kind = {model_open, model_close, model_submit, model_step};

static int model_setup(void **state)
{
    struct world *w = PF_NEW(struct world);
    struct zkm_options options = {
        .seed = ++n_paths, .n_servers = 3, .tick_ms = 500, .sync_limit_ms = 1000};
    w->kind = &model_kind;
    w->number[B] = UINT32_MAX;
    w->model = zkm_create(&options);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < N_CLIENTS; i++) {
        if (w->zk[i] != NULL) {
            pf_zk_destroy(w->zk[i]);
        }
        zk_rec_fini(&w->rec[i]);
    }
    if (w->model != NULL) {
        zkm_destroy(w->model);
    }
    pf_timer_destroy(w->wake);
    pf_loop_destroy(w->loop);
    pf_free(w);
    return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

#define until(w, cond)                                                                             \
    while (!(cond)) {                                                                              \
        (w)->kind->step(w);                                                                        \
    }

static void open_client(struct world *w, int client)
{
    w->kind->open(w, client);
    until(w, zk_rec_is_connected(&w->rec[client], 0));
}

static struct pf_zk_op op(enum pf_zk_op_type type, const char *path)
{
    return (struct pf_zk_op){.type = type, .path = pf_str(path), .version = -1};
}

static struct pf_zk_op op_data(enum pf_zk_op_type type, const char *path, const char *data)
{
    struct pf_zk_op o = op(type, path);
    o.data = (struct pf_bytes){(const uint8_t *)data, (uint32_t)strlen(data)};
    return o;
}

static struct pf_zk_op op_version(struct pf_zk_op o, int32_t version)
{
    o.version = version;
    return o;
}

static struct pf_zk_op op_ephemeral(const char *path)
{
    struct pf_zk_op o = op_data(PF_ZK_CREATE, path, "");
    o.is_ephemeral = true;
    return o;
}

static struct pf_zk_op op_watch(enum pf_zk_op_type type, const char *path)
{
    struct pf_zk_op o = op(type, path);
    o.watch = true;
    return o;
}

static uint64_t submit(struct world *w, int client, const struct pf_zk_op *ops, uint32_t n)
{
    struct pf_zk_request q = {.id = ++w->next_id, .n_ops = n, .op = ops};
    w->kind->submit(w, client, &q);
    return q.id;
}

static struct zk_rec_event answer(struct world *w, int client, uint64_t id)
{
    until(w, zk_rec_find_reply(&w->rec[client], id) >= 0);
    return w->rec[client].at[zk_rec_find_reply(&w->rec[client], id)];
}

static struct zk_rec_event ask(struct world *w, int client, struct pf_zk_op o)
{
    return answer(w, client, submit(w, client, &o, 1));
}

static struct zk_rec_event ask_multi(struct world *w, int client, const struct pf_zk_op *ops,
                                     uint32_t n)
{
    return answer(w, client, submit(w, client, ops, n));
}

static bool was_told(const struct world *w, int client, enum pf_zk_watch_type type,
                     const char *path)
{
    return zk_rec_find_watch(&w->rec[client], type, path) >= 0;
}

/* --- the cases ------------------------------------------------------------------------------- */

static void test_zk_nodes_come_and_go(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    assert_int_equal(ask(w, A, op(PF_ZK_GET, "/a")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op(PF_ZK_EXISTS, "/a")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op(PF_ZK_CHILDREN, "/a")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op_data(PF_ZK_SET, "/a", "")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op(PF_ZK_DELETE, "/a")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a/b", "x")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a", "one")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a", "two")).code, PF_ZK_NODE_EXISTS);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a/b", "")).code, PF_ZK_OK);
    struct zk_rec_event e = ask(w, A, op(PF_ZK_GET, "/a"));
    assert_int_equal(e.code, PF_ZK_OK);
    assert_string_equal(e.text, "one");
    assert_int_equal(e.stat.version, 0);
    assert_int_equal(e.stat.n_children, 1);
    assert_true(e.stat.ephemeral_owner == 0);
    assert_true(e.stat.czxid == e.stat.mzxid);
    assert_int_equal(ask(w, A, op(PF_ZK_DELETE, "/a")).code, PF_ZK_NOT_EMPTY);
    assert_int_equal(ask(w, A, op(PF_ZK_DELETE, "/a/b")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op(PF_ZK_DELETE, "/a")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op(PF_ZK_EXISTS, "/a")).code, PF_ZK_NO_NODE);
}

static void test_zk_versions(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/v", "")).code, PF_ZK_OK);
    struct zk_rec_event made = ask(w, A, op(PF_ZK_GET, "/v"));
    assert_string_equal(made.text, "");
    struct zk_rec_event e = ask(w, A, op_version(op_data(PF_ZK_SET, "/v", "1"), 0));
    assert_int_equal(e.code, PF_ZK_OK);
    assert_int_equal(e.stat.version, 1);
    assert_int_equal(ask(w, A, op_version(op_data(PF_ZK_SET, "/v", "2"), 0)).code,
                     PF_ZK_BAD_VERSION);
    assert_int_equal(ask(w, A, op_data(PF_ZK_SET, "/v", "3")).stat.version, 2);
    e = ask(w, A, op(PF_ZK_GET, "/v"));
    assert_string_equal(e.text, "3");
    assert_int_equal(e.stat.version, 2);
    assert_true(e.stat.czxid == made.stat.czxid && e.stat.mzxid > made.stat.mzxid);
    assert_int_equal(ask(w, A, op_version(op(PF_ZK_CHECK, "/v"), 2)).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_version(op(PF_ZK_CHECK, "/v"), 1)).code, PF_ZK_BAD_VERSION);
    assert_int_equal(ask(w, A, op_version(op(PF_ZK_CHECK, "/no"), 1)).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, A, op_version(op(PF_ZK_DELETE, "/v"), 1)).code, PF_ZK_BAD_VERSION);
    assert_int_equal(ask(w, A, op_version(op(PF_ZK_DELETE, "/v"), 2)).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/v", "")).code, PF_ZK_OK);
    e = ask(w, A, op(PF_ZK_EXISTS, "/v")); /* another node: it begins anew */
    assert_int_equal(e.stat.version, 0);
    assert_true(e.stat.czxid > made.stat.czxid);
}

static void test_zk_multi_is_all_or_nothing(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/e", "1")).code, PF_ZK_OK);
    const struct pf_zk_op fails[] = {
        op_version(op(PF_ZK_CHECK, "/e"), 0), op_data(PF_ZK_CREATE, "/new", ""),
        op_data(PF_ZK_SET, "/e", "2"),        op_data(PF_ZK_SET, "/none", ""),
        op_data(PF_ZK_CREATE, "/never", ""),
    };
    struct zk_rec_event e = ask_multi(w, A, fails, PF_ARRAY_LEN(fails));
    assert_int_equal(e.code, PF_ZK_NO_NODE);
    assert_int_equal(e.failed_op, 3);
    assert_int_equal(ask(w, A, op(PF_ZK_EXISTS, "/new")).code, PF_ZK_NO_NODE);
    assert_string_equal(ask(w, A, op(PF_ZK_GET, "/e")).text, "1");
    const struct pf_zk_op works[] = {
        op_version(op(PF_ZK_CHECK, "/e"), 0),
        op_version(op_data(PF_ZK_SET, "/e", "2"), 0),
        op_data(PF_ZK_CREATE, "/p", ""),
        op_data(PF_ZK_CREATE, "/p/q", "child"), /* sees the ones before it */
        op_data(PF_ZK_CREATE, "/t", ""),
        op(PF_ZK_DELETE, "/t"),
    };
    assert_int_equal(ask_multi(w, A, works, PF_ARRAY_LEN(works)).code, PF_ZK_OK);
    assert_string_equal(ask(w, A, op(PF_ZK_GET, "/p/q")).text, "child");
    assert_int_equal(ask(w, A, op(PF_ZK_EXISTS, "/t")).code, PF_ZK_NO_NODE);
    e = ask_multi(w, A, works, PF_ARRAY_LEN(works)); /* the same again */
    assert_int_equal(e.code, PF_ZK_BAD_VERSION);
    assert_int_equal(e.failed_op, 0);
    const struct pf_zk_op exists[] = {op_data(PF_ZK_SET, "/e", "3"), works[2]};
    e = ask_multi(w, A, exists, 2);
    assert_int_equal(e.code, PF_ZK_NODE_EXISTS);
    assert_int_equal(e.failed_op, 1);
    assert_string_equal(ask(w, A, op(PF_ZK_GET, "/e")).text, "2");
}

/* The registry's pipeline: each multi builds on the version that the one before leaves. */
static void test_zk_pipelined_multis_fail_together(void **state)
{
    struct world *w = *state;
    uint64_t id[8];
    open_client(w, A);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/head", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/log-3", "")).code, PF_ZK_OK);
    for (int i = 0; i < 8; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/log-%d", i);
        const struct pf_zk_op ops[] = {op_version(op_data(PF_ZK_SET, "/head", path), i),
                                       op_data(PF_ZK_CREATE, path, "")};
        id[i] = submit(w, A, ops, 2);
    }
    for (int i = 0; i < 8; i++) {
        struct zk_rec_event e = answer(w, A, id[i]);
        assert_int_equal(e.code, i < 3 ? PF_ZK_OK : i == 3 ? PF_ZK_NODE_EXISTS : PF_ZK_BAD_VERSION);
        assert_int_equal(e.failed_op, i == 3 ? 1 : 0);
        assert_true(i == 0 || zk_rec_find_reply(&w->rec[A], id[i - 1]) <
                                  zk_rec_find_reply(&w->rec[A], id[i]));
    }
    struct zk_rec_event e = ask(w, A, op(PF_ZK_GET, "/head"));
    assert_string_equal(e.text, "/log-2");
    assert_int_equal(e.stat.version, 3);
    assert_int_equal(ask(w, A, op(PF_ZK_EXISTS, "/log-4")).code, PF_ZK_NO_NODE);
}

static void test_zk_reads_see_writes_before_them(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    struct pf_zk_op ops[] = {op_data(PF_ZK_CREATE, "/r", "1"), op(PF_ZK_GET, "/r"),
                             op_data(PF_ZK_SET, "/r", "2"),    op(PF_ZK_GET, "/r"),
                             op(PF_ZK_DELETE, "/r"),           op(PF_ZK_GET, "/r")};
    uint64_t id[PF_ARRAY_LEN(ops)];
    for (size_t i = 0; i < PF_ARRAY_LEN(ops); i++) {
        id[i] = submit(w, A, &ops[i], 1);
    }
    assert_string_equal(answer(w, A, id[1]).text, "1");
    assert_string_equal(answer(w, A, id[3]).text, "2");
    assert_int_equal(answer(w, A, id[5]).code, PF_ZK_NO_NODE);
}

static void test_zk_sync_shows_what_others_committed(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    open_client(w, B);
    for (int i = 0; i < 5; i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "/s-%d", i);
        assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, path, "")).code, PF_ZK_OK);
        struct pf_zk_op sync = op(PF_ZK_SYNC, path), look = op(PF_ZK_EXISTS, path);
        uint64_t sync_id = submit(w, B, &sync, 1), look_id = submit(w, B, &look, 1);
        assert_int_equal(answer(w, B, look_id).code, PF_ZK_OK);
        assert_int_equal(answer(w, B, sync_id).code, PF_ZK_OK);
    }
}

static void test_zk_children(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    assert_string_equal(ask(w, A, op(PF_ZK_CHILDREN, "")).text, "");
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/b", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a/x", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/a/y", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/ab", "")).code, PF_ZK_OK);
    assert_string_equal(ask(w, A, op(PF_ZK_CHILDREN, "")).text, "a,ab,b");
    struct zk_rec_event e = ask(w, A, op(PF_ZK_CHILDREN, "/a"));
    assert_string_equal(e.text, "x,y");
    assert_int_equal(e.stat.n_children, 2);
    assert_int_equal(e.stat.version, 0);
    e = ask(w, A, op(PF_ZK_CHILDREN, "/b"));
    assert_int_equal(e.code, PF_ZK_OK);
    assert_string_equal(e.text, "");
}

/* Whoever sees a change in an answer heard of it before. */
static void test_zk_watch_comes_before_the_change_is_seen(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    open_client(w, B);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/w", "old")).code, PF_ZK_OK);
    assert_int_equal(ask(w, B, op(PF_ZK_SYNC, "/w")).code, PF_ZK_OK);
    assert_string_equal(ask(w, B, op_watch(PF_ZK_GET, "/w")).text, "old");
    const struct pf_zk_op set = op_data(PF_ZK_SET, "/w", "new");
    (void)submit(w, A, &set, 1);
    struct zk_rec_event e;
    do {
        const struct pf_zk_op get = op(PF_ZK_GET, "/w");
        e = ask_multi(w, B, &get, 1);
    } while (strcmp(e.text, "old") == 0);
    assert_string_equal(e.text, "new");
    int seen = zk_rec_find_reply(&w->rec[B], e.id);
    int told = zk_rec_find_watch(&w->rec[B], PF_ZK_NODE_CHANGED, "/w");
    assert_true(told >= 0 && told < seen);
}

static void test_zk_watches_fire_once(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    open_client(w, B);
    assert_int_equal(ask(w, B, op_watch(PF_ZK_EXISTS, "/n")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, B, op_watch(PF_ZK_GET, "/other")).code, PF_ZK_NO_NODE);
    assert_int_equal(ask(w, B, op_watch(PF_ZK_CHILDREN, "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/n", "")).code, PF_ZK_OK);
    until(w,
          was_told(w, B, PF_ZK_NODE_CREATED, "/n") && was_told(w, B, PF_ZK_CHILDREN_CHANGED, ""));
    uint32_t n_told = w->rec[B].n;
    assert_int_equal(ask(w, A, op_data(PF_ZK_SET, "/n", "1")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/other", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, B, op(PF_ZK_SYNC, "/n")).code, PF_ZK_OK);
    assert_int_equal(w->rec[B].n, n_told + 1); /* the reply alone: they were one shot, or not set */
    assert_string_equal(ask(w, B, op_watch(PF_ZK_GET, "/n")).text, "1");
    assert_int_equal(ask(w, B, op_watch(PF_ZK_EXISTS, "/n")).code, PF_ZK_OK);
    n_told = w->rec[B].n;
    assert_int_equal(ask(w, A, op(PF_ZK_DELETE, "/n")).code, PF_ZK_OK);
    until(w, was_told(w, B, PF_ZK_NODE_DELETED, "/n"));
    assert_int_equal(ask(w, B, op(PF_ZK_SYNC, "")).code, PF_ZK_OK);
    assert_int_equal(w->rec[B].n, n_told + 2); /* two watches of one node: told once */
}

static void test_zk_ephemeral_ends_with_its_session(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    open_client(w, B);
    assert_int_equal(ask(w, A, op_ephemeral("/mine")).code, PF_ZK_OK);
    assert_int_equal(ask(w, B, op(PF_ZK_SYNC, "/mine")).code, PF_ZK_OK);
    struct zk_rec_event e = ask(w, B, op_watch(PF_ZK_EXISTS, "/mine"));
    assert_int_equal(e.code, PF_ZK_OK);
    assert_true(e.stat.ephemeral_owner == w->rec[A].session_id[0]);
    assert_true(e.stat.ephemeral_owner != 0);
    assert_true(w->rec[A].session_id[0] != w->rec[B].session_id[0]);
    w->kind->close(w, A);
    until(w, was_told(w, B, PF_ZK_NODE_DELETED, "/mine"));
    assert_int_equal(ask(w, B, op(PF_ZK_EXISTS, "/mine")).code, PF_ZK_NO_NODE);
}

/* The takeover: the node of a session that still lives is replaced by one multi. */
static void test_zk_node_of_a_living_session_is_replaced(void **state)
{
    struct world *w = *state;
    open_client(w, A);
    open_client(w, B);
    assert_int_equal(ask(w, A, op_data(PF_ZK_CREATE, "/epoch", "1")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_ephemeral("/leader")).code, PF_ZK_OK);
    assert_int_equal(ask(w, A, op_watch(PF_ZK_EXISTS, "/leader")).code, PF_ZK_OK);
    const struct pf_zk_op take[] = {
        op_version(op(PF_ZK_CHECK, "/epoch"), 0),
        op(PF_ZK_DELETE, "/leader"),
        op_version(op_data(PF_ZK_SET, "/epoch", "2"), 0),
        op_ephemeral("/leader"),
    };
    assert_int_equal(ask_multi(w, B, take, PF_ARRAY_LEN(take)).code, PF_ZK_OK);
    until(w, was_told(w, A, PF_ZK_NODE_DELETED, "/leader"));
    struct zk_rec_event e = ask_multi(w, A, take, PF_ARRAY_LEN(take)); /* too late */
    assert_int_equal(e.code, PF_ZK_BAD_VERSION);
    assert_int_equal(e.failed_op, 0);
    e = ask(w, A, op(PF_ZK_EXISTS, "/leader"));
    assert_true(e.stat.ephemeral_owner == w->rec[B].session_id[0]);
    assert_true(zk_rec_is_connected(&w->rec[A], 0)); /* its session goes on */
    w->kind->close(w, A);
    assert_int_equal(ask(w, B, op_data(PF_ZK_CREATE, "/later", "")).code, PF_ZK_OK);
    assert_int_equal(ask(w, B, op(PF_ZK_SYNC, "/leader")).code, PF_ZK_OK);
    assert_int_equal(ask(w, B, op(PF_ZK_EXISTS, "/leader")).code, PF_ZK_OK);
}

#define CASES(setup)                                                                               \
    {                                                                                              \
        cmocka_unit_test_setup_teardown(test_zk_nodes_come_and_go, setup, teardown),               \
            cmocka_unit_test_setup_teardown(test_zk_versions, setup, teardown),                    \
            cmocka_unit_test_setup_teardown(test_zk_multi_is_all_or_nothing, setup, teardown),     \
            cmocka_unit_test_setup_teardown(test_zk_pipelined_multis_fail_together, setup,         \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(test_zk_reads_see_writes_before_them, setup,           \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(test_zk_sync_shows_what_others_committed, setup,       \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(test_zk_children, setup, teardown),                    \
            cmocka_unit_test_setup_teardown(test_zk_watch_comes_before_the_change_is_seen, setup,  \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(test_zk_watches_fire_once, setup, teardown),           \
            cmocka_unit_test_setup_teardown(test_zk_ephemeral_ends_with_its_session, setup,        \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(test_zk_node_of_a_living_session_is_replaced, setup,   \
                                            teardown),                                             \
    }

static int server_setup(void **state)
{
    struct pf_err err = {0};
    (void)state;
    if (zks_create(1, &server, &err) != 0 || zks_start(server, &err) != 0) {
        print_error("%s\n", err.msg);
        return -1;
    }
    return 0;
}

static int server_teardown(void **state)
{
    (void)state;
    zks_destroy(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest model[] = CASES(model_setup);
    const struct CMUnitTest real[] = CASES(real_setup);
    int rc = 0;
    for (int round = 0; round < 20; round++) { /* each with other dice */
        rc += cmocka_run_group_tests_name("model", model, NULL, NULL);
    }
    rc += cmocka_run_group_tests_name("real", real, server_setup, server_teardown);
    return rc;
}
