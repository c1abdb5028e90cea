/* SPDX-License-Identifier: Apache-2.0 */
/* Registration with the leader: who this agent is and how much it has to tell (AgentRegister); its
 * tasks in batches only if the leader asks for them; again after a refusal or without an answer. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

bool ag_is_registered(const struct pf_agent *a)
{
    return a->link.state == LINK_REGISTERED;
}

static void link_move(struct pf_agent *a, enum link_state state, const char *why)
{
    pf_sm_move(&a->link, state, a->id, why, &a->opt.tracer);
}

struct pf_ref ag_put_agent_info(struct pf_agent *a, struct pf_fb_builder *b)
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
                                  .info = ag_put_agent_info(a, b),
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
                                  .instance = pf_str(a->opt.instance),
                                  .sequence = a->sequence,
                                  .is_leaving = ag_orders_are_last(a),
                              });

    a->register_sequence = a->sequence;
    ag_send(a, a->leader, b, Body_AgentRegister, body, ++a->register_request);
}

/* Not to be led by it, but so that it knows above which epoch it has to lead: it refuses, and
 * leads anew. */
void ag_register_tell_epoch(struct pf_agent *a, uint64_t peer)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body =
        AgentRegister__put(b, &(struct AgentRegister__args){
                                  .info = ag_put_agent_info(a, b),
                                  .incarnation = {a->incarnation.b, sizeof a->incarnation.b},
                                  .epoch = a->epoch,
                              });

    ag_send(a, peer, b, Body_AgentRegister, body, ++a->register_request);
}

enum { BATCH_TASKS_MAX = 1024 };

/* What one AgentTasks holds; each framework stands before the first of its tasks or executors. */
struct batch {
    struct pf_fb_builder *b;
    struct pf_ref *frameworks, *executors, *tasks;
    uint32_t n_frameworks, n_executors, n_tasks;
};

static bool batch_has_room(const struct batch *batch)
{
    return batch->n_tasks + batch->n_executors < BATCH_TASKS_MAX &&
           batch->b->used < AGENT_BATCH_BYTES;
}

static void batch_add_framework(struct pf_agent *a, struct batch *batch, struct framework *fw)
{
    if (fw->told == a->list_number) {
        return;
    }
    fw->told = a->list_number;
    batch->frameworks[batch->n_frameworks++] =
        AgentFramework__put(batch->b, &(struct AgentFramework__args){
                                          .framework_id = pf_str(fw->id),
                                          .info = {fw->info, fw->info_len},
                                      });
}

static void batch_add_executor(struct pf_agent *a, struct batch *batch, const struct executor *x)
{
    batch_add_framework(a, batch, x->run.fw);
    batch->executors[batch->n_executors++] =
        AgentExecutor__put(batch->b, &(struct AgentExecutor__args){
                                         .framework_id = ag_run_framework_id(&x->run),
                                         .info = {x->run.info, x->run.info_len},
                                     });
}

/* One batch: executors, then tasks, each from where the one before ended. */
static void send_batch(struct pf_agent *a)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct batch batch = {
        .b = pf_turn_builder(a->turn),
        .frameworks = pf_arena_alloc(arena, BATCH_TASKS_MAX * sizeof *batch.frameworks),
        .executors = pf_arena_alloc(arena, BATCH_TASKS_MAX * sizeof *batch.executors),
        .tasks = pf_arena_alloc(arena, BATCH_TASKS_MAX * sizeof *batch.tasks),
    };

    while (a->batch_executor && batch_has_room(&batch)) {
        batch_add_executor(a, &batch, a->batch_executor);
        a->batch_executor = TAILQ_NEXT(a->batch_executor, link);
    }
    while (a->batch_next && batch_has_room(&batch)) {
        struct task *t = a->batch_next;
        batch_add_framework(a, &batch, t->run.fw);
        batch.tasks[batch.n_tasks++] = ag_summary_put(a, batch.b, t);
        a->batch_next = TAILQ_NEXT(t, link);
    }
    a->batches_open = a->batch_next != NULL || a->batch_executor != NULL;
    struct pf_ref body =
        AgentTasks__put(batch.b, &(struct AgentTasks__args){
                                     .frameworks = {batch.frameworks, batch.n_frameworks},
                                     .tasks = {batch.tasks, batch.n_tasks},
                                     .last = !a->batches_open,
                                     .executors = {batch.executors, batch.n_executors},
                                 });

    ag_send(a, a->leader, batch.b, Body_AgentTasks, body, 0);
}

/* Infos of frameworks without a task will come again with their next launch. */
static void drop_idle_frameworks(struct pf_agent *a)
{
    while (!TAILQ_EMPTY(&a->idle)) {
        ag_framework_free(a, TAILQ_FIRST(&a->idle));
    }
}

static void stop_batches(struct pf_agent *a)
{
    a->batches_open = false;
    a->batch_next = NULL;
    a->batch_executor = NULL;
}

void ag_register(struct pf_agent *a, const char *why)
{
    link_move(a, LINK_REGISTERING, why);
    PF_FREE(a->refusal);
    stop_batches(a);
    drop_idle_frameworks(a);
    send_register(a);
    a->register_at = a->now_ms + AGENT_REGISTER_MS;
}

void ag_register_stop(struct pf_agent *a, const char *why)
{
    if (ag_is_registered(a)) {
        ag_partition_begin(a);
    }
    stop_batches(a);
    a->register_at = AGENT_NEVER;
    link_move(a, LINK_STANDBY, why);
}

/* From the first task on, also when a list was sent before. */
static void tasks_wanted(struct pf_agent *a)
{
    a->list_number++;
    a->batch_next = TAILQ_FIRST(&a->live);
    a->batch_executor = TAILQ_FIRST(&a->executors);
    send_batch(a);
    a->register_at = a->now_ms + AGENT_REGISTER_MS;
}

static void registered(struct pf_agent *a, struct AgentRegistered x)
{
    struct task *t = NULL;

    if (a->batches_open) {
        a->n_bad++;
        return;
    }
    link_move(a, LINK_REGISTERED, "accepted");
    a->register_at = AGENT_NEVER;
    ag_partition_over(a, AgentRegistered_unreachable_ms(x));
    ag_told_until(a, a->register_sequence);
    ag_executors_tell_ends(a);
    TAILQ_FOREACH(t, &a->live, link)
    {
        if (!TAILQ_EMPTY(&t->updates)) {
            t->resend_ms = a->opt.resend_ms;
            t->resend_at = a->now_ms;
            ag_run_rearm(a, &t->run);
        }
    }
}

static void register_refused(struct pf_agent *a, struct Envelope env)
{
    struct pf_str text = Envelope_text(env);

    pf_free(a->refusal);
    a->refusal = pf_strndup(text.at, text.len);
    stop_batches(a);
    link_move(a, LINK_REFUSED, a->refusal);
    a->register_at = a->now_ms + AGENT_REFUSED_MS;
}

void ag_on_register_answer(struct pf_agent *a, struct Envelope env)
{
    if (ag_on_unregister_answer(a, env)) {
        return;
    }
    if (a->link.state != LINK_REGISTERING || Envelope_request_id(env) != a->register_request) {
        return; /* to an earlier question */
    }
    if (Envelope_code(env) != ReplyCode_OK && Envelope_code(env) != ReplyCode_ACCEPTED) {
        register_refused(a, env);
    } else if (Envelope_body_type(env) == Body_AgentRegistered) {
        registered(a, Envelope_body_as_AgentRegistered(env));
    } else if (Envelope_body_type(env) == Body_AgentTasksWanted) {
        tasks_wanted(a);
    }
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
        ag_register(a, "again");
    }
}
