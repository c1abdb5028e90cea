/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of elect_world.h and its watches, and what other programs write into it. */
#include "common/base/alloc.h"
#include "schemas/quorum.h"
#include "tests/support/elect_world.h"
#include "tests/support/test.h"

/* --- the tree --------------------------------------------------------------------------------- */

struct ew_node *ew_node(struct ew_world *w, const char *path)
{
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        if (strcmp(w->node[i].path, path) == 0) {
            return &w->node[i];
        }
    }
    return NULL;
}

void ew_parent(const char *path, char out[96])
{
    (void)snprintf(out, 96, "%s", path);
    char *slash = strrchr(out, '/');

    if (slash != NULL) {
        *slash = '\0';
    }
}

static void put_item(struct ew_world *w, uint64_t session_id, struct ew_item *item)
{
    for (uint32_t i = 0; i < w->n * PF_ZK_SESSIONS; i++) {
        struct ew_session *s = &w->m[i / 2].session[i % 2];

        if (s->id == session_id && !s->is_gone) {
            assert_true(s->n_items < EW_QUEUE);
            s->item[s->n_items++] = item;
            return;
        }
    }
    pf_free(item);
}

static void fire(struct ew_world *w, const char *path, bool is_children, enum pf_zk_watch_type type)
{
    for (uint32_t i = 0; !w->is_trial && i < w->n_watches;) {
        struct ew_watch x = w->watch[i];

        if (x.is_children != is_children || strcmp(x.path, path) != 0) {
            i++;
            continue;
        }
        struct ew_item *item = PF_NEW(struct ew_item);

        w->watch[i] = w->watch[--w->n_watches];
        item->is_watch = true;
        item->watch = type;
        (void)snprintf(item->path, sizeof item->path, "%s", path);
        put_item(w, x.session_id, item);
    }
}

static void fire_parent(struct ew_world *w, const char *path)
{
    char parent[96];

    ew_parent(path, parent);
    fire(w, parent, true, PF_ZK_CHILDREN_CHANGED);
}

void ew_add_watch(struct ew_world *w, uint64_t session_id, const char *path, bool is_children)
{
    for (uint32_t i = 0; i < w->n_watches; i++) {
        const struct ew_watch *x = &w->watch[i];

        if (x->session_id == session_id && x->is_children == is_children &&
            strcmp(x->path, path) == 0) {
            return;
        }
    }
    assert_true(w->n_watches < EW_WATCHES);
    struct ew_watch *n = &w->watch[w->n_watches++];

    n->session_id = session_id;
    n->is_children = is_children;
    (void)snprintf(n->path, sizeof n->path, "%s", path);
}

void ew_put(struct ew_world *w, const char *path, const void *data, uint32_t len, uint64_t owner)
{
    struct ew_node *n = ew_node(w, path);

    if (n != NULL) {
        ew_delete(w, path);
    }
    assert_true(w->n_nodes < EW_NODES && len <= sizeof n->data);
    n = &w->node[w->n_nodes++];
    memset(n, 0, sizeof *n);
    (void)snprintf(n->path, sizeof n->path, "%s", path);
    if (len > 0) {
        memcpy(n->data, data, len);
    }
    n->len = len;
    n->owner = owner;
    fire(w, path, false, PF_ZK_NODE_CREATED);
    fire_parent(w, path);
}

void ew_set(struct ew_world *w, const char *path, const void *data, uint32_t len)
{
    struct ew_node *n = ew_node(w, path);

    assert_non_null(n);
    if (len > 0) {
        memcpy(n->data, data, len);
    }
    n->len = len;
    n->version++;
    fire(w, path, false, PF_ZK_NODE_CHANGED);
}

void ew_delete(struct ew_world *w, const char *where)
{
    struct ew_node *n = ew_node(w, where);
    char path[96]; /* `where` may be that node's */

    assert_non_null(n);
    (void)snprintf(path, sizeof path, "%s", where);
    *n = w->node[--w->n_nodes];
    fire(w, path, false, PF_ZK_NODE_DELETED);
    fire_parent(w, path);
}

/* --- what others write ------------------------------------------------------------------------ */

void ew_put_leader(struct ew_world *w, const char *instance, const char *place, uint64_t epoch,
                   uint64_t owner)
{
    struct pf_fb_builder b;
    struct ZkLeader__args a = {.instance = pf_str(instance),
                               .address = PF_STR("10.0.0.9:5050"),
                               .epoch = epoch,
                               .place = pf_str(place)};

    pf_fb_builder_init(&b, NULL);
    struct pf_bytes node = pf_msg_bytes(ZkLeader__finish(&b, ZkLeader__put(&b, &a)));

    ew_put(w, "/leader", node.at, node.len, owner);
    pf_fb_builder_fini(&b);
}

void ew_put_master(struct ew_world *w, const char *instance, const char *place,
                   int64_t suspect_until_ms)
{
    struct pf_fb_builder b;
    char path[96];
    struct ZkMaster__args a = {.instance = pf_str(instance),
                               .address = PF_STR("10.0.0.9:5050"),
                               .place = pf_str(place),
                               .suspect_until_ms = suspect_until_ms};

    pf_fb_builder_init(&b, NULL);
    struct pf_bytes node = pf_msg_bytes(ZkMaster__finish(&b, ZkMaster__put(&b, &a)));

    (void)snprintf(path, sizeof path, "/masters/%s", instance);
    if (ew_node(w, path) != NULL) {
        ew_set(w, path, node.at, node.len);
    } else {
        ew_put(w, path, node.at, node.len, 1);
    }
    pf_fb_builder_fini(&b);
}

void ew_put_epoch(struct ew_world *w, uint8_t incarnation, uint64_t epoch, const char *cluster)
{
    struct pf_fb_builder b;
    uint8_t uuid[16] = {incarnation};
    struct ZkEpoch__args a = {
        .incarnation = {uuid, sizeof uuid}, .epoch = epoch, .cluster = pf_str(cluster)};

    pf_fb_builder_init(&b, NULL);
    struct pf_bytes node = pf_msg_bytes(ZkEpoch__finish(&b, ZkEpoch__put(&b, &a)));

    if (ew_node(w, "/epoch") != NULL) {
        ew_set(w, "/epoch", node.at, node.len);
    } else {
        ew_put(w, "/epoch", node.at, node.len, 0);
    }
    pf_fb_builder_fini(&b);
}
