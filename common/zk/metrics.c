/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text, one series for each session. */
#include <inttypes.h>
#include "common/zk/client_internal.h"

static void head_write(struct pf_buf *out, const char *name, const char *type, const char *help)
{
    pf_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void replies_write(const struct pf_zk *z, struct pf_buf *out)
{
    static const char *const labels[PF_ZK_CODE_COUNT] = {
        "ok",      "no_node",  "node_exists", "bad_version", "not_empty",
        "no_auth", "not_sent", "unknown",     "failed",
    };
    const char *name = "proffer_zk_replies_total";
    head_write(out, name, "counter", "Requests to ZooKeeper that were answered.");
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        for (int c = 0; c < PF_ZK_CODE_COUNT; c++) {
            pf_buf_printf(out, "%s{session=\"%u\",code=\"%s\"} %" PRIu64 "\n", name, i, labels[c],
                          z->session[i].stats.replies[c]);
        }
    }
}

static void latency_write(const struct pf_zk *z, struct pf_buf *out)
{
    static const char *const bounds[PF_ZK_BUCKETS] = {"0.001", "0.003", "0.01", "0.03",
                                                      "0.1",   "0.3",   "1",    "+Inf"};
    const char *name = "proffer_zk_request_seconds";
    head_write(out, name, "histogram", "Time from sending to ZooKeeper to its answer.");
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        const struct zk_stats *s = &z->session[i].stats;
        uint64_t n = 0;
        for (int b = 0; b < PF_ZK_BUCKETS; b++) {
            n += s->bucket[b];
            pf_buf_printf(out, "%s_bucket{session=\"%u\",le=\"%s\"} %" PRIu64 "\n", name, i,
                          bounds[b], n);
        }
        pf_buf_printf(out, "%s_sum{session=\"%u\"} %" PRIu64 ".%06" PRIu64 "\n", name, i,
                      s->latency_us_sum / 1000000, s->latency_us_sum % 1000000);
        pf_buf_printf(out, "%s_count{session=\"%u\"} %" PRIu64 "\n", name, i, n);
    }
    head_write(out, "proffer_zk_request_seconds_max", "gauge", "The slowest answer.");
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        int64_t us = z->session[i].stats.latency_us_max;
        pf_buf_printf(out,
                      "proffer_zk_request_seconds_max{session=\"%u\"} %" PRId64 ".%06" PRId64 "\n",
                      i, us / 1000000, us % 1000000);
    }
}

static void number_write(const struct pf_zk *z, struct pf_buf *out, const char *name,
                         const char *type, const char *help,
                         uint64_t (*value)(const struct zk_session *s))
{
    head_write(out, name, type, help);
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        pf_buf_printf(out, "%s{session=\"%u\"} %" PRIu64 "\n", name, i, value(&z->session[i]));
    }
}

static uint64_t is_connected(const struct zk_session *s)
{
    return s->phase == ZK_UP ? 1 : 0;
}

static uint64_t n_connects(const struct zk_session *s)
{
    return s->stats.connects;
}

static uint64_t n_losses(const struct zk_session *s)
{
    return s->stats.losses;
}

static uint64_t n_expiries(const struct zk_session *s)
{
    return s->stats.expiries;
}

static uint64_t n_auth_failures(const struct zk_session *s)
{
    return s->stats.auth_failures;
}

void pf_zk_metrics(const struct pf_zk *z, struct pf_buf *out)
{
    number_write(z, out, "proffer_zk_connected", "gauge", "1: the session is usable.",
                 is_connected);
    number_write(z, out, "proffer_zk_connects_total", "counter", "Connections made.", n_connects);
    number_write(z, out, "proffer_zk_losses_total", "counter", "Connections lost.", n_losses);
    number_write(z, out, "proffer_zk_expiries_total", "counter", "Sessions that expired.",
                 n_expiries);
    number_write(z, out, "proffer_zk_auth_failures_total", "counter",
                 "Sessions without the rights they need.", n_auth_failures);
    replies_write(z, out);
    latency_write(z, out);
}
