/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher of an agent's test world: processes that outlive the agent. */
#include "tests/support/agent_sim_internal.h"

#include <errno.h>

struct sim_process *sim_process_of(struct agent_sim *s, struct pf_uuid launch)
{
    for (uint32_t i = 0; i < s->processes.len; i++) {
        struct sim_process *p = s->processes.at[i];
        if (pf_uuid_eq(p->launch, launch)) {
            return p;
        }
    }
    return NULL;
}

struct pf_uuid sim_uuid_all(uint8_t n)
{
    struct pf_uuid u;

    memset(u.b, n, sizeof u.b);
    return u;
}

struct sim_process *agent_sim_process(struct agent_sim *s, uint8_t n)
{
    return sim_process_of(s, sim_uuid_all(n));
}

void sim_process_tell(struct agent_sim *s, const struct sim_process *p)
{
    if (s->launcher_up) {
        sim_event_push(s, PF_AGENT_PROCESS)->process = *p;
    }
}

void sim_process_exit(struct agent_sim *s, struct sim_process *p, int32_t wait_status)
{
    p->state = LauncherState_EXITED;
    p->wait_status = wait_status;
    sim_executor_exited(s, p);
    sim_process_tell(s, p);
}

/* Programs: "nosuch" cannot be executed, "stubborn" ignores SIGTERM, "exit N" ends at once, all
 * others run until they are told. */
void sim_process_start(struct agent_sim *s, const struct pf_agent_act_start *act)
{
    struct sim_process *p = sim_process_of(s, act->launch);
    int code = 0;

    if (p && !p->forgotten) {
        sim_process_tell(s, p); /* known: changes nothing */
        return;
    }
    if (!p) {
        p = PF_NEW(struct sim_process);
        pf_ptrs_push(&s->processes, p);
    }
    p->forgotten = false;
    p->launch = act->launch;
    p->n_starts++;
    p->is_beside = act->is_session;
    const char *text = act->args[act->n_args - 1].at;
    if (strcmp(act->path.at, "nosuch") == 0) {
        p->state = LauncherState_FAILED;
        p->error = ENOENT;
        p->stage = "exec";
        sim_process_tell(s, p);
        return;
    }
    p->state = LauncherState_RUNNING;
    p->pid = s->next_pid++;
    p->ignores_term = strcmp(text, "stubborn") == 0;
    sim_process_tell(s, p);
    if (strncmp(text, "executor", 8) == 0) {
        sim_executor_start(s, act, p->pid);
    }
    if (sscanf(text, "exit %d", &code) == 1) {
        sim_process_exit(s, p, code << 8);
    }
}

void sim_process_signal(struct agent_sim *s, const struct pf_agent_act_signal *act)
{
    struct sim_process *p = sim_process_of(s, act->launch);

    if (!p || p->forgotten || p->state != LauncherState_RUNNING) {
        return;
    }
    p->n_kills++;
    p->last_signal = act->signal;
    if (act->signal == 9 || !p->ignores_term) {
        sim_process_exit(s, p, act->signal);
    }
}

void agent_sim_exit(struct agent_sim *s, uint8_t n, int32_t wait_status)
{
    struct sim_process *p = agent_sim_process(s, n);

    assert_non_null(p);
    assert_int_equal(p->state, LauncherState_RUNNING);
    sim_process_exit(s, p, wait_status);
    if (s->core) {
        agent_sim_run(s);
    }
}

void agent_sim_launcher_down(struct agent_sim *s)
{
    s->launcher_up = false;
    (void)sim_event_push(s, PF_AGENT_LAUNCHER_DOWN);
    agent_sim_run(s);
}

/* A launcher of another instance than before knows nothing. */
void agent_sim_launcher_up(struct agent_sim *s, const char *instance)
{
    bool is_new = strcmp(instance, s->launcher_instance) != 0;

    if (is_new) {
        (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "%s", instance);
    }
    s->launcher_up = true;
    (void)sim_event_push(s, PF_AGENT_LAUNCHER_UP);
    for (uint32_t i = 0; i < s->processes.len; i++) {
        struct sim_process *p = s->processes.at[i];
        p->forgotten = p->forgotten || is_new;
        if (!p->forgotten) {
            sim_process_tell(s, p);
        }
    }
    (void)sim_event_push(s, PF_AGENT_PROCESSES_END);
    agent_sim_run(s);
}

struct pf_msg sim_process_msg(struct agent_sim *s, struct pf_fb_builder *b,
                              const struct sim_process *p)
{
    struct LauncherProcess__args args = {
        .uuid = {p->launch.b, sizeof p->launch.b},
        .state = (enum LauncherState)p->state,
        .pid = p->pid,
        .start_time = (uint64_t)p->pid * 10,
        .wait_status = p->wait_status,
        .error = p->error,
        .stage = pf_str(p->stage),
        .started_ms = s->wall_ms,
        .ended_ms = p->state == LauncherState_EXITED ? s->wall_ms : 0,
        .oom_kills = p->oom_kills,
        .memory_peak_bytes = p->memory_peak_bytes,
    };

    return LauncherProcess__finish(b, LauncherProcess__put(b, &args));
}
