/* SPDX-License-Identifier: Apache-2.0 */
/* See replog_import.h. What an import that was broken off leaves behind is a folder that no base
 * names: the first leader cleans it. */
#include "common/elect/replog_import.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/crc32c.h"
#include "common/base/sm.h"
#include "common/elect/replog_nodes.h"

enum import_state {
    IMPORT_TREE,
    IMPORT_PARTS,
    IMPORT_PUBLISH,
    IMPORT_VERIFY, /* was it us who published? */
    IMPORT_DONE,
    IMPORT_FAILED,
    IMPORT_COUNT
};
#define TO(s) (UINT32_C(1) << (s))
static const struct pf_sm_state import_states[IMPORT_COUNT] = {
    [IMPORT_TREE] = {"tree", PF_SM_INITIAL, TO(IMPORT_PARTS) | TO(IMPORT_FAILED)},
    [IMPORT_PARTS] = {"parts", 0, TO(IMPORT_PUBLISH) | TO(IMPORT_FAILED)},
    [IMPORT_PUBLISH] = {"publish", 0, TO(IMPORT_VERIFY) | TO(IMPORT_DONE) | TO(IMPORT_FAILED)},
    [IMPORT_VERIFY] = {"verify", 0, TO(IMPORT_PUBLISH) | TO(IMPORT_DONE) | TO(IMPORT_FAILED)},
    [IMPORT_DONE] = {"done", PF_SM_FINAL, 0},
    [IMPORT_FAILED] = {"failed", PF_SM_FINAL, 0},
};
static const struct pf_sm_table import_table = {"import", import_states, IMPORT_COUNT};

enum { TREE_NODES = 3, VERIFY_MAX = 20 };

struct pf_replog_import {
    struct pf_sm sm;
    struct pf_replica_cut *cut;
    uint32_t *part_from;
    uint32_t item; /* of the tree, or of the parts */
    struct log_base base;
    struct log_head head;
    struct pf_replog_import_options o;
    char *cluster;
    bool was_lost; /* the answer to the publishing */
    uint32_t n_verified;
    struct pf_fb_builder builder[3];
    struct pf_zk_op op[3];
    char path[LOG_PATH];
    struct pf_zk_request request;
};

static void import_move(struct pf_replog_import *i, enum import_state next, const char *why)
{
    pf_sm_move(&i->sm, next, "", why, NULL);
}

struct pf_replog_import *pf_replog_import_create(struct pf_replica *rows,
                                                 const struct pf_replog_import_options *o)
{
    struct pf_replog_import *i = PF_NEW(struct pf_replog_import);
    struct pf_rng rng;

    pf_rng_seed(&rng, o->seed);
    pf_sm_init(&i->sm, &import_table, IMPORT_TREE, "", "new", NULL);
    i->cut = pf_replica_cut(rows);
    i->o = *o;
    i->o.cluster = NULL;
    if (o->has_head) { /* number and version of the head stay equal */
        i->head.number = (uint64_t)o->head_version + 1;
        i->head.uuid = pf_uuid_random(&rng);
        i->base.number = i->head.number;
    }
    i->cluster = pf_strdup(o->cluster);
    i->base.format = o->format;
    i->base.n_rows = pf_replica_cut_len(i->cut);
    i->part_from = log_parts_plan(i->cut, &i->base.n_parts);
    log_snap_name(i->base.snapshot, i->base.number, pf_uuid_random(&rng));
    for (uint32_t k = 0; k < PF_ARRAY_LEN(i->builder); k++) {
        pf_fb_builder_init(&i->builder[k], NULL);
    }
    return i;
}

void pf_replog_import_destroy(struct pf_replog_import *i)
{
    if (i == NULL) {
        return;
    }
    for (uint32_t k = 0; k < PF_ARRAY_LEN(i->builder); k++) {
        pf_fb_builder_fini(&i->builder[k]);
    }
    pf_replica_cut_free(i->cut);
    pf_free(i->part_from);
    pf_free(i->cluster);
    pf_free(i);
}

/* --- requests --------------------------------------------------------------------------------- */

static void build_tree(struct pf_replog_import *i)
{
    static const char *const tree[] = {"/registry", "/registry/log"};

    i->op[0] = (struct pf_zk_op){.type = PF_ZK_CREATE};
    i->op[0].path = i->item < PF_ARRAY_LEN(tree) ? pf_str(tree[i->item])
                                                 : log_snap_path(i->path, i->base.snapshot);
}

static void build_part(struct pf_replog_import *i)
{
    uint32_t part = i->item;

    i->op[0] = (struct pf_zk_op){.type = PF_ZK_CREATE,
                                 .path = log_part_path(i->path, i->base.snapshot, part)};
    i->op[0].data =
        log_part_put(&i->builder[0], part, i->cut, i->part_from[part], i->part_from[part + 1]);
}

static struct pf_zk_op put_op(const char *path, struct pf_bytes data, bool is_there,
                              int32_t version)
{
    return (struct pf_zk_op){.type = is_there ? PF_ZK_SET : PF_ZK_CREATE,
                             .path = pf_str(path),
                             .data = data,
                             .version = version};
}

static void build_publish(struct pf_replog_import *i)
{
    struct pf_fb_builder *b = &i->builder[0];
    const struct pf_replog_import_options *o = &i->o;
    struct ZkEpoch__args epoch = {.epoch = o->epoch + 1, .cluster = pf_str(i->cluster)};

    epoch.incarnation = (struct pf_bytes){o->incarnation.b, sizeof o->incarnation.b};
    pf_fb_builder_reset(b);
    i->op[0] = put_op("/epoch", pf_msg_bytes(ZkEpoch__finish(b, ZkEpoch__put(b, &epoch))),
                      o->has_epoch, o->epoch_version);
    /* fenced by /epoch */
    i->op[1] = put_op("/registry/base", log_base_put(&i->builder[1], &i->base), o->has_base, -1);
    i->op[2] = put_op("/registry/head", log_head_put(&i->builder[2], &i->head), o->has_head,
                      o->head_version);
}

const struct pf_zk_request *pf_replog_import_request(struct pf_replog_import *i)
{
    i->request = (struct pf_zk_request){.n_ops = 1, .op = i->op};
    switch ((enum import_state)i->sm.state) {
    case IMPORT_TREE: build_tree(i); break;
    case IMPORT_PARTS: build_part(i); break;
    case IMPORT_PUBLISH:
        build_publish(i);
        i->request.n_ops = 3;
        break;
    case IMPORT_VERIFY:
        i->op[0] = (struct pf_zk_op){.type = PF_ZK_GET, .path = PF_STR("/registry/base")};
        break;
    case IMPORT_DONE:
    case IMPORT_FAILED:
    case IMPORT_COUNT: return NULL;
    }
    return &i->request;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int import_failed(struct pf_replog_import *i, const struct pf_zk_reply *r,
                         struct pf_err *err)
{
    struct pf_str path = i->op[r->failed_op < i->request.n_ops ? r->failed_op : 0].path;
    bool is_other = r->code == PF_ZK_NODE_EXISTS || r->code == PF_ZK_BAD_VERSION;
    int rc = is_other ? PF_EEXIST : r->code == PF_ZK_NO_AUTH ? PF_EACCESS : PF_EIO;

    import_move(i, IMPORT_FAILED, pf_zk_code_str(r->code));
    return pf_err_set(err, rc, "ZooKeeper: %.*s: %s", PF_STR_ARG(path), pf_zk_code_str(r->code));
}

/* Of the tree or of the parts: the next one. */
static void item_done(struct pf_replog_import *i)
{
    bool is_tree = i->sm.state == IMPORT_TREE;

    if (!is_tree) {
        i->base.crc = pf_crc32c(i->base.crc, i->op[0].data.at, i->op[0].data.len);
    }
    i->item++;
    if (is_tree && i->item == TREE_NODES) {
        i->item = 0;
        import_move(i, IMPORT_PARTS, "the folders are there");
        is_tree = false;
    }
    if (!is_tree && i->item == i->base.n_parts) {
        import_move(i, IMPORT_PUBLISH, "the parts are there");
    }
}

static int published(struct pf_replog_import *i, const struct pf_zk_reply *r, struct pf_err *err)
{
    if (r->code == PF_ZK_OK) {
        import_move(i, IMPORT_DONE, "published");
        return 0;
    }
    if ((r->code == PF_ZK_NODE_EXISTS || r->code == PF_ZK_BAD_VERSION) && i->was_lost) {
        import_move(i, IMPORT_VERIFY, "by us, or by somebody else");
        return 0;
    }
    return import_failed(i, r, err);
}

static int verified(struct pf_replog_import *i, const struct pf_zk_reply *r, struct pf_err *err)
{
    struct log_base base;

    /* A server may lag behind; but a fence without a registry stays one. */
    if (r->code == PF_ZK_NO_NODE && i->n_verified++ < VERIFY_MAX) {
        import_move(i, IMPORT_PUBLISH, "not yet");
        return 0;
    }
    if (r->code != PF_ZK_OK && r->code != PF_ZK_NO_NODE) {
        return import_failed(i, r, err);
    }
    if (r->code == PF_ZK_OK && log_base_parse(r->data, &base, NULL) == 0 &&
        strcmp(base.snapshot, i->base.snapshot) == 0) {
        import_move(i, IMPORT_DONE, "published before");
        return 0;
    }
    import_move(i, IMPORT_FAILED, "another one");
    return pf_err_set(err, PF_EEXIST, "ZooKeeper: another registry was made there meanwhile");
}

int pf_replog_import_reply(struct pf_replog_import *i, const struct pf_zk_reply *r,
                           struct pf_err *err)
{
    enum import_state state = (enum import_state)i->sm.state;

    PF_ASSERT(!pf_sm_is_final(&i->sm));
    if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT) {
        i->was_lost = i->was_lost || state == IMPORT_PUBLISH;
        return 0;
    }
    if (state == IMPORT_PUBLISH) {
        return published(i, r, err);
    }
    if (state == IMPORT_VERIFY) {
        return verified(i, r, err);
    }
    if (r->code != PF_ZK_OK && r->code != PF_ZK_NODE_EXISTS) {
        return import_failed(i, r, err);
    }
    item_done(i);
    return 0;
}

bool pf_replog_import_is_done(const struct pf_replog_import *i)
{
    return i->sm.state == IMPORT_DONE;
}
