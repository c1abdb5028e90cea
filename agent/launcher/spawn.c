/* SPDX-License-Identifier: Apache-2.0 */
/* The child runs in our memory: it may write nothing but its own stack and `*failure`. It makes raw
 * system calls, because glibc's setuid and kin would act on the parent's idea of itself. */
#include "agent/launcher/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPAWN_STACK_BYTES (64u << 10)
#define UNSANITIZED       __attribute__((no_sanitize("address", "undefined")))

struct spawn_child {
    const struct pf_spawn *s;
    volatile int error;
    const char *volatile stage;
};

int pf_spawn_stack_init(struct pf_spawn_stack *s, struct pf_err *err)
{
    void *base = mmap(NULL, SPAWN_STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        return pf_err_set_sys(err, PF_ENOMEM, errno, "stack of children");
    }
    s->base = base;
    s->bytes = SPAWN_STACK_BYTES;
    return 0;
}

void pf_spawn_stack_fini(struct pf_spawn_stack *s)
{
    if (s->base != NULL) {
        (void)munmap(s->base, s->bytes); /* nothing to do about a failure */
        s->base = NULL;
    }
}

UNSANITIZED static int child_fail(struct spawn_child *c, const char *stage)
{
    c->error = errno;
    c->stage = stage;
    (void)syscall(SYS_exit, 127);
    return 127;
}

/* Executes `path`; a file without a magic number is a script for sh, as everywhere. */
UNSANITIZED static void child_exec(const struct pf_spawn *s, const char *path)
{
    (void)syscall(SYS_execve, path, s->argv, s->envp);
    if (errno == ENOEXEC) {
        char *first = s->argv[0];
        s->argv[-1] = (char *)(uintptr_t) "sh";
        s->argv[0] = (char *)(uintptr_t)path;
        (void)syscall(SYS_execve, "/bin/sh", s->argv - 1, s->envp);
        s->argv[0] = first;
        errno = ENOEXEC;
    }
}

/* True: go on with the next directory. */
UNSANITIZED static bool child_may_go_on(int error, bool *was_denied)
{
    if (error == EACCES) {
        *was_denied = true;
        return true;
    }
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ESTALE ||
           error == ENODEV || error == ETIMEDOUT;
}

/* One directory of the search path, `len` bytes at `dir` (0: the working directory). */
UNSANITIZED static void child_exec_in(const struct pf_spawn *s, const char *dir, size_t len)
{
    char full[PATH_MAX];
    size_t name_len = 0;
    size_t at = 0;

    while (s->path[name_len] != '\0') {
        name_len++;
    }
    if (len + name_len + 3 > sizeof full) {
        errno = ENAMETOOLONG;
        return;
    }
    if (len == 0) {
        full[at++] = '.';
    }
    for (size_t i = 0; i < len; i++) {
        full[at++] = dir[i];
    }
    full[at++] = '/';
    for (size_t i = 0; i <= name_len; i++) {
        full[at++] = s->path[i];
    }
    child_exec(s, full);
}

UNSANITIZED static void child_search(const struct pf_spawn *s)
{
    bool was_denied = false;
    const char *dir = s->search_path;

    for (;;) {
        size_t len = 0;
        while (dir[len] != '\0' && dir[len] != ':') {
            len++;
        }
        child_exec_in(s, dir, len);
        if (!child_may_go_on(errno, &was_denied)) {
            return;
        }
        if (dir[len] == '\0') {
            break;
        }
        dir += len + 1;
    }
    child_exec_in(s, "", 0); /* as Mesos: a program in the sandbox needs no "./" */
    if (was_denied && (errno == ENOENT || errno == ENOTDIR)) {
        errno = EACCES;
    }
}

UNSANITIZED static bool has_slash(const char *path)
{
    for (; *path != '\0'; path++) {
        if (*path == '/') {
            return true;
        }
    }
    return false;
}

/* The stage that failed, with errno; NULL: all is set. */
UNSANITIZED static const char *child_limit(const struct pf_spawn *s)
{
    if (s->nofile != NULL && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, s->nofile, NULL) != 0) {
        return "limit";
    }
    for (uint32_t i = 0; i < s->n_limits; i++) {
        if (syscall(SYS_prlimit64, 0, s->limits[i].resource, &s->limits[i].value, NULL) != 0) {
            return "limit";
        }
    }
    return NULL;
}

/* "0" is whoever writes it. */
UNSANITIZED static const char *child_enter(const struct pf_spawn *s)
{
    for (uint32_t i = 0; i < s->n_cgroups; i++) {
        long fd = syscall(SYS_openat, AT_FDCWD, s->cgroup_procs[i], O_WRONLY | O_CLOEXEC, 0);
        if (fd < 0 || syscall(SYS_write, fd, "0", (size_t)1) != 1) {
            return "cgroup";
        }
        (void)syscall(SYS_close, fd);
    }
    return NULL;
}

UNSANITIZED static const char *child_set_ids(const struct pf_spawn *s)
{
    if (!s->set_ids) {
        return NULL;
    }
    if (syscall(SYS_setgroups, (size_t)s->n_groups, s->groups) != 0) {
        return "groups";
    }
    if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) != 0) {
        return "setgid";
    }
    return syscall(SYS_setresuid, s->uid, s->uid, s->uid) != 0 ? "setuid" : NULL;
}

UNSANITIZED static const char *child_set_up(const struct pf_spawn *s)
{
    const char *stage;

    if (syscall(SYS_setsid) < 0) {
        return "setsid";
    }
    for (int i = 0; i < 3; i++) {
        if (syscall(SYS_dup3, s->fd[i], i, 0) < 0) {
            return "stdio";
        }
    }
    if (s->terminal && syscall(SYS_ioctl, 0, TIOCSCTTY, 0) != 0) {
        return "tty";
    }
    if ((stage = child_enter(s)) != NULL || (stage = child_limit(s)) != NULL) {
        return stage;
    }
    if (s->sandbox != NULL && syscall(SYS_chdir, s->sandbox) != 0) {
        return "chdir";
    }
    if ((stage = child_set_ids(s)) != NULL) {
        return stage;
    }
    return s->cwd != NULL && syscall(SYS_chdir, s->cwd) != 0 ? "chdir" : NULL;
}

UNSANITIZED static int child_main(void *arg)
{
    struct spawn_child *c = arg;
    const struct pf_spawn *s = c->s;
    uint64_t no_signals = 0;

    const char *stage = child_set_up(s);
    if (stage != NULL) {
        return child_fail(c, stage);
    }
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
    if (has_slash(s->path)) {
        child_exec(s, s->path);
    } else {
        child_search(s);
    }
    return child_fail(c, "exec");
}

pid_t pf_spawn(const struct pf_spawn_stack *stack, const struct pf_spawn *s,
               struct pf_spawn_failure *out_failure)
{
    struct spawn_child c = {.s = s};
    char *top = (char *)stack->base + stack->bytes;
    pid_t pid = clone(child_main, top, CLONE_VM | CLONE_VFORK | SIGCHLD, &c);

    if (pid < 0) {
        *out_failure = (struct pf_spawn_failure){errno, "clone"};
        return -1;
    }
    if (c.error != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        *out_failure = (struct pf_spawn_failure){c.error, c.stage};
        return -1;
    }
    return pid;
}

uint64_t pf_proc_ticks_now(void)
{
    struct timespec t;
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

    (void)clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail: the clock exists since Linux 2.6.39 */
    return (uint64_t)t.tv_sec * hz + (uint64_t)t.tv_nsec / (1000000000u / hz);
}

uint64_t pf_proc_start_time(pid_t pid)
{
    char path[64];
    char text[1024];

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd); /* only read */
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    /* The name is in parentheses and may hold anything; the start time is the 20th field behind. */
    const char *p = strrchr(text, ')');
    for (int i = 0; p != NULL && i < 20; i++) {
        p = strchr(p + 1, ' ');
    }
    return p != NULL ? strtoull(p + 1, NULL, 10) : 0;
}
