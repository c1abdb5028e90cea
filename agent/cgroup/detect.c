/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchies a process is in, where they are mounted, and the parents below its cgroups. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cgroup/cgroup_internal.h"
#include "common/base/alloc.h"

#define LEAF           "launcher" /* of the process itself, v2 */
#define PARENT_PREFIX  "proffer-"
#define PROC_MAX_BYTES (4u << 20)
#define DIR_MODE       0755

/* What /proc says, and what follows of it. */
struct found {
    const struct pf_cgroup_options *o;
    struct pf_buf membership, mounts;
    struct pf_str v2_path;                     /* of the process; .at NULL = in none */
    struct pf_str v1_path[PF_CGROUP_DIRS_MAX]; /* by cgroup_names */
    char *v2_dir, *v1_dir[PF_CGROUP_DIRS_MAX]; /* as mounted, owned; NULL = nowhere */
};

static int proc_read(const struct pf_cgroup_options *o, const char *file, struct pf_buf *out,
                     struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];
    char chunk[4096];
    ssize_t n;

    (void)snprintf(path, sizeof path, "%s/proc/%" PRId64 "/%s", o->root, o->pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", path);
    }
    out->limit = PROC_MAX_BYTES;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        pf_buf_add(out, chunk, (size_t)n);
    }
    int sys = errno;
    (void)close(fd); /* only read */
    if (n < 0 || out->failed) {
        return pf_err_set_sys(err, PF_EIO, n < 0 ? sys : EFBIG, "read %s", path);
    }
    return 0;
}

/* Lines "number:controllers:path"; v2 has number 0 and no controllers. */
static void membership_parse(struct found *f)
{
    struct pf_str rest = {pf_buf_cstr(&f->membership), (uint32_t)f->membership.len};
    struct pf_str line;
    struct pf_str number;
    struct pf_str names;

    while (cgroup_part(&rest, '\n', &line)) {
        if (!cgroup_part(&line, ':', &number) || !cgroup_part(&line, ':', &names) ||
            line.len == 0) {
            continue;
        }
        if (pf_str_is(number, "0") && names.len == 0) {
            f->v2_path = line;
            continue;
        }
        unsigned bits = cgroup_controllers(names, ',');
        for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
            if ((bits & cgroup_names[i].bit) != 0) {
                f->v1_path[i] = line;
            }
        }
    }
}

/* A path of mountinfo: octal behind a backslash for what would split it. */
static void mount_text(struct pf_str in, struct pf_buf *out)
{
    for (uint32_t i = 0; i < in.len; i++) {
        const char *p = in.at + i;
        if (p[0] == '\\' && i + 3 < in.len && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
            p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
            pf_buf_add_byte(out, (uint8_t)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0')));
            i += 3;
        } else {
            pf_buf_add_byte(out, (uint8_t)p[0]);
        }
    }
}

/* Where the cgroup `path` of a hierarchy is, of which `top` is mounted at `point`; NULL = not
 * there. */
static char *mounted_path(const struct found *f, struct pf_str top, struct pf_str point,
                          struct pf_str path)
{
    struct pf_buf b = {0};
    char *found = NULL;

    if (pf_str_is(top, "/")) {
        top.len = 0;
    }
    bool is_below = pf_str_has_prefix(path, top) &&
                    (path.len == top.len || path.at[top.len] == '/') &&
                    memmem(path.at, path.len, "/..", 3) == NULL;
    if (is_below) {
        pf_buf_add_cstr(&b, f->o->root);
        mount_text(point, &b);
        if (path.len > top.len + 1) {
            pf_buf_add(&b, path.at + top.len, path.len - top.len);
        }
        found = pf_strdup(pf_buf_cstr(&b));
    }
    pf_buf_fini(&b);
    return found;
}

/* "id parent device top point options tags... - type source super". */
static void mount_parse(struct found *f, struct pf_str line)
{
    struct pf_str field[5];
    struct pf_str word;
    struct pf_str super = {NULL, 0};

    for (size_t i = 0; i < PF_ARRAY_LEN(field); i++) {
        if (!cgroup_part(&line, ' ', &field[i])) {
            return;
        }
    }
    while (cgroup_part(&line, ' ', &word) && !pf_str_is(word, "-")) {
    }
    if (!cgroup_part(&line, ' ', &word)) {
        return;
    }
    if (pf_str_is(word, "cgroup2") && f->v2_path.at != NULL && f->v2_dir == NULL) {
        f->v2_dir = mounted_path(f, field[3], field[4], f->v2_path);
    }
    if (!pf_str_is(word, "cgroup") || !cgroup_part(&line, ' ', &word) ||
        !cgroup_part(&line, ' ', &super)) {
        return;
    }
    unsigned bits = cgroup_controllers(super, ',');
    for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
        if ((bits & cgroup_names[i].bit) != 0 && f->v1_path[i].at != NULL && f->v1_dir[i] == NULL) {
            f->v1_dir[i] = mounted_path(f, field[3], field[4], f->v1_path[i]);
        }
    }
}

static int found_read(struct found *f, struct pf_err *err)
{
    struct pf_str line;

    int rc = proc_read(f->o, "cgroup", &f->membership, err);
    if (rc == 0) {
        rc = proc_read(f->o, "mountinfo", &f->mounts, err);
    }
    if (rc != 0) {
        return rc;
    }
    membership_parse(f);
    struct pf_str rest = {pf_buf_cstr(&f->mounts), (uint32_t)f->mounts.len};
    while (cgroup_part(&rest, '\n', &line)) {
        mount_parse(f, line);
    }
    return 0;
}

static void found_fini(struct found *f)
{
    pf_buf_fini(&f->membership);
    pf_buf_fini(&f->mounts);
    pf_free(f->v2_dir);
    for (size_t i = 0; i < PF_ARRAY_LEN(f->v1_dir); i++) {
        pf_free(f->v1_dir[i]);
    }
}

/* --- parents ---------------------------------------------------------------------------------- */

int cgroup_enable(bool is_recorded, const char *dir, unsigned controllers, struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];
    char text[64] = "";

    for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
        if ((controllers & CGROUP_OURS & cgroup_names[i].bit) != 0) {
            size_t at = strlen(text);
            (void)snprintf(text + at, sizeof text - at, "%s+%s", at > 0 ? " " : "",
                           cgroup_names[i].name);
        }
    }
    int rc = cgroup_path(path, dir, "cgroup.subtree_control", NULL, err);
    return rc == 0 ? cgroup_write(is_recorded, path, text, err) : rc;
}

static int dir_make(const char *path, struct pf_err *err)
{
    if ((mkdir(path, DIR_MODE) != 0 && errno != EEXIST) || access(path, W_OK) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "make cgroup %s", path);
    }
    return 0;
}

int cgroup_parent_make(const struct pf_cgroups *c, uint32_t i, struct pf_err *err)
{
    int rc = dir_make(c->dir[i].path, err);

    if (rc == 0 && c->version == 2) {
        rc = cgroup_enable(c->is_recorded, c->dir[i].path, c->dir[i].controllers, err);
    }
    return rc;
}

static int parent_add(struct pf_cgroups *c, const struct found *f, const char *dir,
                      unsigned controllers, struct pf_err *err)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "%s/" PARENT_PREFIX "%s", dir, f->o->name);
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        if (strcmp(c->dir[i].path, pf_buf_cstr(&b)) == 0) { /* mounted together */
            c->dir[i].controllers |= controllers;
            pf_buf_fini(&b);
            return 0;
        }
    }
    c->dir[c->n_dirs].path = pf_strdup(pf_buf_cstr(&b));
    c->dir[c->n_dirs].controllers = controllers;
    pf_buf_fini(&b);
    int rc = cgroup_parent_make(c, c->n_dirs, err);
    if (rc != 0) {
        pf_free(c->dir[c->n_dirs].path);
        return rc;
    }
    c->n_dirs++;
    return 0;
}

/* Which of our controllers a list in a file of `dir` names. */
static unsigned controllers_in(const char *dir, const char *file)
{
    char path[CGROUP_PATH_BYTES];
    char text[CGROUP_TEXT_BYTES];

    if (cgroup_path(path, dir, file, NULL, NULL) != 0 || !cgroup_read(path, text)) {
        return 0;
    }
    return cgroup_controllers(pf_str(text), ' ') & CGROUP_OURS;
}

static int process_move(const struct found *f, const char *dir, struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];
    char pid[24];

    (void)snprintf(pid, sizeof pid, "%" PRId64, f->o->pid);
    int rc = cgroup_path(path, dir, "cgroup.procs", NULL, err);
    return rc == 0 ? cgroup_write(f->o->root[0] != '\0', path, pid, err) : rc;
}

/* Makes `base` a cgroup that may have controlled groups: the process leaves it for a leaf. Another
 * process that stays there forbids it; then all is as it was. */
static int base_prepare(const struct found *f, const char *base, unsigned controllers,
                        struct pf_err *err)
{
    char leaf[CGROUP_PATH_BYTES];
    char type[CGROUP_PATH_BYTES];
    bool is_recorded = f->o->root[0] != '\0';
    bool is_here = strlen(base) == strlen(f->v2_dir);
    struct pf_err why = {0};

    int rc = cgroup_path(type, base, "cgroup.type", NULL, err);
    if (rc == 0) {
        rc = cgroup_path(leaf, base, LEAF, NULL, err);
    }
    if (rc != 0) {
        return rc;
    }
    bool must_move = is_here && access(type, F_OK) == 0; /* only the root has no type */
    if (must_move) {
        rc = dir_make(leaf, err);
        if (rc == 0) {
            rc = process_move(f, leaf, err);
        }
    }
    if (rc != 0) {
        return rc;
    }
    rc = cgroup_enable(is_recorded, base, controllers, &why);
    if (rc == 0) {
        return 0;
    }
    if (must_move && process_move(f, base, NULL) == 0) {
        (void)rmdir(leaf); /* empty again; somebody else's is not */
    }
    if (why.sys == EBUSY) {
        return pf_err_set_sys(err, PF_EACCESS, EBUSY,
                              "other processes share cgroup %s with the launcher, which needs one "
                              "of its own (systemd: Delegate=yes)",
                              base);
    }
    if (err != NULL) {
        *err = why;
    }
    return rc;
}

static int v2_open(const struct found *f, struct pf_cgroups *out, struct pf_err *err)
{
    char base[CGROUP_PATH_BYTES];

    (void)snprintf(base, sizeof base, "%s", f->v2_dir);
    size_t len = strlen(base);
    size_t leaf_len = sizeof("/" LEAF) - 1;
    unsigned own = controllers_in(base, "cgroup.controllers");
    if (len > leaf_len && strcmp(base + len - leaf_len, "/" LEAF) == 0) {
        base[len - leaf_len] = '\0'; /* it moved there in an earlier life */
        own = controllers_in(base, "cgroup.controllers");
    }
    if (own == 0) {
        return pf_err_set(err, PF_ENOENT, "cgroup v2 has no controllers here");
    }
    int rc = 0;
    if ((own & ~controllers_in(base, "cgroup.subtree_control")) != 0) {
        rc = base_prepare(f, base, own, err);
    }
    out->version = 2;
    return rc == 0 ? parent_add(out, f, base, own, err) : rc;
}

static int v1_open(const struct found *f, struct pf_cgroups *out, struct pf_err *err)
{
    struct pf_err why = {0};
    unsigned all = 0;

    out->version = 1;
    for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
        struct pf_err e = {0};
        if (f->v1_dir[i] == NULL) {
            continue;
        }
        if (parent_add(out, f, f->v1_dir[i], cgroup_names[i].bit, &e) == 0) {
            all |= cgroup_names[i].bit;
        } else if (why.code == 0) {
            why = e;
        }
    }
    if ((all & CGROUP_OURS) != 0) {
        return 0;
    }
    if (why.code == 0) {
        return pf_err_set(err, PF_ENOENT,
                          "no cgroup hierarchy with cpu, memory or pids is "
                          "mounted");
    }
    if (err != NULL) {
        *err = why;
    }
    return why.code;
}

int pf_cgroups_open(const struct pf_cgroup_options *o, struct pf_cgroups *out, struct pf_err *err)
{
    struct found f = {.o = o};
    struct pf_cgroups c = {.is_recorded = o->root[0] != '\0'};

    int rc = found_read(&f, err);
    if (rc == 0) {
        bool has_v2 = f.v2_dir != NULL && controllers_in(f.v2_dir, "cgroup.controllers") != 0;
        rc = has_v2 ? v2_open(&f, &c, err) : v1_open(&f, &c, err);
    }
    found_fini(&f);
    if (rc != 0) {
        for (uint32_t i = 0; i < c.n_dirs; i++) {
            (void)rmdir(c.dir[i].path); /* it is of no use, if we made it */
        }
        pf_cgroups_fini(&c);
        return rc;
    }
    *out = c;
    return 0;
}

static bool is_parent_path(struct pf_str path)
{
    static const struct pf_str prefix = {PARENT_PREFIX, sizeof PARENT_PREFIX - 1};

    if (path.len == 0 || path.at[0] != '/' || memmem(path.at, path.len, "/..", 3) != NULL) {
        return false;
    }
    const char *slash = memrchr(path.at, '/', path.len);
    struct pf_str last = {slash + 1, path.len - (uint32_t)(slash + 1 - path.at)};
    return pf_str_has_prefix(last, prefix);
}

int pf_cgroups_probe(const struct pf_str *path, uint32_t n, struct pf_cgroups *out,
                     struct pf_err *err)
{
    char text[CGROUP_PATH_BYTES];
    char file[CGROUP_PATH_BYTES];
    struct pf_cgroups c = {0};
    unsigned all = 0;

    for (uint32_t i = 0; i < n && i < PF_CGROUP_DIRS_MAX; i++) {
        unsigned bits = 0;
        if (!is_parent_path(path[i])) {
            pf_cgroups_fini(&c);
            return pf_err_set(err, PF_EINVAL, "%.*s is no parent of containers",
                              PF_STR_ARG(path[i]));
        }
        (void)snprintf(text, sizeof text, "%.*s", PF_STR_ARG(path[i]));
        bits = controllers_in(text, "cgroup.controllers");
        c.version = bits != 0 ? 2 : 1;
        for (size_t k = 0; c.version == 1 && k < PF_ARRAY_LEN(cgroup_names); k++) {
            if (cgroup_path(file, text, cgroup_names[k].sign, NULL, NULL) == 0 &&
                access(file, F_OK) == 0) {
                bits |= cgroup_names[k].bit;
            }
        }
        all |= bits;
        c.dir[c.n_dirs].path = pf_strdup(text);
        c.dir[c.n_dirs++].controllers = bits;
    }
    if (all == 0) {
        pf_cgroups_fini(&c);
        return pf_err_set(err, PF_ENOENT, "no cgroups where the parents should be");
    }
    *out = c;
    return 0;
}
