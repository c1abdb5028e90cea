/* SPDX-License-Identifier: Apache-2.0 */
/* Links to masters. The agent obeys the leader with the highest epoch of its incarnation, and has
 * stored that pair before it says so; older ones are told and left. A leader of another incarnation
 * is refused until an operator has the agent adopt that. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

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

void ag_link_leave(struct pf_agent *a, const char *why)
{
    if (a->leader == 0) {
        return;
    }
    a->leader = 0;
    ag_register_stop(a, why);
}

/* Every link is to another registry's master: a person must say whether that is meant. */
static void set_problem(struct pf_agent *a)
{
    char own[PF_UUID_TEXT_LEN + 1], foreign[PF_UUID_TEXT_LEN + 1];
    bool is_served = pf_uuid_is_nil(a->incarnation);

    PF_FREE(a->problem);
    if (a->orders.is_gone) {
        a->problem = pf_strdup("an operator marked this agent gone: it ended its tasks and stays "
                               "out; to use the machine again, start it with a new --work-dir");
        return;
    }
    for (uint32_t i = 0; i < a->n_links; i++) {
        const struct master_link *l = &a->links[i];
        if (pf_uuid_eq(l->incarnation, a->incarnation)) {
            is_served = true;
        } else if (!pf_uuid_is_nil(l->incarnation)) {
            a->foreign = l->incarnation;
        }
    }
    if (is_served) {
        a->foreign = (struct pf_uuid){{0}};
    }
    if (pf_uuid_is_nil(a->foreign)) {
        return;
    }
    pf_uuid_format(a->incarnation, own);
    pf_uuid_format(a->foreign, foreign);
    struct pf_str text = pf_arena_printf(
        pf_turn_arena(a->turn),
        "every master that answers serves registry %s, this agent belongs to registry %s; if that "
        "is meant: proffer adopt %s --address %s",
        foreign, own, a->id, a->opt.address);

    a->problem = pf_strndup(text.at, text.len);
}

static bool may_obey(const struct pf_agent *a, const struct master_link *l)
{
    return l->leads && !pf_uuid_is_nil(l->incarnation) && l->epoch >= a->epoch &&
           (pf_uuid_is_nil(a->incarnation) || pf_uuid_eq(a->incarnation, l->incarnation));
}

/* Says which leadership this agent obeys, and hangs up. */
static void refuse_leader(struct pf_agent *a, const struct master_link *l)
{
    /* Where a newer one leads, this one has no say any more. Else its registry is an older one. */
    if (a->leader == 0 && l->epoch < a->epoch && pf_uuid_eq(a->incarnation, l->incarnation)) {
        ag_register_tell_epoch(a, l->peer);
    }
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

    if (a->orders.is_gone || a->orders.is_done) {
        return;
    }
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
    ag_link_leave(a, "new leader");
    a->leader = best->peer;
    ag_register(a, "leader");
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
    set_problem(a);
    if (!l->leads || !may_obey(a, l)) {
        if (l->peer == a->leader) {
            ag_link_leave(a, "it leads no more");
        }
        if (l->leads) {
            refuse_leader(a, l);
        }
        choose_leader(a, false);
        return;
    }
    choose_leader(a, l->peer == a->leader && (!was_leading || l->epoch != old_epoch));
}

const char *ag_adopt(struct pf_agent *a, struct pf_uuid incarnation)
{
    if (pf_uuid_eq(incarnation, a->incarnation)) {
        return "the agent belongs to that registry already";
    }
    ag_link_leave(a, "adopted by another registry");
    a->incarnation = incarnation;
    a->epoch = 0;
    a->foreign = (struct pf_uuid){{0}};
    set_problem(a);
    ag_row_put_identity(a);
    choose_leader(a, false);
    return NULL;
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
    set_problem(a);
    if (a->leader == peer) {
        ag_link_leave(a, "link down");
    }
    choose_leader(a, false);
    return true;
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

static void run_message(struct pf_agent *a, struct Envelope env)
{
    ag_on_agent_message(a, Envelope_body_as_AgentMessage(env));
}

static void run_shutdown_executor(struct pf_agent *a, struct Envelope env)
{
    ag_on_shutdown_executor(a, Envelope_body_as_AgentShutdownExecutor(env));
}

/* What the leader may say to a registered agent. */
static const struct {
    enum Body type;
    void (*run)(struct pf_agent *a, struct Envelope env);
} commands[] = {
    {Body_AgentLaunch, run_launch},     {Body_AgentKill, run_kill},
    {Body_AgentTeardown, run_teardown}, {Body_AgentAcknowledge, run_acknowledge},
    {Body_AgentMessage, run_message},   {Body_AgentShutdownExecutor, run_shutdown_executor},
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
    bool is_answer =
        (Envelope_is_reply(env) || Envelope_request_id(env) == 0) &&
        (type == Body_AgentRegistered || type == Body_AgentTasksWanted || type == Body_Reply);

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
        ag_on_register_answer(a, env);
    } else if (type == Body_AgentLeave && is_of_leader(a, env)) {
        ag_on_leave(a, Envelope_body_as_AgentLeave(env)); /* said to who registers, too */
        set_problem(a);
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
