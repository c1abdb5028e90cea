/* SPDX-License-Identifier: Apache-2.0 */
/* See effect.h. */
#include "common/elect/effect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct pf_outbox_node {
    struct pf_outbox_node *next;
    struct pf_quorum_effect effect;
};

void pf_outbox_init(struct pf_outbox *o)
{
    memset(o, 0, sizeof *o);
}

void pf_outbox_fini(struct pf_outbox *o)
{
    pf_arena_fini(&o->arena[0]);
    pf_arena_fini(&o->arena[1]);
    pf_outbox_init(o);
}

static struct pf_bytes keep(struct pf_arena *a, struct pf_bytes x)
{
    if (x.at != NULL) {
        x.at = pf_arena_memdup(a, x.at, x.len);
    }
    return x;
}

static struct pf_str keep_str(struct pf_arena *a, struct pf_str x)
{
    return x.at != NULL ? pf_arena_strdup(a, x) : x;
}

static void keep_request(struct pf_arena *a, struct pf_zk_request *r)
{
    struct pf_zk_op *op = pf_arena_memdup(a, r->op, r->n_ops * sizeof *op);

    for (uint32_t i = 0; i < r->n_ops; i++) {
        op[i].path = keep_str(a, op[i].path);
        op[i].data = keep(a, op[i].data);
    }
    r->op = op;
}

void pf_outbox_put(struct pf_outbox *o, const struct pf_quorum_effect *effect)
{
    if (o->first == NULL) {
        o->current ^= 1;
        pf_arena_reset(&o->arena[o->current]);
        o->last = NULL;
    }
    struct pf_arena *a = &o->arena[o->current];
    struct pf_outbox_node *n = pf_arena_alloc(a, sizeof *n);

    n->next = NULL;
    n->effect = *effect;
    struct pf_quorum_effect *e = &n->effect;

    switch (e->type) {
    case PF_QUORUM_ZK: keep_request(a, &e->zk); break;
    case PF_QUORUM_PROBE: e->probe.address = keep_str(a, e->probe.address); break;
    case PF_QUORUM_STOP: e->stop.why = keep_str(a, e->stop.why); break;
    case PF_QUORUM_ROW:
        e->row.key = keep(a, e->row.key);
        e->row.row = keep(a, e->row.row);
        break;
    case PF_QUORUM_STREAM:
    case PF_QUORUM_SEND:
        e->send.instance = keep_str(a, e->send.instance);
        e->send.message = keep(a, e->send.message);
        break;
    case PF_QUORUM_SAY:
    case PF_QUORUM_FATAL: e->say.text = keep_str(a, e->say.text); break;
    case PF_QUORUM_LEAD:
    case PF_QUORUM_STORED:
    case PF_QUORUM_VIEW: break;
    }
    if (o->last != NULL) {
        o->last->next = n;
    } else {
        o->first = n;
    }
    o->last = n;
}

const struct pf_quorum_effect *pf_outbox_take(struct pf_outbox *o)
{
    struct pf_outbox_node *n = o->first;

    if (n == NULL) {
        return NULL;
    }
    o->first = n->next;
    return &n->effect;
}

void pf_outbox_say(struct pf_outbox *o, bool is_warning, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pf_outbox_put(
        o, &(struct pf_quorum_effect){.type = PF_QUORUM_SAY, .say = {is_warning, pf_str(text)}});
}
