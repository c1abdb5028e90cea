/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting what the base does not need: log nodes up to it, folders that it does not name. Each
 * multi is fenced, and answered before the next is sent. */
#include "common/elect/replog_internal.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"

static void paths_clear(struct log_snap *s)
{
    for (uint32_t i = 0; i < s->paths.len; i++) {
        pf_free(s->paths.at[i]);
    }
    s->paths.len = s->path_i = s->path_n = 0;
}

static void folders_clear(struct log_snap *s)
{
    for (uint32_t i = 0; i < s->folders.len; i++) {
        pf_free(s->folders.at[i]);
    }
    s->folders.len = 0;
}

void log_clean_forget(struct pf_replog *l)
{
    paths_clear(&l->snap);
    folders_clear(&l->snap);
    PF_FREE(l->snap.log_left);
    l->snap.n_log_left = 0;
}

/* --- what there is to clean --------------------------------------------------------------------
 */

/* Folders of snapshots; which of them is the base's is known when all answers are there. */
void log_clean_children(struct pf_replog *l, const struct pf_zk_reply *r)
{
    if (log_snap_failed(l, r, "/registry")) {
        return;
    }
    for (uint32_t i = 0; i < r->n_children; i++) {
        struct pf_str name = r->child[i];

        if (pf_str_has_prefix(name, PF_STR("snap-")) && name.len < LOG_NAME) {
            pf_ptrs_push(&l->snap.folders, pf_strndup(name.at, name.len));
        }
    }
}

void log_clean_logs(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;

    if (log_snap_failed(l, r, "/registry/log")) {
        return;
    }
    pf_free(s->log_left);
    s->log_left = pf_alloc((r->n_children + (size_t)1) * sizeof *s->log_left);
    s->n_log_left = 0;
    for (uint32_t i = 0; i < r->n_children; i++) {
        uint64_t number;

        if (log_number_parse(r->child[i], &number)) {
            s->log_left[s->n_log_left++] = number;
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void log_clean_left_behind(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    for (uint32_t i = 0; i < s->n_log_left; i++) {
        if (s->log_left[i] <= s->base.number) {
            log_clean_range(l, s->log_left[i], s->log_left[i]);
        }
    }
    PF_FREE(s->log_left);
    s->n_log_left = 0;
    pf_ptrs_sort(&s->paths, by_name); /* ZooKeeper tells children in no order */
    for (uint32_t i = s->folders.len; i-- > 0;) {
        if (strcmp(s->folders.at[i], s->base.snapshot) == 0) {
            pf_free(s->folders.at[i]);
            pf_ptrs_remove(&s->folders, i);
        }
    }
    pf_ptrs_sort(&s->folders, by_name);
}

void log_clean_range(struct pf_replog *l, uint64_t from, uint64_t to)
{
    char path[LOG_PATH];

    for (uint64_t n = from; n <= to; n++) {
        pf_ptrs_push(&l->snap.paths, pf_strdup(log_node_path(path, n).at));
    }
}

void log_clean_folder(struct pf_replog *l, const char *snapshot)
{
    pf_ptrs_push(&l->snap.folders, pf_strdup(snapshot));
}

/* --- cleaning --------------------------------------------------------------------------------- */

static void send_delete(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;
    struct pf_zk_op op[1 + LOG_CLEAN_OPS] = {log_check_epoch(l)};
    uint32_t left = s->paths.len - s->path_i;

    s->path_n = left < LOG_CLEAN_OPS ? left : LOG_CLEAN_OPS;
    for (uint32_t i = 0; i < s->path_n; i++) {
        op[1 + i] = (struct pf_zk_op){
            .type = PF_ZK_DELETE, .path = pf_str(s->paths.at[s->path_i + i]), .version = -1};
    }
    (void)log_send(l, ASK_SNAP_DELETE, s->session, 1 + s->path_n, op);
    s->n_pending++;
}

static void send_list(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;
    char path[LOG_PATH];
    struct pf_zk_op op = {.type = PF_ZK_CHILDREN,
                          .path = log_snap_path(path, s->folders.at[s->folders.len - 1])};

    (void)log_send(l, ASK_SNAP_LIST, s->session, 1, &op);
    s->n_pending++;
}

void log_clean_pump(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    if (s->path_i < s->paths.len) {
        send_delete(l);
    } else if (s->folders.len > 0) {
        paths_clear(s);
        send_list(l);
    } else {
        paths_clear(s);
        log_move(&s->sm, SNAP_IDLE, "clean");
    }
}

/* What is in the folder, and then the folder. */
static void on_list(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;
    char *folder;

    if (r->code != PF_ZK_NO_NODE && log_snap_failed(l, r, "cleaning")) {
        return;
    }
    PF_ASSERT(s->folders.len > 0);
    folder = s->folders.at[--s->folders.len];
    for (uint32_t i = 0; r->code == PF_ZK_OK && i < r->n_children; i++) {
        char path[LOG_PATH * 2];
        struct pf_str name = r->child[i];

        if (name.len < LOG_PATH) {
            (void)snprintf(path, sizeof path, "/registry/%.63s/%.*s", folder, PF_STR_ARG(name));
            pf_ptrs_push(&s->paths, pf_strdup(path));
        }
    }
    if (r->code == PF_ZK_OK) {
        char path[LOG_PATH];

        pf_ptrs_push(&s->paths, pf_strdup(log_snap_path(path, folder).at));
    }
    pf_free(folder);
}

static void on_delete(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;
    uint32_t i = s->path_i + r->failed_op - 1;
    bool is_one = (r->code == PF_ZK_NO_NODE || r->code == PF_ZK_NOT_EMPTY) && r->failed_op >= 1 &&
                  r->failed_op <= s->path_n;

    if (is_one) {
        /* It is gone already; or it is no folder of ours, and is left alone. */
        pf_free(s->paths.at[i]);
        pf_ptrs_remove(&s->paths, i);
    } else if (!log_snap_failed(l, r, "cleaning")) {
        s->path_i += s->path_n;
        s->retry = (struct log_retry){0};
        log_clear_trouble(l, TROUBLE_SNAP);
    }
    s->path_n = 0;
}

void log_clean_reply(struct pf_replog *l, enum log_ask ask, const struct pf_zk_reply *r)
{
    if (ask == ASK_SNAP_LIST) {
        on_list(l, r);
    } else {
        on_delete(l, r);
    }
}
