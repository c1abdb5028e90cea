/* SPDX-License-Identifier: Apache-2.0 */
/* The registry log over a real ZooKeeper server, and in the same run what the server does without
 * our logic: multis of the same size, as many under way. */
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/sys/file.h"
#include "common/zk/client.h"
#include "tests/bench/bench_registry.h"
#include "tests/support/zk_server.h"

enum {
    TICK_MS = 2,
    LOADS = 5,
    ROOMY_MIB = 384, /* several registries of that size, and snapshots */
    LOAD_MIB = 128,  /* as `proffer up` would give: 64 and four times the registry */
};

struct server {
    struct side side;
    struct pf_loop *loop;
    struct pf_zk *zk;
    struct pf_timer *timer; /* of the log's deadlines */
    bool is_connected;
    struct pf_replog_import *import; /* gets the replies, if not NULL */
    bool is_bare;                    /* nobody gets them: they are counted */
    uint32_t under_way;
    uint64_t n_failed;
};

static void on_session(void *ctx, const struct pf_zk_session *s)
{
    struct server *v = ctx;
    if (v->is_connected && s->state != PF_ZK_CONNECTED) {
        (void)fprintf(stderr, "bench_registry zk: %s: %.*s\n", pf_zk_state_str(s->state),
                      PF_STR_ARG(s->why));
    }
    v->is_connected = s->state == PF_ZK_CONNECTED;
    if (v->side.log != NULL) {
        side_session(&v->side, s->session, s->state);
    }
}

static void on_reply(void *ctx, const struct pf_zk_reply *r)
{
    struct server *v = ctx;
    v->under_way--;
    v->n_failed += r->code != PF_ZK_OK ? 1 : 0;
    if (v->import != NULL) {
        int rc = pf_replog_import_reply(v->import, r, NULL);
        PF_ASSERT(rc == 0);
    } else if (!v->is_bare) {
        side_reply(&v->side, r);
    }
}

static void on_watch(void *ctx, const struct pf_zk_watch *w)
{
    (void)ctx;
    (void)w;
}

static void on_time(void *ctx)
{
    struct server *v = ctx;
    struct pf_replog *log = v->side.log;
    if (log != NULL && pf_replog_deadline(log) <= pf_boot_ms()) {
        side_step(&v->side, &(struct pf_replog_event){.type = PF_REPLOG_TICK});
    }
    pf_timer_set(v->timer, pf_now_ms() + TICK_MS);
}

static void submit(struct side *s, const struct pf_zk_request *q)
{
    struct server *v = (struct server *)(void *)s;
    v->under_way++;
    pf_zk_submit(v->zk, q);
}

static bool turn(struct side *s)
{
    struct server *v = (struct server *)(void *)s;
    return pf_loop_turn(v->loop, true, NULL) == 0;
}

static const struct side_ops server_ops = {submit, turn};

/* Carries out one request by itself. */
static void one(struct server *v, const struct pf_zk_op *op, uint32_t n)
{
    v->is_bare = true;
    submit(&v->side, &(struct pf_zk_request){.id = 1, .n_ops = n, .op = op});
    while (v->under_way > 0 && turn(&v->side)) {
    }
    v->is_bare = false;
}

static void create(struct server *v, const char *path)
{
    one(v, &(struct pf_zk_op){.type = PF_ZK_CREATE, .path = pf_str(path)}, 1);
}

/* A client with a path of its own, which is made. */
static int server_open(struct server *v, const struct zks *z, const char *path, struct pf_err *err)
{
    static const struct pf_zk_ops ops = {on_session, on_reply, on_watch};
    char url[400];
    *v = (struct server){.side = {.ops = &server_ops}};
    pf_outbox_init(&v->side.out);
    (void)snprintf(url, sizeof url, "zk://%s/%s", zks_hosts(z), path);
    const struct pf_zk_options o = {.url = url, .session_ms = 6000};
    int rc = pf_loop_create(&v->loop, err);
    rc = rc != 0 ? rc : pf_zk_create(v->loop, &o, &ops, v, &v->zk, err);
    if (rc != 0) {
        return rc;
    }
    v->timer = pf_timer_create(v->loop, PF_PRIO_NORMAL, on_time, v);
    on_time(v);
    while (!v->is_connected && turn(&v->side)) {
    }
    create(v, "");
    return 0;
}

static void server_close(struct server *v)
{
    pf_zk_destroy(v->zk);
    if (v->timer != NULL) {
        pf_timer_destroy(v->timer);
    }
    pf_loop_destroy(v->loop);
    pf_outbox_fini(&v->side.out);
}

/* --- the bare limit --------------------------------------------------------------------------- */

static void bare_submit(struct server *v, uint32_t k, struct pf_bytes data)
{
    char path[40];
    uint8_t head[32] = {0};
    (void)snprintf(path, sizeof path, "/log/%012u", k);
    const struct pf_zk_op op[] = {
        {.type = PF_ZK_CHECK, .path = PF_STR("/epoch"), .version = 0},
        {.type = PF_ZK_SET,
         .path = PF_STR("/head"),
         .data = {head, sizeof head},
         .version = (int32_t)k - 1},
        {.type = PF_ZK_CREATE, .path = pf_str(path), .data = data},
    };
    submit(&v->side, &(struct pf_zk_request){.id = k, .n_ops = PF_ARRAY_LEN(op), .op = op});
}

static int bare(const struct zks *z, const char *path, struct pf_err *err)
{
    struct server v;
    uint32_t n = AGENTS / BATCH_ROWS, k = 0;
    uint32_t bytes = BATCH_ROWS * (ROW_BYTES + KEY_BYTES);
    int rc = server_open(&v, z, path, err);
    if (rc == 0) {
        create(&v, "/epoch");
        create(&v, "/head");
        create(&v, "/log");
        uint8_t *data = pf_alloc(bytes);
        v.is_bare = true;
        v.n_failed = 0;
        int64_t from = pf_now_us();
        while (k < n || v.under_way > 0) {
            while (k < n && v.under_way < PF_REPLOG_DEPTH) {
                bare_submit(&v, ++k, (struct pf_bytes){data, bytes});
            }
            (void)turn(&v.side);
        }
        double seconds = (double)(pf_now_us() - from) / 1e6;
        printf("{\"bench\":\"the same as bare multis, %u rows each\",\"value\":%.0f,"
               "\"unit\":\"1/s\",\"goal\":\"\",\"failed\":%llu}\n",
               BATCH_ROWS, (double)n * BATCH_ROWS / seconds, (unsigned long long)v.n_failed);
        pf_free(data);
    }
    server_close(&v);
    return rc;
}

/* --- ours ------------------------------------------------------------------------------------- */

static int admissions(const struct zks *z, uint32_t n_rows, uint32_t n_agents, struct pf_err *err)
{
    struct server v;
    char path[16];
    (void)snprintf(path, sizeof path, "a%u", n_rows);
    int rc = server_open(&v, z, path, err);
    if (rc == 0) {
        create(&v, "/epoch");
        rc = side_admissions(&v.side, " in ZooKeeper", n_rows, n_agents, 0);
    }
    server_close(&v);
    return rc;
}

static void publish_send(void *ctx, const struct pf_zk_request *q, struct pf_replog_import *i)
{
    struct server *v = ctx;
    v->import = i;
    submit(&v->side, q);
    while (v->under_way > 0 && turn(&v->side)) {
    }
    v->import = NULL;
}

static int load(const struct zks *z, struct pf_err *err)
{
    struct server v;
    int64_t best_us = INT64_MAX, worst_us = 0;
    int rc = server_open(&v, z, "load", err);
    if (rc == 0) {
        bench_publish(AGENTS, publish_send, &v);
    }
    for (int i = 0; rc == 0 && i < LOADS; i++) {
        int64_t from = pf_now_us();
        v.side.rows = 0;
        side_follow(&v.side);
        int64_t took = pf_now_us() - from;
        if (!pf_replog_is_ready(v.side.log) || v.side.rows != AGENTS) {
            rc = pf_err_set(err, PF_EIO, "%llu rows were loaded", (unsigned long long)v.side.rows);
        }
        best_us = took < best_us ? took : best_us;
        worst_us = took > worst_us ? took : worst_us;
        while (v.under_way > 0 && turn(&v.side)) { /* what it asked besides */
        }
        pf_replog_destroy(v.side.log);
        v.side.log = NULL;
    }
    if (rc == 0) {
        printf("{\"bench\":\"loading %d agents of %d bytes from ZooKeeper\",\"value\":%.1f,"
               "\"unit\":\"ms\",\"goal\":\"< 1000\",\"worst\":%.1f,\"n\":%d}\n",
               AGENTS, ROW_BYTES, (double)best_us / 1000, (double)worst_us / 1000, LOADS);
    }
    server_close(&v);
    return rc;
}

static void memory(const struct zks *z)
{
    char path[64];
    struct pf_buf text = {0};
    (void)snprintf(path, sizeof path, "/proc/%lld/status", (long long)zks_pid(z, 0));
    const char *at =
        pf_file_read(path, 1 << 16, &text, NULL) == 0 ? strstr(pf_buf_cstr(&text), "VmRSS:") : NULL;
    int kib = 0;
    if (at != NULL && sscanf(at + 6, "%d", &kib) == 1) {
        printf("{\"bench\":\"resident memory of ZooKeeper afterwards\",\"value\":%d,"
               "\"unit\":\"MiB\",\"goal\":\"\"}\n",
               kib / 1024);
    }
    pf_buf_fini(&text);
}

/* Servers of their own: what one test leaves behind must not be counted by the next. */
static int on_server(uint32_t heap_mib, int (*run)(const struct zks *z, struct pf_err *err),
                     struct pf_err *err)
{
    struct zks *z = NULL;
    int rc = zks_create(1, &z, err);
    if (rc == 0) {
        zks_set_heap(z, heap_mib);
        rc = zks_start(z, err);
    }
    rc = rc != 0 ? rc : run(z, err);
    zks_destroy(z);
    return rc;
}

static int all_admissions(const struct zks *z, struct pf_err *err)
{
    int rc = bare(z, "bare1", err);
    rc = rc != 0 ? rc : admissions(z, BATCH_ROWS, AGENTS, err);
    rc = rc != 0 ? rc : bare(z, "bare2", err);
    return rc != 0 ? rc : admissions(z, 1, AGENTS / 10, err);
}

static int load_and_memory(const struct zks *z, struct pf_err *err)
{
    int rc = load(z, err);
    if (rc == 0) {
        memory(z);
    }
    return rc;
}

int bench_quorum(void)
{
    struct pf_err err = {0};
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    int rc = on_server(ROOMY_MIB, all_admissions, &err);
    rc = rc != 0 ? rc : on_server(LOAD_MIB, load_and_memory, &err);
    if (rc != 0) {
        (void)fprintf(stderr, "bench_registry zk: %s\n", err.msg);
    }
    return rc != 0;
}
