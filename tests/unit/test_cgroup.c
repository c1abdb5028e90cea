/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups on recorded trees of both versions: what is found, made, written, refused. */
#include "agent/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/sys/file.h"
#include "tests/support/test.h"

#define PID 4711

struct world {
    char root[64];
    struct pf_cgroups c;
};

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    (void)snprintf(w->root, sizeof w->root, "/tmp/pf-cgroup-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_cgroups_fini(&w->c);
    assert_int_equal(pf_remove_tree(w->root, NULL), 0);
    test_free(w);
    return 0;
}

static void path_of(const struct world *w, const char *path, char out[512])
{
    assert_true(snprintf(out, 512, "%s/%s", w->root, path) < 512);
}

/* Makes the file with its directories. */
static void given(const struct world *w, const char *path, const char *text)
{
    char full[512];

    path_of(w, path, full);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_true(pf_mkdir_p(full, 0755, NULL) >= 0);
    *slash = '/';
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void expect_file(const struct world *w, const char *path, const char *want)
{
    char full[512];
    char text[512];

    path_of(w, path, full);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(close(fd), 0);
    assert_string_equal(text, want);
}

static bool is_there(const struct world *w, const char *path)
{
    char full[512];

    path_of(w, path, full);
    return access(full, F_OK) == 0;
}

static int open_tree(struct world *w, struct pf_err *err)
{
    const struct pf_cgroup_options o = {.root = w->root, .pid = PID, .name = "a1"};

    return pf_cgroups_open(&o, &w->c, err);
}

static void expect_text(const struct world *w, const char *want)
{
    struct pf_buf b = {0};

    pf_cgroups_text(&w->c, &b);
    assert_string_equal(pf_buf_cstr(&b), want);
    pf_buf_fini(&b);
}

static const struct pf_cgroup_limits limits = {
    .cpu_shares = 512, .cpu_quota_us = 50000, .memory_bytes = 64 << 20, .pids = 100};

/* --- v1 --------------------------------------------------------------------------------------- */

#define V1 "sys/fs/cgroup/"

/* As a hybrid machine has it: controllers in v1, a cgroup2 with a controller that is not ours. */
static void given_v1(const struct world *w)
{
    given(w, "proc/4711/cgroup",
          "6:pids:/svc\n5:freezer:/\n4:memory:/api/x y\n2:cpu,cpuacct:/svc\n1:name=systemd:/\n"
          "0::/\n");
    given(w, "proc/4711/mountinfo",
          "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
          "30 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
          "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
          "35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n"
          "37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
          "39 31 0:36 /svc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
          "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    given(w, V1 "cpu,cpuacct/svc/cgroup.procs", "4711\n");
    given(w, V1 "mem ory/api/x y/cgroup.procs", "4711\n");
    given(w, V1 "freezer/cgroup.procs", "4711\n");
    given(w, V1 "pids/cgroup.procs", "4711\n");
    given(w, V1 "unified/cgroup.controllers", "hugetlb\n");
}

static void test_v1_makes_a_container_in_each_hierarchy(void **state)
{
    struct world *w = *state;

    given_v1(w);
    assert_int_equal(open_tree(w, NULL), 0);
    expect_text(w, "cgroups v1: cpu memory pids freezer");
    assert_int_equal(w->c.version, 1);
    assert_int_equal(w->c.n_dirs, 4);
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "9223372036854771712\n");
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.memsw.limit_in_bytes",
          "9223372036854771712\n");
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &limits, NULL), 0);
    expect_file(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpu.shares", "512");
    expect_file(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpu.cfs_period_us", "100000");
    expect_file(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpu.cfs_quota_us", "50000");
    expect_file(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "67108864");
    expect_file(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.memsw.limit_in_bytes", "67108864");
    expect_file(w, V1 "pids/proffer-a1/c1/pids.max", "100"); /* mounted from /svc on */
    assert_true(is_there(w, V1 "freezer/proffer-a1/c1"));
    assert_int_equal(pf_cgroup_remove(&w->c, "c1", NULL), 0);
    assert_false(is_there(w, V1 "pids/proffer-a1/c1"));
    assert_int_equal(pf_cgroup_remove(&w->c, "c1", NULL), 0); /* gone is fine */
    assert_int_equal(pf_cgroups_clear(&w->c), 0);
    assert_false(is_there(w, V1 "pids/proffer-a1"));
    expect_file(w, V1 "pids/cgroup.procs", "4711\n");
}

static void test_v1_memory_is_only_raised(void **state)
{
    struct world *w = *state;
    struct pf_cgroup_limits l = limits;

    given_v1(w);
    assert_int_equal(open_tree(w, NULL), 0);
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &l, NULL), 0);
    l = (struct pf_cgroup_limits){.cpu_shares = 2048, .memory_bytes = 32 << 20};
    assert_int_equal(pf_cgroup_limit(&w->c, "c1", &l, NULL), 0);
    expect_file(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "67108864");
    expect_file(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpu.shares", "2048");
    expect_file(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpu.cfs_quota_us", "-1");
    expect_file(w, V1 "pids/proffer-a1/c1/pids.max", "max");
    l.memory_bytes = 128 << 20;
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &l, NULL), 0); /* it exists: as a change */
    expect_file(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "134217728");
    l.memory_bytes = 0;
    assert_int_equal(pf_cgroup_limit(&w->c, "c1", &l, NULL), 0);
    expect_file(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "-1");
}

static void test_v1_usage_is_read(void **state)
{
    struct world *w = *state;
    struct pf_cgroup_usage u;

    given_v1(w);
    assert_int_equal(open_tree(w, NULL), 0);
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.oom_control",
          "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.usage_in_bytes", "4096\n");
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.max_usage_in_bytes", "8192\n");
    given(w, V1 "mem ory/api/x y/proffer-a1/c1/memory.limit_in_bytes", "9223372036854771712\n");
    given(w, V1 "cpu,cpuacct/svc/proffer-a1/c1/cpuacct.usage", "7000000\n");
    pf_cgroup_usage(&w->c, "c1", &u);
    assert_true(u.has_memory);
    assert_int_equal(u.memory_bytes, 4096);
    assert_int_equal(u.memory_peak_bytes, 8192);
    assert_int_equal(u.memory_limit_bytes, 0);
    assert_int_equal(u.oom_kills, 3);
    assert_int_equal(u.cpu_us, 7000);
    pf_cgroup_usage(&w->c, "none", &u);
    assert_int_equal(u.memory_peak_bytes, 0);
}

/* A controller that is not mounted, and one whose path leads out of what is mounted. */
static void test_v1_uses_what_is_there(void **state)
{
    struct world *w = *state;

    given_v1(w);
    given(w, "proc/4711/cgroup", "6:pids:/elsewhere\n4:memory:/api/x y\n2:cpu,cpuacct:/../a\n");
    assert_int_equal(open_tree(w, NULL), 0);
    expect_text(w, "cgroups v1: memory");
}

static void test_nothing_mounted_is_named(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};

    assert_int_equal(open_tree(w, &err), PF_ENOENT);
    assert_non_null(strstr(err.msg, "proc/4711/cgroup"));
    given(w, "proc/4711/cgroup", "garbage\n::\n0::\n9:memory\n");
    given(w, "proc/4711/mountinfo", "1 2 3\n\n1 2 0:1 / /x rw - cgroup\n1 2 0:1 / /x rw -\n");
    pf_err_clear(&err);
    assert_int_equal(open_tree(w, &err), PF_ENOENT);
    assert_non_null(strstr(err.msg, "no cgroup hierarchy"));
}

/* The parent cannot be made in the one hierarchy that there is. */
static void test_refusal_is_named_by_file(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};

    given_v1(w);
    given(w, "proc/4711/cgroup", "4:memory:/api/x y\n");
    given(w, V1 "mem ory/api/x y/proffer-a1", "a file");
    /* What is no directory is no cgroup: containers cannot be made in it. */
    assert_int_equal(open_tree(w, &err), 0);
    assert_true(pf_cgroup_make(&w->c, "c1", &limits, &err) < 0);
    assert_int_equal(err.sys, ENOTDIR);
    assert_non_null(strstr(err.msg, "proffer-a1/c1"));
    pf_err_clear(&err);
    pf_cgroups_fini(&w->c);
    given(w, "proc/4711/cgroup", "4:memory:/gone\n");
    assert_int_equal(open_tree(w, &err), PF_ENOENT);
    assert_non_null(strstr(err.msg, "gone/proffer-a1"));
}

static void on_name(void *ctx, const char *name)
{
    char *all = ctx;
    size_t at = strlen(all);

    assert_true(at + strlen(name) + 2 < 256);
    (void)snprintf(all + at, 256 - at, "%s ", name);
}

static void test_containers_are_listed_once(void **state)
{
    struct world *w = *state;
    char all[256] = "";

    given_v1(w);
    assert_int_equal(open_tree(w, NULL), 0);
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &limits, NULL), 0);
    given(w, V1 "freezer/proffer-a1/c2/freezer.state", "THAWED\n");
    given(w, V1 "pids/proffer-a1/pids.max", "max\n");
    pf_cgroup_list(&w->c, on_name, all);
    assert_string_equal(all, "c1 c2 ");
}

/* The signal reaches who is in the list, also of a cgroup that the container made, and only when
 * they may not fork any more. */
static void test_v1_kill_freezes_signals_and_thaws(void **state)
{
    struct world *w = *state;
    char text[64];
    pid_t pid[2];

    given_v1(w);
    assert_int_equal(open_tree(w, NULL), 0);
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &limits, NULL), 0);
    assert_int_equal(pf_cgroup_kill(&w->c, "c1"), 0);
    expect_file(w, V1 "pids/proffer-a1/c1/pids.max", "100");
    for (int i = 0; i < 2; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) {
            for (;;) {
                (void)pause();
            }
        }
        (void)snprintf(text, sizeof text, "0\n%ld\n", (long)pid[i]);
        given(w,
              i == 0 ? V1 "freezer/proffer-a1/c1/cgroup.procs"
                     : V1 "freezer/proffer-a1/c1/own/cgroup.procs",
              text);
    }
    assert_int_equal(pf_cgroup_kill(&w->c, "c1"), 4);
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
    expect_file(w, V1 "pids/proffer-a1/c1/pids.max", "0");
    expect_file(w, V1 "freezer/proffer-a1/c1/freezer.state", "THAWED");
    assert_int_equal(pf_cgroup_remove(&w->c, "c1", NULL), 0);
    assert_false(is_there(w, V1 "freezer/proffer-a1/c1"));
}

/* --- v2 --------------------------------------------------------------------------------------- */

static void given_v2(const struct world *w)
{
    given(w, "proc/4711/cgroup", "0::/system.slice/l.service\n");
    given(w, "proc/4711/mountinfo",
          "29 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 "
          "rw,nsdelegate\n");
    given(w, V1 "system.slice/l.service/cgroup.controllers", "cpuset cpu io memory pids\n");
    given(w, V1 "system.slice/l.service/cgroup.subtree_control", "\n");
    given(w, V1 "system.slice/l.service/cgroup.type", "domain\n");
    given(w, V1 "system.slice/l.service/cgroup.procs", "4711\n");
}

#define SVC V1 "system.slice/l.service/"

static void test_v2_delegates_and_limits(void **state)
{
    struct world *w = *state;

    given_v2(w);
    assert_int_equal(open_tree(w, NULL), 0);
    assert_int_equal(w->c.version, 2);
    expect_text(w, "cgroups v2: cpu memory pids");
    expect_file(w, SVC "launcher/cgroup.procs", "4711");
    expect_file(w, SVC "cgroup.subtree_control", "+cpu +memory +pids");
    expect_file(w, SVC "proffer-a1/cgroup.subtree_control", "+cpu +memory +pids");
    assert_int_equal(pf_cgroup_make(&w->c, "c1", &limits, NULL), 0);
    expect_file(w, SVC "proffer-a1/c1/cpu.weight", "50");
    expect_file(w, SVC "proffer-a1/c1/cpu.max", "50000 100000");
    expect_file(w, SVC "proffer-a1/c1/memory.max", "67108864");
    expect_file(w, SVC "proffer-a1/c1/memory.swap.max", "0");
    expect_file(w, SVC "proffer-a1/c1/pids.max", "100");
    assert_false(is_there(w, SVC "proffer-a1/c1/memory.oom.group"));
    struct pf_cgroup_limits l = {.cpu_shares = 2, .memory_bytes = 1};
    assert_int_equal(pf_cgroup_limit(&w->c, "c1", &l, NULL), 0);
    expect_file(w, SVC "proffer-a1/c1/cpu.weight", "1");
    expect_file(w, SVC "proffer-a1/c1/cpu.max", "max");
    expect_file(w, SVC "proffer-a1/c1/memory.max", "67108864");
    l = (struct pf_cgroup_limits){.cpu_shares = UINT64_MAX};
    assert_int_equal(pf_cgroup_limit(&w->c, "c1", &l, NULL), 0);
    expect_file(w, SVC "proffer-a1/c1/cpu.weight", "10000");
    expect_file(w, SVC "proffer-a1/c1/memory.max", "max");
    expect_file(w, SVC "proffer-a1/c1/memory.swap.max", "max");
    given(w, SVC "proffer-a1/c1/cgroup.procs", "0\n"); /* somebody whom we do not see */
    assert_int_equal(pf_cgroup_kill(&w->c, "c1"), 1);
    expect_file(w, SVC "proffer-a1/c1/cgroup.kill", "1");
}

/* The launcher moved in an earlier life of the agent: the parents stay where they were. */
static void test_v2_finds_the_leaf_again(void **state)
{
    struct world *w = *state;

    given_v2(w);
    given(w, "proc/4711/cgroup", "0::/system.slice/l.service/launcher\n");
    given(w, SVC "launcher/cgroup.controllers", "cpu memory pids\n");
    given(w, SVC "launcher/cgroup.procs", "4711\n");
    given(w, SVC "cgroup.subtree_control", "cpu memory pids\n");
    assert_int_equal(open_tree(w, NULL), 0);
    assert_true(is_there(w, SVC "proffer-a1"));
    expect_file(w, SVC "cgroup.subtree_control", "cpu memory pids\n");
    expect_file(w, SVC "launcher/cgroup.procs", "4711\n");
    assert_false(is_there(w, SVC "launcher/proffer-a1"));
}

/* The root of the machine may hold both processes and groups: nobody has to move. */
static void test_v2_root_needs_no_leaf(void **state)
{
    struct world *w = *state;

    given_v2(w);
    given(w, "proc/4711/cgroup", "0::/\n");
    given(w, V1 "cgroup.controllers", "memory hugetlb\n");
    assert_int_equal(open_tree(w, NULL), 0);
    expect_text(w, "cgroups v2: memory");
    assert_false(is_there(w, V1 "launcher"));
    expect_file(w, V1 "cgroup.subtree_control", "+memory");
}

/* Handing on fails: the process goes back, and the reason names the file. */
static void test_v2_refused_delegation_is_undone(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};
    char path[512];

    given_v2(w);
    path_of(w, SVC "cgroup.subtree_control", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_true(open_tree(w, &err) < 0);
    assert_int_equal(err.sys, EISDIR);
    assert_non_null(strstr(err.msg, "cgroup.subtree_control"));
    expect_file(w, SVC "cgroup.procs", "4711");
    assert_false(is_there(w, SVC "proffer-a1"));
}

static void test_v2_usage_is_read(void **state)
{
    struct world *w = *state;
    struct pf_cgroup_usage u;

    given_v2(w);
    assert_int_equal(open_tree(w, NULL), 0);
    given(w, SVC "proffer-a1/c1/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n");
    given(w, SVC "proffer-a1/c1/memory.current", "1\n");
    given(w, SVC "proffer-a1/c1/memory.peak", "67100000\n");
    given(w, SVC "proffer-a1/c1/memory.max", "67108864\n");
    given(w, SVC "proffer-a1/c1/cpu.stat", "usage_usec 12345\nuser_usec 1\n");
    pf_cgroup_usage(&w->c, "c1", &u);
    assert_int_equal(u.oom_kills, 1);
    assert_int_equal(u.memory_peak_bytes, 67100000);
    assert_int_equal(u.memory_limit_bytes, 67108864);
    assert_int_equal(u.cpu_us, 12345);
    struct pf_cgroups probed = {0};
    const struct pf_str path = pf_str(w->c.dir[0].path);
    given(w, SVC "proffer-a1/cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(pf_cgroups_probe(&path, 1, &probed, NULL), 0);
    assert_int_equal(probed.version, 2);
    pf_cgroup_usage(&probed, "c1", &u);
    assert_int_equal(u.oom_kills, 1);
    pf_cgroups_fini(&probed);
}

static void test_too_long_names_are_refused(void **state)
{
    struct world *w = *state;
    char name[8192];
    struct pf_err err = {0};
    const struct pf_str nowhere = PF_STR("/tmp/proffer-none");
    const struct pf_str foreign[] = {PF_STR("/sys/fs/cgroup/memory"), PF_STR("proffer-a"),
                                     PF_STR(""), PF_STR("/a/../proffer-a")};
    struct pf_cgroups none = {0};

    given_v2(w);
    assert_int_equal(open_tree(w, NULL), 0);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(pf_cgroup_make(&w->c, name, &limits, &err), PF_ELIMIT);
    assert_int_equal(err.sys, ENAMETOOLONG);
    assert_int_equal(pf_cgroup_remove(&w->c, name, NULL), PF_ELIMIT);
    assert_int_equal(pf_cgroups_probe(&nowhere, 1, &none, NULL), PF_ENOENT);
    for (size_t i = 0; i < PF_ARRAY_LEN(foreign); i++) {
        assert_int_equal(pf_cgroups_probe(&foreign[i], 1, &none, NULL), PF_EINVAL);
    }
    assert_int_equal(pf_cgroup_kill(&none, "c1"), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_v1_makes_a_container_in_each_hierarchy),
        CASE(test_v1_memory_is_only_raised),
        CASE(test_v1_usage_is_read),
        CASE(test_v1_uses_what_is_there),
        CASE(test_nothing_mounted_is_named),
        CASE(test_refusal_is_named_by_file),
        CASE(test_containers_are_listed_once),
        CASE(test_v1_kill_freezes_signals_and_thaws),
        CASE(test_v2_delegates_and_limits),
        CASE(test_v2_finds_the_leaf_again),
        CASE(test_v2_root_needs_no_leaf),
        CASE(test_v2_refused_delegation_is_undone),
        CASE(test_v2_usage_is_read),
        CASE(test_too_long_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
