/* SPDX-License-Identifier: Apache-2.0 */
/* Seeing a drain or a leave through. */
#include <poll.h>
#include "common/sys/clock.h"
#include "framework/cli/member.h"

enum { LOOK_MS = 300 };

/* Is it where it was to come to? */
static bool is_there(const struct pf_member *m, enum pf_member_call call)
{
    return m->state == PF_MEMBER_NONE || m->state == PF_MEMBER_IS_GONE ||
           (call == PF_MEMBER_DRAIN && m->state == PF_MEMBER_DRAINED);
}

/* Somebody wants something else of it by now. */
static bool is_called_off(const struct pf_member *m, enum pf_member_call call)
{
    return call != PF_MEMBER_LEAVE && (m->state == PF_MEMBER_ACTIVE || m->state == PF_MEMBER_AWAY ||
                                       m->state == PF_MEMBER_DEACTIVATED);
}

/* What it was asked is not stored before it heard it: a new leader does not know of it. */
static int ask_again(struct pf_client *c, const struct pf_member *m, enum pf_member_call call,
                     struct pf_err *err)
{
    if (call != PF_MEMBER_LEAVE || m->is_away || m->state == PF_MEMBER_LEAVING) {
        return 0;
    }
    int rc = pf_member_ask(c, call, m->id, -1, err);
    if (rc == PF_EEXIST || rc == PF_ENOENT) { /* it went away meanwhile */
        pf_err_clear(err);
        return 0;
    }
    return rc;
}

/* One look at all; *out_n_left: how many are not there yet. */
static int look(struct pf_client *c, struct pf_member *at, uint32_t n, enum pf_member_call call,
                struct pf_arena *arena, uint32_t *out_n_left, struct pf_err *err)
{
    int rc = 0;
    *out_n_left = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = pf_member_look(c, &at[i], arena, err);
        if (rc == 0 && !is_there(&at[i], call)) {
            ++*out_n_left;
            rc = ask_again(c, &at[i], call, err);
        }
    }
    return rc;
}

static int judge(struct pf_cli *cli, const struct pf_cluster *cluster, const struct pf_member *at,
                 uint32_t n, enum pf_member_call call)
{
    for (uint32_t i = 0; i < n; i++) {
        if (is_called_off(&at[i], call)) {
            return pf_cli_fail(
                cli, PF_EXIT_FAILED,
                pf_cli_text(cli, "cluster %s: agent %.*s is %s: somebody activated it meanwhile",
                            cluster->name, PF_STR_ARG(at[i].hostname), pf_member_word(at[i].state)),
                "proffer agents lists them; proffer drain begins again");
        }
    }
    return 0;
}

int pf_members_wait(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                    struct pf_member *at, uint32_t n, enum pf_member_call call, int64_t timeout_ms)
{
    int64_t until_ms = timeout_ms >= 0 ? pf_now_ms() + timeout_ms : INT64_MAX;
    struct pf_left *left = pf_left_create(cli);
    struct pf_arena arena = {0};
    struct pf_err err = {0};
    uint32_t n_left = n;
    int status = 0;
    while (true) {
        pf_arena_reset(&arena);
        int rc = look(c, at, n, call, &arena, &n_left, &err);
        rc = rc != 0 ? rc : pf_left_show(left, c, at, n, &err);
        if (rc != 0) {
            status = pf_client_fail(cli, cluster, &err);
            break;
        }
        status = judge(cli, cluster, at, n, call);
        if (status != 0 || n_left == 0) {
            break;
        }
        if (pf_now_ms() >= until_ms) {
            status = pf_cli_fail(
                cli, PF_EXIT_FAILED,
                pf_cli_text(cli, "cluster %s: %u of %u agents %s", cluster->name, n_left, n,
                            call == PF_MEMBER_LEAVE ? "have not left yet" : "are not drained yet"),
                "it goes on; the same command waits again");
            break;
        }
        (void)poll(NULL, 0, LOOK_MS); /* nothing tells of changes of several agents */
    }
    for (uint32_t i = 0; i < n; i++) {
        at[i].text = PF_STR(""); /* it was of the arena */
    }
    pf_left_destroy(left);
    pf_arena_fini(&arena);
    return status;
}
