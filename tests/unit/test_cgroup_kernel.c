/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups of the kernel that runs the test: limits hold, all of a container can be ended and
 * removed. Needs a cgroup with controllers that we may write to (root; see tests/needs). */
#include "agent/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/sys/file.h"
#include "tests/support/test.h"

enum { EXIT_SKIP = 77, MIB = 1 << 20, PASSES_MAX = 2000 };

static struct pf_cgroups cgroups;

static void enter(const char *name)
{
    char path[4096];

    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/cgroup.procs", cgroups.dir[i].path, name);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, "0", 1) != 1 || close(fd) != 0) {
            _exit(99);
        }
    }
}

/* A child that runs `body`, once it is in the container. */
static pid_t start_in(const char *name, void (*body)(void))
{
    int ready[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        enter(name);
        if (write(ready[1], "x", 1) == 1) {
            body();
        }
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(close(ready[0]), 0);
    assert_int_equal(close(ready[1]), 0);
    return pid;
}

static void wait_for_signal(void)
{
    for (;;) {
        (void)pause();
    }
}

/* Passes until the container is empty, as the launcher makes them. */
static void end_all(const char *name)
{
    uint32_t passes = 0;

    while (pf_cgroup_kill(&cgroups, name) > 0) {
        assert_true(passes++ < PASSES_MAX);
        (void)poll(NULL, 0, 1); /* what got the signal runs to its end */
    }
}

static void remove_it(const char *name)
{
    uint32_t passes = 0;

    while (pf_cgroup_remove(&cgroups, name, NULL) == PF_EBUSY) {
        assert_true(passes++ < PASSES_MAX);
        (void)poll(NULL, 0, 1);
    }
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", cgroups.dir[i].path, name);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

static int make_parents(void **state)
{
    char name[64];
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = name};

    (void)state;
    (void)snprintf(name, sizeof name, "test-%ld", (long)getpid());
    return pf_cgroups_open(&o, &cgroups, NULL);
}

static int remove_parents(void **state)
{
    (void)state;
    for (int i = 0; i < PASSES_MAX && pf_cgroups_clear(&cgroups) > 0; i++) {
        (void)poll(NULL, 0, 1);
    }
    bool is_left = cgroups.n_dirs > 0 && access(cgroups.dir[0].path, F_OK) == 0;
    pf_cgroups_fini(&cgroups);
    return is_left ? -1 : 0;
}

static void eat(void)
{
    for (;;) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED) {
            memset(p, 1, MIB);
        }
    }
}

static void test_memory_hog_is_ended_and_counted(void **state)
{
    struct pf_cgroup_limits l = {.cpu_shares = 102, .memory_bytes = 32 * MIB, .pids = 10};
    struct pf_cgroup_usage u;
    struct pf_cgroups probed = {0};
    struct pf_str path[PF_CGROUP_DIRS_MAX];
    int status;

    (void)state;
    assert_int_equal(pf_cgroup_make(&cgroups, "hog", &l, NULL), 0);
    assert_int_equal(pf_cgroup_make(&cgroups, "hog", &l, NULL), 0);
    pid_t pid = start_in("hog", eat);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        path[i] = pf_str(cgroups.dir[i].path);
    }
    assert_int_equal(pf_cgroups_probe(path, cgroups.n_dirs, &probed, NULL), 0);
    assert_int_equal(probed.version, cgroups.version);
    pf_cgroup_usage(&probed, "hog", &u);
    pf_cgroups_fini(&probed);
    assert_true(u.has_memory);
    assert_int_equal(u.oom_kills, 1);
    assert_int_equal(u.memory_limit_bytes, 32 * MIB);
    assert_in_range(u.memory_peak_bytes, 31 * MIB, 32 * MIB);
    remove_it("hog");
}

static void bomb(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        (void)fork(); /* fails at the limit, and goes on */
    }
}

/* It forks while it is being killed; we still can. */
static void test_fork_bomb_is_held_and_ended(void **state)
{
    struct pf_cgroup_limits l = {.cpu_shares = 2, .memory_bytes = 64 * MIB, .pids = 40};
    int status;

    (void)state;
    assert_int_equal(pf_cgroup_make(&cgroups, "bomb", &l, NULL), 0);
    pid_t pid = start_in("bomb", bomb);
    pid_t neighbour = fork();
    assert_true(neighbour >= 0);
    if (neighbour == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(neighbour, &status, 0), neighbour);
    assert_int_equal(status, 0);
    end_all("bomb");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(pf_cgroup_kill(&cgroups, "bomb"), 0); /* nothing came after */
    remove_it("bomb");
}

/* What a container made for itself goes with it; who has left its cgroup for a deeper one too. */
static void test_nested_groups_end_and_go(void **state)
{
    struct pf_cgroup_limits l = {.memory_bytes = 64 * MIB};
    struct pf_err err = {0};
    char path[4096];
    int status;

    (void)state;
    assert_int_equal(pf_cgroup_make(&cgroups, "deep", &l, NULL), 0);
    for (uint32_t i = 0; i < cgroups.n_dirs; i++) {
        (void)snprintf(path, sizeof path, "%s/deep/a", cgroups.dir[i].path);
        assert_int_equal(mkdir(path, 0755), 0);
        (void)snprintf(path, sizeof path, "%s/deep/a/b", cgroups.dir[i].path);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    pid_t pid = start_in("deep/a/b", wait_for_signal);
    pid_t frozen = start_in("deep/a", wait_for_signal);
    assert_int_equal(pf_cgroup_kill(&cgroups, "none"), 0);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    end_all("deep");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(waitpid(frozen, &status, 0), frozen);
    remove_it("deep");
    assert_int_equal(pf_cgroup_remove(&cgroups, "deep", &err), 0);
}

static void test_busy_container_is_not_removed(void **state)
{
    struct pf_cgroup_limits l = {.memory_bytes = 64 * MIB};
    struct pf_err err = {0};
    int status;

    (void)state;
    assert_int_equal(pf_cgroup_make(&cgroups, "busy", &l, NULL), 0);
    pid_t pid = start_in("busy", wait_for_signal);
    assert_int_equal(pf_cgroup_remove(&cgroups, "busy", &err), PF_EBUSY);
    assert_int_equal(err.sys, EBUSY);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    end_all("busy");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    remove_it("busy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_hog_is_ended_and_counted, make_parents,
                                        remove_parents),
        cmocka_unit_test_setup_teardown(test_fork_bomb_is_held_and_ended, make_parents,
                                        remove_parents),
        cmocka_unit_test_setup_teardown(test_nested_groups_end_and_go, make_parents,
                                        remove_parents),
        cmocka_unit_test_setup_teardown(test_busy_container_is_not_removed, make_parents,
                                        remove_parents),
    };

    if (make_parents(NULL) != 0) {
        (void)fprintf(stderr, "needs a writable cgroup with controllers\n");
        return EXIT_SKIP;
    }
    (void)remove_parents(NULL); /* each test makes its own */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
