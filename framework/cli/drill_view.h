/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster as a drill sees it from outside: links to all its masters, what each says of itself,
 * and (asked for) what the leader says of masters, agents and frameworks. */
#ifndef PF_FRAMEWORK_CLI_DRILL_VIEW_H
#define PF_FRAMEWORK_CLI_DRILL_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/limits.h"
#include "common/link/key.h"
#include "common/net/loop.h"
#include "common/net/peer.h"

struct pf_drill_view;

/* A master. Texts live as long as the view. */
struct pf_seen_master {
    char address[PF_ADDRESS_MAX];
    char hostname[256]; /* "" = not known */
    char instance[128]; /* of its present life */
    int64_t pid;        /* 0 = not known */
    uint64_t peer;
    bool is_up; /* a link stands */
    bool is_leading;
    uint64_t epoch;   /* as it said last */
    int64_t retry_ms; /* of the next try; INT64_MAX = none */
    int32_t backoff_ms;
};

/* An agent, as the leader told it last. */
struct pf_seen_agent {
    char id[64];
    char hostname[256];
    char address[PF_ADDRESS_MAX];
    int64_t pid;
    bool is_active; /* registered */
    bool is_sim;
};

struct pf_drill_census {
    struct pf_seen_agent *agent;
    uint32_t n_agents, n_active; /* listed; registered */
    struct pf_ptrs frameworks;   /* ids (char *) of those that are connected */
    uint32_t n_masters;          /* that the leader knows of */
    int64_t asked_us;            /* when its first question was sent */
    uint64_t epoch;              /* of the leader that answered */
};

struct pf_drill_view_ops {
    /* Somebody leads with a higher epoch than anybody before. `at_us`: when we heard. */
    void (*on_leader)(void *ctx, const struct pf_seen_master *leader, int64_t at_us);
    /* A link came up or broke, or a master's role changed. */
    void (*on_change)(void *ctx);
    /* A census is whole. */
    void (*on_census)(void *ctx, const struct pf_drill_census *census);
    /* A promise was broken: two masters lead in one epoch. */
    void (*on_wrong)(void *ctx, const char *text);
};

/* `masters`: "host:port,...": others are learnt from those. `key`: borrowed, NULL = none. */
PF_MUST_USE int pf_drill_view_create(struct pf_loop *loop, const char *masters,
                                     const struct pf_key *key, const struct pf_drill_view_ops *ops,
                                     void *ctx, struct pf_drill_view **out, struct pf_err *err);
void pf_drill_view_destroy(struct pf_drill_view *v); /* NULL is fine */

/* Who leads with the highest epoch that was ever heard of; NULL: nobody we are linked to. */
const struct pf_seen_master *pf_drill_view_leader(const struct pf_drill_view *v);
uint64_t pf_drill_view_epoch(const struct pf_drill_view *v);
const struct pf_seen_master *pf_drill_view_masters(const struct pf_drill_view *v, uint32_t *out_n);
/* Asks for a census as soon as there is a leader, again and again until pf_drill_view_rest(). */
void pf_drill_view_ask(struct pf_drill_view *v);
void pf_drill_view_rest(struct pf_drill_view *v);
/* Asks who leads to hand over to the best standby, again while it refuses: one that has just begun
 * does not know its standbys. */
void pf_drill_view_step_down(struct pf_drill_view *v);
/* A relay's other side: forget how long we waited for links (a cluster was healed). */
void pf_drill_view_retry(struct pf_drill_view *v);
/* The census that was told last. */
const struct pf_drill_census *pf_drill_view_census(const struct pf_drill_view *v);

#endif
