/* SPDX-License-Identifier: Apache-2.0 */
/* Local clusters on disk. */
#include "framework/cli/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "common/fb/json.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"

enum { CLUSTER_FILE_MAX_BYTES = 4 << 20, CLUSTERS_LOOKED_AT_MAX = 1000 };

const char *pf_local_state_root(const char *(*env)(const char *name), struct pf_arena *arena)
{
    const char *state = env("XDG_STATE_HOME");
    if (state != NULL && state[0] == '/') {
        return pf_arena_printf(arena, "%s/proffer", state).at;
    }
    const char *home = env("HOME");
    if (home != NULL && home[0] == '/') {
        return pf_arena_printf(arena, "%s/.local/state/proffer", home).at;
    }
    return NULL;
}

const char *pf_local_path(struct pf_arena *arena, const char *dir, const char *name)
{
    return pf_arena_printf(arena, "%s/%s", dir, name).at;
}

const char *pf_local_absolute(struct pf_arena *arena, const char *dir)
{
    char real[PATH_MAX];
    if (realpath(dir, real) != NULL) {
        return pf_arena_strdup(arena, pf_str(real)).at;
    }
    if (dir[0] == '/' || getcwd(real, sizeof real) == NULL) {
        return pf_arena_strdup(arena, pf_str(dir)).at;
    }
    return pf_arena_printf(arena, "%s/%s", real, dir).at;
}

int pf_local_read(const char *dir, struct pf_arena *arena, struct LocalCluster *out,
                  struct pf_err *err)
{
    const char *path = pf_local_path(arena, dir, "cluster.json");
    struct pf_buf text = {.limit = CLUSTER_FILE_MAX_BYTES};
    struct pf_fb_builder b;
    struct pf_msg msg = {0};
    struct pf_err why = {0};
    pf_fb_builder_init(&b, arena);
    int rc = pf_file_read(path, CLUSTER_FILE_MAX_BYTES, &text, &why);
    if (rc == PF_ENOENT || why.sys == ENOTDIR) {
        rc = pf_err_set(err, PF_ENOENT, "there is no local cluster in %s", dir);
    } else if (rc == 0) {
        struct pf_str json = {pf_buf_cstr(&text), (uint32_t)text.len};
        rc = pf_json_read(json, &LocalCluster__desc, &b, &msg, 0, &why);
        if (rc == 0) {
            *out = LocalCluster__root(msg);
        }
        pf_err_wrap(&why, "%s", path);
    }
    if (rc != 0 && rc != PF_ENOENT) {
        rc = pf_err_set(err, rc, "%s", why.msg);
    }
    pf_buf_fini(&text);
    return rc;
}

int pf_local_write(const char *dir, struct pf_msg cluster, struct pf_err *err)
{
    char path[PATH_MAX];
    struct pf_buf text = {0};
    struct pf_tab root = LocalCluster__root(cluster).tab;
    (void)snprintf(path, sizeof path, "%s/cluster.json", dir);
    int rc = pf_json_write(&text, root, &LocalCluster__desc, PF_JSON_PRETTY, err);
    if (rc == 0) {
        pf_buf_add_byte(&text, '\n');
        rc = pf_file_write(path, text.data, text.len, 0644, err);
    }
    pf_buf_fini(&text);
    return rc;
}

enum pf_local_kind pf_local_kind(struct LocalDaemon d)
{
    return pf_str_has_prefix(LocalDaemon_name(d), PF_STR("zk"))       ? PF_LOCAL_ZOOKEEPER
           : pf_str_has_prefix(LocalDaemon_name(d), PF_STR("master")) ? PF_LOCAL_MASTER
           : pf_str_is(LocalDaemon_name(d), "relay")                  ? PF_LOCAL_RELAY
                                                                      : PF_LOCAL_AGENT;
}

uint32_t pf_local_agents(struct LocalDaemon d)
{
    return pf_local_kind(d) != PF_LOCAL_AGENT ? 0
           : LocalDaemon_fake_agents(d) > 0   ? LocalDaemon_fake_agents(d)
                                              : 1;
}

const char *pf_local_masters(struct pf_arena *arena, struct LocalCluster cluster)
{
    struct pf_str list = pf_arena_strdup(arena, PF_STR(""));
    for (uint32_t i = 0; i < LocalCluster_daemons__len(cluster); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(cluster, i);
        struct pf_str native = LocalDaemon_native(d);
        if (pf_local_kind(d) == PF_LOCAL_MASTER && native.len > 0) {
            list = pf_arena_printf(arena, "%s%s%.*s", list.at, list.len > 0 ? "," : "",
                                   PF_STR_ARG(native));
        }
    }
    return list.at;
}

const char *pf_local_last(const char *state_root, struct pf_arena *arena)
{
    struct pf_buf text = {0};
    const char *dir = NULL;
    if (pf_file_read(pf_local_path(arena, state_root, "last"), PATH_MAX, &text, NULL) == 0) {
        const char *line = pf_buf_cstr(&text);
        uint32_t len = (uint32_t)strcspn(line, "\n");
        dir = len > 0 ? pf_arena_strdup(arena, (struct pf_str){line, len}).at : NULL;
    }
    pf_buf_fini(&text);
    return dir;
}

int pf_local_set_last(const char *state_root, const char *dir, struct pf_err *err)
{
    char path[PATH_MAX];
    int rc = pf_mkdir_p(state_root, 0700, err);
    if (rc != 0) {
        return rc;
    }
    struct pf_buf text = {0};
    (void)snprintf(path, sizeof path, "%s/last", state_root);
    pf_buf_printf(&text, "%s\n", dir);
    rc = pf_file_write(path, text.data, text.len, 0644, err);
    pf_buf_fini(&text);
    return rc;
}

void pf_local_forget_last(const char *state_root, const char *dir)
{
    struct pf_arena arena = {0};
    const char *last = pf_local_last(state_root, &arena);
    if (last != NULL && strcmp(last, dir) == 0) {
        (void)unlink(pf_local_path(&arena, state_root, "last")); /* it may be gone already */
    }
    pf_arena_fini(&arena);
}

/* Does one of the comma-separated addresses stand in both lists? "localhost" is 127.0.0.1. */
static bool lists_meet(const char *a, const char *b)
{
    for (const char *x = a; *x != '\0';) {
        size_t n_x = strcspn(x, ",");
        const char *host = x;
        size_t n_host = n_x;
        char numeric[32];
        if (n_x < 24 && strncmp(x, "localhost:", 10) == 0) {
            n_host =
                (size_t)snprintf(numeric, sizeof numeric, "127.0.0.1:%.*s", (int)n_x - 10, x + 10);
            host = numeric;
        }
        for (const char *y = b; *y != '\0';) {
            size_t n_y = strcspn(y, ",");
            if (n_y == n_host && n_y > 0 && memcmp(host, y, n_y) == 0) {
                return true;
            }
            y += n_y + (y[n_y] == ',' ? 1 : 0);
        }
        x += n_x + (x[n_x] == ',' ? 1 : 0);
    }
    return false;
}

static bool has_master(const char *dir, const char *masters, struct pf_arena *arena)
{
    struct LocalCluster local;
    return pf_local_read(dir, arena, &local, NULL) == 0 &&
           lists_meet(masters, pf_local_masters(arena, local));
}

const char *pf_local_find_by_master(const char *state_root, const char *masters,
                                    struct pf_arena *arena)
{
    const char *last = pf_local_last(state_root, arena);
    if (last != NULL && has_master(last, masters, arena)) {
        return last;
    }
    DIR *d = opendir(state_root);
    const char *found = NULL;
    const struct dirent *entry;
    for (int i = 0;
         d != NULL && found == NULL && i < CLUSTERS_LOOKED_AT_MAX && (entry = readdir(d)) != NULL;
         i++) {
        if (entry->d_name[0] != '.') {
            const char *dir = pf_local_path(arena, state_root, entry->d_name);
            found = has_master(dir, masters, arena) ? dir : NULL;
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return found;
}

pid_t pf_local_holder(const char *dir)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    pid_t holder = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        char text[24] = "";
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        uint64_t pid = 0;
        struct pf_str digits = {text, n > 0 ? (uint32_t)strcspn(text, "\n") : 0};
        if (pf_parse_u64(digits, &pid, NULL) == 0 && pid <= INT_MAX) {
            holder = (pid_t)pid;
        }
    }
    pf_fd_close(&fd); /* gives the shared lock back */
    return holder;
}
