/* SPDX-License-Identifier: Apache-2.0 */
/* Random walks: agents and schedulers that do whatever they may, links that break, masters that
 * crash. The master is checked after each step; when all is calm again, everything ends. */
#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENTS = 4, FRAMEWORKS = 4, TASKS_MAX = 4000, OFFERS_MAX = 200, STEPS = 3000 };

/* A task as its agent has it. */
struct task {
    char id[16], framework[32], launch[32];
    bool is_running, is_over, is_acknowledged;
    unsigned uuid; /* of the update that waits */
};

struct agent {
    uint64_t peer; /* 0: away */
    char id[40];
    struct task *task[TASKS_MAX];
    unsigned n_tasks;
};

struct scheduler {
    uint64_t peer;
    char id[32];
    bool has_demand;
    char offer[OFFERS_MAX][32], offer_agent[OFFERS_MAX][40];
    unsigned n_offers;
    struct update {
        char task[16], uuid[32];
    } update[OFFERS_MAX];
    unsigned n_updates;
};

struct walk {
    struct mw *w;
    struct pf_rng rng;
    struct agent agent[AGENTS];
    struct scheduler fw[FRAMEWORKS];
    struct task tasks[TASKS_MAX];
    unsigned n_tasks, n_launched, next_uuid;
    uint64_t next_peer;
};

static uint32_t dice(struct walk *k, uint32_t n)
{
    return (uint32_t)pf_rng_below(&k->rng, n);
}

/* Copies the text behind `key` into `out`; the place behind it, NULL: not there. */
static const char *take(const char *at, const char *key, char *out, size_t size)
{
    const char *found = strstr(at, key);
    size_t n;

    if (!found) {
        return NULL;
    }
    found += strlen(key);
    n = strcspn(found, "\"");
    (void)snprintf(out, size, "%.*s", (int)n, found);
    return found + n;
}

/* --- what was sent --- */

static void agent_launch(struct walk *k, struct agent *a, const char *message)
{
    char framework[32];
    const char *at = take(message, "\"framework_id\":\"", framework, sizeof framework);

    for (at = strstr(at, "\"tasks\""); at && k->n_tasks < TASKS_MAX;) {
        struct task *t = &k->tasks[k->n_tasks];

        at = take(at, "\"task_id\":{\"value\":\"", t->id, sizeof t->id);
        if (at) {
            at = take(at, "\"launch_uuid\":\"", t->launch, sizeof t->launch);
            memcpy(t->framework, framework, sizeof framework);
            a->task[a->n_tasks++] = t;
            k->n_tasks++;
        }
    }
}

static void agent_drop(struct agent *a, unsigned i)
{
    a->task[i] = a->task[--a->n_tasks];
}

static void agent_read(struct walk *k, struct agent *a)
{
    const char *message;
    char id[16], uuid[32];

    while (a->peer && (message = mw_next(k->w, a->peer)) != NULL) {
        if (strstr(message, "AgentLaunch\"")) {
            agent_launch(k, a, message);
        } else if (strstr(message, "AgentAcknowledge") &&
                   take(message, "\"task_id\":\"", id, sizeof id) &&
                   take(message, "\"uuid\":\"", uuid, sizeof uuid)) {
            for (unsigned i = 0; i < a->n_tasks; i++) {
                struct task *t = a->task[i];

                if (strcmp(t->id, id) == 0 && t->uuid != 0 &&
                    strcmp(mw_uuid(k->w, t->uuid), uuid) == 0) {
                    t->uuid = 0;
                    if (t->is_over) {
                        agent_drop(a, i);
                    }
                    break;
                }
            }
        } else if (strstr(message, "AgentTeardown") &&
                   take(message, "\"framework_id\":\"", uuid, sizeof uuid)) {
            for (unsigned i = a->n_tasks; i > 0; i--) {
                if (strcmp(a->task[i - 1]->framework, uuid) == 0) {
                    agent_drop(a, i - 1);
                }
            }
        } else if (strstr(message, "CLOSED")) {
            mw_down(k->w, a->peer);
            a->peer = 0;
        }
    }
}

static void scheduler_offers(struct scheduler *f, const char *at)
{
    while (f->n_offers < OFFERS_MAX &&
           (at = take(at, "{\"id\":{\"value\":\"", f->offer[f->n_offers], 32)) != NULL) {
        at = take(at, "\"agent_id\":{\"value\":\"", f->offer_agent[f->n_offers], 40);
        f->n_offers++;
    }
}

static void scheduler_read(struct walk *k, struct scheduler *f)
{
    const char *message;
    struct update *u;
    char id[32];

    while (f->peer && (message = mw_next(k->w, f->peer)) != NULL) {
        u = &f->update[f->n_updates];
        if (strstr(message, "\"OFFERS\"")) {
            scheduler_offers(f, message);
        } else if (strstr(message, "\"RESCIND\"")) {
            (void)take(message, "\"offer_id\":{\"value\":\"", id, sizeof id);
            for (unsigned i = 0; i < f->n_offers; i++) {
                if (strcmp(f->offer[i], id) == 0) {
                    f->n_offers--;
                    memmove(f->offer[i], f->offer[f->n_offers], 32);
                    memmove(f->offer_agent[i], f->offer_agent[f->n_offers], 40);
                }
            }
        } else if (strstr(message, "\"UPDATE\"") && f->n_updates < OFFERS_MAX - 1 &&
                   take(message, "\"task_id\":{\"value\":\"", u->task, sizeof u->task) &&
                   take(message, "\"uuid\":\"", u->uuid, sizeof u->uuid)) {
            f->n_updates++;
        } else if (strstr(message, "SUBSCRIBED")) {
            (void)take(message, "\"framework_id\":{\"value\":\"", f->id, sizeof f->id);
        } else if (strstr(message, "CLOSED")) {
            mw_down(k->w, f->peer);
            f->peer = 0;
        }
    }
}

static void read_all(struct walk *k)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        agent_read(k, &k->agent[i]);
    }
    for (unsigned i = 0; i < FRAMEWORKS; i++) {
        scheduler_read(k, &k->fw[i]);
    }
}

/* --- what they do --- */

static void agent_come(struct walk *k, struct agent *a)
{
    struct pf_buf tasks = {0}, frameworks = {0};
    char hello[160];

    a->peer = ++k->next_peer;
    (void)snprintf(hello, sizeof hello, "'id':'%s','instance':'%s'", a->id, a->id);
    mw_up(k->w, a->peer, "AGENT", true, hello);
    mw_send(k->w, a->peer,
            "'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'%s'},'resources':[%s]},"
            "'runs_as_root':true}}",
            a->id, mw_res(k->w, "cpus:8;mem:80"));
    for (unsigned i = 0; i < a->n_tasks; i++) {
        const struct task *t = a->task[i];

        pf_buf_printf(
            &frameworks,
            "%s{'framework_id':'%s','info':{'user':'u','name':'n','failover_timeout':50}}",
            i > 0 ? "," : "", t->framework);
        pf_buf_printf(&tasks,
                      "%s{'name':'t','task_id':{'value':'%s'},'framework_id':{'value':'%s'},"
                      "'agent_id':{'value':'%s'},'state':'%s','resources':[%s],'launch_uuid':'%s'}",
                      i > 0 ? "," : "", t->id, t->framework, a->id,
                      t->is_over      ? "TASK_FINISHED"
                      : t->is_running ? "TASK_RUNNING"
                                      : "TASK_STAGING",
                      mw_res(k->w, "cpus:1;mem:10"), t->launch);
    }
    mw_send(k->w, a->peer, "'body':{'AgentTasks':{'frameworks':[%s],'tasks':[%s],'last':true}}",
            pf_buf_cstr(&frameworks), pf_buf_cstr(&tasks));
    for (unsigned i = 0; i < a->n_tasks && a->peer; i++) { /* heads go out again */
        struct task *t = a->task[i];

        if (t->uuid != 0) {
            mw_update(k->w, a->peer, t->framework, t->id,
                      t->is_over ? "TASK_FINISHED" : "TASK_RUNNING", t->uuid);
        }
    }
    pf_buf_fini(&tasks);
    pf_buf_fini(&frameworks);
}

/* The task goes one step on, unless an update of it waits. */
static void agent_work(struct walk *k, struct agent *a, struct task *t)
{
    if (t->uuid == 0 && !t->is_over) {
        t->is_over = t->is_running;
        t->is_running = true;
        t->uuid = k->next_uuid++ % 63 + 1;
        mw_update(k->w, a->peer, t->framework, t->id, t->is_over ? "TASK_FINISHED" : "TASK_RUNNING",
                  t->uuid);
    }
}

static void agent_act(struct walk *k, struct agent *a)
{
    if (!a->peer) {
        if (dice(k, 3) == 0) {
            agent_come(k, a);
        }
        return;
    }
    if (dice(k, 40) == 0) {
        mw_down(k->w, a->peer);
        a->peer = 0;
        return;
    }
    if (a->n_tasks > 0) {
        agent_work(k, a, a->task[dice(k, a->n_tasks)]);
    }
}

static void scheduler_come(struct walk *k, struct scheduler *f)
{
    f->peer = ++k->next_peer;
    f->n_offers = 0;
    f->n_updates = 0;
    mw_up(k->w, f->peer, "SCHEDULER", true, "");
    if (f->id[0] && dice(k, 4) > 0) {
        mw_call(k->w, f->peer, "SUBSCRIBE",
                "'subscribe':{'framework_info':{'user':'u','name':'n','failover_timeout':50,'id':{"
                "'value':'%s'}},'has_demands':%s}",
                f->id, f->has_demand ? "true" : "false");
    } else {
        mw_call(k->w, f->peer, "SUBSCRIBE",
                "'subscribe':{'framework_info':{'user':'u','name':'n','failover_timeout':%u},"
                "'has_demands':%s,'durable':%s}",
                dice(k, 2) * 50, f->has_demand ? "true" : "false", dice(k, 2) ? "true" : "false");
    }
}

static void scheduler_accept(struct walk *k, struct scheduler *f)
{
    unsigned i = dice(k, f->n_offers), n = dice(k, 4);
    struct pf_buf tasks = {0};
    char id[16];

    for (unsigned t = 0; t < n; t++) {
        (void)snprintf(id, sizeof id, "t%u", k->n_launched++);
        pf_buf_printf(&tasks, "%s%s", t > 0 ? "," : "",
                      mw_task(k->w, id, f->offer_agent[i], "cpus:1;mem:10"));
    }
    mw_accept(k->w, f->peer, f->offer[i], pf_buf_cstr(&tasks),
              dice(k, 2) ? "'filters':{'refuse_seconds':0.5}" : "");
    pf_buf_fini(&tasks);
    if (f->n_offers > 0) {
        f->n_offers--;
        memmove(f->offer[i], f->offer[f->n_offers], 32);
        memmove(f->offer_agent[i], f->offer_agent[f->n_offers], 40);
    }
}

static void scheduler_acknowledge(struct walk *k, struct scheduler *f)
{
    const struct update *u = &f->update[--f->n_updates];

    mw_call(k->w, f->peer, "ACKNOWLEDGE",
            "'acknowledge':{'agent_id':{'value':'x'},'task_id':{'value':'%s'},'uuid':'%s'}",
            u->task, u->uuid);
}

static void scheduler_act(struct walk *k, struct scheduler *f)
{
    if (!f->peer) {
        if (dice(k, 3) == 0) {
            scheduler_come(k, f);
        }
        return;
    }
    switch (dice(k, 24)) {
    case 0:
        mw_down(k->w, f->peer);
        f->peer = 0;
        return;
    case 1: mw_call(k->w, f->peer, dice(k, 2) ? "SUPPRESS" : "REVIVE", "%s", ""); return;
    case 2: mw_call(k->w, f->peer, "REVIVE", "%s", ""); return;
    case 3: mw_call(k->w, f->peer, "RECONCILE", "'reconcile':{}"); return;
    case 4:
        mw_call(k->w, f->peer, "KILL", "'kill':{'task_id':{'value':'t%u'}}",
                dice(k, k->n_launched + 1));
        return;
    case 5:
    case 6:
    case 7:
        if (f->has_demand) {
            mw_call(k->w, f->peer, "DEMAND",
                    "'demand':{'demands':[{'id':'d%u','count':%u,'resources':[%s]}]}", dice(k, 2),
                    dice(k, 6), mw_res(k->w, dice(k, 9) == 0 ? "cpus:9" : "cpus:1;mem:10"));
        }
        return;
    case 8:
        if (f->n_offers > 0) {
            mw_call(k->w, f->peer, "DECLINE", "'decline':{'offer_ids':[{'value':'%s'}]}",
                    f->offer[--f->n_offers]);
        }
        return;
    default: break;
    }
    if (f->n_updates > 0) {
        scheduler_acknowledge(k, f);
    } else if (f->n_offers > 0) {
        scheduler_accept(k, f);
    }
}

static void step(struct walk *k)
{
    read_all(k);
    if (dice(k, 400) == 0) {
        mw_crash(k->w);
        for (unsigned i = 0; i < AGENTS; i++) {
            k->agent[i].peer = 0;
        }
        for (unsigned i = 0; i < FRAMEWORKS; i++) {
            k->fw[i].peer = 0;
        }
        mw_boot(k->w);
    } else if (dice(k, 2)) {
        agent_act(k, &k->agent[dice(k, AGENTS)]);
    } else {
        scheduler_act(k, &k->fw[dice(k, FRAMEWORKS)]);
    }
    if (dice(k, 10) == 0) {
        mw_pass(k->w, dice(k, 8) == 0 ? (int64_t)dice(k, 100000) : (int64_t)dice(k, 2000));
    }
    mw_drop_trace(k->w);
}

/* Nobody leaves or launches any more: every task that an agent has must end and be acknowledged. */
static void calm(struct walk *k)
{
    struct pf_master_stats stats;
    unsigned n_left = 1;

    read_all(k);
    for (unsigned round = 0; round < 200 && n_left > 0; round++) {
        n_left = 0;
        for (unsigned i = 0; i < AGENTS; i++) {
            struct agent *a = &k->agent[i];

            if (!a->peer) {
                agent_come(k, a);
            }
            for (unsigned t = 0; t < a->n_tasks && a->peer; t++) {
                agent_work(k, a, a->task[t]);
            }
            n_left += a->n_tasks;
        }
        for (unsigned i = 0; i < FRAMEWORKS; i++) {
            struct scheduler *f = &k->fw[i];

            if (!f->peer) {
                scheduler_come(k, f);
            }
            while (f->peer && f->n_updates > 0) {
                scheduler_acknowledge(k, f);
            }
        }
        mw_pass(k->w, 1000);
        read_all(k);
    }
    assert_int_equal(n_left, 0);
    mw_pass(k->w, 200000); /* frameworks that nobody is any more run out */
    read_all(k);
    pf_master_stats(mw_core(k->w), &stats);
    assert_int_equal(stats.n_tasks, 0);
    assert_int_equal(stats.n_agents_registered, AGENTS);
}

static void walk(uint64_t seed)
{
    struct walk *k = PF_NEW(struct walk);

    k->w = mw_create();
    k->next_peer = 100;
    pf_rng_seed(&k->rng, seed);
    mw_options(k->w)->recovery_ms = 90000;
    mw_boot(k->w);
    for (unsigned i = 0; i < AGENTS; i++) {
        (void)snprintf(k->agent[i].id, sizeof k->agent[i].id,
                       "00000000-0000-4000-8000-00000000000%u", i);
    }
    for (unsigned i = 0; i < FRAMEWORKS; i++) {
        k->fw[i].has_demand = i % 2 == 0;
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(k);
    }
    assert_true(k->n_tasks > 100);
    calm(k);
    mw_destroy(k->w);
    pf_free(k);
}

static void test_walks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        walk(seed);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
