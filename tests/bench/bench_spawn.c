/* SPDX-License-Identifier: Apache-2.0 */
/* The bare limit for processes: how many /bin/true one parent can start and reap a second, by
 * posix_spawn and by vfork + exec, each in a loop. One JSON line. Usage: bench_spawn [N] */
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char *const argv_true[] = {(char *)"/bin/true", NULL};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

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
    double begin = now_s();
    for (int i = 0; i < n; i++) {
        int status;
        pid_t pid = start();
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            perror("bench_spawn");
            exit(1);
        }
    }
    return n / (now_s() - begin);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 2000;
    (void)rate(start_vfork, n / 10 + 1); /* warm */
    double spawn = rate(start_spawn, n);
    double vforked = rate(start_vfork, n);
    printf("{\"bench\":\"spawn\",\"n\":%d,\"posix_spawn_per_s\":%.0f,\"vfork_exec_per_s\":%.0f,"
           "\"best_per_s\":%.0f}\n",
           n, spawn, vforked, spawn > vforked ? spawn : vforked);
    return 0;
}
