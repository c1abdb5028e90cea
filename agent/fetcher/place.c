/* SPDX-License-Identifier: Apache-2.0 */
/* Files beneath the sandbox. */
#include "agent/fetcher/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/random.h"

/* Takes the first component off `*rest`, without the slashes around it; false at the end. */
static bool next_part(struct pf_str *rest, struct pf_str *out)
{
    uint32_t i = 0;

    while (i < rest->len && rest->at[i] == '/') {
        i++;
    }
    uint32_t end = i;
    while (end < rest->len && rest->at[end] != '/') {
        end++;
    }
    *out = (struct pf_str){rest->at + i, end - i};
    *rest = (struct pf_str){rest->at + end, rest->len - end};
    return out->len > 0;
}

int pf_place_check(struct pf_str path, struct pf_err *err)
{
    struct pf_str rest = path;
    struct pf_str part;
    struct pf_str last = {NULL, 0};

    if (path.len == 0) {
        return pf_err_set(err, PF_EINVAL, "the file's path is empty");
    }
    if (path.at[0] == '/') {
        return pf_err_set(err, PF_EINVAL, "the file's path is absolute");
    }
    for (uint32_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.at[i] < 0x20 || path.at[i] == 0x7f) {
            return pf_err_set(err, PF_EINVAL, "the file's path has control characters");
        }
    }
    while (next_part(&rest, &part)) {
        if (pf_str_is(part, "..")) {
            return pf_err_set(err, PF_EINVAL, "the file's path leads out of the sandbox");
        }
        last = part;
    }
    if (last.len == 0 || pf_str_is(last, ".") || path.at[path.len - 1] == '/') {
        return pf_err_set(err, PF_EINVAL, "the file's path does not end with a name");
    }
    return 0;
}

/* Steps from the directory `*fd` to its `part`, which is made if missing. */
static int step_into(int *fd, const char *part, struct pf_err *err)
{
    if (mkdirat(*fd, part, 0700) != 0 && errno != EEXIST) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "make directory %s", part);
    }
    int next = openat(*fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0) {
        int sys = errno;
        struct stat st;
        if (fstatat(*fd, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
            return pf_err_set(err, PF_EINVAL, "%s is a symbolic link", part);
        }
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "enter directory %s", part);
    }
    pf_fd_close(fd);
    *fd = next;
    return 0;
}

/* Fills dir_fd and name. */
static int walk(struct pf_place *p, int sandbox_fd, struct pf_str path, struct pf_err *err)
{
    struct pf_str part;
    int rc = 0;

    p->dir_fd = openat(sandbox_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "open the sandbox");
    }
    while (rc == 0 && next_part(&path, &part)) {
        if (pf_str_is(part, ".")) {
            continue;
        }
        if (p->name != NULL) {
            rc = step_into(&p->dir_fd, p->name, err);
            PF_FREE(p->name);
        }
        p->name = pf_strndup(part.at, part.len);
    }
    return rc;
}

int pf_place_open(int sandbox_fd, struct pf_str path, struct pf_place *out, struct pf_err *err)
{
    struct pf_place p = PF_PLACE_NONE;
    int rc = pf_place_check(path, err);

    if (rc == 0) {
        rc = walk(&p, sandbox_fd, path, err);
    }
    if (rc == 0) {
        (void)snprintf(p.temp, sizeof p.temp, ".fetch-%016" PRIx64, pf_random_u64());
        p.fd = openat(p.dir_fd, p.temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (p.fd < 0) {
            rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "make %s", p.name);
            p.temp[0] = '\0';
        }
    }
    if (rc != 0) {
        pf_place_fini(&p);
        return rc;
    }
    *out = p;
    return 0;
}

int pf_place_commit(struct pf_place *p, struct pf_err *err)
{
    if (renameat(p->dir_fd, p->temp, p->dir_fd, p->name) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "name the file %s", p->name);
    }
    p->temp[0] = '\0';
    return 0;
}

void pf_place_fini(struct pf_place *p)
{
    if (p->temp[0] != '\0') {
        (void)unlinkat(p->dir_fd, p->temp, 0); /* it was ours; nobody waits for it */
    }
    pf_fd_close(&p->fd);
    pf_fd_close(&p->dir_fd);
    PF_FREE(p->name);
    p->temp[0] = '\0';
}
