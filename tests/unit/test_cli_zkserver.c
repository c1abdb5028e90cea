/* SPDX-License-Identifier: Apache-2.0 */
/* How the private ZooKeeper of a local cluster is configured, started and asked. */
#include "framework/cli/zkserver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "framework/cli/ports.h"

static const struct pf_zk_ports ports[3] = {
    {21001, 21002, 21003, ""}, {21004, 21005, 21006, ""}, {21007, 21008, 21009, ""}};
static const struct pf_zk_ports hosts[3] = {{2181, 2888, 3888, "10.213.0.2"},
                                            {2181, 2888, 3888, "10.213.0.3"},
                                            {2181, 2888, 3888, "10.213.0.4"}};

static int setup(void **state)
{
    *state = PF_NEW(struct pf_arena);
    return 0;
}

static int teardown(void **state)
{
    pf_arena_fini(*state);
    pf_free(*state);
    return 0;
}

static bool has_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    return at != NULL && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

/* A server alone must not be told of an ensemble: it would wait for others. */
static void test_zkserver_config_of_one_knows_no_others(void **state)
{
    const char *text = pf_zk_config("/c/zk1", ports, 1, 0, *state);
    assert_true(has_line(text, "clientPort=21001"));
    assert_true(has_line(text, "clientPortAddress=127.0.0.1"));
    assert_true(has_line(text, "dataDir=/c/zk1/data"));
    assert_true(has_line(text, "tickTime=500"));
    assert_true(has_line(text, "commitLogCount=100"));
    assert_true(has_line(text, "4lw.commands.whitelist=srvr,ruok,stat,mntr"));
    assert_null(strstr(text, "server."));
}

static void test_zkserver_config_of_three_names_all(void **state)
{
    const char *text = pf_zk_config("/c/zk2", ports, 3, 1, *state);
    assert_true(has_line(text, "clientPort=21004"));
    assert_true(has_line(text, "syncLimit=2"));
    assert_true(has_line(text, "server.1=127.0.0.1:21002:21003"));
    assert_true(has_line(text, "server.3=127.0.0.1:21008:21009"));
    text = pf_zk_config("/c/zk2", hosts, 3, 1, *state);
    assert_true(has_line(text, "clientPortAddress=10.213.0.3"));
    assert_true(has_line(text, "server.3=10.213.0.4:2888:3888"));
}

static void test_zkserver_url_names_all_servers(void **state)
{
    assert_string_equal(pf_zk_url("pw", ports, 1, *state),
                        "zk://proffer:pw@127.0.0.1:21001/proffer");
    assert_string_equal(pf_zk_url("pw", ports, 3, *state),
                        "zk://proffer:pw@127.0.0.1:21001,127.0.0.1:21004,127.0.0.1:21007/proffer");
    assert_string_equal(pf_zk_url("pw", hosts, 1, *state),
                        "zk://proffer:pw@10.213.0.2:2181/proffer");
}

static void test_zkserver_heap_grows_with_the_registry(void **state)
{
    (void)state;
    assert_int_equal(pf_zk_heap_mib(0), 64);
    assert_int_equal(pf_zk_heap_mib(2), 64);
    assert_int_equal(pf_zk_heap_mib(50000), 64 + 195);
}

/* The password is on no command line: it is in the masters' file only. */
static void test_zkserver_command_begins_with_java_and_ends_with_its_file(void **state)
{
    struct pf_spawn_args args = {0};
    pf_zk_command("/j/bin/java", "/c/zk1", 65, *state, &args);
    assert_string_equal(args.at[0], "/j/bin/java");
    assert_string_equal(args.at[1], "-Xmx65m");
    assert_string_equal(args.at[args.n - 1], "/c/zk1/zoo.cfg");
    assert_null(args.at[args.n]);
}

/* A server that runs but has no leader to follow does not serve. */
static void test_zkserver_serves_once_it_says_its_mode(void **state)
{
    (void)state;
    assert_true(pf_zk_is_serving(PF_STR("Zookeeper version: 3.8.0\nMode: standalone\nNode: 5\n")));
    assert_true(pf_zk_is_serving(PF_STR("Zxid: 0x0\nMode: ")));
    assert_false(
        pf_zk_is_serving(PF_STR("This ZooKeeper instance is not currently serving requests\n")));
    assert_false(pf_zk_is_serving(PF_STR("\nMode")));
    assert_false(pf_zk_is_serving((struct pf_str){0}));
}

static const char *java_home, *path;

static const char *env(const char *name)
{
    return strcmp(name, "JAVA_HOME") == 0 ? java_home : strcmp(name, "PATH") == 0 ? path : NULL;
}

static void test_zkserver_java_of_java_home_then_of_path(void **state)
{
    char root[] = "/tmp/proffer-test-XXXXXX";
    struct pf_arena *arena = *state;
    assert_non_null(mkdtemp(root));
    const char *bin = pf_arena_printf(arena, "%s/bin", root).at;
    const char *java = pf_arena_printf(arena, "%s/java", bin).at;
    assert_int_equal(pf_mkdir_p(bin, 0700, NULL), 0);
    java_home = path = NULL;
    assert_null(pf_zk_java(env, arena));
    path = pf_arena_printf(arena, ":/nowhere:%s", bin).at;
    java_home = root;
    assert_null(pf_zk_java(env, arena));
    assert_int_equal(pf_file_write(java, "", 0, 0755, NULL), 0);
    java_home = "/nowhere";
    assert_string_equal(pf_zk_java(env, arena), java);
    path = "";
    assert_null(pf_zk_java(env, arena));
    java_home = root;
    assert_string_equal(pf_zk_java(env, arena), java);
    assert_int_equal(pf_remove_tree(root, NULL), 0);
}

static void test_zkserver_check_names_the_packages(void **state)
{
    struct pf_err err = {0};
    const char *hint = NULL;
    (void)state;
    assert_int_equal(pf_zk_check(NULL, "/c", &hint, &err), PF_ENOENT);
    assert_non_null(strstr(hint, "zookeeper default-jre-headless"));
    pf_err_clear(&err);
    assert_int_equal(pf_zk_check("/java", "/a b/\xc3\xa4", &hint, &err), PF_EINVAL);
    assert_non_null(strstr(hint, "--dir"));
}

/* No port twice, none of those that outgoing connections get. */
static void test_ports_picked_are_different(void **state)
{
    struct pf_port_picker p;
    (void)state;
    pf_port_picker_init(&p, 9999);
    uint16_t first = pf_port_pick(&p), second = pf_port_pick(&p);
    assert_int_not_equal(first, second);
    assert_in_range(first, 20000, 29999);
    assert_in_range(second, 20000, 29999);
    p.n_left = 0;
    assert_int_equal(pf_port_pick(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_zkserver_config_of_one_knows_no_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_config_of_three_names_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_url_names_all_servers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_heap_grows_with_the_registry, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_zkserver_command_begins_with_java_and_ends_with_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_serves_once_it_says_its_mode, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_java_of_java_home_then_of_path, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_zkserver_check_names_the_packages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ports_picked_are_different, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
