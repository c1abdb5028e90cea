/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor of a local cluster decides, as a pure state machine: which daemon to start
 * when, how long to wait after one died, in which order to stop. It starts and signals nothing
 * itself: supervisor.c carries out the orders and tells what happened. */
#ifndef PF_FRAMEWORK_CLI_SUPERVISE_H
#define PF_FRAMEWORK_CLI_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"

#define PF_SUP_CHILDREN_MAX    1034
#define PF_SUP_BACKOFF_MIN_MS  100
#define PF_SUP_BACKOFF_MAX_MS  5000
/* Who was ready and lived so long is restarted at once; after the shortest back-off if others stand
 * in: they have the machine first. */
#define PF_SUP_GOOD_LIFE_MS    1000
#define PF_SUP_START_MS        30000 /* a daemon that is not ready by then has failed to start */
#define PF_SUP_STOP_MS         10000 /* between TERM and KILL */

/* What needs what: a tier is started when all of those before it are ready, and ended when all of
 * those behind it have. */
enum pf_sup_tier {
    PF_SUP_ZOOKEEPER,
    PF_SUP_MASTER,
    PF_SUP_AGENT,
    PF_SUP_TIER_COUNT
};

enum pf_sup_state {
    PF_SUP_IDLE,     /* not started yet */
    PF_SUP_STARTING, /* runs, has not said that it is ready */
    PF_SUP_READY,
    PF_SUP_WAITING,  /* died young; the next start is at deadline_ms */
    PF_SUP_STOPPING, /* TERM was sent */
    PF_SUP_CLEANING, /* ended; its launcher is being ended */
    PF_SUP_STOPPED,
    PF_SUP_STATE_COUNT
};

struct pf_sup_child {
    enum pf_sup_state state;
    enum pf_sup_tier tier;
    bool has_launcher; /* something that outlives it and must be ended with the cluster */
    bool was_started;
    bool was_moved; /* an agent that ended before it was ready got a second start, on other ports */
    uint32_t restarts;
    int64_t started_ms;
    int64_t deadline_ms; /* INT64_MAX = none */
    int32_t backoff_ms;
};

enum pf_sup_phase {
    PF_SUP_PHASE_STARTING,
    PF_SUP_PHASE_UP,
    PF_SUP_PHASE_STOPPING,
    PF_SUP_PHASE_DONE
};

struct pf_sup {
    struct pf_sup_child *child; /* the caller's memory */
    uint32_t n;
    enum pf_sup_phase phase;
};

enum pf_sup_event {
    PF_SUP_BEGIN,
    PF_SUP_EV_READY,    /* of a child */
    PF_SUP_EV_EXITED,   /* of a child; or it could not be started */
    PF_SUP_EV_CLEANED,  /* of a child: its launcher is gone */
    PF_SUP_EV_DEADLINE, /* the time of pf_sup_deadline() has come */
    PF_SUP_EV_STOP,
};

enum pf_sup_order {
    PF_SUP_SPAWN,      /* start the child */
    PF_SUP_TERM,       /* ask it to end */
    PF_SUP_KILL,       /* end it (the child, or what cleans up after it) */
    PF_SUP_CLEAN,      /* end what outlived it */
    PF_SUP_TELL_READY, /* everything is up for the first time */
    PF_SUP_TELL_FAILED, /* the child ended or dawdled before all was up; all is being stopped */
    PF_SUP_DONE,       /* nothing is left: exit */
};

struct pf_sup_effect {
    enum pf_sup_order order;
    uint32_t child;
};

/* What one event can cause, at most: two orders a child and one more. */
#define PF_SUP_EFFECTS_MAX (2 * PF_SUP_CHILDREN_MAX + 2)
struct pf_sup_effects {
    struct pf_sup_effect at[PF_SUP_EFFECTS_MAX];
    uint32_t n;
};

/* All children IDLE, tier and has_launcher set. */
void pf_sup_init(struct pf_sup *s, struct pf_sup_child *child, uint32_t n);
/* Advances by one event; what must be done replaces the contents of `fx`. */
void pf_sup_step(struct pf_sup *s, enum pf_sup_event event, uint32_t child, int64_t now_ms,
                 struct pf_sup_effects *fx);
/* When the next DEADLINE is wanted; INT64_MAX = never. */
int64_t pf_sup_deadline(const struct pf_sup *s);
/* Aborts on a broken invariant. */
void pf_sup_check(const struct pf_sup *s);

#endif
