/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's containers on cgroups of the kernel: made, told, removed after the end and after a
 * crash. Needs writable cgroups (see tests/needs). */
#include "agent/daemon/containers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/alloc.h"
#include "tests/support/test.h"

enum { EXIT_SKIP = 77, TURNS_MAX = 20000 };

static const struct pf_agent_limits limits = {
    .cpu_shares = 102, .memory_bytes = 64 << 20, .pids = 20};

struct world {
    struct pf_loop *loop;
    struct pf_containers *x;
    char name[64];
};

static struct pf_uuid uuid_of(uint8_t n)
{
    return (struct pf_uuid){{0x70, [15] = n}};
}

static void open_anew(struct world *w)
{
    w->x = pf_containers_create(w->loop, PF_ISOLATION_CGROUPS, w->name);
    assert_int_equal(pf_containers_open(w->x, getpid(), NULL), 0);
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    (void)snprintf(w->name, sizeof w->name, "containers-test-%ld", (long)getpid());
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    open_anew(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = w->name};
    struct pf_cgroups c = {0};

    bool has_containers = pf_containers_counters(w->x)->n_known > 0;
    bool is_on = strstr(pf_containers_text(w->x), "cgroups v") != NULL;
    assert_int_equal(pf_cgroups_open(&o, &c, NULL), 0);
    pf_containers_destroy(w->x);
    pf_loop_destroy(w->loop);
    assert_int_equal(access(c.dir[0].path, F_OK) == 0, has_containers || !is_on);
    uint32_t n_left = pf_cgroups_clear(&c);
    pf_cgroups_fini(&c);
    test_free(w);
    return n_left == 0 ? 0 : -1;
}

/* How many of its directories are there. */
static uint32_t n_there(struct world *w, struct pf_uuid uuid)
{
    struct pf_str dir[PF_CGROUP_DIRS_MAX];
    uint32_t n = 0;

    uint32_t n_dirs = pf_containers_dirs(w->x, uuid, dir);
    for (uint32_t i = 0; i < n_dirs; i++) {
        n += access(dir[i].at, F_OK) == 0 ? 1 : 0;
    }
    return n;
}

static void expect_none_left(struct world *w)
{
    const struct pf_containers_counters *c = pf_containers_counters(w->x);

    for (int i = 0; c->n_removing > 0; i++) {
        assert_true(i < TURNS_MAX);
        assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    }
}

static pid_t start_in(struct world *w, struct pf_uuid uuid)
{
    struct pf_str dir[PF_CGROUP_DIRS_MAX];
    char path[5000];
    uint32_t n = pf_containers_dirs(w->x, uuid, dir);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        for (;;) {
            (void)pause();
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/cgroup.procs", dir[i].at);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fprintf(f, "%ld", (long)pid) > 0);
        assert_int_equal(fclose(f), 0);
    }
    return pid;
}

static void test_container_is_made_and_removed(void **state)
{
    struct world *w = *state;
    struct pf_sandbox_failure why = {0, NULL};
    struct pf_str dir[PF_CGROUP_DIRS_MAX];

    pf_containers_list_end(w->x);
    assert_non_null(strstr(pf_containers_text(w->x), "cgroups v"));
    assert_int_equal(pf_containers_dirs(w->x, uuid_of(1), dir), 0); /* not made: none */
    assert_true(pf_containers_make(w->x, uuid_of(1), &limits, &why));
    assert_true(pf_containers_make(w->x, uuid_of(1), &limits, &why)); /* said twice */
    assert_true(n_there(w, uuid_of(1)) > 0);
    pf_containers_limit(w->x, uuid_of(1), &limits);
    pf_containers_limit(w->x, uuid_of(2), &limits); /* nobody's */
    uint32_t n = pf_containers_dirs(w->x, uuid_of(1), dir);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s", dir[n - 1].at);
    pf_containers_remove(w->x, uuid_of(1));
    pf_containers_remove(w->x, uuid_of(1));
    pf_containers_remove(w->x, uuid_of(2));
    expect_none_left(w);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(pf_containers_counters(w->x)->n_known, 0);
    assert_int_equal(pf_containers_counters(w->x)->removed, 1);
}

/* What still runs in it is ended; one that is made again meanwhile stays. */
static void test_removal_ends_what_runs_and_may_be_taken_back(void **state)
{
    struct world *w = *state;
    struct pf_sandbox_failure why = {0, NULL};
    int status;

    pf_containers_list_end(w->x);
    assert_true(pf_containers_make(w->x, uuid_of(1), &limits, &why));
    assert_true(pf_containers_make(w->x, uuid_of(2), &limits, &why));
    pid_t pid = start_in(w, uuid_of(1));
    pf_containers_remove(w->x, uuid_of(1));
    pf_containers_remove(w->x, uuid_of(2));
    assert_true(pf_containers_make(w->x, uuid_of(2), &limits, &why));
    expect_none_left(w);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_true(n_there(w, uuid_of(2)) > 0);
    assert_int_equal(pf_containers_counters(w->x)->n_known, 1);
}

/* After a crash: what the launcher lists stays, by its own uuid or its fetcher's; the rest goes. */
static void test_unknown_containers_go_after_a_crash(void **state)
{
    struct world *w = *state;
    struct pf_sandbox_failure why = {0, NULL};
    int status;

    pf_containers_list_end(w->x);
    for (uint8_t i = 1; i <= 4; i++) {
        assert_true(pf_containers_make(w->x, uuid_of(2 * i), &limits, &why));
    }
    pid_t pid = start_in(w, uuid_of(2));
    pf_containers_destroy(w->x);
    open_anew(w);
    pf_containers_listed(w->x, uuid_of(4));
    pf_containers_listed(w->x, pf_agent_process_uuid(uuid_of(6), PF_AGENT_ROLE_FETCH));
    assert_true(pf_containers_make(w->x, uuid_of(8), &limits, &why)); /* begun anew */
    pf_containers_list_end(w->x);
    expect_none_left(w);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(n_there(w, uuid_of(2)), 0);
    assert_true(n_there(w, uuid_of(4)) > 0);
    assert_true(n_there(w, uuid_of(6)) > 0);
    assert_true(n_there(w, uuid_of(8)) > 0);
    assert_int_equal(pf_containers_counters(w->x)->stale, 1);
    /* Another list, as after a restart of the launcher: what is known stays known. */
    assert_int_equal(pf_containers_open(w->x, getpid(), NULL), 0);
    pf_containers_list_end(w->x);
    expect_none_left(w);
    assert_int_equal(pf_containers_counters(w->x)->n_known, 3);
}

static void test_without_cgroups_all_succeeds(void **state)
{
    struct world *w = *state;
    struct pf_sandbox_failure why = {0, NULL};
    struct pf_str dir[PF_CGROUP_DIRS_MAX];
    struct pf_err err = {0};

    pf_containers_destroy(w->x);
    w->x = pf_containers_create(w->loop, PF_ISOLATION_NONE, w->name);
    assert_int_equal(pf_containers_open(w->x, getpid(), NULL), 0);
    pf_containers_listed(w->x, uuid_of(1));
    pf_containers_list_end(w->x);
    assert_string_equal(pf_containers_text(w->x), "accounted, not enforced");
    assert_true(pf_containers_make(w->x, uuid_of(1), &limits, &why));
    pf_containers_limit(w->x, uuid_of(1), &limits);
    assert_int_equal(pf_containers_dirs(w->x, uuid_of(1), dir), 0);
    pf_containers_remove(w->x, uuid_of(1));
    pf_containers_destroy(w->x);
    /* A launcher that is gone is in no cgroup: nothing but an error, if they were demanded. */
    w->x = pf_containers_create(w->loop, PF_ISOLATION_AUTO, w->name);
    assert_int_equal(pf_containers_open(w->x, INT32_MAX, NULL), 0);
    assert_string_equal(pf_containers_text(w->x), "accounted, not enforced");
    pf_containers_destroy(w->x);
    w->x = pf_containers_create(w->loop, PF_ISOLATION_CGROUPS, w->name);
    assert_int_equal(pf_containers_open(w->x, INT32_MAX, &err), PF_ENOENT);
    assert_non_null(strstr(err.msg, "--isolation cgroups"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_container_is_made_and_removed),
        CASE(test_removal_ends_what_runs_and_may_be_taken_back),
        CASE(test_unknown_containers_go_after_a_crash),
        CASE(test_without_cgroups_all_succeeds),
    };
    char name[64];
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = name};
    struct pf_cgroups c = {0};

    (void)snprintf(name, sizeof name, "containers-test-%ld", (long)getpid());
    if (pf_cgroups_open(&o, &c, NULL) != 0) {
        (void)fprintf(stderr, "needs a writable cgroup with controllers\n");
        return EXIT_SKIP;
    }
    pf_cgroups_fini(&c);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
