/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. */
#include "common/engine/metrics.h"

#include <inttypes.h>

void pf_metric_counter(struct pf_buf *out, const char *name, const char *help, uint64_t value)
{
    pf_buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %" PRIu64 "\n", name, help, name, name,
                  value);
}

void pf_metric_gauge(struct pf_buf *out, const char *name, const char *help, uint64_t value)
{
    pf_buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRIu64 "\n", name, help, name, name,
                  value);
}

void pf_metric_seconds(struct pf_buf *out, const char *name, const char *type, const char *help,
                       uint64_t value, uint64_t per_second)
{
    uint64_t nano = (value % per_second) * (UINT64_C(1000000000) / per_second);
    pf_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 ".%09" PRIu64 "\n", name, help,
                  name, type, name, value / per_second, nano);
}

struct counter {
    const char *name, *help;
    uint64_t value;
};

static void counters_write(struct pf_buf *out, const struct counter *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pf_metric_counter(out, c[i].name, c[i].help, c[i].value);
    }
}

static void loop_write(struct pf_buf *out, const struct pf_loop_counters *c)
{
    const struct counter counters[] = {
        {"proffer_loop_turns_total", "Turns of the event loop.", c->turns},
        {"proffer_loop_events_total", "Events delivered by the loop.", c->events},
        {"proffer_loop_cut_turns_total", "Turns ended by their budget.", c->cut_turns},
        {"proffer_loop_long_turns_total", "Turns over ten times their budget.", c->long_turns},
    };
    counters_write(out, counters, PF_ARRAY_LEN(counters));
    pf_metric_seconds(out, "proffer_loop_turn_seconds_total", "counter",
                      "Time spent in turns, without waiting.", c->turn_ns_sum, 1000000000);
    pf_metric_seconds(out, "proffer_loop_turn_seconds_max", "gauge", "The longest turn.",
                      c->turn_ns_max, 1000000000);
}

static void net_write(struct pf_buf *out, const struct pf_net_counters *c)
{
    const struct counter counters[] = {
        {"proffer_net_accepted_total", "Native connections accepted.", c->accepted},
        {"proffer_net_refused_total", "Connections over the limit.", c->refused_accepts},
        {"proffer_net_accept_errors_total", "Accepts that failed.", c->accept_errors},
        {"proffer_net_auth_failures_total", "Peers without or with a wrong key.", c->auth_failures},
        {"proffer_net_bad_frames_total", "Connections closed for malformed data.", c->bad_frames},
        {"proffer_net_over_limit_total", "Connections closed for long frames.", c->over_limit},
        {"proffer_net_slow_readers_total", "Peers cut off at their byte limit.", c->slow_readers},
        {"proffer_net_timeouts_total", "Silent or half-open connections closed.", c->timeouts},
        {"proffer_net_frames_in_total", "Frames received.", c->frames_in},
        {"proffer_net_frames_out_total", "Frames sent.", c->frames_out},
        {"proffer_net_bytes_in_total", "Bytes received.", c->bytes_in},
        {"proffer_net_bytes_out_total", "Bytes sent.", c->bytes_out},
        {"proffer_net_dropped_sends_total", "Messages to peers that had left.", c->dropped_sends},
    };
    counters_write(out, counters, PF_ARRAY_LEN(counters));
    pf_metric_gauge(out, "proffer_net_connections", "Native connections now.", c->n_conns);
    pf_metric_gauge(out, "proffer_net_peers", "Authenticated peers now.", c->n_up);
}

static void http_write(struct pf_buf *out, const struct pf_http_counters *c)
{
    const struct counter counters[] = {
        {"proffer_http_requests_total", "HTTP requests.", c->requests},
        {"proffer_http_replies_2xx_total", "HTTP answers 2xx.", c->replies_2xx},
        {"proffer_http_replies_4xx_total", "HTTP answers 4xx.", c->replies_4xx},
        {"proffer_http_replies_5xx_total", "HTTP answers 5xx.", c->replies_5xx},
        {"proffer_http_gone_total", "Clients that left before their answer.", c->gone},
        {"proffer_http_slow_streams_total", "Streams cut off at their limit.", c->slow_streams},
    };
    counters_write(out, counters, PF_ARRAY_LEN(counters));
    pf_metric_gauge(out, "proffer_http_connections", "HTTP connections now.", c->n_conns);
}

static void store_write(struct pf_buf *out, const struct pf_store_stats *s)
{
    const struct counter counters[] = {
        {"proffer_store_batches_total", "Batches committed.", s->n_batches},
        {"proffer_store_rows_total", "Rows written or deleted.", s->n_rows},
        {"proffer_store_bytes_total", "Bytes of keys and rows committed.", s->bytes},
    };
    counters_write(out, counters, PF_ARRAY_LEN(counters));
    pf_metric_seconds(out, "proffer_store_commit_seconds_total", "counter", "Time in commits.",
                      s->commit_us_sum, 1000000);
    pf_metric_seconds(out, "proffer_store_commit_seconds_max", "gauge", "The longest commit.",
                      s->commit_us_max, 1000000);
    pf_metric_gauge(out, "proffer_store_map_bytes", "Size of the LMDB map.", s->map_bytes);
    pf_metric_gauge(out, "proffer_store_ballast_spent", "1: the disk was full once.",
                    s->ballast_spent ? 1 : 0);
}

void pf_metrics_common(struct pf_buf *out, const struct pf_loop *loop, const struct pf_net *net,
                       const struct pf_http *http, const struct pf_store *lmdb)
{
    loop_write(out, pf_loop_counters(loop));
    net_write(out, pf_net_counters(net));
    if (http != NULL) {
        http_write(out, pf_http_counters(http));
    }
    if (lmdb != NULL) {
        struct pf_store_stats s;
        pf_store_lmdb_stats(lmdb, &s);
        store_write(out, &s);
    }
}
