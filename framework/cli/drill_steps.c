/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a drill: whom they mean at that moment, and doing it. */
#include "framework/cli/drill_run_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A step that could not be done is the round's problem. */
static int step_fail(struct pf_drill_runner *r, const struct pf_err *err)
{
    (void)snprintf(pf_drill_round_of(r)->problem, sizeof pf_drill_round_of(r)->problem, "%s",
                   err->msg);
    return err->code;
}

static void stopped_note(struct pf_drill_runner *r, const struct pf_drill_process *p, int signo)
{
    if (signo == SIGSTOP && r->n_stopped < PF_ARRAY_LEN(r->stopped)) {
        struct pf_drill_stopped *s = &r->stopped[r->n_stopped++];
        s->process = *p;
        (void)snprintf(s->host, sizeof s->host, "%s", p->host);
        (void)snprintf(s->address, sizeof s->address, "%s", p->address);
        s->process.host = s->host;
        s->process.address = s->address;
    }
}

static int send_signal(struct pf_drill_runner *r, const struct pf_drill_process *p, int signo)
{
    struct pf_err err = {0};
    if (pf_drill_field_signal(r->field, p, signo, &err) != 0) {
        return step_fail(r, &err);
    }
    stopped_note(r, p, signo);
    return 0;
}

static int signal_leader(struct pf_drill_runner *r, int signo)
{
    const struct pf_seen_master *m = pf_drill_view_leader(r->view);
    struct pf_err err = {0};
    if (m == NULL) {
        (void)pf_err_set(&err, PF_ENOENT, "nobody leads at the moment of the strike");
        return step_fail(r, &err);
    }
    const struct pf_drill_process p = {"the leading master", m->hostname, m->address, m->pid};
    return send_signal(r, &p, signo);
}

/* Any one of the agents that run processes; NULL: there is none. */
static const struct pf_seen_agent *pick_agent(struct pf_drill_runner *r, struct pf_err *err)
{
    const struct pf_drill_census *c = pf_drill_view_census(r->view);
    const struct pf_seen_agent *chosen = NULL;
    uint64_t n = 0;
    for (uint32_t i = 0; i < c->n_agents; i++) {
        const struct pf_seen_agent *a = &c->agent[i];
        if (!a->is_sim && a->is_active && pf_rng_below(&r->rng, ++n) == 0) {
            chosen = a;
        }
    }
    if (chosen == NULL) {
        (void)pf_err_set(err, PF_ENOENT, "there is no agent that runs processes");
    }
    return chosen;
}

static int signal_agent(struct pf_drill_runner *r, int signo)
{
    struct pf_err err = {0};
    const struct pf_seen_agent *chosen = pick_agent(r, &err);
    if (chosen == NULL) {
        return step_fail(r, &err);
    }
    (void)snprintf(r->killed_agent, sizeof r->killed_agent, "%s", chosen->id);
    (void)snprintf(r->killed_address, sizeof r->killed_address, "%s", chosen->address);
    r->killed_agent_pid = chosen->pid;
    const struct pf_drill_process p = {"an agent", chosen->hostname, chosen->address, chosen->pid};
    return send_signal(r, &p, signo);
}

static int signal_launcher(struct pf_drill_runner *r, int signo)
{
    struct pf_err err = {0};
    const char *address = r->killed_agent_pid > 0 ? r->killed_address : NULL;
    if (address == NULL) {
        const struct pf_seen_agent *chosen = pick_agent(r, &err);
        if (chosen == NULL) {
            return step_fail(r, &err);
        }
        address = chosen->address;
    }
    const struct pf_drill_process p = {"a launcher", "", address,
                                       pf_drill_field_launcher(r->field, address)};
    return send_signal(r, &p, signo);
}

static int signal_zk(struct pf_drill_runner *r, enum pf_drill_target target, int signo)
{
    uint32_t n;
    const struct pf_drill_zk *zk = pf_drill_field_zk(r->field, &n);
    uint32_t first = (uint32_t)pf_rng_below(&r->rng, n > 0 ? n : 1), done = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct pf_drill_zk *z = &zk[(first + k) % n];
        bool fits = target == PF_TARGET_ZK_ALL ||
                    (target == PF_TARGET_ZK_LEADER ? z->is_leading : n == 1 || !z->is_leading);
        if (!fits || (done > 0 && target != PF_TARGET_ZK_ALL)) {
            continue;
        }
        const struct pf_drill_process p = {"a ZooKeeper server", z->host, z->address, z->pid};
        int rc = send_signal(r, &p, signo);
        if (rc != 0) {
            return rc;
        }
        done++;
    }
    struct pf_err err = {0};
    if (done == 0) {
        (void)pf_err_set(&err, PF_ENOENT, "no ZooKeeper server %s",
                         target == PF_TARGET_ZK_LEADER ? "says that it leads" : "is known");
        return step_fail(r, &err);
    }
    return 0;
}

static int signal_target(struct pf_drill_runner *r, const struct pf_drill_step *step)
{
    const struct pf_drill_process old = {"the former leader", r->old_host, r->old_address,
                                         r->old_pid};
    switch (step->target) {
    case PF_TARGET_LEADER: return signal_leader(r, step->signo);
    case PF_TARGET_OLD_LEADER: return send_signal(r, &old, step->signo);
    case PF_TARGET_AGENT: return signal_agent(r, step->signo);
    case PF_TARGET_LAUNCHER: return signal_launcher(r, step->signo);
    case PF_TARGET_ZK_SERVER:
    case PF_TARGET_ZK_LEADER:
    case PF_TARGET_ZK_ALL: return signal_zk(r, step->target, step->signo);
    case PF_TARGET_FRAMEWORK:
        r->killed_framework = (int)pf_rng_below(&r->rng, pf_drill_load_count(r->load));
        pf_drill_load_kill(r->load, (uint32_t)r->killed_framework);
        return 0;
    case PF_TARGET_NONE:
    case PF_TARGET_LINKS_ALL:
    case PF_TARGET_LINKS_AGENTS:
    case PF_TARGET_LINKS_ZK:
    case PF_TARGET_LINKS_SOME:
    case PF_TARGET_LINKS_MASTERS: break;
    }
    return 0;
}

static int relay(struct pf_drill_runner *r, const char *command)
{
    struct pf_err err = {0};
    return pf_drill_field_relay(r->field, command, NULL, &err) != 0 ? step_fail(r, &err) : 0;
}

static int cut_relays(struct pf_drill_runner *r, enum pf_drill_target target, enum pf_drill_way way)
{
    /* as a route sees it: up is to what it leads to */
    static const char *const to_leader[] = {"up", "down", "both"};
    static const char *const from_leader[] = {"down", "up", "both"};
    char route[64], command[512];
    struct pf_err err = {0};
    pf_drill_field_route(r->field, r->old_address, route, sizeof route);
    if (route[0] == '\0') {
        (void)pf_err_set(&err, PF_ENOENT, "no relay leads to %s", r->old_address);
        return step_fail(r, &err);
    }
    if (target == PF_TARGET_LINKS_AGENTS) {
        (void)snprintf(command, sizeof command, "set %s agent:* %s drop", route, to_leader[way]);
    } else if (target == PF_TARGET_LINKS_ZK) {
        (void)snprintf(command, sizeof command, "set %s.* * %s drop", route, from_leader[way]);
    } else {
        /* its machine: to it, from it to the others, from it to ZooKeeper; one rule a line */
        (void)snprintf(command, sizeof command,
                       "set %s * both drop\nset * master:%s both drop\nset %s.* * both drop", route,
                       r->old_instance, route);
    }
    return relay(r, command);
}

static int cut(struct pf_drill_runner *r, enum pf_drill_target target)
{
    enum pf_drill_way way = (enum pf_drill_way)pf_rng_below(&r->rng, PF_WAY_BOTH + 1);
    struct pf_drill_hosts *hosts = pf_drill_field_hosts(r->field);
    struct pf_err err = {0};
    if (target == PF_TARGET_LINKS_SOME) {
        target = pf_rng_below(&r->rng, 2) == 0 ? PF_TARGET_LINKS_AGENTS : PF_TARGET_LINKS_ZK;
    }
    r->is_cut = true;
    if (hosts == NULL) {
        return cut_relays(r, target, way);
    }
    return pf_drill_hosts_cut(hosts, r->old_address, target, way, &err) != 0 ? step_fail(r, &err)
                                                                             : 0;
}

int pf_drill_step_run(struct pf_drill_runner *r, const struct pf_drill_step *step)
{
    switch (step->op) {
    case PF_DRILL_NOTHING: return 0;
    case PF_DRILL_SIGNAL:
        if (step->signo == SIGCONT) {
            pf_drill_heal(r);
            return 0;
        }
        return signal_target(r, step);
    case PF_DRILL_CUT: return cut(r, step->target);
    case PF_DRILL_RESET: return relay(r, "rst * master:*");
    case PF_DRILL_STEP_DOWN: pf_drill_view_step_down(r->view); return 0;
    case PF_DRILL_HEAL: pf_drill_heal(r); return 0;
    }
    return 0;
}

void pf_drill_heal(struct pf_drill_runner *r)
{
    struct pf_err err = {0};
    for (uint32_t i = 0; i < r->n_stopped; i++) {
        if (pf_drill_field_signal(r->field, &r->stopped[i].process, SIGCONT, &err) != 0) {
            pf_cli_note(r->s->cli, "%s", err.msg);
            pf_err_clear(&err);
        }
    }
    r->n_stopped = 0;
    if (r->is_cut) {
        r->is_cut = false;
        struct pf_drill_hosts *hosts = pf_drill_field_hosts(r->field);
        int rc = hosts != NULL ? pf_drill_hosts_heal(hosts, false, &err)
                               : pf_drill_field_relay(r->field, "heal", NULL, &err);
        if (rc != 0) {
            pf_cli_note(r->s->cli, "%s", err.msg);
        }
    }
    pf_drill_view_retry(r->view);
}
