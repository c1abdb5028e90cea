/* SPDX-License-Identifier: Apache-2.0 */
/* The bare limit for processes: how many /bin/true one parent can start and reap a second, by
 * posix_spawn and by vfork + exec, each in a loop. One JSON line. Usage: bench_spawn [N] */
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/sys/clock.h"
#include "common/sys/parse.h"

extern char **environ;

static char *const argv_true[] = {(char *)"/bin/true", NULL};

static pid_t start_spawn(void)
{
    pid_t pid;
    return posix_spawn(&pid, argv_true[0], NULL, NULL, argv_true, environ) == 0 ? pid : -1;
}

static pid_t start_vfork(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execve(argv_true[0], argv_true, environ);
        _exit(127);
    }
    return pid;
}

static double rate(pid_t (*start)(void), int n)
{
    int64_t begin_us = pf_now_us();
    for (int i = 0; i < n; i++) {
        int status;
        pid_t pid = start();
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            perror("bench_spawn");
            exit(1);
        }
    }
    return n * 1e6 / (double)(pf_now_us() - begin_us);
}

int main(int argc, char **argv)
{
    uint64_t count = 2000;
    if (argc > 1 && (pf_parse_u64(pf_str(argv[1]), &count, NULL) != 0 || count > 1000000)) {
        fprintf(stderr, "usage: bench_spawn [N]\n");
        return 2;
    }
    int n = (int)count;
    (void)rate(start_vfork, n / 10 + 1); /* warm */
    double spawn = rate(start_spawn, n);
    double vforked = rate(start_vfork, n);
    printf("{\"bench\":\"spawn\",\"n\":%d,\"posix_spawn_per_s\":%.0f,\"vfork_exec_per_s\":%.0f,"
           "\"best_per_s\":%.0f}\n",
           n, spawn, vforked, spawn > vforked ? spawn : vforked);
    return 0;
}
