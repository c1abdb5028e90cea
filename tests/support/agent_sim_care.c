/* SPDX-License-Identifier: Apache-2.0 */
/* What the world of an agent's core does for fetches, checks, limits, the disk and sandboxes. */
#include "tests/support/agent_sim_internal.h"

#include "schemas/fetcher.h"

static struct pf_uuid uuid_of(uint8_t n)
{
    struct pf_uuid u;

    memset(u.b, n, sizeof u.b);
    return u;
}

/* --- fetchers --- */

struct sim_process *agent_sim_fetcher(struct agent_sim *s, uint8_t n)
{
    return sim_process_of(s, pf_agent_process_uuid(uuid_of(n), PF_AGENT_ROLE_FETCH));
}

static void log_fetch(struct agent_sim *s, const struct pf_agent_act_fetch *act,
                      struct FetchPlan plan)
{
    pf_buf_printf(&s->log, "fetch %02x in %02x %s user=%s cache=%.*s", act->launch.b[0],
                  act->container.b[0], act->sandbox.at, act->user.at,
                  PF_STR_ARG(FetchPlan_cache_dir(plan)));
    for (uint32_t i = 0; i < FetchPlan_uris__len(plan); i++) {
        pf_buf_printf(&s->log, " %s", CommandInfo_URI_value(FetchPlan_uris__at(plan, i)).at);
    }
    pf_buf_add_byte(&s->log, '\n');
}

void sim_act_fetch(struct agent_sim *s, const struct pf_agent_act_fetch *act)
{
    struct FetchPlan plan = FetchPlan__root(act->plan);
    struct sim_process *p = sim_process_of(s, act->launch);
    struct pf_str first = CommandInfo_URI_value(FetchPlan_uris__at(plan, 0));

    log_fetch(s, act, plan);
    if (!s->launcher_up) {
        return;
    }
    if (p && !p->forgotten) {
        sim_process_tell(s, p);
        return;
    }
    if (!p) {
        p = PF_NEW(struct sim_process);
        pf_ptrs_push(&s->processes, p);
    }
    p->forgotten = false;
    p->launch = act->launch;
    p->n_starts++;
    p->pid = s->next_pid++;
    p->state = LauncherState_RUNNING;
    sim_process_tell(s, p);
    if (pf_str_has_prefix(first, PF_STR("bad"))) {
        p->report = "bad: 404 Not Found\n";
        sim_process_exit(s, p, 1 << 8);
    } else if (!pf_str_has_prefix(first, PF_STR("slow"))) {
        sim_process_exit(s, p, 0);
    }
}

void agent_sim_fetched(struct agent_sim *s, uint8_t n, int32_t wait_status, const char *report)
{
    struct sim_process *p = agent_sim_fetcher(s, n);

    assert_non_null(p);
    assert_int_equal(p->state, LauncherState_RUNNING);
    p->report = report;
    sim_process_exit(s, p, wait_status);
    if (s->core) {
        agent_sim_run(s);
    }
}

/* --- checks --- */

void sim_act_check(struct agent_sim *s, const struct pf_agent_act_check *act)
{
    pf_buf_printf(&s->log, "check %s%s port %u %s within %lld\n",
                  act->is_http ? act->is_tls ? "https" : "http" : "tcp",
                  act->is_ipv6 ? " ipv6" : "", (unsigned)act->port, act->path.at,
                  (long long)act->timeout_ms);
    if (s->answer != 0) {
        struct sim_event *ev = sim_event_push(s, PF_AGENT_CHECKED);
        ev->launch = act->check;
        ev->status_code = s->answer;
    }
}

struct sim_process *agent_sim_beside(struct agent_sim *s)
{
    for (uint32_t i = s->processes.len; i > 0; i--) {
        struct sim_process *p = s->processes.at[i - 1];
        if (p->is_beside) {
            return p;
        }
    }
    return NULL;
}

/* --- limits, disk, sandboxes --- */

void sim_log_limits(struct agent_sim *s, const struct pf_agent_limits *limits)
{
    pf_buf_printf(&s->log, "shares=%llu quota=%llu memory=%llu pids=%llu\n",
                  (unsigned long long)limits->cpu_shares, (unsigned long long)limits->cpu_quota_us,
                  (unsigned long long)limits->memory_bytes, (unsigned long long)limits->pids);
}

void sim_act_limit(struct agent_sim *s, const struct pf_agent_act_limit *act)
{
    pf_buf_printf(&s->log, "limit %02x ", act->container.b[0]);
    sim_log_limits(s, &act->limits);
}

void agent_sim_exit_oom(struct agent_sim *s, uint8_t n, int32_t wait_status, uint64_t oom_kills,
                        uint64_t peak_bytes)
{
    struct sim_process *p = agent_sim_process(s, n);

    assert_non_null(p);
    p->oom_kills = oom_kills;
    p->memory_peak_bytes = peak_bytes;
    agent_sim_exit(s, n, wait_status);
}

void agent_sim_disk(struct agent_sim *s, uint64_t free_bytes)
{
    sim_step(s, &(struct pf_agent_event){.type = PF_AGENT_DISK, .free_bytes = free_bytes});
    agent_sim_run(s);
}

void agent_sim_sandbox_gone(struct agent_sim *s, uint8_t n)
{
    sim_step(s, &(struct pf_agent_event){.type = PF_AGENT_SANDBOX_GONE, .launch = uuid_of(n)});
    agent_sim_run(s);
}

void sim_act_files(struct agent_sim *s, const struct pf_agent_act_files *act)
{
    static const char *const words[] = {"", "read", "list", "write"};

    pf_buf_printf(&s->log, "files %s %llu %llu %s %s offset=%llu mode=%o bytes=%u\n",
                  words[act->op], (unsigned long long)act->peer,
                  (unsigned long long)act->request_id, act->sandbox.at, act->path.at,
                  (unsigned long long)act->offset, act->mode, act->data.len);
}

void sim_act_session_input(struct agent_sim *s, const struct pf_agent_act_session_input *act)
{
    pf_buf_printf(&s->log, "session input %llu request=%llu [%.*s] eof=%d taken=%llu %ux%u\n",
                  (unsigned long long)act->peer, (unsigned long long)act->request_id,
                  (int)act->data.len, act->data.at ? (const char *)act->data.at : "", act->eof,
                  (unsigned long long)act->taken, act->columns, act->rows);
}

void sim_act_session_end(struct agent_sim *s, const struct pf_agent_act_session_end *act)
{
    pf_buf_printf(&s->log, "session end silent=%d status=%d %.*s\n", act->is_silent,
                  (int)act->wait_status, PF_STR_ARG(act->text));
}

void sim_act_terminal(struct agent_sim *s, const struct pf_agent_act_terminal *act)
{
    pf_buf_printf(&s->log, "terminal %02x %s %ux%u\n", act->launch.b[0], act->sandbox.at,
                  act->columns, act->rows);
}

void agent_sim_peer_down(struct agent_sim *s, uint64_t peer)
{
    sim_event_push(s, PF_AGENT_PEER_DOWN)->peer = peer;
    pf_turns_forget_peer(s->turns, peer);
    agent_sim_run(s);
}
