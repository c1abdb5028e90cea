/* SPDX-License-Identifier: Apache-2.0 */
/* Links to masters. The agent obeys the leader with the highest epoch of its incarnation, and has
 * stored that pair before it says so; older ones are told and left. It registers with all its tasks
 * in batches, and asks again after a refusal. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

bool ag_is_registered(const struct pf_agent *a)
{
    return a->link.state == LINK_REGISTERED;
}

static struct master_link *link_of(struct pf_agent *a, uint64_t peer)
{
    for (uint32_t i = 0; i < a->n_links; i++) {
        if (a->links[i].peer == peer) {
            return &a->links[i];
        }
    }
    return NULL;
}

const char *ag_link_leader(const struct pf_agent *a)
{
    for (uint32_t i = 0; i < a->n_links; i++) {
        if (a->links[i].peer == a->leader && a->leader != 0) {
            return a->links[i].instance;
        }
    }
    return "";
}

static void link_move(struct pf_agent *a, enum link_state state, const char *why)
{
    pf_sm_move(&a->link, state, a->id, why, &a->opt.tracer);
}

static struct pf_ref put_agent_info(struct pf_agent *a, struct pf_fb_builder *b)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);

    return AgentInfo__put(
        b, &(struct AgentInfo__args){
               .hostname = pf_str(a->opt.hostname),
               .port = PF_OPT(a->opt.http_port),
               .resources = ag_put_resources(b, arena, &a->total),
               .attributes = ag_put_attributes(b, arena, a->opt.attributes),
               .id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
           });
}

static void send_register(struct pf_agent *a)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body =
        AgentRegister__put(b, &(struct AgentRegister__args){
                                  .info = put_agent_info(a, b),
                                  .address = pf_str(a->opt.address),
                                  .http_address = pf_str(a->opt.http_address),
                                  .pid = a->opt.pid,
                                  .version = PF_STR(PF_VERSION),
                                  .incarnation = {a->incarnation.b, sizeof a->incarnation.b},
                                  .epoch = a->epoch,
                                  .n_tasks = a->n_live,
                                  .isolation = pf_str(a->opt.isolation),
                                  .allows_any_user = a->opt.allow_any_user,
                                  .task_user = pf_str(a->opt.task_user),
                                  .runs_as_root = a->opt.runs_as_root,
                              });

    ag_send(a, a->leader, b, Body_AgentRegister, body, ++a->register_request);
}

enum { BATCH_TASKS_MAX = 1024 };

/* One batch: tasks from batch_next on, each framework before the first of its tasks. */
static void send_batch(struct pf_agent *a)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_ref *tasks = pf_arena_alloc(arena, BATCH_TASKS_MAX * sizeof *tasks);
    struct pf_ref *frameworks = pf_arena_alloc(arena, BATCH_TASKS_MAX * sizeof *frameworks);
    uint32_t n_tasks = 0, n_frameworks = 0;

    while (a->batch_next && n_tasks < BATCH_TASKS_MAX && b->used < AGENT_BATCH_BYTES) {
        struct task *t = a->batch_next;
        if (t->fw->told != a->register_request) {
            t->fw->told = a->register_request;
            frameworks[n_frameworks++] =
                AgentFramework__put(b, &(struct AgentFramework__args){
                                           .framework_id = pf_str(t->fw->id),
                                           .info = {t->fw->info, t->fw->info_len},
                                       });
        }
        tasks[n_tasks++] = ag_summary_put(a, b, t);
        a->batch_next = TAILQ_NEXT(t, link);
    }
    a->batches_open = a->batch_next != NULL;
    struct pf_ref body = AgentTasks__put(b, &(struct AgentTasks__args){
                                                .frameworks = {frameworks, n_frameworks},
                                                .tasks = {tasks, n_tasks},
                                                .last = !a->batches_open,
                                            });

    ag_send(a, a->leader, b, Body_AgentTasks, body, 0);
}

/* Infos of frameworks without a task will come again with their next launch. */
static void drop_idle_frameworks(struct pf_agent *a)
{
    while (!TAILQ_EMPTY(&a->idle)) {
        ag_framework_free(a, TAILQ_FIRST(&a->idle));
    }
}

static void register_with_leader(struct pf_agent *a, const char *why)
{
    link_move(a, LINK_REGISTERING, why);
    PF_FREE(a->refusal);
    drop_idle_frameworks(a);
    send_register(a);
    a->batch_next = TAILQ_FIRST(&a->live);
    send_batch(a);
    a->register_at = a->now_ms + AGENT_REGISTER_MS;
}

static void leave_leader(struct pf_agent *a, const char *why)
{
    if (a->leader == 0) {
        return;
    }
    a->leader = 0;
    a->batches_open = false;
    a->batch_next = NULL;
    a->register_at = AGENT_NEVER;
    link_move(a, LINK_STANDBY, why);
}

static bool may_obey(const struct pf_agent *a, const struct master_link *l)
{
    return l->leads && !pf_uuid_is_nil(l->incarnation) && l->epoch >= a->epoch &&
           (pf_uuid_is_nil(a->incarnation) || pf_uuid_eq(a->incarnation, l->incarnation));
}

/* Says which leadership this agent obeys, and hangs up. */
static void refuse_leader(struct pf_agent *a, const struct master_link *l)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    char uuid[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(a->incarnation, uuid);
    struct pf_str text =
        pf_arena_printf(pf_turn_arena(a->turn), "agent %s obeys epoch %llu of incarnation %s",
                        a->id, (unsigned long long)a->epoch, uuid);
    struct pf_ref body = Goodbye__put(b, &(struct Goodbye__args){.reason = text});

    a->n_bad++;
    ag_send(a, l->peer, b, Body_Goodbye, body, 0);
    pf_turn_close(a->turn, l->peer);
}

/* A link came, changed or went: whom to obey now? */
static void choose_leader(struct pf_agent *a, bool changed)
{
    const struct master_link *best = NULL;

    for (uint32_t i = 0; i < a->n_links; i++) {
        const struct master_link *l = &a->links[i];
        if (may_obey(a, l) && (!best || l->epoch > best->epoch)) {
            best = l;
        }
    }
    if (!best || (best->peer == a->leader && !changed)) {
        return;
    }
    if (best->epoch != a->epoch || !pf_uuid_eq(a->incarnation, best->incarnation)) {
        a->epoch = best->epoch;
        a->incarnation = best->incarnation;
        ag_row_put_identity(a);
    }
    leave_leader(a, "new leader");
    a->leader = best->peer;
    register_with_leader(a, "leader");
}

static void link_learn(struct pf_agent *a, struct master_link *l, struct Welcome w)
{
    struct pf_str instance = Welcome_instance(w);
    bool was_leading = l->leads;
    uint64_t old_epoch = l->epoch;

    l->leads = Welcome_role(w) == MasterRole_LEADER;
    l->epoch = Welcome_epoch(w);
    l->incarnation = (struct pf_uuid){{0}};
    (void)ag_uuid_of(Welcome_incarnation(w), &l->incarnation);
    pf_free(l->instance);
    l->instance = pf_strndup(instance.at, instance.len);
    if (!l->leads || !may_obey(a, l)) {
        if (l->peer == a->leader) {
            leave_leader(a, "it leads no more");
        }
        if (l->leads) {
            refuse_leader(a, l);
        }
        choose_leader(a, false);
        return;
    }
    choose_leader(a, l->peer == a->leader && (!was_leading || l->epoch != old_epoch));
}

void ag_on_master_up(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct Envelope env = Envelope__root(ev->peer_up.hello);

    PF_ASSERT(link_of(a, ev->peer) == NULL);
    if (a->n_links == AGENT_LINKS_MAX) {
        pf_turn_close(a->turn, ev->peer);
        return;
    }
    struct master_link *l = &a->links[a->n_links++];

    *l = (struct master_link){.peer = ev->peer};
    link_learn(a, l, Envelope_body_as_Welcome(env));
}

/* False: not a master's. */
bool ag_on_link_down(struct pf_agent *a, uint64_t peer)
{
    struct master_link *l = link_of(a, peer);

    if (!l) {
        return false;
    }
    pf_free(l->instance);
    *l = a->links[--a->n_links];
    if (a->leader == peer) {
        leave_leader(a, "link down");
    }
    choose_leader(a, false);
    return true;
}

static void registered(struct pf_agent *a)
{
    struct task *t = NULL;

    if (a->link.state != LINK_REGISTERING || a->batches_open) {
        a->n_bad++;
        return;
    }
    link_move(a, LINK_REGISTERED, "accepted");
    a->register_at = AGENT_NEVER;
    TAILQ_FOREACH(t, &a->live, link)
    {
        if (!TAILQ_EMPTY(&t->updates)) {
            t->resend_ms = a->opt.resend_ms;
            t->resend_at = a->now_ms;
            ag_task_rearm(a, t);
        }
    }
}

static void register_refused(struct pf_agent *a, struct Envelope env)
{
    struct pf_str text = Envelope_text(env);

    pf_free(a->refusal);
    a->refusal = pf_strndup(text.at, text.len);
    a->batches_open = false;
    a->batch_next = NULL;
    link_move(a, LINK_REFUSED, a->refusal);
    a->register_at = a->now_ms + AGENT_REFUSED_MS;
}

static void on_register_answer(struct pf_agent *a, struct Envelope env)
{
    if (a->link.state != LINK_REGISTERING || Envelope_request_id(env) != a->register_request) {
        return; /* to an earlier question */
    }
    if (Envelope_code(env) == ReplyCode_OK || Envelope_code(env) == ReplyCode_ACCEPTED) {
        if (Envelope_body_type(env) == Body_AgentRegistered) {
            registered(a);
        }
    } else {
        register_refused(a, env);
    }
}

static bool is_of_leader(const struct pf_agent *a, struct Envelope env)
{
    struct pf_uuid incarnation;

    if (!ag_uuid_of(Envelope_incarnation(env), &incarnation)) {
        return false;
    }
    return pf_uuid_eq(incarnation, a->incarnation) && Envelope_epoch(env) == a->epoch;
}

static void refuse_command(struct pf_agent *a, uint64_t peer, struct Envelope env,
                           enum ReplyCode code, struct pf_str text)
{
    a->n_bad++;
    ag_reply(a, peer, Envelope_request_id(env), code, text);
}

static void run_launch(struct pf_agent *a, struct Envelope env)
{
    ag_on_launch(a, Envelope_body_as_AgentLaunch(env));
}

static void run_kill(struct pf_agent *a, struct Envelope env)
{
    ag_on_kill(a, Envelope_body_as_AgentKill(env));
}

static void run_teardown(struct pf_agent *a, struct Envelope env)
{
    ag_on_teardown(a, Envelope_body_as_AgentTeardown(env));
}

static void run_acknowledge(struct pf_agent *a, struct Envelope env)
{
    ag_on_acknowledge(a, Envelope_body_as_AgentAcknowledge(env));
}

/* What the leader may say to a registered agent. */
static const struct {
    enum Body type;
    void (*run)(struct pf_agent *a, struct Envelope env);
} commands[] = {
    {Body_AgentLaunch, run_launch},
    {Body_AgentKill, run_kill},
    {Body_AgentTeardown, run_teardown},
    {Body_AgentAcknowledge, run_acknowledge},
};

static bool run_command(struct pf_agent *a, struct Envelope env)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(commands); i++) {
        if (commands[i].type == Envelope_body_type(env)) {
            commands[i].run(a, env);
            return true;
        }
    }
    return false;
}

/* False: not a master's. */
bool ag_on_link_message(struct pf_agent *a, struct Envelope env, uint64_t peer)
{
    struct master_link *l = link_of(a, peer);
    enum Body type = Envelope_body_type(env);
    bool is_answer = type == Body_AgentRegistered || type == Body_Reply;

    if (!l) {
        return false;
    }
    if (type == Body_Welcome) {
        link_learn(a, l, Envelope_body_as_Welcome(env));
    } else if (type == Body_Heartbeat || type == Body_Goodbye) {
        return true;
    } else if (Envelope_is_reply(env) && (peer != a->leader || !is_answer)) {
        a->n_bad++; /* nothing was asked */
    } else if (peer != a->leader) {
        refuse_command(a, peer, env, ReplyCode_CONFLICT, PF_STR("The agent obeys another master"));
    } else if (is_answer) {
        on_register_answer(a, env);
    } else if (!ag_is_registered(a) || !is_of_leader(a, env)) {
        refuse_command(a, peer, env, ReplyCode_CONFLICT,
                       PF_STR("The agent is not registered in this epoch"));
    } else if (!run_command(a, env)) {
        refuse_command(a, peer, env, ReplyCode_UNSUPPORTED, PF_STR("Unknown message"));
    } else {
        ag_reply(a, peer, Envelope_request_id(env), ReplyCode_OK, (struct pf_str){NULL, 0});
    }
    return true;
}

int64_t ag_link_next(const struct pf_agent *a)
{
    return a->batches_open ? a->now_ms : a->register_at;
}

void ag_link_deadline(struct pf_agent *a)
{
    if (a->batches_open) {
        send_batch(a);
    } else if (a->leader != 0 && a->now_ms >= a->register_at) {
        register_with_leader(a, "again");
    }
}
