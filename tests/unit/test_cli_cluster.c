/* SPDX-License-Identifier: Apache-2.0 */
/* Which cluster is meant: every pair of ways to say it, and what local clusters leave on disk. */
#include "framework/cli/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"

struct fixture {
    struct pf_arena arena;
    char root[64];
    const char *state, *config;
    struct pf_cluster_ask ask;
    struct pf_cluster c;
    const char *hint;
    struct pf_err err;
};

static void write_text(const char *path, const char *text)
{
    assert_int_equal(pf_file_write(path, text, strlen(text), 0600, NULL), 0);
}

/* A local cluster as the supervisor leaves it. */
static const char *make_local(struct fixture *f, const char *name, const char *native, bool has_key)
{
    const char *dir = pf_local_path(&f->arena, f->state, name);
    struct pf_fb_builder b;
    struct pf_err err = {0};
    assert_int_equal(pf_mkdir_p(dir, 0700, &err), 0);
    pf_fb_builder_init(&b, &f->arena);
    struct LocalDaemon__args master = {.name = PF_STR("master"), .native = pf_str(native)};
    struct LocalDaemon__args agent = {.name = PF_STR("agent-0"),
                                      .native = PF_STR("127.0.0.1:9999")};
    struct pf_ref refs[2] = {LocalDaemon__put(&b, &master), LocalDaemon__put(&b, &agent)};
    struct LocalCluster__args args = {.format = 1, .name = pf_str(name), .state = PF_STR("up"),
                                      .daemons = {refs, 2}};
    struct pf_msg msg = LocalCluster__finish(&b, LocalCluster__put(&b, &args));
    assert_int_equal(pf_local_write(dir, msg, &err), 0);
    if (has_key) {
        write_text(pf_local_path(&f->arena, dir, "key"), "x");
    }
    return dir;
}

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);
    (void)snprintf(f->root, sizeof f->root, "/tmp/proffer-test-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->state = pf_local_path(&f->arena, f->root, "state");
    f->config = pf_local_path(&f->arena, f->root, "config");
    (void)make_local(f, "one", "127.0.0.1:6001", true);
    (void)make_local(f, "two", "127.0.0.1:6002", false);
    write_text(f->config, "# clusters\n[prod]\nmaster = h1:5055, \n key-file=/etc/key\n\n"
                          "[both]\nmaster = a:1\ndir = /x\n[bad]\nnonsense\n[rel]\n"
                          "master = h2,h3:7000\n");
    f->ask.state_root = f->state;
    f->ask.config_file = f->config;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(pf_remove_tree(f->root, NULL), 0);
    pf_arena_fini(&f->arena);
    pf_free(f);
    return 0;
}

static int choose(struct fixture *f)
{
    memset(&f->err, 0, sizeof f->err);
    memset(&f->c, 0, sizeof f->c);
    f->hint = NULL;
    return pf_cluster_choose(&f->ask, &f->arena, &f->c, &f->hint, &f->err);
}

/* Every later way is said as well each time: the earlier one decides. */
static void test_cluster_order_of_the_ways_to_say_it(void **state)
{
    struct fixture *f = *state;
    const char *one = pf_local_path(&f->arena, f->state, "one");
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_DEFAULT);
    assert_string_equal(f->c.masters, "127.0.0.1:5055");
    assert_null(f->c.dir);
    assert_int_equal(pf_local_set_last(f->state, one, NULL), 0);
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_LAST);
    assert_string_equal(f->c.masters, "127.0.0.1:6001");
    f->ask.env_dir = pf_local_path(&f->arena, f->state, "two");
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_DIR_ENV);
    assert_string_equal(f->c.name, "two");
    f->ask.env_master = "m:1";
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_MASTER_ENV);
    assert_string_equal(f->c.masters, "m:1");
    f->ask.dir = one;
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_DIR_FLAG);
    f->ask.dir = NULL;
    f->ask.cluster = "rel";
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_CLUSTER_FLAG);
    assert_string_equal(f->c.masters, "h2:5055,h3:7000");
    assert_string_equal(f->c.name, "rel");
    f->ask.cluster = NULL;
    f->ask.master = "a,[::1]:7";
    assert_int_equal(choose(f), 0);
    assert_int_equal(f->c.source, PF_CLUSTER_BY_MASTER_FLAG);
    assert_string_equal(f->c.masters, "a:5055,[::1]:7");
}

static void test_cluster_two_flags_are_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned said = 0; said < 8; said++) {
        f->ask.master = (said & 1) != 0 ? "a:1" : NULL;
        f->ask.cluster = (said & 2) != 0 ? "two" : NULL;
        f->ask.dir = (said & 4) != 0 ? pf_local_path(&f->arena, f->state, "one") : NULL;
        bool is_several = (said & (said - 1)) != 0;
        assert_int_equal(choose(f), is_several ? PF_EUSAGE : 0);
    }
}

/* What was said and is not there is an error, and nothing else is tried. */
static void test_cluster_that_is_not_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    f->ask.env_dir = "/nonexistent/cluster";
    assert_int_equal(choose(f), PF_ENOENT);
    assert_string_equal(f->hint, "start one: proffer up --dir /nonexistent/cluster");
    f->ask.env_dir = NULL;
    f->ask.cluster = "nowhere";
    assert_int_equal(choose(f), PF_ENOENT);
    f->ask.cluster = "../one";
    assert_int_equal(choose(f), PF_ENOENT);
    f->ask.cluster = "both";
    assert_int_equal(choose(f), PF_EINVAL);
    f->ask.cluster = "bad";
    assert_int_equal(choose(f), PF_EINVAL);
    assert_non_null(strstr(f->err.msg, "line 10"));
    f->ask.cluster = NULL;
    f->ask.master = "host:port";
    assert_int_equal(choose(f), PF_EUSAGE);
}

static void test_cluster_key_is_found(void **state)
{
    struct fixture *f = *state;
    const char *key = pf_local_path(&f->arena, f->state, "one/key");
    f->ask.dir = pf_local_path(&f->arena, f->state, "one");
    assert_int_equal(choose(f), 0);
    assert_string_equal(f->c.key_file, key);
    f->ask.env_key_file = "/e";
    assert_int_equal(choose(f), 0);
    assert_string_equal(f->c.key_file, "/e");
    f->ask.key_file = "/k";
    assert_int_equal(choose(f), 0);
    assert_string_equal(f->c.key_file, "/k");
    f->ask = (struct pf_cluster_ask){.state_root = f->state, .config_file = f->config};
    f->ask.cluster = "two";
    assert_int_equal(choose(f), 0);
    assert_null(f->c.key_file);
    f->ask.cluster = NULL;
    f->ask.master = "localhost:6001,other:1"; /* a local cluster by its address */
    assert_int_equal(choose(f), 0);
    assert_string_equal(f->c.key_file, key);
    f->ask.master = "127.0.0.1:9999"; /* an agent's address is no master's */
    assert_int_equal(choose(f), 0);
    assert_null(f->c.key_file);
}

static void test_cluster_config_key_belongs_to_its_section(void **state)
{
    static const char text[] = "[a]\nmaster=h:1\n\n[b]\nmaster=h:2\nkey-file = /k\n";
    const char *master = NULL, *dir = NULL, *key_file = NULL;
    struct fixture *f = *state;
    assert_int_equal(pf_cluster_config_find(text, "a", &f->arena, &master, &dir, &key_file, NULL),
                     0);
    assert_string_equal(master, "h:1");
    assert_null(key_file);
    assert_int_equal(pf_cluster_config_find(text, "b", &f->arena, &master, &dir, &key_file, NULL),
                     0);
    assert_string_equal(key_file, "/k");
    assert_int_equal(pf_cluster_config_find(text, "c", &f->arena, &master, &dir, &key_file, NULL),
                     PF_ENOENT);
    assert_int_equal(pf_cluster_config_find("[a\n", "a", &f->arena, &master, &dir, &key_file,
                                            NULL), PF_EINVAL);
    assert_int_equal(pf_cluster_config_find("[a]\nmaster=\n", "a", &f->arena, &master, &dir,
                                            &key_file, NULL), PF_EINVAL);
}

static void test_local_last_is_remembered_and_forgotten(void **state)
{
    struct fixture *f = *state;
    assert_null(pf_local_last(f->state, &f->arena));
    assert_int_equal(pf_local_set_last(f->state, "/a b", NULL), 0);
    assert_string_equal(pf_local_last(f->state, &f->arena), "/a b");
    pf_local_forget_last(f->state, "/other");
    assert_string_equal(pf_local_last(f->state, &f->arena), "/a b");
    pf_local_forget_last(f->state, "/a b");
    assert_null(pf_local_last(f->state, &f->arena));
}

static void test_local_holder_is_who_holds_the_lock(void **state)
{
    struct fixture *f = *state;
    const char *dir = pf_local_path(&f->arena, f->state, "one");
    int fd = -1;
    assert_int_equal(pf_local_holder(dir), 0);
    assert_int_equal(pf_file_lock(pf_local_path(&f->arena, dir, "lock"), &fd, NULL), 0);
    assert_int_equal(pf_local_holder(dir), getpid());
    (void)close(fd);
    assert_int_equal(pf_local_holder(dir), 0);
}

static void test_local_read_tells_missing_from_broken(void **state)
{
    struct fixture *f = *state;
    struct LocalCluster c;
    struct pf_err err = {0};
    const char *dir = pf_local_path(&f->arena, f->state, "one");
    assert_int_equal(pf_local_read(dir, &f->arena, &c, &err), 0);
    assert_true(pf_str_is(LocalCluster_name(c), "one"));
    write_text(pf_local_path(&f->arena, dir, "cluster.json"), "{\"name\": \"a\"");
    assert_int_equal(pf_local_read(dir, &f->arena, &c, &err), PF_EPROTO);
    assert_non_null(strstr(err.msg, "cluster.json"));
    assert_int_equal(pf_local_read(f->config, &f->arena, &c, NULL), PF_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cluster_order_of_the_ways_to_say_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster_two_flags_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster_that_is_not_there_is_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cluster_key_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster_config_key_belongs_to_its_section, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_local_last_is_remembered_and_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_local_holder_is_who_holds_the_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_local_read_tells_missing_from_broken, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
