/* SPDX-License-Identifier: Apache-2.0 */
/* The quorum's machine inside the daemon: ZooKeeper's answers, time and links in, its effects out.
 * A leadership that ends makes the core anew: everything that was queued is dropped, links are
 * closed (not those to other masters), and a standby begins from the committed rows. */
#include "master/daemon/masterd_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"

enum { LEAVE_MS = 2000 }; /* that a master on its way out waits for another to lead */

static void begin_to_lead(struct masterd *d)
{
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED};
    d->lead_pending = false;
    d->leads = true;
    d->incarnation = pf_quorum_incarnation(d->quorum);
    d->epoch = pf_quorum_epoch(d->quorum);
    ev.elected.incarnation = d->incarnation;
    ev.elected.epoch = d->epoch;
    ev.elected.is_stored = true;
    masterd_step(d, &ev);
    masterd_masters_view(d);
    masterd_masters_welcome(d);
    pf_log(PF_LOG_INFO, "leading", "epoch=%" PRIu64, d->epoch);
}

static void stop_leading(struct masterd *d, struct pf_str why)
{
    pf_log(PF_LOG_WARN, "leading no more", "epoch=%" PRIu64 " why=%.*s", d->epoch, PF_STR_ARG(why));
    d->lead_pending = false;
    d->leads = false;
    d->is_stopping = true;
    pf_timer_set(d->restart, pf_loop_now_ms(d->loop));
}

static void tell_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    struct masterd *d = ctx;
    if (d->failure.code == 0 && masterd_row(d, table, is_del, key, row) < 0) {
        pf_log(PF_LOG_ERROR, "a row of the registry cannot be read", "why=%s", d->failure.msg);
    }
}

static void forget_agent_links(struct masterd *d)
{
    uint32_t cursor = 0;
    for (void *peer; (peer = pf_map_next(&d->agent_links, &cursor)) != NULL;) {
        pf_free(peer);
    }
    pf_map_fini(&d->agent_links);
    d->agent_links.seed = pf_random_u64();
}

static void on_restart(void *ctx)
{
    struct masterd *d = ctx;
    struct pf_err err = {0};
    pf_timer_set(d->restart, INT64_MAX);
    masterd_core_end(d);
    pf_api_drop(d->api);
    pf_net_drop(d->net, PF_NET_DROP_ALL_BUT_URGENT);
    pf_net_pause(d->net, false);
    forget_agent_links(d);
    struct pf_store *store = pf_store_remote_open(masterd_quorum_submit, d, PF_REPLOG_DEPTH);
    if (masterd_core_begin(d, store, &err) < 0) {
        masterd_fail(d, &err);
        return;
    }
    d->is_stopping = false;
    pf_quorum_rows(d->quorum, tell_row, d);
    masterd_masters_tell_core(d);
    masterd_masters_view(d);
    if (d->lead_pending) {
        begin_to_lead(d);
    }
}

/* --- effects ---------------------------------------------------------------------------------- */

static void on_stored(struct masterd *d, uint64_t number)
{
    if (!d->is_stopping) {
        pf_store_remote_stored(d->store, number);
        pf_engine_collect(d->engine);
    }
}

static void on_say(bool is_warning, struct pf_str text)
{
    pf_log(is_warning ? PF_LOG_WARN : PF_LOG_INFO, "quorum", "text=%.*s", PF_STR_ARG(text));
}

static void carry_out(struct masterd *d, const struct pf_quorum_effect *e)
{
    switch (e->type) {
    case PF_QUORUM_ZK: pf_zk_submit(d->zk, &e->zk); break;
    case PF_QUORUM_PROBE: masterd_probe(d, e->probe.address); break;
    case PF_QUORUM_LEAD:
        if (d->is_stopping) {
            d->lead_pending = true;
        } else {
            begin_to_lead(d);
        }
        break;
    case PF_QUORUM_STOP: stop_leading(d, e->stop.why); break;
    case PF_QUORUM_ROW:
        if (!d->is_stopping) { /* else the new core is told all of them */
            tell_row(d, e->row.table, e->row.is_del, e->row.key, e->row.row);
        }
        break;
    case PF_QUORUM_STORED: on_stored(d, e->stored.number); break;
    case PF_QUORUM_STREAM:
        masterd_masters_send(d, (struct pf_str){NULL, 0}, e->send.message);
        break;
    case PF_QUORUM_SEND: masterd_masters_send(d, e->send.instance, e->send.message); break;
    case PF_QUORUM_VIEW: masterd_masters_view(d); break;
    case PF_QUORUM_SAY: on_say(e->say.is_warning, e->say.text); break;
    case PF_QUORUM_FATAL: {
        struct pf_err err = {0};
        (void)pf_err_set(&err, PF_EVERSION, "%.*s", PF_STR_ARG(e->say.text));
        masterd_fail(d, &err);
        break;
    }
    }
}

static void set_tick(struct masterd *d)
{
    int64_t boot_ms = pf_quorum_deadline(d->quorum), now_ms = pf_now_ms(), at = INT64_MAX;
    if (boot_ms != INT64_MAX) {
        int64_t wait_ms = boot_ms - pf_boot_ms();
        at = wait_ms > 0 ? now_ms + wait_ms : now_ms;
    }
    int64_t masters_ms = masterd_masters_next_ms(d);
    at = masters_ms < at ? masters_ms : at;
    if (pf_quorum_is_frozen(d->quorum)) {
        at = now_ms; /* until the turns are idle; a second at most */
    }
    pf_timer_set(d->tick, at);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static bool is_anybody_linked(const struct masterd *d)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(d->quorum, v);
    for (uint32_t i = 0; i < n; i++) {
        if (!v[i].is_self && v[i].is_linked) {
            return true;
        }
    }
    return false;
}

static void leave_when_led(struct masterd *d)
{
    if (!d->is_leaving || d->is_ended) {
        return;
    }
    bool other_leads = !d->leads && d->leader_address[0] != '\0';
    bool was_called_off = d->leads && !pf_quorum_is_frozen(d->quorum);
    if (other_leads || was_called_off || !is_anybody_linked(d)) {
        pf_log(PF_LOG_INFO, other_leads ? "handed over" : "nobody takes over", "leader=%s",
               d->leader_address);
        masterd_end(d);
    }
}

static void on_leave_late(void *ctx)
{
    struct masterd *d = ctx;
    pf_log_msg(PF_LOG_WARN, "nobody leads yet; ending all the same");
    masterd_end(d);
}

bool masterd_quorum_leave(struct masterd *d)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_STEP_DOWN};
    if (d->quorum == NULL || !d->leads || d->is_stopping) {
        return false;
    }
    masterd_quorum_step(d, &ev);
    pf_timer_set(d->late, pf_loop_now_ms(d->loop) + LEAVE_MS);
    return !d->leads || pf_quorum_is_frozen(d->quorum);
}

void masterd_quorum_step(struct masterd *d, struct pf_quorum_event *ev)
{
    const struct pf_quorum_effect *e;
    ev->boot_ms = pf_boot_ms();
    ev->wall_ms = pf_wall_ms();
    pf_quorum_step(d->quorum, ev);
    if (d->is_draining) {
        return; /* whoever drains goes on with what this put */
    }
    d->is_draining = true;
    while ((e = pf_quorum_next(d->quorum)) != NULL) {
        carry_out(d, e);
    }
    d->is_draining = false;
    set_tick(d);
    leave_when_led(d);
}

static void on_tick(void *ctx)
{
    struct masterd *d = ctx;
    bool was_frozen = pf_quorum_is_frozen(d->quorum);
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_PEERS};
    ev.peers.n_agents = d->agent_links.len;
    masterd_quorum_step(d, &ev);
    ev = (struct pf_quorum_event){.type = PF_QUORUM_EV_TICK};
    masterd_quorum_step(d, &ev);
    masterd_masters_due(d);
    if (was_frozen && !d->is_stopping && pf_quorum_is_frozen(d->quorum) &&
        pf_engine_is_idle(d->engine)) {
        ev = (struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED};
        masterd_quorum_step(d, &ev);
    }
    if (!d->is_stopping) {
        pf_net_pause(d->net, pf_quorum_is_frozen(d->quorum));
    }
    set_tick(d);
}

void masterd_quorum_submit(void *ctx, const struct pf_batch *batch)
{
    struct masterd *d = ctx;
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_SUBMIT, .submit = batch};
    PF_ASSERT(!d->is_stopping);
    masterd_quorum_step(d, &ev);
}

bool masterd_quorum_may_act(struct masterd *d)
{
    return !d->is_stopping && pf_quorum_may_act(d->quorum, pf_boot_ms());
}

void masterd_quorum_gate_shut(struct masterd *d)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_TICK};
    if (!d->is_stopping) {
        masterd_quorum_step(d, &ev);
    }
}

/* --- ZooKeeper -------------------------------------------------------------------------------- */

static void zk_session(void *ctx, const struct pf_zk_session *s)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_SESSION, .session = *s};
    masterd_quorum_step(ctx, &ev);
}

static void zk_reply(void *ctx, const struct pf_zk_reply *r)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_REPLY, .reply = r};
    masterd_quorum_step(ctx, &ev);
}

static void zk_watch(void *ctx, const struct pf_zk_watch *w)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_WATCH, .watch = *w};
    masterd_quorum_step(ctx, &ev);
}

static void on_welcome(void *ctx)
{
    masterd_masters_welcome(ctx);
}

/* --- boot ------------------------------------------------------------------------------------- */

/* The work directory is ours as long as we live; its uuid tells our old nodes from others'. */
static int read_place(struct masterd *d, struct pf_err *err)
{
    char path[4096];
    struct pf_buf text = {0};
    struct pf_uuid place;
    (void)snprintf(path, sizeof path, "%s/place", d->o->work_dir);
    int rc = pf_file_read(path, 256, &text, NULL);
    if (rc == 0 && text.len >= PF_UUID_TEXT_LEN &&
        pf_uuid_parse((struct pf_str){(const char *)text.data, PF_UUID_TEXT_LEN}, &place)) {
        pf_uuid_format(place, d->place);
    } else if (rc == 0) {
        rc =
            pf_err_set(err, PF_EPROTO, "%s holds no uuid: remove it if this is a new master", path);
    } else {
        pf_uuid_format(pf_random_uuid(), d->place);
        rc = pf_file_write(path, d->place, PF_UUID_TEXT_LEN, 0600, err);
    }
    pf_buf_fini(&text);
    return rc;
}

static int make_quorum(struct masterd *d, struct pf_err *err)
{
    const struct pf_quorum_options qo = {
        .elect = {.seed = pf_random_u64(),
                  .instance = d->instance,
                  .place = d->place,
                  .cluster = d->o->cluster,
                  .address = d->native_address,
                  .http_address = d->http_address,
                  .hostname = d->hostname,
                  .version = PF_VERSION,
                  .pid = getpid(),
                  .started_wall_ms = pf_wall_ms(),
                  .format_min = REGISTRY_FORMAT,
                  .format_max = REGISTRY_FORMAT},
        .log = {.seed = pf_random_u64(),
                .format_min = REGISTRY_FORMAT,
                .format_max = REGISTRY_FORMAT},
    };
    const struct pf_zk_options zo = {.url = d->o->zk,
                                     .session_ms = (int32_t)d->o->zk_session_ms,
                                     .has_spare = true,
                                     .seed = pf_random_u64()};
    const struct pf_zk_ops ops = {zk_session, zk_reply, zk_watch};
    d->agent_links.seed = pf_random_u64();
    d->quorum = pf_quorum_create(&qo);
    d->late = pf_timer_create(d->loop, PF_PRIO_URGENT, on_leave_late, d);
    d->tick = pf_timer_create(d->loop, PF_PRIO_URGENT, on_tick, d);
    d->restart = pf_timer_create(d->loop, PF_PRIO_URGENT, on_restart, d);
    d->welcome = pf_timer_create(d->loop, PF_PRIO_NORMAL, on_welcome, d);
    return pf_zk_create(d->loop, &zo, &ops, d, &d->zk, err);
}

static bool is_member(const struct masterd *d)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(d->quorum, v);
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].is_self) {
            return true;
        }
    }
    return false;
}

int masterd_quorum_begin(struct masterd *d, struct pf_err *err)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/master.lock", d->o->work_dir);
    int rc = pf_file_lock(path, &d->lock_fd, err);
    if (rc == 0) {
        rc = read_place(d, err);
    }
    if (rc == 0) {
        struct pf_store *store = pf_store_remote_open(masterd_quorum_submit, d, PF_REPLOG_DEPTH);
        rc = masterd_core_begin(d, store, err);
    }
    if (rc == 0) {
        rc = make_quorum(d, err);
    }
    /* Links and HTTP are served meanwhile: who asks is told what is missing. */
    while (rc == 0 && d->failure.code == 0 && !d->is_ended && !is_member(d)) {
        rc = pf_loop_turn(d->loop, true, err);
    }
    if (rc == 0 && d->failure.code != 0) {
        *err = d->failure;
        rc = d->failure.code;
    }
    return rc;
}

void masterd_quorum_end(struct masterd *d)
{
    pf_zk_destroy(d->zk);
    pf_timer_destroy(d->late);
    pf_timer_destroy(d->tick);
    pf_timer_destroy(d->restart);
    pf_timer_destroy(d->welcome);
    pf_quorum_destroy(d->quorum);
    forget_agent_links(d);
}
