/* SPDX-License-Identifier: Apache-2.0 */
/* Time, dice and the life of nodes. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "tests/sim/sim_internal.h"

enum { STEPS_MAX = 20 * 1000 * 1000 };

/* --- words ------------------------------------------------------------------------------------ */

static void digest(struct sim *s, const char *text)
{
    s->result->digest = pf_hash(text, strlen(text), s->result->digest);
}

void sim_log(struct sim *s, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    digest(s, text);
    if (s->o.is_verbose) {
        (void)fprintf(stderr, "%12.6f %s\n", (double)s->now_us / 1e6, text);
    }
}

static void on_move(void *ctx, const char *entity, const char *id, const char *from, const char *to,
                    const char *why)
{
    struct sim_node *n = ctx;

    sim_log(n->s, "%s: %s %s %s->%s %s", n->name, entity, id, from, to, why);
}

struct pf_sm_tracer sim_tracer(struct sim_node *n)
{
    return (struct pf_sm_tracer){on_move, n};
}

void sim_broken(struct sim *s, const char *invariant, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->result->is_broken = true;
    (void)snprintf(s->result->text, sizeof s->result->text, "%s at %" PRId64 ".%06" PRId64 " s: %s",
                   invariant, s->now_us / 1000000, s->now_us % 1000000, text);
    sim_log(s, "BROKEN %s", s->result->text);
    longjmp(s->broken, 1);
}

int64_t sim_now_ms(const struct sim *s)
{
    return s->now_us / SIM_MS;
}

int64_t sim_mono_ms(const struct sim_node *n)
{
    return (n->s->now_us + n->mono_us) / SIM_MS;
}

int64_t sim_boot_ms(const struct sim_node *n)
{
    return (n->s->now_us + n->boot_us) / SIM_MS;
}

int64_t sim_wall_ms(const struct sim_node *n)
{
    return n->s->wall0_ms + sim_now_ms(n->s) + n->wall_skew_ms;
}

int64_t sim_mono_us(const struct sim_node *n, int64_t mono_ms)
{
    return mono_ms < INT64_MAX / SIM_MS ? mono_ms * SIM_MS - n->mono_us : INT64_MAX;
}

uint64_t sim_dice(struct sim *s, uint64_t n)
{
    return n > 1 ? pf_rng_below(&s->rng, n) : 0;
}

bool sim_chance(struct sim *s, uint32_t percent)
{
    return sim_dice(s, 100) < percent;
}

/* --- events ----------------------------------------------------------------------------------- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void heap_push(struct sim *s, struct sim_event ev)
{
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap > 0 ? s->cap_heap * 2 : 1024;
        s->heap = pf_realloc(s->heap, s->cap_heap * sizeof *s->heap);
    }
    uint32_t i = s->n_heap++;

    while (i > 0 && is_before(&ev, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = ev;
}

static struct sim_event heap_pop(struct sim *s)
{
    struct sim_event first = s->heap[0], last = s->heap[--s->n_heap];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= s->n_heap) {
            break;
        }
        if (child + 1 < s->n_heap && is_before(&s->heap[child + 1], &s->heap[child])) {
            child++;
        }
        if (!is_before(&s->heap[child], &last)) {
            break;
        }
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return first;
}

void sim_at(struct sim *s, int64_t at_us, struct sim_node *n, sim_fn *fn, void *data)
{
    heap_push(s, (struct sim_event){.at_us = at_us > s->now_us ? at_us : s->now_us,
                                    .number = ++s->next_number,
                                    .node = n,
                                    .life = n != NULL ? n->life : 0,
                                    .fn = fn,
                                    .data = data});
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void on_wake(struct sim *s, struct sim_node *n, void *data)
{
    uint64_t number;

    memcpy(&number, data, sizeof number);
    if (number != n->wake_number) {
        return; /* it was set anew meanwhile */
    }
    n->wake_us = INT64_MAX;
    (void)s;
    n->ops->on_time(n);
    sim_settle(n);
}

void sim_settle(struct sim_node *n)
{
    int64_t at_us;

    if (!n->is_up) {
        return;
    }
    at_us = n->ops->settle(n);
    if (!n->is_up || at_us == n->wake_us) {
        return;
    }
    n->wake_us = at_us;
    n->wake_number++;
    if (at_us != INT64_MAX) {
        sim_at(n->s, at_us, n, on_wake, pf_memdup(&n->wake_number, sizeof n->wake_number));
    }
}

void sim_node_add(struct sim *s, struct sim_node *n, enum sim_kind kind, uint32_t index,
                  const struct sim_node_ops *ops)
{
    static const char *const names[] = {"", "m", "a", "f"};

    n->s = s;
    n->ops = ops;
    n->kind = kind;
    n->index = index;
    n->place = s->n_nodes;
    n->wake_us = INT64_MAX;
    n->mono_us = (int64_t)sim_dice(s, 1000000000) * SIM_MS;
    n->boot_us = n->mono_us + (int64_t)sim_dice(s, 1000000) * SIM_MS;
    n->wall_skew_ms =
        sim_chance(s, 50) ? (int64_t)sim_dice(s, 6000) - 3000 : (int64_t)sim_dice(s, 7200000);
    (void)snprintf(n->name, sizeof n->name, "%s%u", names[kind], index);
    (void)snprintf(n->address, sizeof n->address, "%s:5055", n->name);
    s->node[s->n_nodes++] = n;
}

void sim_node_start(struct sim_node *n)
{
    PF_ASSERT(!n->is_up);
    n->is_up = true;
    n->life++;
    n->paused_until_us = 0;
    n->wake_us = INT64_MAX;
    n->wake_number++;
    sim_log(n->s, "%s start", n->name);
    n->ops->start(n);
    sim_settle(n);
}

void sim_node_kill(struct sim_node *n)
{
    if (!n->is_up) {
        return;
    }
    sim_log(n->s, "%s killed", n->name);
    n->is_up = false;
    n->ops->kill(n);
    sim_net_forget(n);
    n->life++;
}

/* --- a run ------------------------------------------------------------------------------------ */

static bool step(struct sim *s)
{
    if (s->n_heap == 0) {
        return false;
    }
    struct sim_event ev = heap_pop(s);
    struct sim_node *n = ev.node;

    if (n != NULL && (ev.life != n->life || !n->is_up)) {
        pf_free(ev.data);
        return true;
    }
    if (n != NULL && n->paused_until_us > ev.at_us) { /* stopped: it happens when it goes on */
        ev.at_us = n->paused_until_us;
        ev.number = ++s->next_number;
        heap_push(s, ev);
        return true;
    }
    s->now_us = ev.at_us;
    s->result->steps++;
    if (s->result->steps > STEPS_MAX) {
        sim_broken(s, "progress", "more than %d steps", STEPS_MAX);
    }
    ev.fn(s, n, ev.data);
    pf_free(ev.data);
    return true;
}

static const char *missing(struct sim *s)
{
    static char text[160];
    uint32_t leaders = 0, n_agents = 0;

    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct sim_node *n = s->node[i];

        if (!n->is_up) {
            (void)snprintf(text, sizeof text, "%s is down", n->name);
            return text;
        }
        if (n->kind == SIM_MASTER && sim_master_leads(n)) {
            leaders++;
            n_agents = sim_master_agents(n);
        }
        if (n->kind == SIM_AGENT && !sim_agent_is_registered(n)) {
            (void)snprintf(text, sizeof text, "agent %s is not registered", n->name);
            return text;
        }
        if (n->kind == SIM_FRAMEWORK && sim_framework_missing(n)[0] != '\0') {
            (void)snprintf(text, sizeof text, "framework %s: %s", n->name,
                           sim_framework_missing(n));
            return text;
        }
    }
    if (leaders != 1) {
        (void)snprintf(text, sizeof text, "%u masters lead", leaders);
        return text;
    }
    if (n_agents < s->o.n_agents) {
        (void)snprintf(text, sizeof text, "the leader sees %u agents of %u", n_agents,
                       s->o.n_agents);
        return text;
    }
    return "";
}

enum { CALM_MAX_MS = 300000, CALM_STEP_MS = 100, CALM_STEADY_MS = 12000 };

/* Until everything was back for a while without a break. */
static void calm_down(struct sim *s)
{
    int64_t begin_us = s->now_us, since_us = -1;

    s->is_calm = true;
    sim_heal(s);
    for (int64_t at_us = begin_us;; at_us += CALM_STEP_MS * SIM_MS) {
        while (s->n_heap > 0 && s->heap[0].at_us <= at_us) {
            (void)step(s);
        }
        s->now_us = s->now_us > at_us ? s->now_us : at_us;
        if (missing(s)[0] != '\0') {
            since_us = -1;
        } else if (since_us < 0) {
            since_us = s->now_us;
        }
        if (since_us >= 0 && s->now_us - since_us >= CALM_STEADY_MS * SIM_MS) {
            s->result->calm_ms = (since_us - begin_us) / SIM_MS;
            return;
        }
        if (s->now_us - begin_us > CALM_MAX_MS * SIM_MS) {
            sim_broken(s, "progress", "%s", missing(s));
        }
    }
}

static void build(struct sim *s)
{
    for (uint32_t i = 0; i < s->o.n_masters; i++) {
        (void)snprintf(s->master_address[i], sizeof s->master_address[i], "m%u:5055", i);
        s->masters[i] = pf_str(s->master_address[i]);
    }
    for (uint32_t i = 0; i < s->o.n_masters; i++) {
        (void)sim_master_new(s, i);
    }
    for (uint32_t i = 0; i < s->o.n_agents; i++) {
        (void)sim_agent_new(s, i);
    }
    for (uint32_t i = 0; i < s->o.n_frameworks; i++) {
        (void)sim_framework_new(s, i);
    }
}

static void node_free(struct sim_node *n)
{
    switch (n->kind) {
    case SIM_MASTER: sim_master_free(n); break;
    case SIM_AGENT: sim_agent_free(n); break;
    case SIM_FRAMEWORK: sim_framework_free(n); break;
    }
}

static void fini(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct sim_node *n = s->node[i];

        if (n->is_up) {
            n->is_up = false;
            n->ops->kill(n);
        }
    }
    sim_net_fini(s);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        node_free(s->node[i]);
    }
    for (uint32_t i = 0; i < s->n_heap; i++) {
        pf_free(s->heap[i].data);
    }
    pf_free(s->heap);
    sim_oracle_free(s->oracle);
    sim_zk_fini(s);
    pf_fb_builder_fini(&s->builder);
    pf_free(s);
}

/* What the caller does not set the dice do: mostly three masters. */
static void set_shape(struct sim *s)
{
    static const uint32_t masters[] = {1, 3, 3, 3, 3, 3, 3, 5};
    uint32_t n_masters = masters[sim_dice(s, PF_ARRAY_LEN(masters))];
    uint32_t n_agents = 2 + (uint32_t)sim_dice(s, 5), n_frameworks = 1 + (uint32_t)sim_dice(s, 4);

    s->o.n_masters = s->o.n_masters > 0 ? s->o.n_masters : n_masters;
    s->o.n_agents = s->o.n_agents > 0 ? s->o.n_agents : n_agents;
    s->o.n_frameworks = s->o.n_frameworks > 0 ? s->o.n_frameworks : n_frameworks;
}

void sim_run(const struct sim_options *options, struct sim_result *out)
{
    struct sim *volatile keep = PF_NEW(struct sim);
    struct sim *s = keep;

    *out = (struct sim_result){0};
    s->o = *options;
    s->o.faults = options->faults != 0 ? options->faults : SIM_FAULT_ALL;
    s->o.chaos_ms = options->chaos_ms > 0 ? options->chaos_ms : 60000;
    s->result = out;
    s->wall0_ms = INT64_C(1800000000000);
    pf_rng_seed(&s->rng, options->seed);
    set_shape(s);
    s->peers.seed = pf_rng_next(&s->rng);
    LIST_INIT(&s->links);
    pf_fb_builder_init(&s->builder, NULL);
    if (setjmp(s->broken) == 0) {
        s->oracle = sim_oracle_new(s);
        sim_zk_start(s);
        sim_net_start(s);
        build(s);
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            sim_node_start(s->node[i]);
        }
        sim_faults_start(s);
        int64_t end_us = s->o.chaos_ms * SIM_MS;

        while (s->n_heap > 0 && s->heap[0].at_us <= end_us) {
            (void)step(s);
        }
        s->now_us = end_us;
        calm_down(s);
        sim_check_end(s);
    }
    if (!out->is_broken) { /* else a core may be in the middle of a step: left as it is */
        fini(keep);
    }
}
