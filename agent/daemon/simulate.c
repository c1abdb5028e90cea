/* SPDX-License-Identifier: Apache-2.0 */
/* See simulate.h. */
#include "agent/daemon/simulate.h"

#include <inttypes.h>
#include <signal.h>

#include "agent/daemon/detect.h"
#include "agent/daemon/http.h"
#include "agent/daemon/simulation.h"
#include "common/base/limits.h"
#include "common/engine/metrics.h"
#include "common/engine/ready.h"
#include "common/net/keyfile.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

enum {
    FDS_BESIDES = 128, /* what the process needs but for the links */
    PROGRESS_MS = 1000,
};

struct simulate {
    const struct pf_agentd_options *o;
    struct pf_loop *loop;
    struct pf_http *http;
    struct pf_agent_http routes;
    struct pf_simulation *sim;
    struct pf_timer *progress;
    struct pf_simulation_stats told;
    struct pf_key key;
    bool has_key;
    char http_address[PF_ADDRESS_MAX];
};

static void on_ready(void *ctx)
{
    struct simulate *d = ctx;

    pf_log(PF_LOG_INFO, "all simulated agents are registered", "agents=%" PRId64, d->o->simulate);
    pf_ready_tell((int)d->o->ready_fd, pf_simulation_address(d->sim), d->http_address);
}

static void on_progress(void *ctx)
{
    struct simulate *d = ctx;
    struct pf_simulation_stats now;

    pf_simulation_stats(d->sim, &now);
    if (now.n_registered != d->told.n_registered || now.started != d->told.started ||
        now.ended != d->told.ended) {
        pf_log(PF_LOG_INFO, "simulated agents",
               "agents=%u linked=%u registered=%u processes=%u started=%" PRIu64 " ended=%" PRIu64,
               now.n_agents, now.n_linked, now.n_registered, now.n_processes, now.started,
               now.ended);
        d->told = now;
    }
    pf_timer_set(d->progress, pf_loop_now_ms(d->loop) + PROGRESS_MS);
}

static const char *http_health(void *ctx)
{
    (void)ctx; /* an answer is all there is to know */
    return NULL;
}

static void http_metrics(void *ctx, struct pf_buf *out)
{
    struct simulate *d = ctx;
    struct pf_simulation_stats s;

    pf_simulation_stats(d->sim, &s);
    pf_metric_gauge(out, "proffer_simulated_agents", "Simulated agents.", s.n_agents);
    pf_metric_gauge(out, "proffer_simulated_agents_registered", "Those registered.",
                    s.n_registered);
    pf_metric_gauge(out, "proffer_simulated_processes", "Processes said to run.", s.n_processes);
    pf_metric_counter(out, "proffer_simulated_starts_total", "Processes said to run.", s.started);
    pf_metric_counter(out, "proffer_simulated_ends_total", "Those said to have ended.", s.ended);
    pf_metric_counter(out, "proffer_simulated_links_total", "Links begun to masters.",
                      s.connects);
    pf_metrics_common(out, d->loop, pf_simulation_net(d->sim), d->http, NULL);
}

static void on_signal(void *ctx, int signo)
{
    struct simulate *d = ctx;

    pf_log(PF_LOG_INFO, "ending", "signal=%d", signo);
    pf_loop_stop(d->loop);
}

static int boot_simulation(struct simulate *d, struct pf_err *err)
{
    /* Less what pf_detect_resources leaves to the machine: PF_SIMULATION_RESOURCES. */
    static const struct pf_machine machine = {
        .cpus = 8, .mem_bytes = UINT64_C(17) << 30, .disk_bytes = UINT64_C(69) << 30};
    const struct pf_agentd_options *o = d->o;
    struct pf_str master[PF_MASTERS_MAX];
    struct pf_resources total = {0};

    if (o->masters.len > PF_MASTERS_MAX) {
        return pf_err_set(err, PF_EUSAGE, "--master names more than %d", PF_MASTERS_MAX);
    }
    for (uint32_t i = 0; i < o->masters.len; i++) {
        master[i] = pf_str(o->masters.at[i]);
    }
    int rc = pf_detect_resources(o->resources, &machine, &total, err);
    if (rc < 0) {
        return rc;
    }
    const struct pf_simulation_options so = {
        .n_agents = (uint32_t)o->simulate,
        .master = master,
        .n_masters = o->masters.len,
        .listen = o->listen,
        .key = d->has_key ? &d->key : NULL,
        .cluster = o->cluster,
        .resources = &total,
        .attributes = o->attributes,
        .hostname = o->hostname,
        .http_address = d->http_address,
        .task_user = o->task_user,
        .allow_any_user = o->allow_any_user,
        .on_ready = on_ready,
        .ctx = d,
    };
    rc = pf_simulation_create(d->loop, &so, &d->sim, err);
    pf_res_fini(&total);
    return rc;
}

static int boot_http(struct simulate *d, struct pf_err *err)
{
    int rc = pf_http_create(d->loop, NULL, &d->http, err);

    if (rc == 0) {
        d->routes = (struct pf_agent_http){{http_health, http_metrics}, d};
        pf_agent_http_routes(d->http, &d->routes);
        rc = pf_http_listen(d->http, d->o->http, d->http_address, err);
    }
    return rc;
}

static int boot_access(struct simulate *d, struct pf_err *err)
{
    const struct pf_agentd_options *o = d->o;
    int rc = 0;

    if (o->key_file[0] != '\0') {
        rc = pf_keyfile_read(o->key_file, &d->key, err);
        d->has_key = rc == 0;
    }
    if (rc == 0) {
        rc = pf_listen_check(o->listen, d->has_key, o->insecure, err);
    }
    return rc == 0 ? pf_listen_check(o->http, d->has_key, o->insecure, err) : rc;
}

static int boot_fds(const struct simulate *d, struct pf_err *err)
{
    int64_t need = d->o->simulate + FDS_BESIDES;
    uint64_t limit;
    int rc = pf_fd_raise_limit(&limit, err);

    if (rc == 0 && limit < (uint64_t)need) {
        rc = pf_err_set(err, PF_ELIMIT,
                        "%" PRId64 " simulated agents need %" PRId64 " open files, the limit is "
                        "%" PRIu64 "; raise it (ulimit -Hn) or simulate fewer",
                        d->o->simulate, need, limit);
    }
    return rc;
}

static int boot(struct simulate *d, struct pf_err *err)
{
    int rc = boot_access(d, err);

    if (rc == 0) {
        rc = boot_fds(d, err);
    }
    if (rc == 0) {
        rc = pf_loop_create(&d->loop, err);
    }
    if (rc == 0) {
        rc = boot_http(d, err);
    }
    if (rc == 0) {
        rc = boot_simulation(d, err);
    }
    if (rc == 0) {
        rc = pf_loop_on_signal(d->loop, SIGTERM, on_signal, d, err);
    }
    return rc == 0 ? pf_loop_on_signal(d->loop, SIGINT, on_signal, d, err) : rc;
}

int pf_simulate_run(const struct pf_agentd_options *options, struct pf_err *err)
{
    struct simulate d = {.o = options};

    int rc = boot(&d, err);
    if (rc == 0) {
        d.progress = pf_timer_create(d.loop, PF_PRIO_NORMAL, on_progress, &d);
        pf_timer_set(d.progress, pf_now_ms() + PROGRESS_MS);
        pf_log(PF_LOG_INFO, "simulating", "agents=%" PRId64 " native=%s http=%s",
               options->simulate, pf_simulation_address(d.sim), d.http_address);
        rc = pf_loop_run(d.loop, err);
    }
    pf_timer_destroy(d.progress);
    pf_simulation_destroy(d.sim);
    pf_http_destroy(d.http);
    pf_loop_destroy(d.loop);
    pf_key_wipe(&d.key);
    return rc;
}
