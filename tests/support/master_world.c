/* SPDX-License-Identifier: Apache-2.0 */
/* See master_world.h. */
#include "tests/support/master_world.h"

#include <stdarg.h>
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/resources.h"
#include "common/fb/json.h"
#include "common/store/store.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"
#include "tests/support/msg.h"

enum { PEERS_MAX = 8192, TEXTS_MAX = 4096 };

struct inbox {
    uint64_t peer;
    bool is_up;
    struct pf_ptrs messages; /* owned texts */
    char *last;
};

struct mw {
    struct pf_master_options options;
    struct pf_master *core;
    struct pf_turns *turns;
    struct pf_store_image *image;
    struct pf_store *store;
    bool is_store_held;
    const struct pf_batch *held;
    uint32_t largest_batch;
    int64_t now_ms;
    uint64_t epoch;
    struct pf_uuid incarnation;
    struct inbox inbox[PEERS_MAX];
    uint32_t n_inboxes;
    struct pf_buf trace, log;
    struct pf_ptrs texts; /* owned */
    const char *last;
};

static const char *keep(struct mw *w, char *text)
{
    pf_ptrs_push(&w->texts, text);
    return text;
}

static void on_move(void *ctx, const char *entity, const char *id, const char *from, const char *to,
                    const char *why)
{
    struct mw *w = ctx;

    pf_buf_printf(&w->trace, "%s %s %s->%s %s\n", entity, id, from, to, why);
}

struct mw *mw_create(void)
{
    struct mw *w = PF_NEW(struct mw);

    w->options = (struct pf_master_options){.seed = 1,
                                            .instance = "master-1",
                                            .cluster = "test",
                                            .address = "127.0.0.1:5055",
                                            .http_address = "127.0.0.1:5050",
                                            .hostname = "m1",
                                            .pid = 1,
                                            .offer_timeout_ms = 30000,
                                            .agent_unreachable_ms = 75000,
                                            .recovery_ms = 600000,
                                            .recovery_removals_percent = 100,
                                            .task_user = "nobody",
                                            .tracer = {on_move, w}};
    w->image = pf_store_image_create();
    w->now_ms = 1000;
    w->incarnation.b[0] = 0xcc;
    return w;
}

struct pf_master_options *mw_options(struct mw *w)
{
    return &w->options;
}

struct pf_master *mw_core(struct mw *w)
{
    return w->core;
}

static struct inbox *inbox_of(struct mw *w, uint64_t peer)
{
    for (uint32_t i = 0; i < w->n_inboxes; i++) {
        if (w->inbox[i].peer == peer) {
            return &w->inbox[i];
        }
    }
    assert_true(w->n_inboxes < PEERS_MAX);
    w->inbox[w->n_inboxes] = (struct inbox){.peer = peer};
    return &w->inbox[w->n_inboxes++];
}

static bool is_up(struct mw *w, uint64_t peer)
{
    return inbox_of(w, peer)->is_up;
}

static void inbox_clear(struct inbox *in)
{
    for (uint32_t i = 0; i < in->messages.len; i++) {
        pf_free(in->messages.at[i]);
    }
    pf_ptrs_fini(&in->messages);
    PF_FREE(in->last);
}

static char *message_text(struct pf_bytes bytes)
{
    struct pf_msg msg;
    struct pf_err err = {0};

    if (pf_fb_verify(bytes, &Envelope__desc, &msg, &err) != 0) {
        fail_msg("the core sent what does not verify: %s", err.msg);
    }
    return test_json_of(pf_msg_root(msg, &Envelope__desc), &Envelope__desc);
}

static char *act_text(const struct pf_effect *e)
{
    struct pf_buf text = {0};

    if (e->act == PF_MASTER_ACT_STEP_DOWN) {
        pf_buf_printf(&text, "STEP_DOWN %s", (const char *)e->data);
    } else {
        assert_int_equal(e->act, PF_MASTER_ACT_EPOCH_SEEN);
        pf_buf_printf(&text, "EPOCH_SEEN %llu", (unsigned long long)*(const uint64_t *)e->data);
    }
    char *copy = pf_strdup(pf_buf_cstr(&text));

    pf_buf_fini(&text);
    return copy;
}

static void carry_out(struct mw *w)
{
    const struct pf_effect *e;

    while ((e = pf_turns_next(w->turns)) != NULL) {
        struct inbox *in = inbox_of(w, e->kind == PF_EFFECT_ACT ? MW_ACTS : e->peer);
        char *text = e->kind == PF_EFFECT_CLOSE ? pf_strdup("CLOSED")
                     : e->kind == PF_EFFECT_ACT ? act_text(e)
                                                : message_text(e->message);

        pf_buf_printf(&w->log, "%llu %s\n", (unsigned long long)e->peer, text);
        pf_ptrs_push(&in->messages, text);
    }
}

static void store(struct mw *w)
{
    const struct pf_batch *batch;

    while (!w->is_store_held && (batch = pf_turns_seal(w->turns)) != NULL) {
        uint64_t number;
        struct pf_err err = {0};

        w->largest_batch = batch->bytes > w->largest_batch ? batch->bytes : w->largest_batch;
        pf_store_submit(w->store, batch);
        assert_int_equal(pf_store_collect(w->store, &number, &err), 0);
        pf_turns_stored(w->turns, number);
    }
}

static void step(struct mw *w, struct pf_master_event *ev)
{
    ev->now_ms = w->now_ms;
    ev->wall_ms = 1700000000000 + w->now_ms;
    pf_master_step(w->core, ev, pf_turns_open(w->turns));
    pf_master_check(w->core);
    pf_turns_check(w->turns);
    store(w);
    carry_out(w);
}

/* Deadlines that are due now. */
static void settle(struct mw *w)
{
    uint32_t n = 0;

    while (pf_master_deadline(w->core) <= w->now_ms) {
        step(w, &(struct pf_master_event){.type = PF_MASTER_DEADLINE});
        assert_true(++n < 10000); /* a deadline that never goes away */
    }
}

static const struct pf_fb_table_desc *const schema[] = {[RegistryTable_META] = &Row_Registry__desc,
                                                        [RegistryTable_AGENTS] = &Row_Agent__desc,
                                                        [RegistryTable_FRAMEWORKS] =
                                                            &Row_Framework__desc};

static int on_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes bytes)
{
    struct mw *w = ctx;
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row = {.table = table, .key = key}};

    assert_int_equal(pf_fb_verify(bytes, schema[table], &ev.row.row, NULL), 0);
    if (table == RegistryTable_META) {
        w->epoch = Row_Registry_epoch(Row_Registry__root(ev.row.row));
    }
    step(w, &ev);
    return 0;
}

void mw_standby(struct mw *w)
{
    struct pf_err err = {0};

    w->core = pf_master_create(&w->options);
    w->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    w->store = pf_store_memory_open(w->image);
    assert_int_equal(pf_store_load(w->store, on_row, w, &err), 0);
}

void mw_row(struct mw *w, uint8_t table, const char *key, const char *json)
{
    struct pf_fb_builder b;
    struct pf_master_event ev = {
        .type = PF_MASTER_ROW,
        .row = {.table = table, .key = {(const uint8_t *)key, (uint32_t)strlen(key)}}};

    pf_fb_builder_init(&b, NULL);
    if (json) {
        ev.row.row = test_msg(&b, schema[table], json);
    } else {
        ev.row.is_del = true;
    }
    step(w, &ev);
    pf_fb_builder_fini(&b);
}

void mw_masters(struct mw *w, const struct pf_master_view *at, uint32_t n)
{
    step(w, &(struct pf_master_event){.type = PF_MASTER_MASTERS, .masters = {at, n}});
}

void mw_elect(struct mw *w, bool is_stored)
{
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED, .elected.is_stored = is_stored};

    ev.elected.incarnation = w->incarnation;
    ev.elected.epoch = ++w->epoch;
    step(w, &ev);
    settle(w);
}

void mw_boot(struct mw *w)
{
    mw_standby(w);
    mw_elect(w, false);
}

void mw_crash(struct mw *w)
{
    pf_master_destroy(w->core);
    pf_turns_destroy(w->turns);
    pf_store_destroy(w->store);
    w->core = NULL;
    w->turns = NULL;
    w->store = NULL;
    w->is_store_held = false;
    for (uint32_t i = 0; i < w->n_inboxes; i++) {
        inbox_clear(&w->inbox[i]);
    }
    w->n_inboxes = 0;
}

void mw_destroy(struct mw *w)
{
    if (w->core) {
        mw_crash(w);
    }
    pf_store_image_destroy(w->image);
    for (uint32_t i = 0; i < w->texts.len; i++) {
        pf_free(w->texts.at[i]);
    }
    pf_ptrs_fini(&w->texts);
    pf_buf_fini(&w->trace);
    pf_buf_fini(&w->log);
    pf_free(w);
}

uint32_t mw_largest_batch(const struct mw *w)
{
    return w->largest_batch;
}

void mw_store_hold(struct mw *w)
{
    w->is_store_held = true;
}

void mw_store_go(struct mw *w)
{
    w->is_store_held = false;
    store(w);
    carry_out(w);
}

/* --- peers --- */

void mw_up(struct mw *w, uint64_t peer, const char *kind, bool is_trusted, const char *hello)
{
    struct pf_fb_builder b;
    struct pf_buf text = {0};
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};

    pf_fb_builder_init(&b, NULL);
    pf_buf_printf(&text, "{'body':{'Hello':{'kind':'%s'%s%s}}}", kind, hello[0] ? "," : "", hello);
    ev.peer_up.hello = test_msg(&b, &Envelope__desc, pf_buf_cstr(&text));
    ev.peer_up.trusted = is_trusted;
    inbox_of(w, peer)->is_up = true;
    step(w, &ev);
    settle(w);
    pf_buf_fini(&text);
    pf_fb_builder_fini(&b);
}

void mw_down(struct mw *w, uint64_t peer)
{
    pf_turns_forget_peer(w->turns, peer);
    inbox_of(w, peer)->is_up = false;
    step(w, &(struct pf_master_event){.type = PF_MASTER_PEER_DOWN, .peer = peer});
    settle(w);
}

void mw_send(struct mw *w, uint64_t peer, const char *fmt, ...)
{
    struct pf_fb_builder b;
    struct pf_buf text = {0};
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer};
    va_list ap;

    pf_fb_builder_init(&b, NULL);
    pf_buf_add_byte(&text, '{');
    va_start(ap, fmt);
    pf_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    pf_buf_add_byte(&text, '}');
    ev.message = test_msg(&b, &Envelope__desc, pf_buf_cstr(&text));
    step(w, &ev);
    settle(w);
    pf_buf_fini(&text);
    pf_fb_builder_fini(&b);
}

void mw_pass(struct mw *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;

    for (;;) {
        int64_t at = pf_master_deadline(w->core);

        if (at > end) {
            break;
        }
        w->now_ms = at > w->now_ms ? at : w->now_ms;
        settle(w);
    }
    w->now_ms = end;
}

/* --- what was sent --- */

const char *mw_next(struct mw *w, uint64_t peer)
{
    struct inbox *in = inbox_of(w, peer);

    if (in->messages.len == 0) {
        w->last = NULL;
        return NULL;
    }
    pf_free(in->last);
    in->last = in->messages.at[0];
    pf_ptrs_remove(&in->messages, 0);
    w->last = in->last;
    return in->last;
}

void mw_expect(struct mw *w, uint64_t peer, ...)
{
    const char *message = mw_next(w, peer), *fragment;
    va_list ap;

    va_start(ap, peer);
    while ((fragment = va_arg(ap, const char *)) != NULL) {
        char *text = test_json_quotes(fragment);

        if (!message || !strstr(message, text)) {
            fail_msg("peer %llu: expected %s\n in %s", (unsigned long long)peer, text,
                     message ? message : "(nothing was sent)");
        }
        pf_free(text);
    }
    va_end(ap);
}

void mw_expect_nothing(struct mw *w, uint64_t peer)
{
    const char *message = mw_next(w, peer);

    if (message) {
        fail_msg("peer %llu: unexpected %s", (unsigned long long)peer, message);
    }
}

void mw_drop(struct mw *w, uint64_t peer)
{
    while (mw_next(w, peer)) {
    }
}

void mw_expect_trace(struct mw *w, const char *expected)
{
    assert_string_equal(pf_buf_cstr(&w->trace), expected);
    pf_buf_clear(&w->trace);
}

void mw_drop_trace(struct mw *w)
{
    pf_buf_clear(&w->trace);
}

const struct pf_buf *mw_log(const struct mw *w)
{
    return &w->log;
}

const char *mw_field(struct mw *w, const char *key)
{
    char *quoted = NULL;
    struct pf_buf text = {0};
    const char *at;
    size_t n;

    assert_non_null(w->last);
    pf_buf_printf(&text, "\"%s\":", key);
    at = strstr(w->last, pf_buf_cstr(&text));
    if (!at) {
        fail_msg("no field %s in %s", key, w->last);
        return NULL;
    }
    at += text.len;
    at += strncmp(at, "{\"value\":", 9) == 0 ? 9 : 0;
    if (*at == '"') {
        at++;
        n = strcspn(at, "\"");
    } else {
        n = strcspn(at, ",}]");
    }
    quoted = pf_strndup(at, n);
    pf_buf_fini(&text);
    return keep(w, quoted);
}

/* --- stories --- */

static void res_item(const struct pf_res_item *item, struct pf_buf *out)
{
    pf_buf_printf(out, ",{'name':'%s','type':'%s'", item->name,
                  item->kind == PF_RES_KIND_SCALAR   ? "SCALAR"
                  : item->kind == PF_RES_KIND_RANGES ? "RANGES"
                                                     : "SET");
    if (item->kind == PF_RES_KIND_SCALAR) {
        pf_buf_add_cstr(out, ",'scalar':{'value':");
        pf_milli_format(item->milli, out);
        pf_buf_add_byte(out, '}');
    }
    for (uint32_t i = 0; i < item->n && item->kind != PF_RES_KIND_SCALAR; i++) {
        pf_buf_add_cstr(out, i > 0                              ? ","
                             : item->kind == PF_RES_KIND_RANGES ? ",'ranges':{'range':["
                                                                : ",'set':{'item':[");
        if (item->kind == PF_RES_KIND_RANGES) {
            pf_buf_printf(out, "{'begin':%llu,'end':%llu}",
                          (unsigned long long)item->range[i].begin,
                          (unsigned long long)item->range[i].end);
        } else {
            pf_buf_printf(out, "'%s'", item->item[i]);
        }
    }
    pf_buf_add_cstr(out, item->kind == PF_RES_KIND_SCALAR ? "}" : "]}}");
}

const char *mw_res(struct mw *w, const char *text)
{
    struct pf_resources r = {0};
    struct pf_buf out = {0};
    char *json;

    assert_int_equal(pf_res_parse(pf_str(text), &r, NULL), 0);
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (r.scalar_milli[i] > 0) {
            res_item(&(struct pf_res_item){.name = pf_res_scalar_names[i],
                                           .kind = PF_RES_KIND_SCALAR,
                                           .milli = r.scalar_milli[i]},
                     &out);
        }
    }
    for (uint32_t i = 0; i < r.n_items; i++) {
        res_item(&r.item[i], &out);
    }
    json = pf_strdup(pf_buf_cstr(&out) + (out.len > 0 ? 1 : 0));
    pf_buf_fini(&out);
    pf_res_fini(&r);
    return keep(w, json);
}

void mw_agent(struct mw *w, uint64_t peer, const char *id, const char *resources,
              const char *attributes)
{
    struct pf_buf hello = {0};

    pf_buf_printf(&hello, "'id':'%s','instance':'i%llu'", id, (unsigned long long)peer);
    mw_up(w, peer, "AGENT", true, pf_buf_cstr(&hello));
    pf_buf_fini(&hello);
    mw_send(
        w, peer,
        "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h%llu','id':{'value':'%s'},"
        "'resources':[%s],'attributes':[%s]},'address':'127.0.0.1:6%llu','runs_as_root':true,"
        "'version':'0.1'}}",
        (unsigned long long)peer, id, mw_res(w, resources), attributes, (unsigned long long)peer);
    mw_expect(w, peer, "'request_id':1", "'is_reply':true", "AgentTasksWanted", NULL);
    mw_send(w, peer, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, peer, "'request_id':1", "'is_reply':true", "AgentRegistered", id, NULL);
}

const char *mw_framework(struct mw *w, uint64_t peer, const char *info, const char *more)
{
    mw_up(w, peer, "SCHEDULER", true, "");
    mw_send(
        w, peer,
        "'body':{'Scheduler_Call':{'type':'SUBSCRIBE','subscribe':{'framework_info':{'user':'u',"
        "'name':'n%llu'%s%s}%s%s}}}",
        (unsigned long long)peer, info[0] ? "," : "", info, more[0] ? "," : "", more);
    mw_expect(w, peer, "'type':'SUBSCRIBED'", NULL);
    return mw_field(w, "framework_id");
}

const char *mw_task(struct mw *w, const char *task_id, const char *agent_id, const char *resources)
{
    struct pf_buf out = {0};

    pf_buf_printf(&out,
                  "{'name':'t','task_id':{'value':'%s'},'agent_id':{'value':'%s'},'resources':[%s],"
                  "'command':{'value':'true'}}",
                  task_id, agent_id, mw_res(w, resources));
    char *json = pf_strdup(pf_buf_cstr(&out));

    pf_buf_fini(&out);
    return keep(w, json);
}

void mw_accept(struct mw *w, uint64_t peer, const char *offer, const char *tasks, const char *more)
{
    mw_call(w, peer, "ACCEPT",
            "'accept':{'offer_ids':[{'value':'%s'}],'operations':[{'type':'LAUNCH','launch':{"
            "'task_infos':[%s]}}]%s%s}",
            offer, tasks, more[0] ? "," : "", more);
}

const char *mw_uuid(struct mw *w, unsigned n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[] = "AAAAAAAAAAAAAAAAAAAAAA==";

    assert_true(n < 64);
    text[20] = digits[n >> 2]; /* the last byte is n: 6 + 2 bits */
    text[21] = digits[(n & 3) << 4];
    return keep(w, pf_strdup(text));
}

void mw_update(struct mw *w, uint64_t agent, const char *framework, const char *task,
               const char *state, unsigned n)
{
    mw_send(w, agent,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'%s'},"
            "'state':'%s','uuid':'%s','source':'SOURCE_EXECUTOR'}}}",
            framework, task, state, mw_uuid(w, n));
}

void mw_acknowledge(struct mw *w, uint64_t peer, const char *agent_id, const char *task, unsigned n)
{
    mw_call(w, peer, "ACKNOWLEDGE",
            "'acknowledge':{'agent_id':{'value':'%s'},'task_id':{'value':'%s'},'uuid':'%s'}",
            agent_id, task, mw_uuid(w, n));
}

void mw_call(struct mw *w, uint64_t peer, const char *type, const char *fmt, ...)
{
    struct pf_buf part = {0};
    va_list ap;

    va_start(ap, fmt);
    pf_buf_vprintf(&part, fmt, ap);
    va_end(ap);
    mw_send(w, peer, "'body':{'Scheduler_Call':{'type':'%s'%s%s}}", type, part.len > 0 ? "," : "",
            pf_buf_cstr(&part));
    pf_buf_fini(&part);
}

void mw_ask(struct mw *w, uint64_t peer, const char *type, const char *fmt, ...)
{
    struct pf_buf part = {0};
    va_list ap;

    va_start(ap, fmt);
    pf_buf_vprintf(&part, fmt, ap);
    va_end(ap);
    if (!is_up(w, peer)) {
        mw_up(w, peer, "OPERATOR", true, "");
    }
    mw_send(w, peer, "'request_id':9,'body':{'Master_Call':{'type':'%s'%s%s}}", type,
            part.len > 0 ? "," : "", pf_buf_cstr(&part));
    pf_buf_fini(&part);
}
