/* SPDX-License-Identifier: Apache-2.0 */
/* proffer step-down: the leading master hands over to another one. */
#include <inttypes.h>
#include <string.h>
#include "framework/cli/client.h"
#include "framework/cli/table.h"

enum { HAND_OVER_MS = 2000, TRIES = 6, RETRY_MS = 3 };

/* A master of the list, kept over calls. */
struct named_master {
    struct pf_str id, address, state;
    bool leads;
};

struct masters {
    struct named_master at[64];
    uint32_t n;
};

struct hand_over {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct pf_client *client;
    struct masters before;
    struct pf_str to; /* absent: the best standby */
    struct pf_str from;
};

static int list_masters(struct hand_over *h, struct masters *out, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_MASTERS};
    struct pf_arena *arena = &h->cli->arena;
    struct Master_Response r;
    int rc;
    out->n = 0;
    while ((rc = pf_pages_next(h->client, &pages, &r, err)) == 1) {
        struct Master_Response_GetMasters list = Master_Response_get_masters(r);
        for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
            struct MasterView v = Master_Response_GetMasters_masters__at(list, i);
            if (out->n < PF_ARRAY_LEN(out->at)) {
                out->at[out->n++] =
                    (struct named_master){.id = pf_arena_strdup(arena, MasterView_id(v)),
                                          .address = pf_arena_strdup(arena, MasterView_address(v)),
                                          .state = pf_arena_strdup(arena, MasterView_state(v)),
                                          .leads = MasterView_leading(v)};
            }
        }
    }
    return rc;
}

static const struct named_master *leader_of(const struct masters *m)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->at[i].leads) {
            return &m->at[i];
        }
    }
    return NULL;
}

/* --to: the beginning of an id, or an address. 0, or the exit status. */
static int choose_target(struct hand_over *h, const char *text)
{
    const struct named_master *found = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; text[0] != '\0' && i < h->before.n; i++) {
        const struct named_master *m = &h->before.at[i];
        if (pf_str_is(m->address, text) || pf_str_has_prefix(m->id, pf_str(text))) {
            found = m;
            n++;
        }
    }
    if (n != 1) {
        return pf_cli_fail(
            h->cli, PF_EXIT_ID,
            pf_cli_text(h->cli,
                        n == 0 ? "there is no master '%s'" : "several masters begin with '%s'",
                        text),
            "proffer masters lists their ids and addresses");
    }
    if (found->leads) {
        return pf_cli_fail(h->cli, PF_EXIT_FAILED,
                           pf_cli_text(h->cli, "the master %s leads already", text),
                           "name another one, or none: the best standby is taken then");
    }
    h->to = found->id;
    return 0;
}

static int prepare(struct hand_over *h)
{
    struct pf_err err = {0};
    if (list_masters(h, &h->before, &err) != 0) {
        return pf_client_fail(h->cli, &h->cluster, &err);
    }
    const struct named_master *leader = leader_of(&h->before);
    h->from = leader != NULL ? leader->id : (struct pf_str){0};
    const char *to = pf_args_text(&h->cli->args, "to");
    int status = to != NULL ? choose_target(h, to) : 0;
    if (status != 0) {
        return status;
    }
    for (uint32_t i = 0; i < h->before.n; i++) {
        if (!h->before.at[i].leads && !pf_str_is(h->before.at[i].state, "unreachable")) {
            return 0;
        }
    }
    return pf_cli_fail(
        h->cli, PF_EXIT_FAILED,
        pf_cli_text(h->cli, "the cluster %s has no standby that could lead", h->cluster.name),
        h->before.n > 1 ? "proffer status tells what is missing"
                        : "several masters are started by: proffer up --masters 3");
}

static int tell(struct hand_over *h, int64_t gap_ms)
{
    struct masters now;
    struct pf_err err = {0};
    if (list_masters(h, &now, &err) != 0) {
        return pf_client_fail(h->cli, &h->cluster, &err);
    }
    const struct named_master *leader = leader_of(&now);
    uint64_t epoch = pf_client_epoch(h->client);
    if (leader == NULL || pf_str_eq(leader->id, h->from)) {
        return pf_cli_fail(h->cli, PF_EXIT_FAILED,
                           pf_cli_text(h->cli,
                                       "no other master took over: %.8s leads again, epoch "
                                       "%" PRIu64,
                                       h->from.len > 0 ? h->from.at : "it", epoch),
                           "the logs of the others may tell why; try again");
    }
    pf_cli_note(h->cli,
                "cluster %s: master %.8s at %.*s leads now, epoch %" PRIu64 ", after %" PRId64
                " ms without a leader",
                h->cluster.name, leader->id.at, PF_STR_ARG(leader->address), epoch, gap_ms);
    return PF_EXIT_OK;
}

static int ask_to_step_down(struct hand_over *h, struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(h->client);
    struct Master_Call_StepDown__args to = {.to = h->to};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_STEP_DOWN),
                                     .step_down = Master_Call_StepDown__put(b, &to)};
    struct pf_ref body = Master_Call__put(b, &call);
    struct pf_msg reply;
    int rc = pf_client_call_once(h->client, Body_Master_Call, body, 0, &reply, err);
    if (rc == PF_ECONN) {
        pf_err_clear(err); /* it stopped leading before it could say so, or soon will */
        rc = 0;
    }
    return rc;
}

/* A leader that has just begun does not know yet how far its standbys are, and stays: it is asked
 * again. */
static int hand_over(struct hand_over *h)
{
    uint64_t epoch = pf_client_epoch(h->client);
    struct pf_err err = {0};
    int64_t gap_ms = 0;
    int rc = PF_ETIMEOUT;
    for (int i = 0; rc == PF_ETIMEOUT && i < TRIES; i++) {
        pf_err_clear(&err);
        rc = ask_to_step_down(h, &err);
        if (rc == PF_EEXIST || rc == PF_EINVAL || rc == PF_ENOENT) {
            return pf_cli_fail(h->cli, PF_EXIT_FAILED, err.msg, "proffer masters lists them");
        }
        rc = rc != 0 ? rc : pf_client_await_epoch(h->client, epoch, HAND_OVER_MS, &gap_ms, &err);
    }
    if (rc == PF_ETIMEOUT) {
        return pf_cli_fail(h->cli, PF_EXIT_FAILED,
                           pf_cli_text(h->cli, "no other master took over: %s", err.msg),
                           "proffer status tells what is missing, the leader's log why it stayed");
    }
    return rc != 0 ? pf_client_fail(h->cli, &h->cluster, &err) : tell(h, gap_ms);
}

static int run(struct pf_cli *cli)
{
    struct hand_over *h = pf_arena_zalloc(&cli->arena, sizeof *h);
    struct pf_err err = {0};
    h->cli = cli;
    int status = pf_cluster_of(cli, &h->cluster);
    status = status != 0 ? status : pf_client_check_up(cli, &h->cluster);
    if (status != 0) {
        return status;
    }
    struct pf_client_options options = pf_client_options_of(cli, &h->cluster);
    options.retry_ms = RETRY_MS; /* to see how long nobody led */
    if (pf_client_open(&options, &h->client, &err) != 0) {
        return pf_client_fail(cli, &h->cluster, &err);
    }
    status = prepare(h);
    status = status != 0 ? status : hand_over(h);
    pf_client_close(h->client);
    return status;
}

static const struct pf_cli_option options_of_verb[] = {
    {.name = "to",
     .kind = PF_ARG_TEXT,
     .arg = "ID",
     .help = "the master that shall lead: the beginning of its id, or its address (default: the "
             "best standby)"},
};

const struct pf_command pf_cmd_stepdown = {
    .name = "step-down",
    .group = "cluster",
    .summary = "let another master lead",
    .about =
        "The leading master hands over, and stands by from then on: tasks and frameworks notice "
        "nothing. Returns when the other one leads.",
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options_of_verb),
    .examples = {{"proffer step-down", "before the machine of the leading master is worked on"},
                 {"proffer step-down --to 7f3a", "to the master whose id begins so"}},
    .exits = "0 another master leads, 1 none could, 2 wrong usage, 3 no such master, 4 unreachable",
    .run = run,
};
