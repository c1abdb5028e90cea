/* SPDX-License-Identifier: Apache-2.0 */
/* The file: for each set its parents, a path a line, then an empty line. */
#include "agent/launcher/cgroup_sets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"

#define SETS_NAME      "launcher.cgroups"
#define SETS_NEW_NAME  "launcher.cgroups.new"
#define SETS_MAX_BYTES (PF_CGROUP_SETS_MAX * PF_CGROUP_DIRS_MAX * 4200u)
#define CLEAR_EVERY_MS 5

static int file_read(int dir_fd, struct pf_buf *out, struct pf_err *err)
{
    char chunk[4096];
    ssize_t n;

    int fd = openat(dir_fd, SETS_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : pf_err_set_sys(err, PF_EIO, errno, "open " SETS_NAME);
    }
    out->limit = SETS_MAX_BYTES;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        pf_buf_add(out, chunk, (size_t)n);
    }
    int sys = errno;
    (void)close(fd); /* only read */
    return n < 0 || out->failed
               ? pf_err_set_sys(err, PF_EIO, n < 0 ? sys : EFBIG, "read " SETS_NAME)
               : 0;
}

static int file_write(int dir_fd, struct pf_buf *text, struct pf_err *err)
{
    int fd =
        openat(dir_fd, SETS_NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "create " SETS_NEW_NAME);
    }
    ssize_t n = write(fd, text->data, text->len);
    int sys = n < 0 ? errno : (size_t)n != text->len ? ENOSPC : 0;
    if (close(fd) != 0 && sys == 0) {
        sys = errno;
    }
    if (sys == 0 && renameat(dir_fd, SETS_NEW_NAME, dir_fd, SETS_NAME) != 0) {
        sys = errno;
    }
    return sys == 0 ? 0 : pf_err_set_sys(err, pf_err_from_errno(sys), sys, "write " SETS_NEW_NAME);
}

static void set_put(const struct pf_cgroups *c, struct pf_buf *out)
{
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        pf_buf_printf(out, "%s\n", c->dir[i].path);
    }
    pf_buf_add_byte(out, '\n');
}

/* Takes the paths of one set up to its empty line; false at the end, or torn. */
static bool set_take(struct pf_str *rest, struct pf_str path[PF_CGROUP_DIRS_MAX], uint32_t *n)
{
    *n = 0;
    while (rest->len > 0) {
        const char *end = memchr(rest->at, '\n', rest->len);
        if (end == NULL) {
            return false;
        }
        struct pf_str line = {rest->at, (uint32_t)(end - rest->at)};
        *rest = (struct pf_str){end + 1, rest->len - line.len - 1};
        if (line.len == 0) {
            return *n > 0;
        }
        if (*n == PF_CGROUP_DIRS_MAX) {
            return false;
        }
        path[(*n)++] = line;
    }
    return false;
}

int pf_cgroup_sets_load(int dir_fd, struct pf_cgroup_sets *s, struct pf_err *err)
{
    struct pf_buf text = {0};
    struct pf_str path[PF_CGROUP_DIRS_MAX];
    uint32_t n;

    int rc = file_read(dir_fd, &text, err);
    struct pf_str rest = {(const char *)text.data, (uint32_t)text.len};
    while (rc == 0 && rest.len > 0) {
        if (s->n == PF_CGROUP_SETS_MAX || !set_take(&rest, path, &n)) {
            rc = pf_err_set(err, PF_EPROTO, SETS_NAME " is malformed");
            break;
        }
        if (pf_cgroups_probe(path, n, &s->set[s->n], NULL) != 0) {
            s->set[s->n] = (struct pf_cgroups){0}; /* gone, as after a boot */
            /* Its paths are kept for the next writing. */
            for (uint32_t i = 0; i < n; i++) {
                s->set[s->n].dir[i].path = pf_strndup(path[i].at, path[i].len);
            }
            s->set[s->n].n_dirs = n;
        }
        s->n++;
    }
    pf_buf_fini(&text);
    if (rc != 0) {
        pf_cgroup_sets_fini(s);
    }
    return rc;
}

static bool set_is(const struct pf_cgroups *c, const struct pf_str *parent, uint32_t n)
{
    bool is_same = c->n_dirs == n;

    for (uint32_t i = 0; is_same && i < n; i++) {
        is_same = pf_str_is(parent[i], c->dir[i].path);
    }
    return is_same;
}

int pf_cgroup_sets_find(int dir_fd, struct pf_cgroup_sets *s, const struct pf_str *parent,
                        uint32_t n_parents, uint8_t *out_number, struct pf_err *err)
{
    struct pf_cgroups found = {0};
    struct pf_buf text = {0};
    uint32_t i = 0;

    while (i < s->n && !set_is(&s->set[i], parent, n_parents)) {
        i++;
    }
    if (i < s->n && s->set[i].version != 0) {
        *out_number = (uint8_t)(i + 1);
        return 0;
    }
    if (i == PF_CGROUP_SETS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %d sets of cgroups", PF_CGROUP_SETS_MAX);
    }
    int rc = pf_cgroups_probe(parent, n_parents, &found, err);
    if (rc != 0) {
        return rc;
    }
    if (i < s->n) { /* it is there again */
        pf_cgroups_fini(&s->set[i]);
    } else {
        for (uint32_t k = 0; k < s->n; k++) {
            set_put(&s->set[k], &text);
        }
        set_put(&found, &text);
        rc = file_write(dir_fd, &text, err);
        pf_buf_fini(&text);
    }
    if (rc != 0) {
        pf_cgroups_fini(&found);
        return rc;
    }
    s->n += i == s->n ? 1 : 0;
    s->set[i] = found;
    *out_number = (uint8_t)(i + 1);
    return 0;
}

const struct pf_cgroups *pf_cgroup_sets_at(const struct pf_cgroup_sets *s, uint8_t number)
{
    PF_ASSERT(number <= s->n);
    return number == 0 ? NULL : &s->set[number - 1];
}

uint32_t pf_cgroup_sets_clear(int dir_fd, struct pf_cgroup_sets *s, uint32_t wait_ms)
{
    uint32_t n_left;

    for (uint32_t waited_ms = 0;; waited_ms += CLEAR_EVERY_MS) {
        n_left = 0;
        for (uint32_t i = 0; i < s->n; i++) {
            n_left += pf_cgroups_clear(&s->set[i]);
        }
        if (n_left == 0 || waited_ms >= wait_ms) {
            break;
        }
        (void)poll(NULL, 0, CLEAR_EVERY_MS); /* what got the signal runs to its end */
    }
    if (n_left == 0) {
        (void)unlinkat(dir_fd, SETS_NAME, 0); /* else the next launcher reads it */
    }
    return n_left;
}

void pf_cgroup_sets_fini(struct pf_cgroup_sets *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        pf_cgroups_fini(&s->set[i]);
    }
    *s = (struct pf_cgroup_sets){0};
}
