/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything is decided: the nodes that must be there, the rights that are needed, the fence,
 * and our own node under /masters. What is wrong is told and tried again, later each time. */
#include "common/elect/elect_internal.h"

#include <stdio.h>

/* Where the rights are probed: a node of our own below each is made, changed and deleted. */
static const char *const rights_of[] = {"", "/masters"};

void elect_setup_again(struct pf_elect *e, const char *why)
{
    if (pf_sm_may(&e->setup, SETUP_WAIT)) {
        e->setup_seq = 0;
        elect_move(e, &e->setup, SETUP_WAIT, why);
    }
    elect_retry_later(e);
}

void elect_setup_lost(struct pf_elect *e, uint8_t session)
{
    if (e->setup_session == session && pf_sm_may(&e->setup, SETUP_AWAY)) {
        e->setup_seq = 0;
        elect_move(e, &e->setup, SETUP_AWAY, "connection lost");
    }
}

static void probe_rights(struct pf_elect *e)
{
    char path[64];
    struct pf_zk_op op[3];
    int n = snprintf(path, sizeof path, "%s/.rights-%s", rights_of[e->rights_i], e->instance);
    struct pf_str p = {path, (uint32_t)n};

    op[0] = (struct pf_zk_op){.type = PF_ZK_CREATE, .path = p, .is_ephemeral = true};
    op[1] = (struct pf_zk_op){.type = PF_ZK_SET, .path = p, .version = -1};
    op[2] = (struct pf_zk_op){.type = PF_ZK_DELETE, .path = p, .version = -1};
    e->setup_seq = elect_ask(e, ASK_SETUP, e->setup_session, 3, op);
}

static void make_tree(struct pf_elect *e)
{
    struct pf_zk_op op = {.type = PF_ZK_CREATE, .path = PF_STR("/masters")};

    elect_move(e, &e->setup, SETUP_TREE, "connected");
    e->setup_session = (uint8_t)e->home;
    e->setup_seq = elect_ask(e, ASK_SETUP, e->setup_session, 1, &op);
}

static void make_epoch(struct pf_elect *e)
{
    struct pf_zk_op op = {.type = PF_ZK_CREATE, .path = PF_STR("/epoch")};

    op.data = elect_epoch_put(e, pf_uuid_random(&e->rng), 0, e->cluster);
    elect_move(e, &e->setup, SETUP_MAKE, "there is none");
    e->setup_session = (uint8_t)e->home;
    e->setup_seq = elect_ask(e, ASK_SETUP, e->setup_session, 1, &op);
}

void elect_setup_epoch(struct pf_elect *e, bool is_there)
{
    if (!elect_is(&e->setup, SETUP_EPOCH)) {
        return;
    }
    if (is_there) {
        elect_move(e, &e->setup, SETUP_DONE, "the fence is known");
        e->was_done = true;
        elect_clear_trouble(e, TROUBLE_RIGHTS);
        elect_read_all(e, true);
    } else if (e->home >= 0) {
        make_epoch(e);
    } else {
        elect_move(e, &e->setup, SETUP_AWAY, "connection lost");
    }
}

static void setup_trouble(struct pf_elect *e, const struct pf_zk_reply *r)
{
    static const char *const doing[] = {"create nodes below", "change nodes below",
                                        "delete nodes below"};
    const char *under = elect_is(&e->setup, SETUP_RIGHTS) ? rights_of[e->rights_i] : "";
    const char *what = elect_is(&e->setup, SETUP_RIGHTS) && r->failed_op < PF_ARRAY_LEN(doing)
                           ? doing[r->failed_op]
                           : doing[0];

    if (r->code == PF_ZK_NO_AUTH) {
        elect_set_trouble(e, TROUBLE_RIGHTS,
                          "ZooKeeper gives us no right to %s %s: look at the user and password in "
                          "the URL and at the ACL of that path",
                          what, under[0] != '\0' ? under : "the cluster's path");
    } else {
        elect_set_trouble(e, TROUBLE_RIGHTS, "ZooKeeper does not let us %s %s: %s", what,
                          under[0] != '\0' ? under : "the cluster's path", pf_zk_code_str(r->code));
    }
    elect_setup_again(e, pf_zk_code_str(r->code));
}

static void setup_went_well(struct pf_elect *e)
{
    switch (e->setup.state) {
    case SETUP_TREE:
        e->rights_i = 0;
        elect_move(e, &e->setup, SETUP_RIGHTS, "the nodes are there");
        probe_rights(e);
        break;
    case SETUP_RIGHTS:
        if (++e->rights_i < PF_ARRAY_LEN(rights_of)) {
            probe_rights(e);
            break;
        }
        elect_move(e, &e->setup, SETUP_EPOCH, "the rights are there");
        elect_look_again(&e->epoch_look, true);
        break;
    default:
        elect_move(e, &e->setup, SETUP_EPOCH, "made or there");
        elect_look_again(&e->epoch_look, true);
        break;
    }
}

void elect_setup_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    if (seq != e->setup_seq) {
        return;
    }
    e->setup_seq = 0;
    bool made = elect_is(&e->setup, SETUP_TREE) || elect_is(&e->setup, SETUP_MAKE);

    if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT) {
        elect_move(e, &e->setup, SETUP_AWAY, "connection lost");
    } else if (r->code == PF_ZK_OK || (made && r->code == PF_ZK_NODE_EXISTS)) {
        setup_went_well(e);
    } else {
        setup_trouble(e, r);
    }
}

void elect_setup_pump(struct pf_elect *e)
{
    bool retry = e->retry_ms != 0 && e->now_ms >= e->retry_ms;

    if (e->home < 0) {
        return;
    }
    if (elect_is(&e->setup, SETUP_EPOCH) && e->epoch_look.seq == 0) {
        e->epoch_look.dirty = true;
    }
    if (retry) {
        e->retry_ms = 0;
        elect_read_all(e, false);
    }
    /* Nothing is made in a tree that is not ours. */
    bool is_foreign = e->knows_epoch && e->trouble[TROUBLE_EPOCH][0] != '\0';

    if (elect_is(&e->setup, SETUP_AWAY) ||
        (retry && !is_foreign && elect_is(&e->setup, SETUP_WAIT))) {
        make_tree(e);
    }
}

/* --- our own node under /masters -------------------------------------------------------------- */

static struct pf_str place_path(const struct pf_elect *e, char path[64])
{
    int n = snprintf(path, 64, "/masters/%s", e->instance);

    return (struct pf_str){path, (uint32_t)n};
}

static void place_ask(struct pf_elect *e, struct pf_zk_op op, uint32_t state, const char *why)
{
    char path[64];

    op.path = place_path(e, path);
    elect_move(e, &e->place, state, why);
    e->place_seq = elect_ask(e, ASK_PLACE, e->place_session, 1, &op);
}

void elect_place_gone(struct pf_elect *e, const char *why)
{
    if (!elect_is(&e->place, PLACE_ABSENT)) {
        elect_move(e, &e->place, PLACE_ABSENT, why);
    }
    e->place_seq = 0;
    e->place_owner = 0;
}

static void place_stands(struct pf_elect *e, uint64_t owner, const char *why)
{
    elect_move(e, &e->place, PLACE_STANDING, why);
    e->place_owner = owner;
    elect_look_again(&e->masters_look, false);
}

static bool is_own_session(const struct pf_elect *e, uint64_t id)
{
    return id != 0 && (id == e->session[0].id || id == e->session[1].id);
}

static void place_looked(struct pf_elect *e, const struct pf_zk_reply *r)
{
    if (r->code != PF_ZK_OK) {
        elect_place_gone(e, "gone meanwhile");
    } else if (is_own_session(e, r->stat.ephemeral_owner)) {
        place_stands(e, r->stat.ephemeral_owner, "it is ours");
        e->place_dirty = true; /* what is in it may be older */
    } else {
        place_ask(e, (struct pf_zk_op){.type = PF_ZK_DELETE, .version = -1}, PLACE_DROPPING,
                  "of a session that ended");
    }
}

void elect_place_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    if (seq != e->place_seq) {
        return;
    }
    e->place_seq = 0;
    switch (e->place.state) {
    case PLACE_CREATING:
        if (r->code == PF_ZK_OK) {
            place_stands(e, e->session[e->place_session].id, "created");
        } else if (r->code == PF_ZK_NODE_EXISTS) {
            place_ask(e, (struct pf_zk_op){.type = PF_ZK_EXISTS}, PLACE_LOOKING, "it exists");
        } else {
            elect_place_gone(e, pf_zk_code_str(r->code));
        }
        break;
    case PLACE_LOOKING: place_looked(e, r); break;
    default: elect_place_gone(e, "dropped"); break;
    }
    e->stats.unknown_outcomes += r->code == PF_ZK_UNKNOWN;
    if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT || r->code == PF_ZK_OK ||
        r->code == PF_ZK_NODE_EXISTS) {
        return;
    }
    e->place_after_ms = e->now_ms + ELECT_RETRY_MS;
    if (r->code == PF_ZK_NO_AUTH || r->code == PF_ZK_FAILED) {
        elect_set_trouble(e, TROUBLE_RIGHTS, "cannot enter ourselves in /masters: %s",
                          pf_zk_code_str(r->code));
        elect_setup_again(e, "no right");
    } else if (r->code == PF_ZK_NO_NODE && elect_is(&e->setup, SETUP_DONE)) {
        elect_look_again(&e->masters_look, false);
    }
}

void elect_place_set_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    if (seq != e->place_set_seq) {
        return;
    }
    e->place_set_seq = 0;
    if (r->code == PF_ZK_NO_NODE && elect_is(&e->place, PLACE_STANDING)) {
        elect_place_gone(e, "deleted by somebody");
    } else if (r->code != PF_ZK_OK) {
        e->place_dirty = true;
        e->place_after_ms = e->now_ms + ELECT_RETRY_MS;
    }
}

void elect_place_pump(struct pf_elect *e)
{
    char path[64];

    if (e->home < 0 || !elect_is(&e->setup, SETUP_DONE) || e->now_ms < e->place_after_ms ||
        e->trouble[TROUBLE_EPOCH][0] != '\0') {
        return;
    }
    if (elect_is(&e->place, PLACE_ABSENT)) {
        e->place_session = (uint8_t)e->home;
        e->place_dirty = false;
        place_ask(e,
                  (struct pf_zk_op){
                      .type = PF_ZK_CREATE, .data = elect_master_put(e), .is_ephemeral = true},
                  PLACE_CREATING, "not entered");
    } else if (elect_is(&e->place, PLACE_STANDING) && e->place_dirty && e->place_set_seq == 0) {
        struct pf_zk_op op = {.type = PF_ZK_SET, .path = place_path(e, path), .version = -1};

        op.data = elect_master_put(e);
        e->place_dirty = false;
        e->place_set_seq = elect_ask(e, ASK_PLACE_SET, (uint8_t)e->home, 1, &op);
    }
}
