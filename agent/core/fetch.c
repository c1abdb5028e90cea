/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching: between its sandbox and its start a run with URIs has a fetcher, a process whose uuid
 * is made of the run's own, so that it is known again after a crash. What was fetched is stored
 * before the start. The launcher is told to start a fetcher again whenever it knows none. */
#include "agent/core/calls_internal.h"
#include "schemas/fetcher.h"

/* Roles are exclusive-ored into the uuid: the same again gives the container's. */
static struct run *run_of_fetcher(const struct pf_agent *a, struct pf_uuid uuid)
{
    struct pf_uuid container = pf_agent_process_uuid(uuid, PF_AGENT_ROLE_FETCH);

    return ag_run_by_launch(a, (struct pf_bytes){container.b, sizeof container.b});
}

bool ag_fetch_is_needed(const struct run *r)
{
    return r->info && !r->was_fetched && CommandInfo_uris__len(ag_run_command(r)) > 0;
}

/* The daemon adds what it knows alone: the user's own cache, and how long to be patient. */
static struct pf_msg build_plan(struct pf_agent *a, const struct run *r, struct pf_str sandbox)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct CommandInfo c = ag_run_command(r);
    uint32_t n = CommandInfo_uris__len(c);
    struct pf_ref *uris = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *uris);

    for (uint32_t i = 0; i < n; i++) {
        uris[i] = CommandInfo_URI__copy(b, CommandInfo_uris__at(c, i));
    }
    return FetchPlan__finish(b, FetchPlan__put(b, &(struct FetchPlan__args){
                                                      .uris = {uris, n},
                                                      .sandbox = sandbox,
                                                      .cache_dir = pf_str(a->opt.cache_dir),
                                                      .cache_max_bytes = a->opt.cache_max_bytes,
                                                  }));
}

void ag_fetch_start(struct pf_agent *a, struct run *r)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_fetch *act = pf_arena_zalloc(arena, sizeof *act);

    r->phase = START_FETCH;
    act->launch = pf_agent_process_uuid(r->launch, PF_AGENT_ROLE_FETCH);
    act->container = r->launch;
    act->sandbox = ag_run_sandbox(a, r);
    act->user = pf_arena_strdup(arena, pf_str(r->user));
    act->plan = build_plan(a, r, act->sandbox);
    pf_turn_act(a->turn, PF_AGENT_ACT_FETCH, act);
}

void ag_fetch_kill(struct pf_agent *a, const struct run *r)
{
    struct pf_agent_act_signal *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = pf_agent_process_uuid(r->launch, PF_AGENT_ROLE_FETCH);
    act->signal = AGENT_SIGKILL;
    pf_turn_act(a->turn, PF_AGENT_ACT_SIGNAL, act);
}

static struct pf_str failure_text(struct pf_agent *a, struct LauncherProcess p,
                                  struct pf_str report)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    int32_t status = LauncherProcess_wait_status(p);

    if (LauncherProcess_state(p) == LauncherState_FAILED) {
        return pf_arena_printf(arena,
                               "Failed to fetch: the fetcher could not be started (%.*s): %s",
                               PF_STR_ARG(LauncherProcess_stage(p)),
                               ag_errno_text(arena, LauncherProcess_error(p)).at);
    }
    while (report.len > 0 && (unsigned char)report.at[report.len - 1] <= ' ') {
        report.len--;
    }
    if (LauncherProcess_oom_kills(p) > 0) {
        return pf_arena_printf(arena,
                               "Failed to fetch: the memory of the task did not suffice for it");
    }
    if (report.len > 0) {
        return pf_arena_printf(arena, "Failed to fetch: %.*s", PF_STR_ARG(report));
    }
    if (status < 0) {
        return PF_STR("Failed to fetch: nobody saw how the fetcher ended");
    }
    if ((status & 0x7f) != 0) {
        return pf_arena_printf(arena, "Failed to fetch: the fetcher was ended by signal %s",
                               ag_signal_text(arena, status & 0x7f).at);
    }
    return pf_arena_printf(arena, "Failed to fetch: the fetcher exited with status %d",
                           (int)(status >> 8) & 0xff);
}

static void fetch_ended(struct pf_agent *a, struct run *r, struct LauncherProcess p,
                        struct pf_str report)
{
    bool is_done =
        LauncherProcess_state(p) == LauncherState_EXITED && LauncherProcess_wait_status(p) == 0;

    if (r->kill_reason != KILL_NONE) {
        ag_run_end_killed_early(a, r);
    } else if (is_done) {
        r->was_fetched = true;
        r->start_generation = a->launcher_generation;
        ag_run_put_row(a, r);
        ag_run_prepared(a, r);
    } else {
        ag_run_end(a, r,
                   &(struct ending){
                       .state = TaskState_TASK_FAILED,
                       .has_reason = true,
                       .reason = TaskStatus_Reason_REASON_CONTAINER_LAUNCH_FAILED,
                       .by_agent = true,
                       .text = failure_text(a, p, report),
                   },
                   "not fetched");
    }
}

/* False: no fetcher that is awaited. */
bool ag_fetch_on_process(struct pf_agent *a, struct pf_uuid uuid, const struct pf_agent_event *ev)
{
    struct LauncherProcess p = LauncherProcess__root(ev->process);
    struct run *r = run_of_fetcher(a, uuid);

    if (!r || r->sm.state != RunState_STARTING || !ag_fetch_is_needed(r) ||
        (r->phase != START_FETCH && r->phase != START_NONE && r->phase != START_SANDBOX)) {
        return false;
    }
    switch (LauncherProcess_state(p)) {
    case LauncherState_STARTING:
    case LauncherState_RUNNING:
        r->phase = START_FETCH;
        r->seen = a->list_generation;
        if (r->kill_reason != KILL_NONE) {
            ag_fetch_kill(a, r);
        }
        break;
    case LauncherState_EXITED:
    case LauncherState_FAILED: {
        struct pf_uuid *forget = pf_arena_memdup(pf_turn_arena(a->turn), &uuid, sizeof uuid);
        fetch_ended(a, r, p, ev->report);
        pf_turn_act(a->turn, PF_AGENT_ACT_FORGET, forget);
        break;
    }
    case LauncherState_UNKNOWN: break;
    }
    return true;
}
