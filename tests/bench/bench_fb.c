/* SPDX-License-Identifier: Apache-2.0 */
/* What building, verifying, reading and transcoding a message of about 400 bytes costs: the best of
 * several loops, in nanoseconds a message. */
#include <stdio.h>
#include "common/fb/json.h"
#include "common/sys/clock.h"
#include "tests/support/testmsg.h"

enum { LOOPS = 7, ROUNDS = 50000 };

struct bench {
    struct pf_fb_builder b, other;
    struct pf_buf json, out;
    struct pf_msg msg;
    uint64_t sum; /* of what was read, so that it is read */
};

static struct pf_msg build(struct pf_fb_builder *b)
{
    static const uint64_t u64s[] = {1, 2, 3, 4};
    struct pf_ref jobs[3];
    pf_fb_builder_reset(b);
    for (size_t i = 0; i < PF_ARRAY_LEN(jobs); i++) {
        struct pf_ref id = Test_Id__put(b, &(struct Test_Id__args){.value = PF_STR("id-0001")});
        jobs[i] = Test_Job__put(b, &(struct Test_Job__args){
            .name = PF_STR("a job"), .job_id = id, .weight = PF_OPT(1.5)});
    }
    struct pf_str texts[] = {PF_STR("one"), PF_STR("two"), PF_STR("three")};
    struct TestMsg__args args = {
        .i32 = PF_OPT(-7), .u64 = PF_OPT(123456789), .f64 = PF_OPT(0.25), .flag = PF_OPT(true),
        .color = PF_OPT(Color_RED), .text = PF_STR("some text of a usual length"),
        .role = PF_STR("role"), .data = {(const uint8_t *)"0123456789abcdef", 16},
        .u64s = {u64s, 4}, .texts = {texts, 3}, .jobs = {jobs, 3}};
    return TestMsg__finish(b, TestMsg__put(b, &args));
}

static void do_build(struct bench *x)
{
    x->sum += build(&x->other).len;
}

static void do_verify(struct bench *x)
{
    struct pf_msg out;
    int rc = pf_fb_verify(pf_msg_bytes(x->msg), &TestMsg__desc, &out, NULL);
    x->sum += rc == 0 ? 1 : 0;
}

static void do_read(struct bench *x)
{
    struct TestMsg m = TestMsg__root(x->msg);
    x->sum += (uint64_t)TestMsg_i32(m) + TestMsg_u64(m) + TestMsg_text(m).len +
              TestMsg_role(m).len + TestMsg_data(m).len + TestMsg_u64s__at(m, 2) +
              TestMsg_texts__at(m, 1).len + Test_Job_name(TestMsg_jobs__at(m, 1)).len +
              (TestMsg_flag(m) ? 1 : 0) + (uint64_t)TestMsg_color(m);
}

static void do_copy(struct bench *x)
{
    pf_fb_builder_reset(&x->other);
    struct pf_ref root = TestMsg__copy(&x->other, TestMsg__root(x->msg));
    x->sum += TestMsg__finish(&x->other, root).len;
}

static void do_json_write(struct bench *x)
{
    pf_buf_clear(&x->out);
    int rc = pf_json_write(&x->out, TestMsg__root(x->msg).tab, &TestMsg__desc, 0, NULL);
    x->sum += x->out.len + (uint64_t)rc;
}

static void do_json_read(struct bench *x)
{
    struct pf_msg out;
    struct pf_str text = {(const char *)x->json.data, (uint32_t)x->json.len};
    int rc = pf_json_read(text, &TestMsg__desc, &x->other, &out, 0, NULL);
    x->sum += out.len + (uint64_t)rc;
}

static void measure(const char *name, struct bench *x, void (*run)(struct bench *))
{
    double best = 0;
    for (int loop = 0; loop < LOOPS; loop++) {
        int64_t from = pf_now_us();
        for (int i = 0; i < ROUNDS; i++) {
            run(x);
        }
        double took = (double)(pf_now_us() - from) * 1000 / ROUNDS;
        best = loop == 0 || took < best ? took : best;
    }
    (void)printf("fb.%s %.0f ns\n", name, best);
}

int main(void)
{
    struct bench x = {.sum = 0};
    pf_fb_builder_init(&x.b, NULL);
    pf_fb_builder_init(&x.other, NULL);
    x.msg = build(&x.b);
    if (pf_json_write(&x.json, TestMsg__root(x.msg).tab, &TestMsg__desc, 0, NULL) != 0) {
        return 1;
    }
    (void)printf("message %u bytes, JSON %lu bytes\n", (unsigned)x.msg.len,
                 (unsigned long)x.json.len);
    measure("build", &x, do_build);
    measure("verify", &x, do_verify);
    measure("read", &x, do_read);
    measure("copy", &x, do_copy);
    measure("json_write", &x, do_json_write);
    measure("json_read", &x, do_json_read);
    pf_buf_fini(&x.json);
    pf_buf_fini(&x.out);
    pf_fb_builder_fini(&x.b);
    pf_fb_builder_fini(&x.other);
    return x.sum == 0;
}
