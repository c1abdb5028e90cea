/* SPDX-License-Identifier: Apache-2.0 */
/* Another program in our place: same process, so children stay children and their ends are ours to
 * read. The journal holds what is known; the lock and the kept ends of pipes go along as
 * descriptors, listed in a memory file. The controller finds the new one at the socket. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/alloc.h"

extern char **environ;

/* A line of the memory file. */
struct kept {
    struct pf_uuid uuid;
    int fd;
};

static bool fd_inherit(int fd, bool inherits)
{
    return fcntl(fd, F_SETFD, inherits ? 0 : FD_CLOEXEC) == 0;
}

static void all_inherit(struct pf_launcher *l, bool inherits)
{
    uint32_t cursor = 0;
    const struct proc *p;

    (void)fd_inherit(l->lock_fd, inherits); /* these are open: it cannot fail */
    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        if (p->stdin_fd >= 0) {
            (void)fd_inherit(p->stdin_fd, inherits);
        }
    }
}

/* -1 with errno. Is inherited. */
static int kept_write(const struct pf_launcher *l)
{
    uint32_t cursor = 0;
    const struct proc *p;
    bool is_fine = true;

    int fd = memfd_create("launcher-kept", 0);
    while (fd >= 0 && is_fine && (p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        const struct kept k = {p->uuid, p->stdin_fd};
        is_fine = k.fd < 0 || write(fd, &k, sizeof k) == (ssize_t)sizeof k;
    }
    if (fd >= 0 && (!is_fine || lseek(fd, 0, SEEK_SET) != 0)) {
        int sys = errno;
        (void)close(fd); /* of memory */
        errno = sys;
        return -1;
    }
    return fd;
}

void upgrade_exec(struct pf_launcher *l)
{
    char state[PF_UUID_TEXT_LEN + 32];
    char nofile[24];
    char dir[4096];
    char *argv[] = {(char *)(uintptr_t) "proffer-launcher",
                    (char *)(uintptr_t) "--dir",
                    dir,
                    (char *)(uintptr_t) "--nofile",
                    nofile,
                    (char *)(uintptr_t) "--upgrade",
                    state,
                    NULL};

    if (getcwd(dir, sizeof dir) == NULL) { /* else people see which one it is */
        (void)snprintf(dir, sizeof dir, ".");
    }
    int sys = pf_journal_flush(&l->journal);
    int fd = sys == 0 ? kept_write(l) : -1;
    if (fd >= 0) {
        uint64_t soft = l->is_nofile_raised ? (uint64_t)l->nofile.rlim_cur : 0;
        (void)snprintf(nofile, sizeof nofile, "%" PRIu64, soft);
        (void)snprintf(state, sizeof state, "%s:%d:%d", l->instance, l->lock_fd, fd);
        all_inherit(l, true);
        (void)execve(l->upgrade_path, argv, environ);
        sys = errno;
        all_inherit(l, false);
        (void)close(fd); /* of memory */
    } else if (sys == 0) {
        sys = errno;
    }
    (void)fprintf(stderr, "error not upgraded program=%s error=\"%s\"\n", l->upgrade_path,
                  strerror(sys));
    PF_FREE(l->upgrade_path);
}

void upgrade_to_own_file(struct pf_launcher *l)
{
    static const char gone[] = " (deleted)"; /* behind the name when the file was replaced */
    char path[4096];

    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) {
        return;
    }
    path[n] = '\0';
    size_t gone_len = sizeof gone - 1;
    if ((size_t)n > gone_len && strcmp(path + (size_t)n - gone_len, gone) == 0) {
        path[(size_t)n - gone_len] = '\0';
    }
    pf_free(l->upgrade_path);
    l->upgrade_path = pf_strdup(path);
}

void upgrade_take(struct pf_launcher *l, int kept_fd)
{
    struct kept k;

    while (read(kept_fd, &k, sizeof k) == (ssize_t)sizeof k) {
        struct proc *p = pf_map_get(&l->by_uuid, &k.uuid, sizeof k.uuid);
        if (p != NULL && proc_is_live(p) && p->stdin_fd < 0 && fd_inherit(k.fd, false)) {
            p->stdin_fd = k.fd;
        } else {
            (void)close(k.fd); /* a pipe */
        }
    }
    (void)close(kept_fd); /* of memory */
}
