/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of a local cluster: names, addresses, what `ip` is told, who is struck by a cut. Making
 * them needs rights: tests/system/test_hosts.py. */
#include "framework/cli/hosts.h"

#include "framework/cli/drill_hosts.h"
#include "tests/support/test.h"

static const struct pf_hosts_net net = {.bridge = "pf12345678", .subnet = 35};

static void test_hosts_names_fit_and_differ(void **state)
{
    (void)state;
    char a[PF_HOST_NAME_BYTES], b[PF_HOST_NAME_BYTES];
    pf_hosts_bridge("/somewhere/c1", a);
    pf_hosts_bridge("/somewhere/c2", b);
    assert_int_equal(strlen(a), 10);
    assert_string_not_equal(a, b);
    assert_true(pf_hosts_owns("pf12345678", "pf12345678"));
    assert_true(pf_hosts_owns("pf12345678", "pf12345678-a0"));
    assert_false(pf_hosts_owns("pf12345678", "pf123456789"));
    assert_false(pf_hosts_owns("pf12345678", "pf1234567"));
    assert_false(pf_hosts_owns("pf12345678", "eth0"));
}

static void test_hosts_each_has_an_address(void **state)
{
    (void)state;
    static const uint32_t n[] = {[PF_HOST_ZK] = PF_SHAPE_ZK_MAX,
                                 [PF_HOST_MASTER] = PF_SHAPE_MASTERS_MAX,
                                 [PF_HOST_FAKE] = 1,
                                 [PF_HOST_AGENT] = PF_HOSTS_AGENTS_MAX};
    bool used[256] = {[0] = true, [1] = true, [255] = true}; /* the net, outside, everybody */
    for (int kind = PF_HOST_ZK; kind <= PF_HOST_AGENT; kind++) {
        for (uint32_t i = 0; i < n[kind]; i++) {
            struct pf_host h = pf_hosts_of(&net, (enum pf_host_kind)kind, i);
            unsigned last = 0;
            char end = '\0';
            assert_int_equal(sscanf(h.address, "10.213.35.%u%c", &last, &end), 1);
            assert_true(last < 256 && !used[last]);
            assert_true(pf_hosts_owns(net.bridge, h.name));
            used[last] = true;
        }
    }
    assert_string_equal(pf_hosts_of(&net, PF_HOST_MASTER, 0).name, "pf12345678-m1");
    assert_string_equal(pf_hosts_of(&net, PF_HOST_AGENT, 229).name, "pf12345678-a229");
}

static void test_hosts_subnet_of_an_address(void **state)
{
    (void)state;
    assert_int_equal(pf_hosts_subnet_of("10.213.0.1"), 0);
    assert_int_equal(pf_hosts_subnet_of("10.213.255.11:5055"), 255);
    static const char *const others[] = {"127.0.0.1:5055", "10.213.256.1", "10.213..1", "10.213.1",
                                         "10.213.0001.1",  "10.213.x.1",   ""};
    for (size_t i = 0; i < PF_ARRAY_LEN(others); i++) {
        assert_int_equal(pf_hosts_subnet_of(others[i]), -1);
    }
}

static void test_hosts_pick_what_nobody_has(void **state)
{
    (void)state;
    bool taken[PF_HOSTS_SUBNETS] = {false};
    pf_hosts_note(taken, 0, 0);                   /* the default route */
    pf_hosts_note(taken, 0x0a000000, 0xff000000); /* 10.0.0.0/8: ours is nearer than that */
    pf_hosts_note(taken, 0xc0a80001, UINT32_MAX); /* another */
    int first = pf_hosts_pick(taken, -1, net.bridge);
    assert_true(first >= 0);
    assert_int_equal(pf_hosts_pick(taken, 7, net.bridge), 7);
    pf_hosts_note(taken, 0x0ad50705, UINT32_MAX); /* 10.213.7.5 */
    assert_int_equal(pf_hosts_pick(taken, 7, net.bridge), first);
    pf_hosts_note(taken, 0x0ad50000 | (uint32_t)first << 8, 0xffffff00);
    assert_int_equal(pf_hosts_pick(taken, -1, net.bridge), (first + 1) % PF_HOSTS_SUBNETS);
    pf_hosts_note(taken, 0x0ad50000, 0xffff8000); /* half of it */
    assert_true(pf_hosts_pick(taken, 7, net.bridge) >= 128);
    pf_hosts_note(taken, 0x0ad50000, 0xffff0000);
    assert_int_equal(pf_hosts_pick(taken, 7, net.bridge), -1);
}

static void test_hosts_lacks_names_the_rights(void **state)
{
    (void)state;
    const uint64_t may_net = UINT64_C(1) << 12, may_sys = UINT64_C(1) << 21;
    assert_null(pf_hosts_lacks(may_net | may_sys));
    assert_string_equal(pf_hosts_lacks(may_sys), "CAP_NET_ADMIN");
    assert_string_equal(pf_hosts_lacks(may_net), "CAP_SYS_ADMIN");
    assert_string_equal(pf_hosts_lacks(~(may_net | may_sys)), "CAP_NET_ADMIN and CAP_SYS_ADMIN");
}

static void test_hosts_lines_for_ip(void **state)
{
    (void)state;
    struct pf_host h = pf_hosts_of(&net, PF_HOST_MASTER, 1);
    struct pf_buf text = {0};
    pf_hosts_put_bridge(&net, &text);
    assert_non_null(strstr(pf_buf_cstr(&text), "link add pf12345678 address 02:d5:"));
    assert_non_null(strstr(pf_buf_cstr(&text), "\naddr add 10.213.35.1/24 dev pf12345678\n"));
    pf_buf_clear(&text);
    pf_hosts_put_cable(&h, &text);
    pf_hosts_put_plug(&net, &h, &text);
    assert_string_equal(pf_buf_cstr(&text),
                        "netns add pf12345678-m2\n"
                        "link add pf12345678-m2 type veth peer name eth0 netns pf12345678-m2\n"
                        "link set pf12345678-m2 master pf12345678 up\n");
    pf_buf_clear(&text);
    pf_hosts_put_inside(&h, &text);
    assert_non_null(strstr(pf_buf_cstr(&text), "addr add 10.213.35.12/24 dev eth0\n"));
    pf_buf_clear(&text);
    pf_hosts_put_deaf("10.213.35.20", &text);
    pf_hosts_put_deaf(NULL, &text);
    assert_string_equal(pf_buf_cstr(&text),
                        "rule add pref 10 from 10.213.35.20 blackhole\nrule flush pref 10\n");
    pf_buf_fini(&text);
}

static void test_hosts_of_a_drill_are_found_by_address(void **state)
{
    (void)state;
    struct pf_drill_hosts all = {.n = 0};
    struct pf_err err = {0};
    for (int again = 0; again < 2; again++) {
        pf_drill_hosts_add(&all, PF_STR("pf12345678-m1"), PF_STR("10.213.35.11:5055"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-z3"), PF_STR("10.213.35.4:2181"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-f0"), PF_STR("10.213.35.10:5056"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-a1"), PF_STR("10.213.35.21:5056"));
        /* of a cluster without hosts; not the name of a host; not an address */
        pf_drill_hosts_add(&all, PF_STR(""), PF_STR("127.0.0.1:5055"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-"), PF_STR("10.213.35.9:5056"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-x1"), PF_STR("10.213.35.9:5056"));
        pf_drill_hosts_add(&all, PF_STR("pf12345678-a2"), PF_STR(""));
    }
    assert_int_equal(all.n, 4);
    assert_int_equal(all.at[0].kind, PF_HOST_MASTER);
    assert_int_equal(all.at[1].kind, PF_HOST_ZK);
    assert_int_equal(all.at[2].kind, PF_HOST_FAKE);
    assert_int_equal(all.at[3].kind, PF_HOST_AGENT);
    assert_ptr_equal(pf_drill_hosts_at(&all, "10.213.35.21:5056"), &all.at[3]);
    assert_null(pf_drill_hosts_at(&all, "10.213.35.2:5056"));
    assert_int_equal(
        pf_drill_hosts_cut(&all, "10.213.35.12:5055", PF_TARGET_LINKS_ALL, PF_WAY_IN, &err),
        PF_ENOENT);
    assert_int_equal(pf_drill_hosts_heal(&all, false, &err), 0); /* nothing was cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_names_fit_and_differ),
        cmocka_unit_test(test_hosts_each_has_an_address),
        cmocka_unit_test(test_hosts_subnet_of_an_address),
        cmocka_unit_test(test_hosts_pick_what_nobody_has),
        cmocka_unit_test(test_hosts_lacks_names_the_rights),
        cmocka_unit_test(test_hosts_lines_for_ip),
        cmocka_unit_test(test_hosts_of_a_drill_are_found_by_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
