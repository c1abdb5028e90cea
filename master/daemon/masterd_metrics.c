/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics of a master. */
#include "common/engine/metrics.h"
#include "master/daemon/masterd_internal.h"

struct metric {
    const char *name, *help;
    uint64_t value;
    bool is_gauge;
};

static void put_metrics(struct pf_buf *out, const struct metric *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (m[i].is_gauge ? pf_metric_gauge : pf_metric_counter)(out, m[i].name, m[i].help,
                                                              m[i].value);
    }
}

static void put_seconds(struct pf_buf *out, const char *name, const char *help, int64_t ms)
{
    pf_metric_seconds(out, name, "gauge", help, ms > 0 ? (uint64_t)ms : 0, 1000);
}

static void core_metrics(struct masterd *d, struct pf_buf *out)
{
    struct pf_master_stats s;
    pf_master_stats(d->core, &s);
    const struct metric rows[] = {
        {"proffer_master_epoch", "Epoch of this leadership.", s.epoch, true},
        {"proffer_master_agents", "Admitted agents.", s.n_agents, true},
        {"proffer_master_agents_registered", "Agents registered now.", s.n_agents_registered, true},
        {"proffer_master_frameworks", "Frameworks.", s.n_frameworks, true},
        {"proffer_master_frameworks_connected", "Connected frameworks.", s.n_frameworks_connected,
         true},
        {"proffer_master_offers", "Open offers.", s.n_offers, true},
        {"proffer_master_tasks", "Live tasks.", s.n_tasks, true},
        {"proffer_master_executors", "Live executors.", s.n_executors, true},
        {"proffer_master_watchers", "Requests that wait for a change.", s.n_watchers, true},
        {"proffer_master_offers_made_total", "Offers made.", s.offers_made, false},
        {"proffer_master_offers_declined_total", "Offers declined.", s.offers_declined, false},
        {"proffer_master_offers_rescinded_total", "Offers rescinded.", s.offers_rescinded, false},
        {"proffer_master_offers_expired_total", "Offers timed out.", s.offers_expired, false},
        {"proffer_master_tasks_launched_total", "Tasks sent to agents.", s.tasks_launched, false},
        {"proffer_master_tasks_refused_total", "Launches refused.", s.tasks_refused, false},
        {"proffer_master_tasks_ended_total", "Tasks ended.", s.tasks_ended, false},
        {"proffer_master_updates_total", "Status updates relayed.", s.updates, false},
        {"proffer_master_acknowledgements_total", "Updates acknowledged.", s.acknowledgements,
         false},
        {"proffer_master_messages_total", "Framework messages relayed.", s.messages, false},
        {"proffer_master_messages_dropped_total", "Framework messages for nobody.",
         s.messages_dropped, false},
        {"proffer_master_bad_messages_total", "Messages refused.", s.bad_messages, false},
        {"proffer_master_allocation_runs_total", "Allocation rounds.", s.allocation_runs, false},
        {"proffer_master_allocation_pairs_total", "Agent-framework pairs looked at.",
         s.allocation_pairs, false},
    };
    put_metrics(out, rows, PF_ARRAY_LEN(rows));
}

static void quorum_metrics(struct masterd *d, struct pf_buf *out)
{
    struct pf_elect_stats e;
    struct pf_replog_stats l;
    pf_quorum_stats(d->quorum, &e, &l);
    const struct metric rows[] = {
        {"proffer_quorum_takeovers_fast_total",
         "Takeovers because the leader refused a connection.", e.takeovers_fast, false},
        {"proffer_quorum_takeovers_slow_total", "Takeovers because /leader was gone.",
         e.takeovers_slow, false},
        {"proffer_quorum_handovers_total", "Leads that were handed to this master.", e.handovers,
         false},
        {"proffer_quorum_depositions_total", "Leads that others took from this master.",
         e.depositions, false},
        {"proffer_quorum_renewals_total", "Renewals of the lease.", e.renewals, false},
        {"proffer_quorum_unknown_outcomes_total", "Writes to ZooKeeper whose answer was lost.",
         e.unknown_outcomes + l.unknown_outcomes, false},
        {"proffer_quorum_expiries_total", "ZooKeeper sessions that expired.", e.expiries, false},
        {"proffer_registry_batches_total", "Batches committed.", l.batches, false},
        {"proffer_registry_rows_total", "Rows committed.", l.rows, false},
        {"proffer_registry_bytes_total", "Bytes committed.", l.bytes, false},
        {"proffer_registry_snapshots_total", "Snapshots written.", l.snapshots, false},
        {"proffer_registry_rereads_total", "Times that the registry was read from its base.",
         l.rereads, false},
        {"proffer_registry_streamed_total", "Batches taken from the leader's stream.", l.streamed,
         false},
        {"proffer_registry_log_nodes", "Log nodes since the snapshot.", l.n_log_nodes, true},
        {"proffer_registry_log_bytes", "Bytes in them.", l.log_bytes, true},
        {"proffer_registry_in_flight", "Batches under way.", l.n_in_flight, true},
    };
    put_metrics(out, rows, PF_ARRAY_LEN(rows));
    put_seconds(out, "proffer_quorum_renew_seconds",
                "How long ZooKeeper took for the last renewal.", e.renew_ms_last);
    put_seconds(out, "proffer_quorum_renew_seconds_max", "The longest of them.", e.renew_ms_max);
    put_seconds(out, "proffer_registry_commit_seconds",
                "How long ZooKeeper took for the last batch.", l.commit_ms_last);
    put_seconds(out, "proffer_registry_commit_seconds_max", "The longest of them.",
                l.commit_ms_max);
    pf_zk_metrics(d->zk, out);
}

void masterd_metrics(struct masterd *d, struct pf_buf *out)
{
    core_metrics(d, out);
    pf_metric_gauge(out, "proffer_master_leading", "1 = this master leads.", d->leads ? 1 : 0);
    if (d->quorum != NULL) {
        quorum_metrics(d, out);
    }
    pf_metrics_common(out, d->loop, d->net, d->http, d->quorum == NULL ? d->store : NULL);
}
