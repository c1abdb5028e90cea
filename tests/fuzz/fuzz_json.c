/* SPDX-License-Identifier: Apache-2.0 */
/* Any text into the JSON reader; what it builds verifies, and its JSON reads back as the same. */
#include "tests/fuzz/fuzz_msg.h"

static void round_trip(struct pf_msg msg)
{
    struct pf_buf first = {0}, second = {0};
    struct pf_fb_builder b;
    struct pf_msg back;
    int rc = pf_json_write(&first, pf_msg_root(msg, msg.desc), msg.desc, PF_JSON_NO_DEFAULTS, NULL);
    PF_ASSERT(rc == 0);
    struct pf_str text = {(const char *)first.data, (uint32_t)first.len};
    pf_fb_builder_init(&b, NULL);
    rc = pf_json_read(text, msg.desc, &b, &back, PF_JSON_REFUSE_UNKNOWN, NULL);
    PF_ASSERT(rc == 0);
    rc = pf_json_write(&second, pf_msg_root(back, msg.desc), msg.desc, PF_JSON_NO_DEFAULTS, NULL);
    PF_ASSERT(rc == 0);
    PF_ASSERT(first.len == second.len);
    PF_ASSERT(memcmp(first.data, second.data, first.len) == 0);
    pf_fb_builder_fini(&b);
    pf_buf_fini(&first);
    pf_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pf_msg msg;
    struct pf_err err = {0};
    struct pf_fb_builder b;
    if (size < 1 || size > 1 << 20) {
        return 0;
    }
    struct pf_str text = {(const char *)data + 1, (uint32_t)size - 1};
    pf_fb_builder_init(&b, NULL);
    if (pf_json_read(text, fuzz_type(data[0]), &b, &msg, 0, &err) == 0) {
        PF_ASSERT(err.code == 0);
        fuzz_verified(msg);
        round_trip(msg);
    } else {
        PF_ASSERT(err.code != 0);
    }
    pf_fb_builder_fini(&b);
    return 0;
}
