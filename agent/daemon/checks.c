/* SPDX-License-Identifier: Apache-2.0 */
/* See checks.h. */
#include "agent/daemon/checks.h"

#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/net/probe.h"

struct check {
    struct pf_checks *owner;
    struct pf_uuid id;
    LIST_ENTRY(check) link;
};

struct pf_checks {
    struct pf_probes *probes;
    pf_checked_fn *on_checked;
    void *ctx;
    LIST_HEAD(, check) running;
};

static void check_free(struct check *c)
{
    LIST_REMOVE(c, link);
    pf_free(c);
}

static void on_done(void *ctx, const struct pf_probe_result *result)
{
    struct check *c = ctx;
    struct pf_checks *all = c->owner;
    struct pf_agent_event ev = {.type = PF_AGENT_CHECKED};

    ev.checked.check = c->id;
    ev.checked.is_done = result->is_done;
    ev.checked.status_code = result->status_code;
    ev.checked.text = pf_str(result->text);
    check_free(c);
    all->on_checked(all->ctx, &ev);
}

void pf_checks_start(struct pf_checks *c, const struct pf_agent_act_check *act)
{
    struct check *check = PF_NEW(struct check);

    check->owner = c;
    check->id = act->check;
    LIST_INSERT_HEAD(&c->running, check, link);
    const struct pf_probe_options o = {
        .is_ipv6 = act->is_ipv6,
        .is_http = act->is_http,
        .is_tls = act->is_tls,
        .port = act->port,
        .path = act->path,
        .timeout_ms = act->timeout_ms,
    };
    (void)pf_probe_start(c->probes, &o, on_done, check); /* it ends by its callback, or with all */
}

struct pf_checks *pf_checks_create(struct pf_loop *loop, pf_checked_fn *on_checked, void *ctx)
{
    struct pf_checks *c = PF_NEW(struct pf_checks);

    c->probes = pf_probes_create(loop, PF_CHECKS_MAX);
    c->on_checked = on_checked;
    c->ctx = ctx;
    LIST_INIT(&c->running);
    return c;
}

void pf_checks_destroy(struct pf_checks *c)
{
    struct check *check;

    if (c == NULL) {
        return;
    }
    pf_probes_destroy(c->probes);
    while ((check = LIST_FIRST(&c->running)) != NULL) {
        check_free(check);
    }
    pf_free(c);
}

uint32_t pf_checks_n(const struct pf_checks *c)
{
    return pf_probes_n(c->probes);
}
