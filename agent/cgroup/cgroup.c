/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of containers: limits and usage. See cgroup.h. */
#include "agent/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cgroup/cgroup_internal.h"
#include "common/base/alloc.h"

#define DIR_MODE         0755
#define PERIOD_US        100000u
#define SHARES_PER_CPU   1024u
#define WEIGHT_PER_CPU   100u
#define WEIGHT_MAX       10000u
#define MEMORY_UNLIMITED (UINT64_C(1) << 62) /* v1 says 2^63 less a page */
#define VALUE_BYTES      48

const struct cgroup_name cgroup_names[PF_CGROUP_DIRS_MAX] = {
    {"cpu", PF_CGROUP_CPU, "cpu.shares"},
    {"memory", PF_CGROUP_MEMORY, "memory.limit_in_bytes"},
    {"pids", PF_CGROUP_PIDS, "pids.max"},
    {"freezer", PF_CGROUP_FREEZER, "freezer.state"},
};

/* --- files ------------------------------------------------------------------------------------ */

int cgroup_path(char out[CGROUP_PATH_BYTES], const char *dir, const char *name, const char *file,
                struct pf_err *err)
{
    int n = snprintf(out, CGROUP_PATH_BYTES, "%s/%s%s%s", dir, name, file != NULL ? "/" : "",
                     file != NULL ? file : "");

    if (n < 0 || n >= CGROUP_PATH_BYTES) {
        return pf_err_set_sys(err, PF_ELIMIT, ENAMETOOLONG, "cgroup %s", name);
    }
    return 0;
}

/* What a person wants to read of a path: the container and the file. */
static const char *path_end(const char *path)
{
    const char *at = path + strlen(path);

    for (int slashes = 0; at > path; at--) {
        if (at[-1] == '/' && ++slashes == 3) {
            break;
        }
    }
    return at;
}

int cgroup_write(bool is_recorded, const char *path, const char *text, struct pf_err *err)
{
    size_t len = strlen(text);
    int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (is_recorded ? O_CREAT | O_TRUNC : 0);

    int fd = open(path, flags, 0644);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cgroup file %s",
                              path_end(path));
    }
    ssize_t n = write(fd, text, len);
    int sys = n < 0 ? errno : n != (ssize_t)len ? EIO : 0;
    (void)close(fd); /* the write was the act */
    if (sys != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "write %s to cgroup file %s", text,
                              path_end(path));
    }
    return 0;
}

bool cgroup_read(const char *path, char out[CGROUP_TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, out, CGROUP_TEXT_BYTES - 1);
    (void)close(fd); /* only read */
    if (n < 0) {
        return false;
    }
    if (n > 0 && out[n - 1] == '\n') {
        n--;
    }
    out[n] = '\0';
    return true;
}

bool cgroup_part(struct pf_str *rest, char separator, struct pf_str *out)
{
    if (rest->at == NULL) {
        return false;
    }
    const char *end = memchr(rest->at, separator, rest->len);
    if (end == NULL) {
        *out = *rest;
        *rest = (struct pf_str){NULL, 0};
        return true;
    }
    uint32_t len = (uint32_t)(end - rest->at);
    *out = (struct pf_str){rest->at, len};
    *rest = (struct pf_str){end + 1, rest->len - len - 1};
    return true;
}

unsigned cgroup_controllers(struct pf_str words, char separator)
{
    struct pf_str word;
    unsigned found = 0;

    while (cgroup_part(&words, separator, &word)) {
        for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
            found |= pf_str_is(word, cgroup_names[i].name) ? cgroup_names[i].bit : 0;
        }
    }
    return found;
}

/* The number in file `file` of the container; UINT64_MAX for "max", 0 where it cannot be read. */
static uint64_t number_read(const char *dir, const char *name, const char *file)
{
    char path[CGROUP_PATH_BYTES];
    char text[CGROUP_TEXT_BYTES];

    if (cgroup_path(path, dir, name, file, NULL) != 0 || !cgroup_read(path, text)) {
        return 0;
    }
    return strcmp(text, "max") == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

/* The number behind `key` in a file of "key number" lines; 0 where there is none. */
static uint64_t keyed_read(const char *dir, const char *name, const char *file, const char *key)
{
    char path[CGROUP_PATH_BYTES];
    char text[CGROUP_TEXT_BYTES];
    struct pf_str line;

    if (cgroup_path(path, dir, name, file, NULL) != 0 || !cgroup_read(path, text)) {
        return 0;
    }
    struct pf_str rest = pf_str(text);
    while (cgroup_part(&rest, '\n', &line)) {
        struct pf_str word;
        if (cgroup_part(&line, ' ', &word) && pf_str_is(word, key) && line.at != NULL) {
            return strtoull(line.at, NULL, 10);
        }
    }
    return 0;
}

static bool file_is_there(const char *dir, const char *name, const char *file)
{
    char path[CGROUP_PATH_BYTES];

    return cgroup_path(path, dir, name, file, NULL) == 0 && access(path, F_OK) == 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

/* One container in one hierarchy. */
struct place {
    const struct pf_cgroups *c;
    const char *dir, *name;
    bool is_new;
};

static int text_write(const struct place *p, const char *file, const char *text, struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];

    int rc = cgroup_path(path, p->dir, p->name, file, err);
    return rc == 0 ? cgroup_write(p->c->is_recorded, path, text, err) : rc;
}

static int number_write(const struct place *p, const char *file, uint64_t value, struct pf_err *err)
{
    char text[VALUE_BYTES];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return text_write(p, file, text, err);
}

static int cpu_limit(const struct place *p, const struct pf_cgroup_limits *l, struct pf_err *err)
{
    char text[VALUE_BYTES];
    bool is_v1 = p->c->version == 1;
    int rc = 0;

    if (l->cpu_shares > 0 && is_v1) {
        rc = number_write(p, "cpu.shares", l->cpu_shares, err);
    } else if (l->cpu_shares > 0) {
        uint64_t cpus_max = WEIGHT_MAX / WEIGHT_PER_CPU * SHARES_PER_CPU;
        uint64_t shares = l->cpu_shares < cpus_max ? l->cpu_shares : cpus_max;
        uint64_t weight = shares * WEIGHT_PER_CPU / SHARES_PER_CPU;
        rc = number_write(p, "cpu.weight", weight > 0 ? weight : 1, err);
    }
    if (rc != 0 || (l->cpu_quota_us == 0 && p->is_new)) {
        return rc;
    }
    if (is_v1 && l->cpu_quota_us == 0) {
        return text_write(p, "cpu.cfs_quota_us", "-1", err);
    }
    if (is_v1) {
        rc = number_write(p, "cpu.cfs_period_us", PERIOD_US, err);
        return rc == 0 ? number_write(p, "cpu.cfs_quota_us", l->cpu_quota_us, err) : rc;
    }
    if (l->cpu_quota_us == 0) {
        return text_write(p, "cpu.max", "max", err);
    }
    (void)snprintf(text, sizeof text, "%" PRIu64 " %u", l->cpu_quota_us, PERIOD_US);
    return text_write(p, "cpu.max", text, err);
}

/* `memory.memsw` may never be below `memory`, so the one that grows is written first. */
static int memory_limit_v1(const struct place *p, uint64_t bytes, struct pf_err *err)
{
    static const char *const files[] = {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"};
    uint64_t now = p->is_new ? UINT64_MAX : number_read(p->dir, p->name, files[0]);
    bool is_first_limit = now >= MEMORY_UNLIMITED;
    bool has_swap = file_is_there(p->dir, p->name, files[1]);

    if (bytes == 0 ? is_first_limit : bytes < now && !is_first_limit) {
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        const char *file = files[is_first_limit ? i : 1 - i];
        int rc = 0;
        if (file == files[1] && !has_swap) {
            continue;
        }
        rc = bytes == 0 ? text_write(p, file, "-1", err) : number_write(p, file, bytes, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int memory_limit_v2(const struct place *p, uint64_t bytes, struct pf_err *err)
{
    uint64_t now = p->is_new ? UINT64_MAX : number_read(p->dir, p->name, "memory.max");
    bool has_swap = p->c->is_recorded || file_is_there(p->dir, p->name, "memory.swap.max");
    int rc = 0;

    if (bytes == 0 ? now == UINT64_MAX : bytes < now && now != UINT64_MAX) {
        return 0;
    }
    if (has_swap) {
        rc = text_write(p, "memory.swap.max", bytes == 0 ? "max" : "0", err);
    }
    if (rc != 0) {
        return rc;
    }
    return bytes == 0 ? text_write(p, "memory.max", "max", err)
                      : number_write(p, "memory.max", bytes, err);
}

static int pids_limit(const struct place *p, uint64_t pids, struct pf_err *err)
{
    if (pids > 0) {
        return number_write(p, "pids.max", pids, err);
    }
    return p->is_new ? 0 : text_write(p, "pids.max", "max", err);
}

static int place_limit(const struct place *p, unsigned controllers,
                       const struct pf_cgroup_limits *l, struct pf_err *err)
{
    int rc = 0;

    if ((controllers & PF_CGROUP_CPU) != 0) {
        rc = cpu_limit(p, l, err);
    }
    if (rc == 0 && (controllers & PF_CGROUP_MEMORY) != 0) {
        rc = p->c->version == 1 ? memory_limit_v1(p, l->memory_bytes, err)
                                : memory_limit_v2(p, l->memory_bytes, err);
    }
    if (rc == 0 && (controllers & PF_CGROUP_PIDS) != 0) {
        rc = pids_limit(p, l->pids, err);
    }
    return rc;
}

/* --- the doors -------------------------------------------------------------------------------- */

void pf_cgroups_fini(struct pf_cgroups *c)
{
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        pf_free(c->dir[i].path);
    }
    *c = (struct pf_cgroups){0};
}

void pf_cgroups_text(const struct pf_cgroups *c, struct pf_buf *out)
{
    unsigned all = 0;

    for (uint32_t i = 0; i < c->n_dirs; i++) {
        all |= c->dir[i].controllers;
    }
    pf_buf_printf(out, "cgroups v%d:", c->version);
    for (size_t i = 0; i < PF_ARRAY_LEN(cgroup_names); i++) {
        if ((all & cgroup_names[i].bit) != 0) {
            pf_buf_printf(out, " %s", cgroup_names[i].name);
        }
    }
}

int pf_cgroup_make(const struct pf_cgroups *c, const char *name,
                   const struct pf_cgroup_limits *limits, struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];

    for (uint32_t i = 0; i < c->n_dirs; i++) {
        struct place p = {.c = c, .dir = c->dir[i].path, .name = name, .is_new = true};
        int rc = cgroup_path(path, p.dir, name, NULL, err);
        if (rc != 0) {
            return rc;
        }
        int sys = mkdir(path, DIR_MODE) == 0 ? 0 : errno;
        if (sys == ENOENT) { /* the parent went with its last container */
            rc = cgroup_parent_make(c, i, err);
            if (rc != 0) {
                return rc;
            }
            sys = mkdir(path, DIR_MODE) == 0 ? 0 : errno;
        }
        if (sys != 0 && sys != EEXIST) {
            return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "make cgroup %s",
                                  path_end(path));
        }
        p.is_new = sys == 0;
        rc = place_limit(&p, c->dir[i].controllers, limits, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int pf_cgroup_limit(const struct pf_cgroups *c, const char *name,
                    const struct pf_cgroup_limits *limits, struct pf_err *err)
{
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        const struct place p = {.c = c, .dir = c->dir[i].path, .name = name};
        int rc = place_limit(&p, c->dir[i].controllers, limits, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void memory_usage(const struct pf_cgroups *c, const char *dir, const char *name,
                         struct pf_cgroup_usage *out)
{
    bool is_v1 = c->version == 1;

    out->has_memory = true;
    out->memory_bytes = number_read(dir, name, is_v1 ? "memory.usage_in_bytes" : "memory.current");
    out->memory_peak_bytes =
        number_read(dir, name, is_v1 ? "memory.max_usage_in_bytes" : "memory.peak");
    uint64_t limit = number_read(dir, name, is_v1 ? "memory.limit_in_bytes" : "memory.max");
    out->memory_limit_bytes = limit < MEMORY_UNLIMITED ? limit : 0;
    out->oom_kills =
        keyed_read(dir, name, is_v1 ? "memory.oom_control" : "memory.events", "oom_kill");
}

void pf_cgroup_usage(const struct pf_cgroups *c, const char *name, struct pf_cgroup_usage *out)
{
    *out = (struct pf_cgroup_usage){0};
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        const char *dir = c->dir[i].path;
        if ((c->dir[i].controllers & PF_CGROUP_MEMORY) != 0) {
            memory_usage(c, dir, name, out);
        }
        if ((c->dir[i].controllers & PF_CGROUP_CPU) != 0) {
            out->cpu_us = c->version == 2 ? keyed_read(dir, name, "cpu.stat", "usage_usec")
                                          : number_read(dir, name, "cpuacct.usage") / 1000;
        }
    }
}
