/* SPDX-License-Identifier: Apache-2.0 */
/* Any text into every parser of values that people write: what one accepts, it prints in a form
 * that reads back as the same. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/id.h"
#include "common/base/resources.h"
#include "common/link/key.h"
#include "common/sys/parse.h"
#include "tests/fuzz/fuzz.h"

static void numbers(struct pf_str text)
{
    struct pf_err err = {0};
    uint64_t u = 7;
    int64_t i = 7, bytes = 7, ms = 7;
    bool b = false;
    char out[PF_FORMAT_DURATION_MAX];
    int rc = pf_parse_u64(text, &u, &err);
    PF_ASSERT(rc == 0 || (u == 7 && err.code == rc));
    rc = pf_parse_i64(text, &i, NULL);
    PF_ASSERT(rc == 0 || i == 7);
    rc = pf_parse_bool(text, &b, NULL);
    PF_ASSERT(rc == 0 || !b);
    rc = pf_parse_size(text, &bytes, NULL);
    PF_ASSERT(rc == 0 || bytes == 7);
    rc = pf_parse_duration_ms(text, &ms, NULL);
    PF_ASSERT(rc == 0 || ms == 7);
    if (rc == 0 && ms >= 0) {
        pf_format_duration(ms, out);
        rc = pf_parse_duration_ms(pf_str(out), &ms, NULL);
        PF_ASSERT(rc == 0);
    }
}

static void places(struct pf_str text)
{
    struct pf_hostport hp, again;
    char out[PF_FORMAT_HOSTPORT_MAX], when[PF_FORMAT_TIME_MAX];
    int64_t ms, back;
    if (pf_parse_hostport(text, 5055, &hp, NULL) == 0) {
        pf_format_hostport(&hp, out);
        int rc = pf_parse_hostport(pf_str(out), 0, &again, NULL);
        PF_ASSERT(rc == 0 && again.port == hp.port && strcmp(again.host, hp.host) == 0);
    }
    if (pf_parse_time(text, &ms, NULL) == 0) {
        pf_format_time(ms, when);
        int rc = pf_parse_time(pf_str(when), &back, NULL);
        PF_ASSERT(rc == 0 && back == ms);
    }
}

static void names(struct pf_str text)
{
    struct pf_uuid u, again;
    struct pf_key key;
    char out[PF_UUID_TEXT_LEN + 1];
    if (pf_uuid_parse(text, &u)) {
        pf_uuid_format(u, out);
        bool ok = pf_uuid_parse(pf_str(out), &again);
        PF_ASSERT(ok && pf_uuid_eq(u, again));
    }
    if (pf_id_problem(text) == NULL) {
        PF_ASSERT(text.len >= 1 && memchr(text.at, '/', text.len) == NULL);
    }
    (void)!pf_key_parse((struct pf_bytes){(const uint8_t *)text.at, text.len}, &key, NULL);
    (void)pf_str_glob(text, text);
}

static void resources(struct pf_str text)
{
    struct pf_resources r = {0}, again = {0};
    struct pf_buf out = {0};
    if (pf_res_parse(text, &r, NULL) == 0) {
        pf_res_check(&r);
        pf_res_format(&r, &out);
        struct pf_str printed = {pf_buf_cstr(&out), (uint32_t)out.len};
        int rc = pf_res_parse(printed, &again, NULL);
        PF_ASSERT(rc == 0);
        PF_ASSERT(pf_res_eq(&r, &again));
    }
    pf_res_fini(&r);
    pf_res_fini(&again);
    pf_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) {
        return 0;
    }
    char *copy = pf_strndup((const char *)data, size); /* texts are followed by a NUL */
    struct pf_str text = {copy, (uint32_t)size};
    numbers(text);
    places(text);
    names(text);
    resources(text);
    pf_free(copy);
    return 0;
}
