/* SPDX-License-Identifier: Apache-2.0 */
/* The bare limit for processes: how many /bin/true one parent can start and reap a second, by
 * posix_spawn and by vfork + exec, each in a loop; and the latter in a cgroup of its own in each
 * hierarchy that an agent would use here, made without limits and removed. One JSON line; 0 where
 * cgroups are not permitted. With "hold": how many that sleep it can start and keep.
 * Usage: bench_spawn [N] | bench_spawn hold N */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/cgroup/cgroup.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"

extern char **environ;

#define HOLD_MAX 20000

static char *const argv_true[] = {(char *)"/bin/true", NULL};
static char *const argv_sleep[] = {(char *)"/bin/sleep", (char *)"1000", NULL};
static char *const *argv_of = argv_true;

static pid_t start_spawn(void)
{
    pid_t pid;
    return posix_spawn(&pid, argv_of[0], NULL, NULL, argv_of, environ) == 0 ? pid : -1;
}

static pid_t start_vfork(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execve(argv_of[0], argv_of, environ);
        _exit(127);
    }
    return pid;
}

static struct pf_cgroups cgroups;
static char dir_path[PF_CGROUP_DIRS_MAX][4096], procs_path[PF_CGROUP_DIRS_MAX][4200];

static pid_t start_in_cgroups(void)
{
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        if (mkdir(dir_path[i], 0755) != 0) {
            return -1;
        }
    }
    pid_t pid = vfork();
    if (pid == 0) {
        for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
            int fd = open(procs_path[i], O_WRONLY | O_CLOEXEC);
            if (fd < 0 || write(fd, "0", 1) != 1) {
                _exit(126);
            }
            (void)close(fd);
        }
        execve(argv_of[0], argv_of, environ);
        _exit(127);
    }
    return pid;
}

static bool remove_cgroups(void)
{
    bool is_gone = true;
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        is_gone = rmdir(dir_path[i]) == 0 && is_gone;
    }
    return is_gone;
}

static bool stay(void)
{
    return true;
}

static double rate(pid_t (*start)(void), bool (*clear)(void), int n)
{
    int64_t begin_us = pf_now_us();
    for (int i = 0; i < n; i++) {
        int status;
        pid_t pid = start();
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || !clear()) {
            perror("bench_spawn");
            exit(1);
        }
    }
    return n * 1e6 / (double)(pf_now_us() - begin_us);
}

/* 0: not permitted. */
static double cgroup_rate(int n)
{
    char name[64];
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = name};

    (void)snprintf(name, sizeof name, "bench-%ld", (long)getpid());
    if (pf_cgroups_open(&o, &cgroups, NULL) != 0) {
        return 0;
    }
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        (void)snprintf(dir_path[i], sizeof dir_path[i], "%s/t", cgroups.dir[i].path);
        (void)snprintf(procs_path[i], sizeof procs_path[i], "%.4095s/cgroup.procs", dir_path[i]);
    }
    double per_s = rate(start_in_cgroups, remove_cgroups, n);
    (void)pf_cgroups_clear(&cgroups);
    pf_cgroups_fini(&cgroups);
    return per_s;
}

/* So many processes that sleep, started and kept: how long that takes. */
static double hold_rate(bool in_cgroups, int n)
{
    static pid_t pids[HOLD_MAX];
    char name[64], path[4200];
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = name};
    int n_dirs = 0;

    (void)snprintf(name, sizeof name, "bench-%ld", (long)getpid());
    if (in_cgroups && pf_cgroups_open(&o, &cgroups, NULL) != 0) {
        return 0;
    }
    int64_t begin_us = pf_now_us();
    for (int i = 0; i < n; i++) {
        for (uint32_t k = 0; in_cgroups && k < cgroups.n_dirs; k++) {
            (void)snprintf(dir_path[k], sizeof dir_path[k], "%s/t%d", cgroups.dir[k].path, i);
            (void)snprintf(procs_path[k], sizeof procs_path[k], "%.4095s/cgroup.procs",
                           dir_path[k]);
        }
        pids[i] = in_cgroups ? start_in_cgroups() : start_vfork();
        n_dirs = i;
    }
    double per_s = n * 1e6 / (double)(pf_now_us() - begin_us);
    for (int i = 0; i < n; i++) {
        if (pids[i] > 0) {
            (void)kill(pids[i], SIGKILL);
            (void)waitpid(pids[i], NULL, 0);
        }
    }
    for (int i = 0; in_cgroups && i <= n_dirs; i++) {
        for (uint32_t k = 0; k < cgroups.n_dirs; k++) {
            (void)snprintf(path, sizeof path, "%s/t%d", cgroups.dir[k].path, i);
            (void)rmdir(path);
        }
    }
    if (in_cgroups) {
        (void)pf_cgroups_clear(&cgroups);
        pf_cgroups_fini(&cgroups);
    }
    return per_s;
}

static int hold(int n)
{
    argv_of = argv_sleep;
    printf("{\"bench\":\"hold\",\"n\":%d,\"per_s\":%.0f,\"in_cgroups_per_s\":%.0f}\n", n,
           hold_rate(false, n), hold_rate(true, n));
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t count = 2000;
    if (argc == 3 && strcmp(argv[1], "hold") == 0 &&
        pf_parse_u64(pf_str(argv[2]), &count, NULL) == 0 && count <= HOLD_MAX) {
        return hold((int)count);
    }
    if (argc > 1 && (pf_parse_u64(pf_str(argv[1]), &count, NULL) != 0 || count > 1000000)) {
        fprintf(stderr, "usage: bench_spawn [N] | bench_spawn hold N\n");
        return 2;
    }
    int n = (int)count;
    (void)rate(start_vfork, stay, n / 10 + 1); /* warm */
    double spawn = rate(start_spawn, stay, n);
    double vforked = rate(start_vfork, stay, n);
    double in_cgroups = cgroup_rate(n);
    printf("{\"bench\":\"spawn\",\"n\":%d,\"posix_spawn_per_s\":%.0f,\"vfork_exec_per_s\":%.0f,"
           "\"best_per_s\":%.0f,\"cgroup_spawn_per_s\":%.0f}\n",
           n, spawn, vforked, spawn > vforked ? spawn : vforked, in_cgroups);
    return 0;
}
