/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of a supervisor. */
#include "framework/cli/supervise.h"

static void order(struct pf_sup_effects *fx, enum pf_sup_order what, uint32_t child)
{
    PF_ASSERT(fx->n < PF_SUP_EFFECTS_MAX);
    fx->at[fx->n++] = (struct pf_sup_effect){.order = what, .child = child};
}

static void spawn(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    struct pf_sup_child *c = &s->child[i];
    c->restarts += c->was_started ? 1 : 0;
    c->was_started = true;
    c->state = PF_SUP_STARTING;
    c->started_ms = now_ms;
    c->deadline_ms = now_ms + PF_SUP_START_MS;
    order(fx, PF_SUP_SPAWN, i);
}

static bool all_in(const struct pf_sup *s, enum pf_sup_tier tier, enum pf_sup_state state)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->child[i].tier == tier && s->child[i].state != state) {
            return false;
        }
    }
    return true;
}

/* Masters need their ZooKeeper, and agents are told where the masters listen. */
static void start_more(struct pf_sup *s, int64_t now_ms, struct pf_sup_effects *fx)
{
    for (int tier = 0; tier < PF_SUP_TIER_COUNT; tier++) {
        for (uint32_t i = 0; i < s->n; i++) {
            if ((int)s->child[i].tier == tier && s->child[i].state == PF_SUP_IDLE) {
                spawn(s, i, now_ms, fx);
            }
        }
        if (!all_in(s, (enum pf_sup_tier)tier, PF_SUP_READY)) {
            return;
        }
    }
    s->phase = PF_SUP_PHASE_UP;
    order(fx, PF_SUP_TELL_READY, 0);
}

static void become_stopped(struct pf_sup *s, uint32_t i)
{
    s->child[i].state = PF_SUP_STOPPED;
    s->child[i].deadline_ms = INT64_MAX;
}

static void terminate(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    s->child[i].state = PF_SUP_STOPPING;
    s->child[i].deadline_ms = now_ms + PF_SUP_STOP_MS;
    order(fx, PF_SUP_TERM, i);
}

/* The child does not run: end what outlived it, or be done with it. */
static void clean(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    struct pf_sup_child *c = &s->child[i];
    if (!c->has_launcher || !c->was_started) {
        become_stopped(s, i);
        return;
    }
    c->state = PF_SUP_CLEANING;
    c->deadline_ms = now_ms + PF_SUP_STOP_MS;
    order(fx, PF_SUP_CLEAN, i);
}

static void stop_one(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    enum pf_sup_state state = s->child[i].state;
    if (state == PF_SUP_STARTING || state == PF_SUP_READY) {
        terminate(s, i, now_ms, fx);
    } else if (state == PF_SUP_IDLE || state == PF_SUP_WAITING) {
        clean(s, i, now_ms, fx);
    }
}

/* Agents may still tell the masters how their tasks ended, and masters store it. */
static void stop_more(struct pf_sup *s, int64_t now_ms, struct pf_sup_effects *fx)
{
    for (int tier = PF_SUP_TIER_COUNT; tier-- > 0;) {
        for (uint32_t i = 0; i < s->n; i++) {
            if ((int)s->child[i].tier == tier) {
                stop_one(s, i, now_ms, fx);
            }
        }
        if (!all_in(s, (enum pf_sup_tier)tier, PF_SUP_STOPPED)) {
            return;
        }
    }
    if (s->phase != PF_SUP_PHASE_DONE) {
        s->phase = PF_SUP_PHASE_DONE;
        order(fx, PF_SUP_DONE, 0);
    }
}

static void stop(struct pf_sup *s, int64_t now_ms, struct pf_sup_effects *fx)
{
    if (s->phase < PF_SUP_PHASE_STOPPING) {
        s->phase = PF_SUP_PHASE_STOPPING;
        stop_more(s, now_ms, fx);
    }
}

static void fail(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    order(fx, PF_SUP_TELL_FAILED, i);
    stop(s, now_ms, fx);
}

static void on_ready(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    struct pf_sup_child *c = &s->child[i];
    if (c->state != PF_SUP_STARTING) {
        return; /* it is being stopped */
    }
    c->state = PF_SUP_READY;
    c->deadline_ms = INT64_MAX;
    if (s->phase == PF_SUP_PHASE_STARTING) {
        start_more(s, now_ms, fx);
    }
}

/* Does another of its sort do its work meanwhile? */
static bool has_stand_in(const struct pf_sup *s, uint32_t i)
{
    for (uint32_t k = 0; k < s->n && s->child[i].tier != PF_SUP_AGENT; k++) {
        if (k != i && s->child[k].tier == s->child[i].tier && s->child[k].state == PF_SUP_READY) {
            return true;
        }
    }
    return false;
}

static void on_exited(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    struct pf_sup_child *c = &s->child[i];
    if (c->state == PF_SUP_STOPPING) {
        clean(s, i, now_ms, fx);
        stop_more(s, now_ms, fx);
        return;
    }
    if (c->state != PF_SUP_STARTING && c->state != PF_SUP_READY) {
        return;
    }
    bool was_good = c->state == PF_SUP_READY && now_ms - c->started_ms >= PF_SUP_GOOD_LIFE_MS;
    if (was_good) { /* whatever ended it, it is not a daemon that cannot live */
        c->backoff_ms = 0;
        if (s->phase == PF_SUP_PHASE_UP && !has_stand_in(s, i)) {
            spawn(s, i, now_ms, fx);
            return;
        }
    }
    if (c->backoff_ms == 0) {
        c->backoff_ms = PF_SUP_BACKOFF_MIN_MS;
    } else {
        c->backoff_ms =
            c->backoff_ms * 2 < PF_SUP_BACKOFF_MAX_MS ? c->backoff_ms * 2 : PF_SUP_BACKOFF_MAX_MS;
    }
    c->state = PF_SUP_WAITING;
    c->deadline_ms = now_ms + c->backoff_ms;
    if (s->phase != PF_SUP_PHASE_STARTING) {
        return;
    }
    if (c->tier == PF_SUP_AGENT && !c->was_moved) {
        c->was_moved = true; /* the port that was free may be taken: it gets another one */
        spawn(s, i, now_ms, fx);
        return;
    }
    fail(s, i, now_ms, fx);
}

static void on_late(struct pf_sup *s, uint32_t i, int64_t now_ms, struct pf_sup_effects *fx)
{
    struct pf_sup_child *c = &s->child[i];
    switch (c->state) {
    case PF_SUP_WAITING: spawn(s, i, now_ms, fx); break;
    case PF_SUP_STARTING:
        if (s->phase == PF_SUP_PHASE_STARTING) {
            fail(s, i, now_ms, fx);
        } else {
            c->deadline_ms = INT64_MAX; /* it may wait for its master as long as that is away */
        }
        break;
    case PF_SUP_STOPPING:
    case PF_SUP_CLEANING:
        c->deadline_ms = now_ms + PF_SUP_STOP_MS;
        order(fx, PF_SUP_KILL, i);
        break;
    case PF_SUP_IDLE:
    case PF_SUP_READY:
    case PF_SUP_STOPPED:
    case PF_SUP_STATE_COUNT: c->deadline_ms = INT64_MAX; break;
    }
}

void pf_sup_init(struct pf_sup *s, struct pf_sup_child *child, uint32_t n)
{
    PF_ASSERT(n > 0 && n <= PF_SUP_CHILDREN_MAX);
    *s = (struct pf_sup){.child = child, .n = n};
    for (uint32_t i = 0; i < n; i++) {
        child[i].deadline_ms = INT64_MAX;
    }
}

void pf_sup_step(struct pf_sup *s, enum pf_sup_event event, uint32_t child, int64_t now_ms,
                 struct pf_sup_effects *fx)
{
    PF_ASSERT(child < s->n);
    fx->n = 0;
    switch (event) {
    case PF_SUP_BEGIN: start_more(s, now_ms, fx); break;
    case PF_SUP_EV_READY: on_ready(s, child, now_ms, fx); break;
    case PF_SUP_EV_EXITED: on_exited(s, child, now_ms, fx); break;
    case PF_SUP_EV_CLEANED:
        if (s->child[child].state == PF_SUP_CLEANING) {
            become_stopped(s, child);
            stop_more(s, now_ms, fx);
        }
        break;
    case PF_SUP_EV_DEADLINE:
        for (uint32_t i = 0; i < s->n; i++) {
            if (s->child[i].deadline_ms <= now_ms) {
                on_late(s, i, now_ms, fx);
            }
        }
        break;
    case PF_SUP_EV_STOP: stop(s, now_ms, fx); break;
    }
}

int64_t pf_sup_deadline(const struct pf_sup *s)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < s->n; i++) {
        first = s->child[i].deadline_ms < first ? s->child[i].deadline_ms : first;
    }
    return first;
}

void pf_sup_check(const struct pf_sup *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct pf_sup_child *c = &s->child[i];
        PF_ASSERT(c->state < PF_SUP_STATE_COUNT && c->tier < PF_SUP_TIER_COUNT);
        PF_ASSERT(c->state == PF_SUP_IDLE || c->state == PF_SUP_STOPPED || c->was_started);
        PF_ASSERT(c->backoff_ms <= PF_SUP_BACKOFF_MAX_MS);
        PF_ASSERT(s->phase != PF_SUP_PHASE_DONE || c->state == PF_SUP_STOPPED);
        PF_ASSERT(s->phase != PF_SUP_PHASE_UP || c->state < PF_SUP_STOPPING);
        bool needs_deadline = c->state == PF_SUP_WAITING || c->state == PF_SUP_STOPPING ||
                              c->state == PF_SUP_CLEANING;
        PF_ASSERT(!needs_deadline || c->deadline_ms != INT64_MAX);
    }
}
