/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus's text format (exposition format 0.0.4) for /metrics, and the counters every daemon
 * has in common. */
#ifndef PF_COMMON_ENGINE_METRICS_H
#define PF_COMMON_ENGINE_METRICS_H

#include <stdint.h>
#include "common/base/buf.h"
#include "common/net/http.h"
#include "common/net/loop.h"
#include "common/net/peer.h"
#include "common/store/store.h"

#define PF_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* "# HELP", "# TYPE" and one sample. `name` ends in _total for counters. */
void pf_metric_counter(struct pf_buf *out, const char *name, const char *help, uint64_t value);
void pf_metric_gauge(struct pf_buf *out, const char *name, const char *help, uint64_t value);
/* A value in ns or us shown in seconds, Prometheus's base unit. */
void pf_metric_seconds(struct pf_buf *out, const char *name, const char *type, const char *help,
                       uint64_t value, uint64_t per_second);

/* Turns of the loop, native links, HTTP (NULL: left out), commits of an LMDB store (likewise). */
void pf_metrics_common(struct pf_buf *out, const struct pf_loop *loop, const struct pf_net *net,
                       const struct pf_http *http, const struct pf_store *lmdb);

#endif
