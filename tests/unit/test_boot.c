/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the machine and its processes, and descriptors. */
#include "common/sys/boot.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "common/base/id.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "tests/support/test.h"

static void test_ids_are_stable(void **state)
{
    char dir[] = "/tmp/pf-boot-XXXXXX", path[64];
    char boot[2][PF_BOOT_ID_LEN + 1], machine[2][PF_MACHINE_ID_LEN + 1];
    struct pf_uuid id;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/machine-id", dir);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pf_boot_id(boot[i], NULL), 0);
        assert_int_equal(pf_machine_id(path, machine[i], NULL), 0);
    }
    assert_true(pf_uuid_parse(pf_str(boot[0]), &id));
    assert_string_equal(boot[0], boot[1]);
    assert_int_equal(strspn(machine[0], "0123456789abcdef"), PF_MACHINE_ID_LEN);
    assert_string_equal(machine[0], machine[1]);
    assert_int_equal(pf_remove_tree(dir, NULL), 0);
}

static void test_start_time_tells_processes_apart(void **state)
{
    uint64_t own = 0, again = 0, init = 0;

    (void)state;
    assert_int_equal(pf_pid_start_time(getpid(), &own, NULL), 0);
    assert_int_equal(prctl(PR_SET_NAME, "a) b (c"), 0); /* a name made to confuse */
    assert_int_equal(pf_pid_start_time(getpid(), &again, NULL), 0);
    assert_true(own > 0);
    assert_int_equal(own, again);
    assert_int_equal(pf_pid_start_time(1, &init, NULL), 0);
    assert_true(init <= own);
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(pf_pid_start_time(child, &again, NULL), PF_ENOENT);
    assert_int_equal(again, own);
}

static void test_cpus_and_memory(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    assert_in_range(pf_cpu_count(), 1, 1 << 16);
    assert_true((long)pf_cpu_count() <= sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(pf_memory_total(&bytes, NULL), 0);
    assert_true(bytes > 1 << 20);
    assert_true(bytes <= (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE));
}

static void test_flags_of_descriptors(void **state)
{
    int fd[2];

    (void)state;
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(pf_fd_set_cloexec(fd[0], true, NULL), 0);
    assert_true((fcntl(fd[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(pf_fd_set_cloexec(fd[0], false, NULL), 0);
    assert_true((fcntl(fd[0], F_GETFD) & FD_CLOEXEC) == 0);
    assert_int_equal(pf_fd_set_nonblock(fd[0], true, NULL), 0);
    assert_true((fcntl(fd[0], F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(pf_fd_set_nonblock(fd[0], false, NULL), 0);
    assert_true((fcntl(fd[0], F_GETFL) & O_NONBLOCK) == 0);
    pf_fd_close(&fd[0]);
    pf_fd_close(&fd[1]);
    assert_int_equal(fd[0], -1);
    pf_fd_close(&fd[0]);
    assert_true(pf_fd_set_cloexec(-1, true, NULL) < 0);
}

static void test_writing_all(void **state)
{
    static char big[1 << 20];
    int fd[2], status = 0;

    (void)state;
    assert_int_equal(pipe(fd), 0);
    pid_t child = fork();
    if (child == 0) { /* reads in small pieces */
        char piece[1000];
        size_t n = 0;
        ssize_t got;

        close(fd[1]);
        while ((got = read(fd[0], piece, sizeof piece)) > 0) {
            n += (size_t)got;
        }
        _exit(n == sizeof big ? 0 : 1);
    }
    assert_int_equal(pf_fd_write_all(fd[1], big, sizeof big, NULL), 0);
    pf_fd_close(&fd[0]);
    pf_fd_close(&fd[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(pf_fd_write_all(-1, "x", 1, NULL) < 0);
}

static void close_from_20(void *ctx)
{
    (void)ctx;
    int low = fcntl(STDOUT_FILENO, F_DUPFD, 10), high = fcntl(STDOUT_FILENO, F_DUPFD, 20);
    int higher = fcntl(STDOUT_FILENO, F_DUPFD, 200);

    pf_fd_close_from(20);
    if (fcntl(low, F_GETFD) >= 0 && fcntl(high, F_GETFD) < 0 && fcntl(higher, F_GETFD) < 0) {
        abort(); /* what test_aborts takes for success */
    }
}

static void test_closing_all_above(void **state)
{
    (void)state;
    assert_true(test_aborts(close_from_20, NULL));
}

static void test_limit_of_descriptors(void **state)
{
    struct rlimit limit;
    uint64_t now = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pf_fd_raise_limit(&now, NULL), 0);
    assert_int_equal(now, limit.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_stable),
        cmocka_unit_test(test_start_time_tells_processes_apart),
        cmocka_unit_test(test_cpus_and_memory),
        cmocka_unit_test(test_flags_of_descriptors),
        cmocka_unit_test(test_writing_all),
        cmocka_unit_test(test_closing_all_above),
        cmocka_unit_test(test_limit_of_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
