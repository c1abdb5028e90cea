/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of /epoch, /leader and /masters. A look is sync + watch + read; it is repeated when
 * a watch fires, a connection comes back, or the answer stays out while another session stands. */
#include "common/elect/elect_internal.h"

#include <stdio.h>

void elect_look_again(struct elect_look *l, bool blocks)
{
    l->dirty = true;
    if (blocks) {
        l->blocked = true;
        l->seq = 0; /* an answer that is under way is older than what we know */
    }
}

void elect_read_all(struct pf_elect *e, bool blocks)
{
    elect_look_again(&e->epoch_look, blocks);
    elect_look_again(&e->leader_look, blocks);
    elect_look_again(&e->masters_look, false);
    for (uint32_t i = 0; i < e->n_peers; i++) {
        e->peer[i].dirty = true;
    }
}

void elect_read_session(struct pf_elect *e, uint8_t session)
{
    struct elect_look *look[] = {&e->epoch_look, &e->leader_look, &e->masters_look};

    for (uint32_t i = 0; i < PF_ARRAY_LEN(look); i++) {
        if (look[i]->session == session) {
            elect_look_again(look[i], look[i] != &e->masters_look);
        }
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

static void look_send(struct pf_elect *e, struct elect_look *l, enum elect_ask what,
                      const char *path, uint8_t session)
{
    struct pf_str p = pf_str(path);
    struct pf_zk_op sync = {.type = PF_ZK_SYNC, .path = p};
    struct pf_zk_op watch = {.type = PF_ZK_EXISTS, .path = p, .watch = true};
    struct pf_zk_op read = {.type = PF_ZK_GET, .path = p};

    (void)elect_ask(e, ASK_NOTHING, session, 1, &sync);
    if (what == ASK_MASTERS) {
        read = (struct pf_zk_op){.type = PF_ZK_CHILDREN, .path = p, .watch = true};
    } else {
        (void)elect_ask(e, ASK_NOTHING, session, 1, &watch);
    }
    l->dirty = false;
    l->session = session;
    l->sent_ms = e->now_ms;
    l->n_out[session]++;
    l->seq = elect_ask(e, what, session, 1, &read);
}

static bool look_fits(const struct pf_elect *e, const struct elect_look *l, uint8_t session)
{
    return elect_usable(e, session) && l->n_out[session] < ELECT_LOOKS_MAX;
}

/* The session that another try would go to, -1: none or not yet. */
static int other_session(const struct pf_elect *e, const struct elect_look *l)
{
    uint8_t other = l->session ^ 1;

    return l->seq != 0 && look_fits(e, l, other) ? other : -1;
}

static void look_pump(struct pf_elect *e, struct elect_look *l, enum elect_ask what,
                      const char *path)
{
    uint8_t home = (uint8_t)e->home;

    if (l->dirty && l->seq == 0 && look_fits(e, l, home)) {
        look_send(e, l, what, path, home);
    } else if (l->dirty && l->seq == 0 && look_fits(e, l, home ^ 1)) {
        look_send(e, l, what, path, home ^ 1);
    } else if (other_session(e, l) >= 0 && e->now_ms >= l->sent_ms + PF_ELECT_HEDGE_MS) {
        look_send(e, l, what, path, l->session ^ 1);
    }
}

static void peer_path(const struct elect_peer *p, char path[64])
{
    (void)snprintf(path, 64, "/masters/%s", p->m.instance);
}

static void peer_pump(struct pf_elect *e, struct elect_peer *p)
{
    char path[64];
    struct pf_zk_op op = {.type = PF_ZK_GET, .watch = true};

    peer_path(p, path);
    op.path = pf_str(path);
    if (p->is_stale) {
        op = (struct pf_zk_op){.type = PF_ZK_DELETE, .path = op.path, .version = -1};
        p->is_stale = false;
        (void)elect_ask(e, ASK_STALE, (uint8_t)e->home, 1, &op);
    } else if (p->dirty && p->seq == 0) {
        p->dirty = false;
        p->seq = elect_ask(e, ASK_MASTER, (uint8_t)e->home, 1, &op);
    }
}

void elect_read_pump(struct pf_elect *e)
{
    if (e->home < 0) {
        return;
    }
    if (e->was_done || elect_is(&e->setup, SETUP_EPOCH)) {
        look_pump(e, &e->epoch_look, ASK_EPOCH, "/epoch");
    }
    if (!e->was_done) {
        return;
    }
    look_pump(e, &e->leader_look, ASK_LEADER, "/leader");
    look_pump(e, &e->masters_look, ASK_MASTERS, "/masters");
    for (uint32_t i = 0; i < e->n_peers; i++) {
        peer_pump(e, &e->peer[i]);
    }
}

int64_t elect_read_deadline(const struct pf_elect *e)
{
    const struct elect_look *look[] = {&e->epoch_look, &e->leader_look, &e->masters_look};
    int64_t at = INT64_MAX;

    for (uint32_t i = 0; e->home >= 0 && i < PF_ARRAY_LEN(look); i++) {
        if (other_session(e, look[i]) >= 0) {
            at = elect_min(at, look[i]->sent_ms + PF_ELECT_HEDGE_MS);
        }
    }
    return at;
}

/* False: the answer does not count. */
static bool look_answered(struct pf_elect *e, struct elect_look *l, uint64_t seq,
                          const struct pf_zk_reply *r, enum elect_trouble t, const char *path)
{
    PF_ASSERT(l->n_out[r->session] > 0);
    l->n_out[r->session]--;
    if (seq != l->seq) {
        return false;
    }
    l->seq = 0;
    if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT) {
        l->dirty = true;
        return false;
    }
    if (r->code != PF_ZK_OK && r->code != PF_ZK_NO_NODE) {
        elect_set_trouble(e, t, "cannot read %s in ZooKeeper: %s", path, pf_zk_code_str(r->code));
        elect_setup_again(e, "cannot read");
        return false;
    }
    elect_clear_trouble(e, TROUBLE_LEASE);
    l->blocked = l->blocked && l->dirty;
    return true;
}

/* --- /epoch ----------------------------------------------------------------------------------- */

static void epoch_is_wrong(struct pf_elect *e)
{
    if (elect_is(&e->role, ROLE_LEADING)) {
        elect_step_down(e, e->trouble[TROUBLE_EPOCH], false);
    }
    elect_setup_again(e, "another registry, or none");
}

static void epoch_missing(struct pf_elect *e)
{
    char uuid[PF_UUID_TEXT_LEN + 1];

    if (!e->knows_epoch) {
        elect_setup_epoch(e, false);
        return;
    }
    pf_uuid_format(e->incarnation, uuid);
    elect_set_trouble(e, TROUBLE_EPOCH,
                      "the registry in ZooKeeper is gone (no /epoch; we know incarnation %s, epoch "
                      "%llu): restore it, or restart all masters to begin anew",
                      uuid, (unsigned long long)e->epoch);
    epoch_is_wrong(e);
}

/* Is it the registry that we know and may obey? */
static bool epoch_is_right(struct pf_elect *e, const struct elect_epoch_node *n)
{
    char theirs[PF_UUID_TEXT_LEN + 1], ours[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(n->incarnation, theirs);
    pf_uuid_format(e->incarnation, ours);
    if (e->cluster[0] != '\0' && n->cluster[0] != '\0' && strcmp(e->cluster, n->cluster) != 0) {
        elect_set_trouble(e, TROUBLE_EPOCH,
                          "two clusters on one path in ZooKeeper: /epoch is of cluster %s, this "
                          "master is of %s",
                          n->cluster, e->cluster);
    } else if (e->knows_epoch && !pf_uuid_eq(n->incarnation, e->incarnation)) {
        elect_set_trouble(e, TROUBLE_EPOCH,
                          "the registry in ZooKeeper is another one (/epoch has incarnation %s, we "
                          "know %s): restore ours, or restart all masters to obey it",
                          theirs, ours);
    } else if (e->knows_epoch && n->epoch < e->epoch) {
        elect_set_trouble(e, TROUBLE_EPOCH,
                          "the registry in ZooKeeper is an older one (/epoch is %llu, we know "
                          "%llu): restore the newer, or restart all masters to obey it",
                          (unsigned long long)n->epoch, (unsigned long long)e->epoch);
    } else if (n->exported_to[0] != '\0') {
        elect_set_trouble(e, TROUBLE_EPOCH,
                          "the registry left ZooKeeper for %s: start the master that is alone "
                          "there, or bring it back with --import-registry",
                          n->exported_to);
    } else {
        return true;
    }
    return false;
}

static void epoch_adopt(struct pf_elect *e, const struct elect_epoch_node *n, int32_t version)
{
    bool is_new = !e->knows_epoch || e->epoch != n->epoch || e->epoch_version != version;

    if (e->trouble[TROUBLE_EPOCH][0] != '\0' && elect_is(&e->setup, SETUP_WAIT)) {
        e->retry_ms = e->now_ms;
    }
    elect_clear_trouble(e, TROUBLE_EPOCH);
    e->view_number += is_new;
    if (elect_is(&e->role, ROLE_LEADING)) {
        if (!is_new) {
            elect_setup_epoch(e, true);
            return;
        }
        elect_step_down(e, "the epoch in ZooKeeper is another one", true);
    }
    e->knows_epoch = true;
    e->incarnation = n->incarnation;
    e->epoch = n->epoch;
    e->epoch_version = version;
    memcpy(e->epoch_cluster, n->cluster, sizeof e->epoch_cluster);
    elect_setup_epoch(e, true);
}

void elect_epoch_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    struct elect_epoch_node n;

    if (!look_answered(e, &e->epoch_look, seq, r, TROUBLE_EPOCH, "/epoch")) {
        return;
    }
    if (r->code == PF_ZK_NO_NODE) {
        epoch_missing(e);
        return;
    }
    const char *wrong = elect_epoch_parse(r->data, &n);

    if (wrong == NULL && r->stat.ephemeral_owner != 0) {
        wrong = "it is ephemeral";
    }
    if (wrong != NULL) {
        elect_set_trouble(e, TROUBLE_EPOCH,
                          "/epoch in ZooKeeper is none of ours: %s; restore it, or use another "
                          "path",
                          wrong);
        epoch_is_wrong(e);
    } else if (!epoch_is_right(e, &n)) {
        epoch_is_wrong(e);
    } else {
        epoch_adopt(e, &n, r->stat.version);
    }
}

/* --- /leader ---------------------------------------------------------------------------------- */

static void leader_set(struct pf_elect *e, const struct elect_leader *l)
{
    bool is_new = l->stands != e->leader.stands || l->epoch != e->leader.epoch ||
                  strcmp(l->instance, e->leader.instance) != 0;

    e->leader = *l;
    if (is_new) {
        e->view_number++;
        e->own_since_ms = e->now_ms;
    }
    if (is_new && l->stands) {
        e->n_failed = 0; /* whoever won, the next takeover is not late because of the last */
        e->take_after_ms = elect_min(e->take_after_ms, e->now_ms);
        elect_clear_trouble(e, TROUBLE_TAKE);
    }
}

static void leader_while_leading(struct pf_elect *e, const struct elect_leader *l)
{
    if (!l->stands || l->is_bad) {
        elect_step_down(e, "our /leader in ZooKeeper is gone", true);
    } else if (strcmp(l->instance, e->instance) != 0) {
        elect_step_down(e, "another master leads", true);
    } else if (l->owner != e->owner_id || l->epoch != e->epoch) {
        elect_step_down(e, "our /leader in ZooKeeper is of another session", true);
    }
}

void elect_leader_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    struct elect_leader l = {.stands = r->code == PF_ZK_OK, .version = r->stat.version};

    if (!look_answered(e, &e->leader_look, seq, r, TROUBLE_LEADER, "/leader")) {
        return;
    }
    if (l.stands) {
        const char *wrong = elect_leader_parse(r->data, &l);

        l.owner = r->stat.ephemeral_owner;
        wrong = wrong == NULL && l.owner == 0 ? "no session holds it" : wrong;
        if (wrong != NULL) {
            l.is_bad = true;
            l.instance[0] = '\0';
            elect_set_trouble(e, TROUBLE_LEADER,
                              "/leader in ZooKeeper is none of ours: %s; delete it if no master "
                              "leads",
                              wrong);
            elect_retry_later(e);
        }
    }
    if (!l.is_bad) {
        elect_clear_trouble(e, TROUBLE_LEADER);
    }
    if (elect_is(&e->role, ROLE_LEADING)) {
        leader_while_leading(e, &l);
    }
    if (!elect_is(&e->role, ROLE_LEADING)) {
        leader_set(e, &l);
        if (l.stands && !l.is_bad && strcmp(l.instance, e->instance) != 0) {
            elect_lease_deposed(e);
        }
    }
}

/* --- /masters --------------------------------------------------------------------------------- */

const struct elect_peer *elect_peer_of(const struct pf_elect *e, const char *instance)
{
    for (uint32_t i = 0; i < e->n_peers; i++) {
        if (strcmp(e->peer[i].m.instance, instance) == 0) {
            return &e->peer[i];
        }
    }
    return NULL;
}

/* Rebuilds what others are shown. */
void elect_view_changed(struct pf_elect *e)
{
    e->n_view = 0;
    for (uint32_t i = 0; i < e->n_peers; i++) {
        const struct pf_elect_master *m = &e->peer[i].m;
        uint32_t at = e->n_view;

        if (!e->peer[i].is_known) {
            continue;
        }
        while (at > 0 && strcmp(e->view[at - 1].instance, m->instance) > 0) {
            e->view[at] = e->view[at - 1];
            at--;
        }
        e->view[at] = *m;
        e->n_view++;
    }
    e->view_number++;
}

static void peer_listed(struct pf_elect *e, struct pf_str name)
{
    struct pf_uuid u;

    if (name.len > 0 && name.at[0] == '.') {
        return; /* somebody probes rights */
    }
    if (!pf_uuid_parse(name, &u)) {
        elect_say_once(e, "/masters/%.*s in ZooKeeper is ignored: its name is no instance",
                       name.len < 64 ? (int)name.len : 64, name.at);
        return;
    }
    for (uint32_t i = 0; i < e->n_peers; i++) {
        if (pf_str_is(name, e->peer[i].m.instance)) {
            return;
        }
    }
    if (e->n_peers == PF_MASTERS_MAX) {
        elect_say_once(e, "/masters in ZooKeeper has more than %d entries: the rest is ignored",
                       PF_MASTERS_MAX);
        return;
    }
    struct elect_peer *p = &e->peer[e->n_peers++];

    *p = (struct elect_peer){.dirty = true};
    memcpy(p->m.instance, name.at, name.len);
}

static void masters_drop_gone(struct pf_elect *e, const struct pf_zk_reply *r)
{
    uint32_t n = 0;
    bool changed = false;

    for (uint32_t i = 0; i < e->n_peers; i++) {
        bool is_listed = false;

        for (uint32_t k = 0; !is_listed && k < r->n_children; k++) {
            is_listed = pf_str_is(r->child[k], e->peer[i].m.instance);
        }
        changed = changed || (!is_listed && e->peer[i].is_known);
        if (is_listed) {
            e->peer[i].dirty = e->peer[i].dirty || !e->peer[i].is_known;
            e->peer[n++] = e->peer[i];
        }
    }
    e->n_peers = n;
    if (changed) {
        elect_view_changed(e);
    }
}

void elect_masters_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    if (!look_answered(e, &e->masters_look, seq, r, TROUBLE_MASTERS, "/masters")) {
        return;
    }
    elect_clear_trouble(e, TROUBLE_MASTERS);
    masters_drop_gone(e, r);
    for (uint32_t i = 0; i < r->n_children; i++) {
        peer_listed(e, r->child[i]);
    }
    if (elect_is(&e->place, PLACE_STANDING) && elect_peer_of(e, e->instance) == NULL &&
        e->n_peers < PF_MASTERS_MAX && !e->masters_look.dirty) {
        elect_place_gone(e, "not listed");
    }
    if (r->code == PF_ZK_NO_NODE) {
        elect_look_again(&e->epoch_look, true);
        elect_setup_again(e, "/masters is gone");
    }
}

static void peer_read(struct pf_elect *e, struct elect_peer *p, struct pf_bytes node)
{
    struct elect_peer n = {.dirty = p->dirty};
    const char *wrong = elect_master_parse(node, pf_str(p->m.instance), &n);

    if (wrong != NULL) {
        elect_say_once(e, "/masters/%s in ZooKeeper is ignored: %s", p->m.instance, wrong);
        e->place_dirty = e->place_dirty || strcmp(p->m.instance, e->instance) == 0; /* mended */
        if (p->is_known) {
            p->is_known = false;
            elect_view_changed(e);
        }
        return;
    }
    bool is_self = strcmp(n.m.instance, e->instance) == 0;

    if (p->is_known && !is_self && n.m.suspect_until_wall_ms > p->m.suspect_until_wall_ms) {
        elect_probe_alive(e);
    }
    n.is_known = true;
    n.is_stale = !is_self && e->place_id[0] != '\0' && strcmp(n.place, e->place_id) == 0;
    bool changed = !p->is_known || n.m.suspect_until_wall_ms != p->m.suspect_until_wall_ms;

    *p = n;
    if (changed) {
        elect_view_changed(e);
    }
}

void elect_master_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    for (uint32_t i = 0; i < e->n_peers; i++) {
        struct elect_peer *p = &e->peer[i];

        if (p->seq != seq) {
            continue;
        }
        p->seq = 0;
        if (r->code == PF_ZK_OK) {
            peer_read(e, p, r->data);
        } else if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT) {
            p->dirty = true;
        } else if (r->code == PF_ZK_NO_NODE) {
            p->is_known = false; /* should the list still have it, it is read again */
            elect_view_changed(e);
            elect_look_again(&e->masters_look, false);
        } else {
            elect_say_once(e, "/masters/%s in ZooKeeper cannot be read: %s", p->m.instance,
                           pf_zk_code_str(r->code));
        }
        return;
    }
}

/* --- watches ---------------------------------------------------------------------------------- */

static void leader_watch(struct pf_elect *e, const struct pf_zk_watch *w)
{
    bool leads = elect_is(&e->role, ROLE_LEADING);

    if (w->type == PF_ZK_NODE_DELETED && !leads && elect_is(&e->role, ROLE_STANDBY)) {
        /* The multi is the judge: should another stand already, it fails. */
        leader_set(e, &(struct elect_leader){.stands = false});
        elect_look_again(&e->leader_look, false);
    } else {
        elect_look_again(&e->leader_look, true);
    }
}

void elect_read_watch(struct pf_elect *e, const struct pf_zk_watch *w)
{
    struct pf_str below = PF_STR("/masters/");

    if (pf_str_is(w->path, "/epoch")) {
        elect_look_again(&e->epoch_look, true);
    } else if (pf_str_is(w->path, "/leader")) {
        leader_watch(e, w);
    } else if (pf_str_is(w->path, "/masters")) {
        elect_look_again(&e->masters_look, false);
    } else if (pf_str_has_prefix(w->path, below)) {
        struct pf_str name = {w->path.at + below.len, w->path.len - below.len};

        for (uint32_t i = 0; i < e->n_peers; i++) {
            e->peer[i].dirty = e->peer[i].dirty || pf_str_is(name, e->peer[i].m.instance);
        }
    }
}
