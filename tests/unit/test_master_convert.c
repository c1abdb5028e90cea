/* SPDX-License-Identifier: Apache-2.0 */
/* Resources, attributes and constraints between messages and values. */
#include "master/core/convert.h"

#include "common/base/limits.h"
#include "tests/support/msg.h"

struct fix {
    struct pf_fb_builder b;
    struct pf_arena arena;
};

static int setup(void **state)
{
    struct fix *x = PF_NEW(struct fix);

    pf_fb_builder_init(&x->b, NULL);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fix *x = *state;

    pf_fb_builder_fini(&x->b);
    pf_arena_fini(&x->arena);
    pf_free(x);
    return 0;
}

/* Reads the Resource; 0 and its text in `out`, or the error's. */
static int read_text(struct fix *x, const char *json, struct pf_str role, struct pf_buf *out)
{
    struct pf_resources r = {0};
    struct pf_err err = {0};
    struct pf_msg msg = test_msg(&x->b, &Resource__desc, json);
    int rc = pf_m_resource_read(Resource__root(msg), role, &r, &err);

    if (rc == 0) {
        pf_res_format(&r, out);
    } else {
        pf_buf_add_cstr(out, err.msg);
    }
    pf_res_fini(&r);
    return rc;
}

static void test_convert_reads_each_kind(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':0.1}}", "cpus:0.1"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':0.1},'role':'*'}", "cpus:0.1"},
        {"{'name':'gold','type':'SCALAR','scalar':{'value':3},'allocation_info':{'role':'r'}}",
         "gold:3"},
        {"{'name':'ports','type':'RANGES','ranges':{'range':[{'begin':5,'end':6},{'begin':7,'end':9"
         "}]}}",
         "ports:[5-9]"},
        {"{'name':'disks','type':'SET','set':{'item':['b','a']}}", "disks:{a,b}"},
    };
    struct fix *x = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        struct pf_buf out = {0};

        assert_int_equal(read_text(x, cases[i].json, PF_STR("r"), &out), 0);
        assert_string_equal(pf_buf_cstr(&out), cases[i].text);
        pf_buf_fini(&out);
    }
}

static void test_convert_refuses(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':-1}}", ""},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':'NaN'}}", ""},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1e300}}", ""},
        {"{'name':'a b','type':'SCALAR','scalar':{'value':1}}", "name"},
        {"{'name':'ports','type':'RANGES','ranges':{'range':[{'begin':9,'end':5}]}}", "before"},
        {"{'name':'x','type':'TEXT'}", "no usable type"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1},'role':'prod'}", "reserved"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1},'reservations':[{}]}", "reserved"},
        {"{'name':'disk','type':'SCALAR','scalar':{'value':1},'disk':{}}", "volumes"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1},'revocable':{}}", "revocable"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1},'shared':{}}", "shared"},
        {"{'name':'cpus','type':'SCALAR','scalar':{'value':1},'allocation_info':{'role':'q'}}",
         "role q, not r"},
    };
    struct fix *x = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        struct pf_buf out = {0};

        assert_true(read_text(x, cases[i].json, PF_STR("r"), &out) < 0);
        assert_non_null(strstr(pf_buf_cstr(&out), cases[i].text));
        pf_buf_fini(&out);
    }
}

static void test_convert_writes_what_it_reads(void **state)
{
    struct fix *x = *state;
    struct pf_resources r = {0}, back = {0};
    struct Demand__args args = {.id = PF_STR("d")};
    struct pf_msg msg;

    assert_int_equal(
        pf_res_parse(PF_STR("cpus:1.5;mem:64;gold:2;ports:[1-3,7-9];set:{a,b}"), &r, NULL), 0);
    pf_fb_builder_reset(&x->b);
    args.resources = pf_m_resources_put(&x->b, &x->arena, &r, PF_STR("web"));
    msg = Demand__finish(&x->b, Demand__put(&x->b, &args));
    struct Demand d = Demand__root(msg);

    for (uint32_t i = 0; i < Demand_resources__len(d); i++) {
        struct Resource one = Demand_resources__at(d, i);

        assert_true(pf_str_is(Resource_AllocationInfo_role(Resource_allocation_info(one)), "web"));
        assert_int_equal(pf_m_resource_read(one, PF_STR("web"), &back, NULL), 0);
    }
    assert_true(pf_res_eq(&r, &back));
    pf_res_fini(&r);
    pf_res_fini(&back);
}

static void test_convert_attributes(void **state)
{
    struct fix *x = *state;
    struct pf_al_attribute a[8];
    struct pf_buf out = {0};
    struct pf_msg msg = test_msg(
        &x->b, &AgentInfo__desc,
        "{'hostname':'h','attributes':[{'name':'rack','type':'TEXT','text':{'value':'r1'}},"
        "{'name':'level','type':'SCALAR','scalar':{'value':2.5}},"
        "{'name':'keys','type':'SET','set':{'item':['x','y']}},"
        "{'name':'nums','type':'RANGES','ranges':{'range':[{'begin':1,'end':5},{'begin':7,'end':7}]"
        "}}]}");
    uint32_t n = pf_m_attributes_read(AgentInfo__root(msg), &x->arena, a, 8);

    for (uint32_t i = 0; i < n; i++) {
        pf_buf_printf(&out, "%.*s=%.*s ", PF_STR_ARG(a[i].name), PF_STR_ARG(a[i].value));
    }
    assert_string_equal(pf_buf_cstr(&out), "rack=r1 level=2.5 keys=x keys=y nums=[1-5,7-7] ");
    assert_int_equal(pf_m_attributes_read(AgentInfo__root(msg), &x->arena, a, 3), 3);
    pf_buf_fini(&out);
}

static void test_convert_constraints(void **state)
{
    struct fix *x = *state;
    struct pf_al_constraint c[PF_CONSTRAINTS_MAX];
    struct pf_buf out = {0};
    struct pf_err err = {0};
    uint32_t n = 0;
    struct pf_msg msg = test_msg(
        &x->b, &Demand__desc,
        "{'id':'d','constraints':[{'attribute':'rack','value':'a'},"
        "{'attribute':'zone','op':'NOT_EQUALS','value':'b'},{'attribute':'ssd','op':'EXISTS'"
        "},{'attribute':'old','op':'NOT_EXISTS'},{'attribute':'host','op':'GLOB','value':"
        "'web*'}]}");

    assert_int_equal(pf_m_constraints_read(Demand__root(msg), c, &n, NULL), 0);
    for (uint32_t i = 0; i < n; i++) {
        pf_m_constraint_format(&c[i], &out);
        pf_buf_add_byte(&out, ' ');
    }
    assert_string_equal(pf_buf_cstr(&out), "rack=a zone!=b ssd !old host~web* ");
    msg = test_msg(&x->b, &Demand__desc, "{'id':'d','constraints':[{'attribute':''}]}");
    assert_int_equal(pf_m_constraints_read(Demand__root(msg), c, &n, &err), PF_EINVAL);
    pf_buf_fini(&out);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_convert_reads_each_kind),      T(test_convert_refuses),
        T(test_convert_writes_what_it_reads), T(test_convert_attributes),
        T(test_convert_constraints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
