/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes into the verifier; what it accepts can be printed, copied, and its copy verifies and
 * prints the same. */
#include "tests/fuzz/fuzz_msg.h"

enum { OUT_MAX = 1 << 20 };

static void compare(struct pf_msg msg, struct pf_msg copy, uint32_t flags)
{
    struct pf_buf first = {.limit = OUT_MAX}, second = {.limit = OUT_MAX};
    int rc = pf_json_write(&first, pf_msg_root(msg, msg.desc), msg.desc, flags, NULL);
    int again = pf_json_write(&second, pf_msg_root(copy, msg.desc), msg.desc, flags, NULL);
    PF_ASSERT(rc == again);
    PF_ASSERT(first.len == second.len);
    PF_ASSERT(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
    pf_buf_fini(&first);
    pf_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pf_msg msg, copy;
    struct pf_err err = {0};
    struct pf_fb_builder b;
    if (size < 1 || size > 1 << 20) {
        return 0;
    }
    struct pf_bytes in = {data + 1, (uint32_t)size - 1};
    if (pf_fb_verify(in, fuzz_type(data[0]), &msg, &err) != 0) {
        PF_ASSERT(err.code != 0);
        return 0;
    }
    PF_ASSERT(err.code == 0);
    pf_fb_builder_init(&b, NULL);
    b.limit = 16 << 20;
    struct pf_ref root = pf_fb_copy(&b, msg.desc, pf_msg_root(msg, msg.desc));
    copy = pf_fb_finish(&b, msg.desc, root);
    if (!b.failed) {
        fuzz_verified(copy);
        compare(msg, copy, 0);
    }
    pf_fb_builder_fini(&b);
    return 0;
}
