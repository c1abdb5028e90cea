/* SPDX-License-Identifier: Apache-2.0 */
/* What happens outside, told to the core: links, the launcher, the disk. And what others ask of the
 * daemon itself: greetings, health, metrics. */
#include <inttypes.h>
#include <string.h>

#include "agent/daemon/agentd_internal.h"
#include "common/engine/metrics.h"
#include "common/sys/clock.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "schemas/launcher.h"
#include "schemas/proffer.h"

#define DISK_MS 5000

void agentd_step(struct agentd *d, struct pf_agent_event *ev)
{
    ev->now_ms = pf_loop_now_ms(d->loop);
    ev->wall_ms = pf_wall_ms();
    pf_agent_step(d->core, ev, pf_engine_turn(d->engine));
}

/* --- links ------------------------------------------------------------------------------------ */

static void net_up(void *ctx, const struct pf_peer_up *up)
{
    struct agentd *d = ctx;
    enum pf_master_up master = pf_masters_on_up(d->masters, up);

    if (master == PF_MASTER_DUPLICATE) {
        return;
    }
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = up->peer};
    ev.peer_up.hello = up->greeting;
    ev.peer_up.is_master = master == PF_MASTER_UP;
    ev.peer_up.trusted = up->is_trusted;
    agentd_step(d, &ev);
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct agentd *d = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE, .peer = peer};

    pf_masters_on_message(d->masters, peer, envelope);
    if (Envelope_body_type(Envelope__root(envelope)) == Body_AgentLaunch) {
        agentd_on_disk(ctx); /* a launch is judged by the room there is now */
    }
    ev.message = envelope;
    agentd_step(ctx, &ev);
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct agentd *d = ctx;
    bool was_up;

    if (!pf_masters_on_down(d->masters, peer, why, &was_up)) {
        pf_log(PF_LOG_DEBUG, "link down", "peer=%" PRIu64 " why=%s", peer, why->msg);
    }
    if (!was_up) {
        return;
    }
    pf_engine_forget_peer(d->engine, peer);
    pf_files_forget_peer(d->files, peer);
    pf_stdin_forget_peer(d->stdin_pipes, peer);
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = peer};
    agentd_step(d, &ev);
}

static void net_welcome(void *ctx, struct pf_link_state *out)
{
    struct agentd *d = ctx;

    out->n_masters = pf_masters_addresses(d->masters, d->master_address);
    out->master = d->master_address;
    out->http_address = pf_str(d->told_http);
}

const struct pf_net_ops agentd_net_ops = {net_up, net_message, net_down, net_welcome};

void agentd_reply(void *ctx, uint64_t peer, struct pf_msg reply)
{
    struct agentd *d = ctx;

    pf_peer_send(d->net, peer, pf_msg_bytes(reply));
}

/* --- the launcher ----------------------------------------------------------------------------- */

void agentd_begin(void *ctx)
{
    struct agentd *d = ctx;

    if (!d->has_begun) {
        d->has_begun = true;
        pf_timer_set(d->begin_timer, INT64_MAX);
        pf_masters_begin(d->masters);
    }
}

static void launcher_up(void *ctx, struct pf_msg hello)
{
    struct agentd *d = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_LAUNCHER_UP};

    pf_log(PF_LOG_INFO, "launcher connected", "pid=%" PRId64, pf_launcher_link_pid(d->launcher));
    if (pf_containers_open(d->containers, pf_launcher_link_pid(d->launcher), &d->failure) != 0) {
        pf_loop_stop(d->loop);
        return;
    }
    ev.launcher = hello;
    ev.isolation = pf_containers_text(d->containers);
    agentd_step(d, &ev);
    agentd_begin(d);
}

static void launcher_down(void *ctx)
{
    struct agentd *d = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_LAUNCHER_DOWN};

    pf_stdin_launcher_down(d->stdin_pipes);
    agentd_step(d, &ev);
}

/* Of adopted processes, too, whose start we did not see. */
static void watch_output(struct agentd *d, struct pf_uuid launch)
{
    struct pf_buf sandbox = {0};

    if (pf_agent_sandbox(d->core, launch, &sandbox)) {
        pf_logtrim_add(d->logtrim, launch, pf_str(pf_buf_cstr(&sandbox)));
    }
    pf_buf_fini(&sandbox);
}

static void launcher_process(void *ctx, struct pf_msg process)
{
    struct agentd *d = ctx;
    struct LauncherProcess p = LauncherProcess__root(process);
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};

    struct pf_uuid launch;

    memcpy(launch.b, LauncherProcess_uuid(p).at, sizeof launch.b); /* the link checked its length */
    pf_fetches_listed(d->fetches, launch);
    pf_containers_listed(d->containers, launch);
    if (LauncherProcess_state(p) == LauncherState_RUNNING) {
        watch_output(d, launch);
    } else {
        ev.report = pf_fetches_report(d->fetches, launch);
    }
    if (LauncherProcess_state(p) == LauncherState_FAILED) {
        pf_log(PF_LOG_DEBUG, "start failed", "stage=%.*s errno=%d",
               PF_STR_ARG(LauncherProcess_stage(p)), LauncherProcess_error(p));
    }
    ev.process = process;
    agentd_step(d, &ev);
}

static void launcher_list_end(void *ctx)
{
    struct agentd *d = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESSES_END};

    pf_fetches_list_end(d->fetches);
    pf_containers_list_end(d->containers);
    agentd_step(d, &ev);
    if (!d->has_swept) {
        d->has_swept = true;
        agentd_sweep(d);
    }
}

static void launcher_made(void *ctx, struct pf_uuid launch, struct pf_str sandbox, int stdin_fd)
{
    struct agentd *d = ctx;

    if (stdin_fd >= 0) {
        pf_stdin_set(d->stdin_pipes, launch, stdin_fd);
    }
    pf_files_made(d->files, sandbox);
}

static void launcher_stdin(void *ctx, struct pf_uuid launch, int fd)
{
    struct agentd *d = ctx;

    agentd_terminal_back(d, launch, fd);
    if (fd >= 0) {
        pf_stdin_set(d->stdin_pipes, launch, fd);
    } else {
        pf_stdin_none(d->stdin_pipes, launch);
    }
}

const struct pf_launcher_link_ops agentd_launcher_ops = {
    .on_up = launcher_up,
    .on_down = launcher_down,
    .on_process = launcher_process,
    .on_list_end = launcher_list_end,
    .on_made = launcher_made,
    .on_stdin = launcher_stdin,
};

static bool stdin_ask(void *ctx, struct pf_uuid launch)
{
    struct agentd *d = ctx;

    return pf_launcher_link_ask_stdin(d->launcher, launch);
}

static bool stdin_close(void *ctx, struct pf_uuid launch)
{
    struct agentd *d = ctx;

    return pf_launcher_link_close_stdin(d->launcher, launch);
}

const struct pf_stdin_ops agentd_stdin_ops = {agentd_reply, stdin_ask, stdin_close};

/* --- the disk --------------------------------------------------------------------------------- */

void agentd_on_disk(void *ctx)
{
    struct agentd *d = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_DISK};
    struct pf_err err = {0};
    uint64_t free_bytes;
    uint64_t total_bytes;

    pf_timer_set(d->disk_timer, pf_loop_now_ms(d->loop) + DISK_MS);
    if (pf_fs_space(d->work_dir, &free_bytes, &total_bytes, &err) != 0) {
        pf_log_err(PF_LOG_WARN, "disk not measured", &err);
        return;
    }
    d->free_bytes = free_bytes;
    ev.free_bytes = free_bytes;
    agentd_step(d, &ev);
}

void agentd_on_sandbox_gone(void *ctx, struct pf_uuid launch)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX_GONE};
    char uuid[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(launch, uuid);
    pf_log(PF_LOG_WARN, "somebody removed the sandbox of a task", "launch=%s", uuid);
    ev.launch = launch;
    agentd_step(ctx, &ev);
}

void agentd_on_checked(void *ctx, struct pf_agent_event *ev)
{
    agentd_step(ctx, ev);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static const char *http_health(void *ctx)
{
    struct agentd *d = ctx;

    if (!d->is_up) {
        return "the agent has not finished recovery";
    }
    const char *problem = pf_agent_problem(d->core); /* one that is gone needs no launcher */
    return problem == NULL && !pf_launcher_link_is_up(d->launcher) ? "there is no launcher"
                                                                   : problem;
}

static void executor_event(void *ctx, struct pf_agent_event *ev)
{
    agentd_step(ctx, ev);
}

static const char *executor_problem(void *ctx)
{
    const struct agentd *d = ctx;

    return d->is_up ? NULL : "Agent has not finished recovery";
}

const struct pf_executor_api_ops agentd_executor_api_ops = {executor_event, executor_problem};

struct metric {
    const char *name, *help;
    uint64_t value;
    bool is_gauge;
};

static void metrics_add(struct pf_buf *out, const struct metric *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (m[i].is_gauge ? pf_metric_gauge : pf_metric_counter)(out, m[i].name, m[i].help,
                                                              m[i].value);
    }
}

static void metrics_of_core(const struct agentd *d, struct pf_buf *out)
{
    struct pf_agent_stats s;

    pf_agent_stats(d->core, &s);
    const struct metric rows[] = {
        {"proffer_agent_registered", "1: registered with the leading master.", s.registered, true},
        {"proffer_agent_epoch", "Highest epoch obeyed.", s.epoch, true},
        {"proffer_agent_launcher_up", "1: the launcher is connected.", s.launcher_up, true},
        {"proffer_agent_tasks", "Live tasks.", s.n_tasks_live, true},
        {"proffer_agent_tasks_ended", "Ended tasks still remembered.", s.n_tasks_ended, true},
        {"proffer_agent_updates_pending", "Updates not acknowledged yet.", s.n_updates_pending,
         true},
        {"proffer_agent_disk_free_bytes", "Free disk of the work directory.", d->free_bytes, true},
        {"proffer_agent_masters", "Links to masters that are up.", pf_masters_n_up(d->masters),
         true},
        {"proffer_agent_launches_total", "Tasks accepted.", s.launches, false},
        {"proffer_agent_launches_refused_total", "Tasks refused.", s.refused, false},
        {"proffer_agent_updates_sent_total", "Updates sent.", s.updates_sent, false},
        {"proffer_agent_updates_resent_total", "Updates sent again.", s.resends, false},
        {"proffer_agent_bad_messages_total", "Messages refused.", s.bad_messages, false},
        {"proffer_agent_sandboxes_lost_total", "Sandboxes that somebody removed under their task.",
         s.lost_sandboxes, false},
    };
    metrics_add(out, rows, PF_ARRAY_LEN(rows));
}

static void metrics_of_helpers(const struct agentd *d, struct pf_buf *out)
{
    const struct pf_launcher_link_counters *l = pf_launcher_link_counters(d->launcher);
    const struct pf_containers_counters *c = pf_containers_counters(d->containers);
    const struct pf_files_counters *f = pf_files_counters(d->files);
    const struct pf_logtrim_counters *t = pf_logtrim_counters(d->logtrim);
    const struct pf_executor_api_counters *x = pf_executor_api_counters(d->executor_api);
    const struct metric rows[] = {
        {"proffer_agent_launcher_spawned_total", "Launchers started.", l->spawned, false},
        {"proffer_agent_launcher_connected_total", "Connections to launchers.", l->connected,
         false},
        {"proffer_agent_starts_total", "Processes given to the launcher.", l->starts, false},
        {"proffer_agent_starts_failed_total", "Starts whose files could not be opened.",
         l->failed_starts, false},
        {"proffer_agent_starts_waiting", "Starts in line for the launcher.", l->n_waiting, true},
        {"proffer_agent_cgroups", "Containers with cgroups of their own.", c->n_known, true},
        {"proffer_agent_cgroups_removing", "Of these, to be removed.", c->n_removing, true},
        {"proffer_agent_cgroups_made_total", "Containers made.", c->made, false},
        {"proffer_agent_cgroups_removed_total", "Containers removed.", c->removed, false},
        {"proffer_agent_cgroups_stale_total", "Found after a start, known to nobody.", c->stale,
         false},
        {"proffer_agent_reads_total", "Reads of task output answered.", f->reads, false},
        {"proffer_agent_read_bytes_total", "Bytes of task output sent.", f->bytes, false},
        {"proffer_agent_reads_refused_total", "Reads refused.", f->refused, false},
        {"proffer_agent_reads_waiting", "Reads that wait for output.", f->n_waiting, true},
        {"proffer_agent_output_looks_total", "Looks at the output of tasks.", t->looks, false},
        {"proffer_agent_output_cuts_total", "Files of output that were cut in front.", t->cuts,
         false},
        {"proffer_agent_output_cut_bytes_total", "Bytes of output removed so.", t->cut_bytes,
         false},
        {"proffer_agent_executor_calls_total", "Calls of executors over HTTP.", x->calls, false},
        {"proffer_agent_executor_calls_refused_total", "Of these, refused by the core.", x->refused,
         false},
        {"proffer_agent_executor_streams", "Executors subscribed over HTTP.", x->n_streams, true},
        {"proffer_agent_checks_running", "TCP and HTTP checks that run.", pf_checks_n(d->checks),
         true},
    };
    metrics_add(out, rows, PF_ARRAY_LEN(rows));
}

static void http_metrics(void *ctx, struct pf_buf *out)
{
    struct agentd *d = ctx;

    if (d->is_up) {
        metrics_of_core(d, out);
        metrics_of_helpers(d, out);
        pf_metrics_common(out, d->loop, d->net, d->http, d->store);
    }
}

const struct pf_agent_http_ops agentd_http_ops = {http_health, http_metrics};
