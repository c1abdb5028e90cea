/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry log costs: admissions per second that a leader stores, and how long a new
 * standby takes to load the rows of a large cluster. ZooKeeper is a small vtable: here a tree in
 * memory that answers at once, so that what is timed is the log, its encoding and its snapshots;
 * with "zk" a real server (bench_quorum.c). */
#include "tests/bench/bench_registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/elect/elect.h"
#include "common/elect/replog.h"
#include "common/elect/replog_import.h"
#include "common/sys/clock.h"
#include "tests/support/zk_tree.h"

static int64_t now_ms(void)
{
    return pf_boot_ms();
}

void side_step(struct side *s, struct pf_replog_event *ev)
{
    const struct pf_quorum_effect *e;

    ev->boot_ms = now_ms();
    pf_replog_step(s->log, ev);
    while ((e = pf_outbox_take(&s->out)) != NULL) {
        if (e->type == PF_QUORUM_ZK) {
            s->ops->submit(s, &e->zk);
        }
        s->rows += e->type == PF_QUORUM_ROW;
        s->stored += e->type == PF_QUORUM_STORED;
        s->bytes += e->type == PF_QUORUM_STREAM ? e->send.message.len : 0;
    }
}

void side_session(struct side *s, uint8_t session, enum pf_zk_state state)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_SESSION};

    ev.session.session = session;
    ev.session.state = state;
    side_step(s, &ev);
}

void side_reply(struct side *s, const struct pf_zk_reply *r)
{
    side_step(s, &(struct pf_replog_event){.type = PF_REPLOG_REPLY, .reply = r});
}

/* --- a tree in memory ------------------------------------------------------------------------- */

struct memory {
    struct side side;
    struct zk_tree tree;
    struct item {
        struct pf_arena arena;
        struct pf_zk_request q;
    } item[64]; /* a ring: the arenas keep their memory */
    uint64_t head, tail;
};

static void memory_submit(struct side *s, const struct pf_zk_request *q)
{
    struct memory *m = (struct memory *)(void *)s;
    struct item *item = &m->item[m->tail++ % PF_ARRAY_LEN(m->item)];

    PF_ASSERT(m->tail - m->head <= PF_ARRAY_LEN(m->item));
    pf_arena_reset(&item->arena);
    struct pf_zk_op *op = pf_arena_memdup(&item->arena, q->op, q->n_ops * sizeof *op);

    for (uint32_t i = 0; i < q->n_ops; i++) {
        op[i].path = pf_arena_strdup(&item->arena, op[i].path);
        op[i].data.at = pf_arena_memdup(&item->arena, op[i].data.at, op[i].data.len);
    }
    item->q = *q;
    item->q.op = op;
}

static bool memory_turn(struct side *s)
{
    struct memory *m = (struct memory *)(void *)s;
    struct pf_zk_reply r;

    if (m->head == m->tail) {
        return false;
    }
    struct item *item = &m->item[m->head % PF_ARRAY_LEN(m->item)];

    zk_tree_execute(&m->tree, &item->q, &item->arena, &r);
    m->head++;
    side_reply(s, &r);
    return true;
}

static const struct side_ops memory_ops = {memory_submit, memory_turn};

static void memory_fini(struct memory *m)
{
    for (uint32_t i = 0; i < PF_ARRAY_LEN(m->item); i++) {
        pf_arena_fini(&m->item[i].arena);
    }
    zk_tree_fini(&m->tree);
    pf_outbox_fini(&m->side.out);
    pf_free(m);
}

static struct memory *memory_create(void)
{
    struct memory *m = PF_NEW(struct memory);

    m->side.ops = &memory_ops;
    pf_outbox_init(&m->side.out);
    return m;
}

/* --- a master --------------------------------------------------------------------------------- */

void side_follow(struct side *s)
{
    struct pf_replog_options o = {.seed = 7, .format_min = 1, .format_max = 1};

    s->log = pf_replog_create(&o, &s->out);
    side_session(s, 0, PF_ZK_CONNECTED);
    while (!pf_replog_is_ready(s->log) && s->ops->turn(s)) {
    }
}

static void lead(struct side *s, int32_t epoch_version)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_LEAD};

    ev.lead.epoch_version = epoch_version;
    ev.lead.epoch = 1;
    side_step(s, &ev);
}

/* Rows of agents that have never been here before. */
static void submit(struct side *s, uint64_t number, uint32_t n_rows, uint64_t *agent)
{
    static uint8_t row[ROW_BYTES];
    char key[BATCH_ROWS][KEY_BYTES + 1];
    struct pf_row_op op[BATCH_ROWS];
    struct pf_batch batch = {.number = number, .op = op, .n_ops = n_rows};

    for (uint32_t i = 0; i < n_rows; i++) {
        (void)snprintf(key[i], sizeof key[i], "%036llu", (unsigned long long)++*agent);
        op[i] = (struct pf_row_op){.table = 1, .key = {(const uint8_t *)key[i], KEY_BYTES}};
        op[i].row = (struct pf_bytes){row, sizeof row};
    }
    side_step(s, &(struct pf_replog_event){.type = PF_REPLOG_SUBMIT, .submit = &batch});
}

int side_admissions(struct side *s, const char *where, uint32_t n_rows, uint32_t n_agents,
                    int32_t epoch_version)
{
    struct pf_replog_stats stats;
    uint64_t agent = 0, number = 0;

    side_follow(s);
    lead(s, epoch_version);
    s->stored = 0;
    int64_t from = pf_now_us();

    while (s->stored * n_rows < n_agents) {
        while (number - s->stored < PF_REPLOG_DEPTH) {
            submit(s, ++number, n_rows, &agent);
        }
        if (!s->ops->turn(s)) {
            return 1;
        }
    }
    double seconds = (double)(pf_now_us() - from) / 1e6;

    pf_replog_stats(s->log, &stats);
    printf("{\"bench\":\"admissions through the registry log%s, %u a batch, %llu snapshots\","
           "\"value\":%.0f,\"unit\":\"1/s\",\"goal\":\"%s\"}\n",
           where, n_rows, (unsigned long long)stats.snapshots,
           (double)(s->stored * n_rows) / seconds,
           where[0] != '\0' && n_rows == BATCH_ROWS ? "> 20,000" : "");
    pf_replog_destroy(s->log);
    s->log = NULL;
    return 0;
}

/* --- loading ---------------------------------------------------------------------------------- */

void bench_publish(uint32_t n_agents, bench_send_fn *send, void *ctx)
{
    struct pf_replica *rows = pf_replica_create(1);
    struct pf_replog_import_options o = {.seed = 1, .cluster = "", .format = 1};
    uint8_t row[ROW_BYTES] = {0};
    const struct pf_zk_request *q;

    for (uint32_t i = 0; i < n_agents; i++) {
        char key[KEY_BYTES + 1];

        (void)snprintf(key, sizeof key, "%036u", i);
        pf_replica_put(rows, 1, (struct pf_bytes){(const uint8_t *)key, KEY_BYTES},
                       (struct pf_bytes){row, sizeof row});
    }
    struct pf_replog_import *import = pf_replog_import_create(rows, &o);

    while ((q = pf_replog_import_request(import)) != NULL) {
        send(ctx, q, import);
    }
    pf_replog_import_destroy(import);
    pf_replica_destroy(rows);
}

static void publish_memory(void *ctx, const struct pf_zk_request *q, struct pf_replog_import *i)
{
    struct pf_arena a = {0};
    struct pf_zk_reply r;

    zk_tree_execute(ctx, q, &a, &r);
    int rc = pf_replog_import_reply(i, &r, NULL);

    PF_ASSERT(rc == 0);
    pf_arena_fini(&a);
}

static int load(void)
{
    struct memory *m = memory_create();
    int64_t best_us = INT64_MAX;

    bench_publish(AGENTS, publish_memory, &m->tree);
    for (uint32_t i = 0; i < 5; i++) {
        int64_t from = pf_now_us();

        m->side.rows = 0;
        side_follow(&m->side);
        int64_t took = pf_now_us() - from;

        if (!pf_replog_is_ready(m->side.log) || m->side.rows != AGENTS) {
            return 1;
        }
        best_us = took < best_us ? took : best_us;
        pf_replog_destroy(m->side.log);
    }
    printf("{\"bench\":\"loading %d agents of %d bytes into a new standby\",\"value\":%.1f,"
           "\"unit\":\"ms\",\"goal\":\"\"}\n",
           AGENTS, ROW_BYTES, (double)best_us / 1000);
    memory_fini(m);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "zk") == 0) {
        return bench_quorum();
    }
    static const uint32_t n_rows[] = {1, BATCH_ROWS};
    int bad = 0;

    for (uint32_t i = 0; i < PF_ARRAY_LEN(n_rows); i++) {
        struct memory *m = memory_create();
        struct pf_arena a = {0};
        struct pf_zk_op op = {.type = PF_ZK_CREATE, .path = PF_STR("/epoch")};
        struct pf_zk_request q = {.n_ops = 1, .op = &op};
        struct pf_zk_reply r;

        zk_tree_execute(&m->tree, &q, &a, &r);
        pf_arena_fini(&a);
        bad |= side_admissions(&m->side, "", n_rows[i], AGENTS, 0);
        memory_fini(m);
    }
    return bad | load();
}
