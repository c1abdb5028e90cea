/* SPDX-License-Identifier: Apache-2.0 */
/* See simulate.h. All agents share one net, one listener and one HTTP server. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "agent/daemon/detect.h"
#include "agent/daemon/http.h"
#include "agent/daemon/simulate_internal.h"
#include "common/base/alloc.h"
#include "common/engine/metrics.h"
#include "common/engine/ready.h"
#include "common/link/envelope.h"
#include "common/net/keyfile.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"

#define ENDS_A_TURN 4096

/* Whose connection a peer is. */
struct sim_peer {
    uint64_t peer; /* key of by_peer */
    struct sim *sim;
};

static struct sim *sim_of(const struct simulation *a, uint64_t peer)
{
    const struct sim_peer *p = pf_map_get_u64(&a->by_peer, &peer);

    return p != NULL ? p->sim : NULL;
}

static void on_connect(void *ctx, uint64_t peer)
{
    struct sim *s = ctx;
    struct sim_peer *p = PF_NEW(struct sim_peer);

    p->peer = peer;
    p->sim = s;
    pf_map_put(&s->all->by_peer, &p->peer, sizeof p->peer, p);
}

/* --- links -------------------------------------------------------------------------------------- */

static void net_up(void *ctx, const struct pf_peer_up *up)
{
    struct sim *s = sim_of(ctx, up->peer);
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = up->peer};

    if (s == NULL || pf_masters_on_up(s->masters, up) != PF_MASTER_UP) {
        return;
    }
    ev.peer_up.hello = up->greeting;
    ev.peer_up.is_master = true;
    ev.peer_up.trusted = up->is_trusted;
    sim_step(s, &ev);
}

/* The command line asks for output: there is none, and will be none. */
static void answer_client(struct simulation *a, uint64_t peer, struct pf_msg msg)
{
    struct pf_envelope e = pf_envelope_of(msg);
    struct pf_msg reply;

    if (e.request_id == 0 || e.is_reply) {
        return;
    }
    pf_fb_builder_reset(&a->builder);
    if (e.body_type == Body_ReadFile) {
        const struct pf_envelope out = {.request_id = e.request_id, .is_reply = true,
                                        .code = ReplyCode_OK, .body_type = Body_FileData};
        struct FileData__args args = {.eof = true};
        reply = pf_envelope_finish(&a->builder, &out, FileData__put(&a->builder, &args));
    } else {
        reply = pf_envelope_reply(&a->builder, e.request_id, ReplyCode_UNSUPPORTED,
                                  PF_STR("a simulated agent"));
    }
    pf_peer_send(a->net, peer, pf_msg_bytes(reply));
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct simulation *a = ctx;
    struct sim *s = sim_of(a, peer);
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE, .peer = peer};

    if (s == NULL) {
        answer_client(a, peer, envelope);
        return;
    }
    ev.message = envelope;
    sim_step(s, &ev);
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct simulation *a = ctx;
    struct sim *s = sim_of(a, peer);
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = peer};
    bool was_up = false;

    if (s == NULL) {
        return;
    }
    pf_free(pf_map_del(&a->by_peer, &peer, sizeof peer));
    if (pf_masters_on_down(s->masters, peer, why, &was_up) && was_up) {
        pf_turns_forget_peer(s->turns, peer);
        sim_step(s, &ev);
    }
}

static void net_welcome(void *ctx, struct pf_link_state *out)
{
    struct simulation *a = ctx;

    out->http_address = pf_str(a->http_address);
}

/* --- the loop ----------------------------------------------------------------------------------- */

static int64_t next_ms(const struct simulation *a)
{
    const struct pf_heap_node *end = pf_heap_first(&a->ends);
    const struct pf_heap_node *deadline = pf_heap_first(&a->deadlines);
    int64_t at = end != NULL ? end->key : INT64_MAX;

    return deadline != NULL && deadline->key < at ? deadline->key : at;
}

static bool on_turn(void *ctx)
{
    struct simulation *a = ctx;
    struct sim *s;

    while ((s = STAILQ_FIRST(&a->dirty)) != NULL) {
        STAILQ_REMOVE_HEAD(&a->dirty, dirty);
        sim_advance(s);
    }
    pf_loop_set_timer(a->loop, next_ms(a));
    return false;
}

static void on_deadline(void *ctx)
{
    struct simulation *a = ctx;
    int64_t now_ms = pf_loop_now_ms(a->loop);
    struct pf_heap_node *n;

    for (uint32_t i = 0; i < ENDS_A_TURN && (n = pf_heap_first(&a->ends)) != NULL; i++) {
        if (n->key > now_ms) {
            break;
        }
        sim_task_end(PF_CONTAINER(n, struct sim_task, end));
    }
    while ((n = pf_heap_first(&a->deadlines)) != NULL && n->key <= now_ms) {
        struct sim *s = PF_CONTAINER(n, struct sim, deadline);
        struct pf_agent_event ev = {.type = PF_AGENT_DEADLINE};
        pf_heap_remove(&a->deadlines, n); /* comes back when the sim was advanced */
        sim_step(s, &ev);
    }
}

static const char *http_health(void *ctx)
{
    (void)ctx; /* an answer is all there is to know */
    return NULL;
}

static void http_metrics(void *ctx, struct pf_buf *out)
{
    struct simulation *a = ctx;
    uint64_t registered = 0;

    for (uint32_t i = 0; i < a->n_sims; i++) {
        struct pf_agent_stats s;
        pf_agent_stats(a->sims[i].core, &s);
        registered += s.registered ? 1 : 0;
    }
    pf_metric_gauge(out, "proffer_simulated_agents", "Simulated agents.", a->n_sims);
    pf_metric_gauge(out, "proffer_simulated_agents_registered", "Those registered.", registered);
    pf_metric_counter(out, "proffer_simulated_starts_total", "Tasks said to run.", a->started);
    pf_metric_counter(out, "proffer_simulated_ends_total", "Tasks said to have ended.", a->ended);
    pf_metrics_common(out, a->loop, a->net, a->http, NULL);
}

/* --- boot --------------------------------------------------------------------------------------- */

static void on_signal(void *ctx, int signo)
{
    struct simulation *a = ctx;

    pf_log(PF_LOG_INFO, "ending", "signal=%d", signo);
    pf_loop_stop(a->loop);
}

static int boot_net(struct simulation *a, struct pf_agent_http *routes, struct pf_err *err)
{
    static const struct pf_net_ops ops = {net_up, net_message, net_down, net_welcome};

    a->self = (struct pf_link_self){.kind = PeerKind_AGENT,
                                    .key = a->has_key ? &a->key : NULL,
                                    .id = "",
                                    .instance = a->instance,
                                    .cluster = a->o->cluster,
                                    .version = PF_VERSION};
    const struct pf_net_options no = {.self = &a->self, .seed = pf_random_u64()};
    int rc = pf_net_create(a->loop, &no, &ops, a, &a->net, err);
    if (rc == 0) {
        rc = pf_http_create(a->loop, NULL, &a->http, err);
    }
    if (rc == 0) {
        pf_agent_http_routes(a->http, routes);
        rc = pf_net_listen(a->net, a->o->listen, a->native_address, err);
    }
    if (rc == 0) {
        rc = pf_http_listen(a->http, a->o->http, a->http_address, err);
    }
    if (rc == 0) {
        rc = pf_loop_on_signal(a->loop, SIGTERM, on_signal, a, err);
    }
    return rc == 0 ? pf_loop_on_signal(a->loop, SIGINT, on_signal, a, err) : rc;
}

static int boot_sims(struct simulation *a, struct pf_err *err)
{
    /* What a small machine would detect, unless --resources says otherwise. */
    const struct pf_machine machine = {.cpus = 4, .mem_bytes = UINT64_C(5) << 30,
                                       .disk_bytes = UINT64_C(25) << 30};
    struct pf_resources total = {0};

    int rc = pf_detect_resources(a->o->resources, &machine, &total, err);
    a->n_sims = (uint32_t)a->o->simulate;
    a->sims = pf_alloc(a->n_sims * sizeof a->sims[0]);
    for (uint32_t i = 0; rc == 0 && i < a->n_sims; i++) {
        rc = sim_init(&a->sims[i], a, i, &total, on_connect, err);
    }
    pf_res_fini(&total);
    if (rc < 0) {
        return rc;
    }
    pf_loop_set_on_turn(a->loop, on_turn, a);
    pf_loop_set_on_deadline(a->loop, on_deadline, a);
    (void)on_turn(a); /* identities are stored before the first Hello */
    for (uint32_t i = 0; i < a->n_sims; i++) {
        pf_masters_begin(a->sims[i].masters);
    }
    return 0;
}

static int boot(struct simulation *a, struct pf_agent_http *routes, struct pf_err *err)
{
    uint64_t limit;
    int rc = 0;

    if (a->o->key_file[0] != '\0') {
        rc = pf_keyfile_read(a->o->key_file, &a->key, err);
        a->has_key = rc == 0;
    }
    if (rc == 0) {
        rc = pf_listen_check(a->o->listen, a->has_key, a->o->insecure, err);
    }
    if (rc == 0) {
        rc = pf_listen_check(a->o->http, a->has_key, a->o->insecure, err);
    }
    if (rc == 0) {
        rc = pf_fd_raise_limit(&limit, err);
    }
    if (rc == 0) {
        rc = pf_boot_id(a->boot_id, err);
    }
    if (rc == 0) {
        rc = pf_loop_create(&a->loop, err);
    }
    if (rc == 0) {
        rc = boot_net(a, routes, err);
    }
    return rc == 0 ? boot_sims(a, err) : rc;
}

static void simulation_fini(struct simulation *a)
{
    uint32_t cursor = 0;
    struct sim_peer *p;
    struct pf_ptrs peers = {0};

    for (uint32_t i = 0; i < a->n_sims; i++) {
        sim_fini(&a->sims[i]);
    }
    while ((p = pf_map_next(&a->by_peer, &cursor)) != NULL) {
        pf_ptrs_push(&peers, p);
    }
    for (uint32_t i = 0; i < peers.len; i++) {
        pf_free(peers.at[i]);
    }
    pf_ptrs_fini(&peers);
    pf_map_fini(&a->by_peer);
    pf_heap_fini(&a->ends);
    pf_heap_fini(&a->deadlines);
    pf_free(a->sims);
    pf_net_destroy(a->net);
    pf_http_destroy(a->http);
    pf_loop_destroy(a->loop);
    pf_fb_builder_fini(&a->builder);
    pf_key_wipe(&a->key);
}

int pf_simulate_run(const struct pf_agentd_options *options, struct pf_err *err)
{
    struct simulation a = {.o = options};
    struct pf_agent_http routes = {{http_health, http_metrics}, &a};

    STAILQ_INIT(&a.dirty);
    pf_uuid_format(pf_random_uuid(), a.instance);
    pf_fb_builder_init(&a.builder, NULL);
    int rc = boot(&a, &routes, err);
    if (rc == 0) {
        pf_log(PF_LOG_INFO, "simulated agents ready", "agents=%u native=%s http=%s", a.n_sims,
               a.native_address, a.http_address);
        pf_ready_tell((int)options->ready_fd, a.native_address, a.http_address);
        rc = pf_loop_run(a.loop, err);
    }
    simulation_fini(&a);
    return rc;
}
