/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a local cluster, the division of a machine, and the choice among found ids. */
#include "framework/cli/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "framework/cli/ids.h"

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

static void test_shape_machine_keeps_what_the_system_needs(void **state)
{
    (void)state;
    struct pf_shape_machine m = pf_shape_machine_of(4, UINT64_C(8) << 30, UINT64_C(100) << 30);
    assert_int_equal(m.cpus_milli, 4000);
    assert_int_equal(m.mem_bytes, INT64_C(7) << 30);
    assert_int_equal(m.disk_bytes, INT64_C(95) << 30);
    m = pf_shape_machine_of(1, UINT64_C(1) << 30, UINT64_C(8) << 30);
    assert_int_equal(m.mem_bytes, INT64_C(1) << 29);
    assert_int_equal(m.disk_bytes, INT64_C(4) << 30);
}

static void test_shape_divides_everything_between_agents(void **state)
{
    struct pf_arena *arena = *state;
    struct pf_shape_machine m = pf_shape_machine_of(4, UINT64_C(7) << 30, UINT64_C(17) << 30);
    struct pf_shape s = {.agents = 3, .cpus_milli = -1, .mem_bytes = -1};
    assert_string_equal(pf_shape_resources(&s, &m, 0, arena),
                        "cpus:1.333;mem:2048;disk:4096;ports:[31000-31332]");
    assert_string_equal(pf_shape_resources(&s, &m, 1, arena),
                        "cpus:1.333;mem:2048;disk:4096;ports:[31333-31665]");
    assert_string_equal(pf_shape_resources(&s, &m, 2, arena),
                        "cpus:1.333;mem:2048;disk:4096;ports:[31666-32000]");
    s.cpus_milli = 500;
    s.mem_bytes = 256 << 20;
    s.agents = 1;
    assert_string_equal(pf_shape_resources(&s, &m, 0, arena),
                        "cpus:0.500;mem:256;disk:12288;ports:[31000-32000]");
    assert_string_equal(pf_shape_fake_resources(&s, arena),
                        "cpus:0.500;mem:256;disk:102400;ports:[31000-32000]");
}

static void test_shape_attributes_in_mesos_form(void **state)
{
    struct pf_arena *arena = *state;
    struct pf_shape s = {.agents = 1, .n_attributes = 2,
                         .attribute = {PF_STR("rack=a1"), PF_STR("disk=ssd=fast")}};
    assert_string_equal(pf_shape_attributes(&s, arena), "rack:a1;disk:ssd=fast");
    s.n_attributes = 0;
    assert_null(pf_shape_attributes(&s, arena));
}

static struct LocalShape stored(struct pf_arena *arena, const struct pf_shape *s)
{
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, arena);
    return LocalShape__root(LocalShape__finish(&b, pf_shape_put(&b, s)));
}

static void test_shape_says_what_differs(void **state)
{
    struct pf_arena *arena = *state;
    const struct pf_shape is = {.agents = 2, .cpus_milli = -1, .mem_bytes = 1 << 30,
                                .listen = "127.0.0.1:1", .n_attributes = 1,
                                .attribute = {PF_STR("a=b")}};
    struct LocalShape running = stored(arena, &is);
    struct pf_shape asked = is;
    assert_null(pf_shape_difference(running, &asked, arena));
    asked.listen = NULL; /* not asked for: whatever it is */
    assert_null(pf_shape_difference(running, &asked, arena));
    asked.listen = "127.0.0.1:2";
    assert_string_equal(pf_shape_difference(running, &asked, arena), "other addresses");
    asked = is;
    asked.agents = 1;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "2 agents, not 1");
    asked = is;
    asked.fake_agents = 10;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "0 fake agents, not 10");
    asked = is;
    asked.cpus_milli = 1500;
    assert_string_equal(pf_shape_difference(running, &asked, arena),
                        "its part of the cpus for each agent, not 1.5 cpus");
    asked = is;
    asked.mem_bytes = 512 << 20;
    assert_string_equal(pf_shape_difference(running, &asked, arena),
                        "1G of memory for each agent, not 512M of memory");
    asked = is;
    asked.attribute[0] = PF_STR("a=c");
    assert_string_equal(pf_shape_difference(running, &asked, arena), "other attributes");
    asked = is;
    asked.masters = 1; /* what is not said is one */
    assert_null(pf_shape_difference(running, &asked, arena));
    asked.masters = 3;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "1 master, not 3");
    asked.masters = 1;
    asked.zk_servers = 1;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "0 ZooKeeper servers, not 1");
    asked.zk_servers = 0;
    asked.has_hosts = true;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "no hosts of its own");
    asked.has_hosts = false;
    asked.has_relays = true;
    assert_string_equal(pf_shape_difference(running, &asked, arena), "no relays");
}

static struct pf_entity task(const char *id, const char *name, const char *framework_id)
{
    return (struct pf_entity){.kind = EntityKind_TASK, .id = pf_str(id), .name = pf_str(name),
                              .framework_id = pf_str(framework_id)};
}

static void test_ids_choose_what_is_meant(void **state)
{
    struct pf_entity e[] = {
        {.kind = EntityKind_FRAMEWORK, .id = PF_STR("k7m2"), .name = PF_STR("hello")},
        task("k7m2.0", "hello", "k7m2"),
        task("k7m2.1", "world", "k7m2"),
        task("one", "x", "f1"),
        task("one", "x", "f2"),
        {.kind = EntityKind_FRAMEWORK, .id = PF_STR("f9"), .name = PF_STR("world")},
    };
    struct pf_entities found = {e, 5}, out = {0};
    (void)state;
    assert_true(pf_ids_choose("k7m2", &found, &out)); /* that very id, though others begin so */
    assert_int_equal(out.n, 1);
    assert_int_equal(out.at[0].kind, EntityKind_FRAMEWORK);
    assert_true(pf_ids_choose("k7m2.*", &found, &out));
    assert_int_equal(out.n, 5); /* the master chose them */
    assert_true(pf_ids_choose("world", &found, &out));
    assert_true(pf_str_is(out.at[0].id, "k7m2.1"));
    assert_true(pf_ids_choose("hello", &found, &out)); /* a run and its task: the run */
    assert_int_equal(out.at[0].kind, EntityKind_FRAMEWORK);
    found.n = 6;
    assert_false(pf_ids_choose("world", &found, &out)); /* a name of two things */
    found.n = 5;
    assert_false(pf_ids_choose("k7", &found, &out));
    assert_false(pf_ids_choose("one", &found, &out)); /* an id in two frameworks */
    assert_true(pf_ids_choose("f2/one", &found, &out));
    assert_true(pf_str_is(out.at[0].framework_id, "f2"));
    found.n = 0;
    assert_false(pf_ids_choose("k7m2.*", &found, &out));
    found.n = 1;
    assert_true(pf_ids_choose("k", &found, &out)); /* the only one */
}

/* A demand that waits is found as a task with the id of its framework. */
static void test_ids_choose_the_framework_of_what_waits(void **state)
{
    struct pf_entity framework = {.kind = EntityKind_FRAMEWORK, .id = PF_STR("f14")};
    struct pf_entity both[2] = {framework, task("f14", "batch", "f14")};
    struct pf_entity turned[2] = {task("f14", "batch", "f14"), framework};
    struct pf_entities found = {both, 2}, out = {0};
    (void)state;
    assert_true(pf_ids_choose("f14", &found, &out));
    assert_int_equal(out.at[0].kind, EntityKind_FRAMEWORK);
    found.at = turned;
    assert_true(pf_ids_choose("f14", &found, &out));
    assert_int_equal(out.n, 1);
    assert_int_equal(out.at[0].kind, EntityKind_FRAMEWORK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shape_machine_keeps_what_the_system_needs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_shape_divides_everything_between_agents, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_shape_attributes_in_mesos_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shape_says_what_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_choose_what_is_meant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_choose_the_framework_of_what_waits, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
