/* SPDX-License-Identifier: Apache-2.0 */
/* The real proffer-launcher and containers of the kernel: who starts in one, what is told of its
 * end, and that nothing is left. Needs writable cgroups (see tests/needs). */
#include "tests/support/launcher_client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { EXIT_SKIP = 77, MIB = 1 << 20 };

struct world {
    struct launcher_client c;
    struct pf_cgroups g;
};

static int make_parents(struct pf_cgroups *out)
{
    char name[64];
    const struct pf_cgroup_options o = {.root = "", .pid = getpid(), .name = name};

    (void)snprintf(name, sizeof name, "launcher-test-%ld", (long)getpid());
    return pf_cgroups_open(&o, out, NULL);
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    *state = w;
    client_open(&w->c);
    return make_parents(&w->g);
}

/* The launcher removes what it knew when it ends. */
static int teardown(void **state)
{
    struct world *w = *state;

    client_finish(&w->c);
    bool is_left = access(w->g.dir[0].path, F_OK) == 0;
    bool is_cleared = pf_cgroups_clear(&w->g) == 0;
    pf_cgroups_fini(&w->g);
    test_free(w);
    return is_left || !is_cleared ? -1 : 0;
}

static void make(const struct world *w, struct pf_uuid container, uint64_t memory, uint64_t pids)
{
    const struct pf_cgroup_limits l = {.cpu_shares = 102, .memory_bytes = memory, .pids = pids};
    char name[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(container, name);
    assert_int_equal(pf_cgroup_make(&w->g, name, &l, NULL), 0);
}

static struct start_spec owner(const struct world *w, struct pf_uuid uuid, const char *script)
{
    return (struct start_spec){.uuid = uuid,
                               .path = "/bin/sh",
                               .args = {"sh", "-c", script},
                               .env = {"PATH=/usr/bin:/bin"},
                               .cgroups = &w->g,
                               .container = uuid,
                               .owns_container = true};
}

/* Processes in the container, in the first hierarchy. */
static uint32_t n_inside(const struct world *w, struct pf_uuid container)
{
    char name[PF_UUID_TEXT_LEN + 1];
    char path[4096];
    uint32_t n = 0;
    int c;

    pf_uuid_format(container, name);
    (void)snprintf(path, sizeof path, "%s/%s/cgroup.procs", w->g.dir[0].path, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    while ((c = fgetc(f)) != EOF) {
        n += c == '\n' ? 1 : 0;
    }
    assert_int_equal(fclose(f), 0);
    return n;
}

static void remove_it(const struct world *w, struct pf_uuid container)
{
    char name[PF_UUID_TEXT_LEN + 1];
    struct pf_err err = {0};

    pf_uuid_format(container, name);
    assert_int_equal(pf_cgroup_remove(&w->g, name, &err), 0);
}

/* In the cgroup of each controller from its first instruction on, and it says what it used. */
static void test_start_enters_every_hierarchy(void **state)
{
    struct world *w = *state;
    struct pf_uuid id = uuid_of(1);
    char out[300];
    char text[4096];
    char name[PF_UUID_TEXT_LEN + 1];
    uint32_t n = 0;

    make(w, id, 64 * MIB, 10);
    struct start_spec s = owner(w, id, "cat /proc/self/cgroup");
    (void)snprintf(out, sizeof out, "%s/out", w->c.dir);
    s.out = out;
    client_start(&w->c, &s);
    struct LauncherProcess p = client_end(&w->c, id);
    assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    assert_int_equal(LauncherProcess_oom_kills(p), 0);
    assert_int_equal(LauncherProcess_memory_limit_bytes(p), 64 * MIB);
    assert_in_range(LauncherProcess_memory_peak_bytes(p), 4096, 64 * MIB);
    client_read_file(&w->c, "out", text, sizeof text);
    pf_uuid_format(id, name);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
        n++;
    }
    assert_true(n >= w->g.n_dirs);
    remove_it(w, id); /* nothing is in it once its end is told */
}

/* A second process of the container does not end it. */
static void test_guest_ends_alone(void **state)
{
    struct world *w = *state;
    struct pf_uuid id = uuid_of(1);
    struct start_spec s = owner(w, id, "exec sleep 1000");

    make(w, id, 64 * MIB, 10);
    client_start(&w->c, &s);
    (void)client_report(&w->c, id);
    struct start_spec guest = owner(w, uuid_of(2), "exit 3");
    guest.container = id;
    guest.owns_container = false;
    client_start(&w->c, &guest);
    struct LauncherProcess p = client_end(&w->c, uuid_of(2));
    assert_int_equal(LauncherProcess_wait_status(p), 3 << 8);
    assert_int_equal(LauncherProcess_memory_limit_bytes(p), 0);
    assert_int_equal(n_inside(w, id), 1);
    client_signal(&w->c, id, SIGTERM);
    p = client_end(&w->c, id);
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGTERM);
}

static void test_memory_hog_is_told_with_limit_and_peak(void **state)
{
    struct world *w = *state;
    struct pf_uuid id = uuid_of(1);
    struct start_spec s = owner(w, id, "x=0123456789abcdef; while :; do x=$x$x; done");

    make(w, id, 32 * MIB, 10);
    client_start(&w->c, &s);
    struct LauncherProcess p = client_end(&w->c, id);
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGKILL);
    assert_true(LauncherProcess_oom_kills(p) >= 1);
    assert_int_equal(LauncherProcess_memory_limit_bytes(p), 32 * MIB);
    assert_in_range(LauncherProcess_memory_peak_bytes(p), 30 * MIB, 32 * MIB);
    /* It is told again to who asks, and by a successor too. */
    for (int round = 0; round < 2; round++) {
        client_list(&w->c);
        p = client_report(&w->c, id);
        assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
        assert_true(LauncherProcess_oom_kills(p) >= 1);
        assert_int_equal(LauncherProcess_memory_limit_bytes(p), 32 * MIB);
        assert_in_range(LauncherProcess_memory_peak_bytes(p), 30 * MIB, 32 * MIB);
        if (round == 0) {
            assert_int_equal(kill(w->c.pid, SIGKILL), 0);
            (void)client_wait(&w->c);
            client_close(&w->c);
            client_spawn(&w->c);
        }
    }
}

/* The bomb fills its container; a neighbour starts and ends meanwhile; KILL ends every part. */
static void test_fork_bomb_leaves_neighbours_alone(void **state)
{
    struct world *w = *state;
    struct pf_uuid bomb = uuid_of(1);
    struct pf_uuid neighbour = uuid_of(2);
    /* Shells give up when they cannot fork; what they started stays, and fills the container. */
    struct start_spec s =
        owner(w, bomb,
              "for i in 1 2 3; do (while :; do sleep 1000 & done) 2>/dev/null & done; "
              "exec sleep 1000");
    struct LauncherProcess p;

    make(w, bomb, 128 * MIB, 30);
    make(w, neighbour, 64 * MIB, 30);
    client_start(&w->c, &s);
    (void)client_report(&w->c, bomb);
    while (n_inside(w, bomb) < 27) { /* the last forks may belong to shells that end */
    }
    for (uint32_t i = 2; i < 12; i++) {
        struct start_spec n = owner(w, uuid_of(i), "exit 5");
        n.container = neighbour;
        n.owns_container = i == 2;
        client_start(&w->c, &n);
        p = client_end(&w->c, uuid_of(i));
        assert_int_equal(LauncherProcess_wait_status(p), 5 << 8);
    }
    client_signal(&w->c, bomb, SIGKILL);
    p = client_end(&w->c, bomb);
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGKILL);
    assert_int_equal(n_inside(w, bomb), 0);
    remove_it(w, bomb);
}

/* A session of its own, no mark in its environment, two forks away: gone before the end is told. */
static void test_detached_descendants_end_before_it_is_told(void **state)
{
    struct world *w = *state;
    struct pf_uuid id = uuid_of(1);
    struct start_spec s =
        owner(w, id,
              "for i in 1 2 3; do (setsid env -i sh -c 'trap \"\" TERM HUP; sleep 1000 & wait' "
              "&) ; done; exit 4");

    make(w, id, 64 * MIB, 30);
    client_start(&w->c, &s);
    struct LauncherProcess p = client_end(&w->c, id);
    assert_int_equal(LauncherProcess_wait_status(p), 4 << 8);
    assert_int_equal(n_inside(w, id), 0);
    remove_it(w, id);
}

static void expect_failure(struct world *w, const struct start_spec *s, int error)
{
    client_start(&w->c, s);
    struct LauncherProcess p = client_end(&w->c, s->uuid);
    assert_int_equal(LauncherProcess_state(p), LauncherState_FAILED);
    assert_int_equal(LauncherProcess_error(p), error);
    assert_true(pf_str_is(LauncherProcess_stage(p), "cgroup"));
}

static void test_missing_container_is_named(void **state)
{
    struct world *w = *state;
    struct start_spec s = owner(w, uuid_of(1), "exit 0");
    struct pf_cgroups elsewhere = {.version = 1, .n_dirs = 1};

    expect_failure(w, &s, ENOENT); /* never made */
    s.uuid = uuid_of(2);           /* it would own somebody else's */
    expect_failure(w, &s, EINVAL);
    elsewhere.dir[0].path = (char *)(uintptr_t) "/sys/fs/cgroup";
    s.container = s.uuid = uuid_of(3); /* whose parent is none of ours */
    s.cgroups = &elsewhere;
    expect_failure(w, &s, EINVAL);
}

/* Both live: one has a detached child, the other ended while nobody looked. The successor ends
 * what they left and says what it knows. */
static void test_successor_ends_what_is_left(void **state)
{
    struct world *w = *state;
    struct pf_uuid lives = uuid_of(1);
    struct pf_uuid ended = uuid_of(2);
    struct start_spec s = owner(w, lives, "(setsid env -i sleep 1000 &); exec sleep 1000");

    make(w, lives, 64 * MIB, 30);
    make(w, ended, 64 * MIB, 30);
    client_start(&w->c, &s);
    (void)client_report(&w->c, lives);
    s = owner(w, ended, "(setsid env -i sleep 1000 &); exec sleep 1000");
    client_start(&w->c, &s);
    pid_t pid = (pid_t)LauncherProcess_pid(client_report(&w->c, ended));
    while (n_inside(w, lives) < 2 || n_inside(w, ended) < 2) {
    }
    assert_int_equal(kill(w->c.pid, SIGKILL), 0);
    (void)client_wait(&w->c);
    client_close(&w->c);
    assert_int_equal(kill(pid, SIGKILL), 0);
    client_spawn(&w->c);
    client_list(&w->c);
    struct LauncherProcess p = client_end(&w->c, ended);
    assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
    assert_int_equal(LauncherProcess_wait_status(p), -1);
    assert_int_equal(LauncherProcess_memory_limit_bytes(p), 64 * MIB);
    assert_int_equal(n_inside(w, ended), 0);
    assert_int_equal(n_inside(w, lives), 2);
    client_signal(&w->c, lives, SIGTERM);
    p = client_end(&w->c, lives);
    assert_int_equal(LauncherProcess_wait_status(p), -1);
    assert_int_equal(LauncherProcess_memory_limit_bytes(p), 64 * MIB);
    assert_int_equal(n_inside(w, lives), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_start_enters_every_hierarchy),
        CASE(test_guest_ends_alone),
        CASE(test_memory_hog_is_told_with_limit_and_peak),
        CASE(test_fork_bomb_leaves_neighbours_alone),
        CASE(test_detached_descendants_end_before_it_is_told),
        CASE(test_missing_container_is_named),
        CASE(test_successor_ends_what_is_left),
    };
    struct pf_cgroups probe = {0};

    if (make_parents(&probe) != 0) {
        (void)fprintf(stderr, "needs a writable cgroup with controllers\n");
        return EXIT_SKIP;
    }
    (void)pf_cgroups_clear(&probe); /* each test makes its own */
    pf_cgroups_fini(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
