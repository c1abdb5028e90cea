/* SPDX-License-Identifier: Apache-2.0 */
/* Our side of the comparison with flatc (tests/unit/test_fb_flatc.py).
 *   fbtool random SEED N DIR   writes N random messages as DIR/mI.bin and mI.json
 *   fbtool json FILE...        verifies each buffer and prints its JSON, one a line
 * And for tests of proffer-fetcher:
 *   fbtool plan                JSON on standard input to a FetchPlan on standard output */
#include <stdio.h>
#include <stdlib.h>
#include "common/base/alloc.h"
#include "common/fb/json.h"
#include "schemas/fetcher.h"
#include "tests/support/random_msg.h"
#include "tests/support/testmsg.h"

static int write_file(const char *folder, unsigned long i, const char *ext, struct pf_bytes bytes)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/m%lu.%s", folder, i, ext);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return 1;
    }
    size_t wrote = fwrite(bytes.at, 1, bytes.len, file);
    return fclose(file) != 0 || wrote != bytes.len;
}

static int write_random(uint64_t seed, unsigned long n, const char *folder)
{
    struct pf_fb_builder b;
    struct pf_rng rng;
    struct pf_buf json = {0};
    int rc = 0;
    pf_fb_builder_init(&b, NULL);
    pf_rng_seed(&rng, seed);
    for (unsigned long i = 0; i < n && rc == 0; i++) {
        struct pf_msg msg = random_msg(&b, &TestMsg__desc, &rng);
        pf_buf_clear(&json);
        rc = pf_json_write(&json, TestMsg__root(msg).tab, &TestMsg__desc, PF_JSON_NO_DEFAULTS,
                           NULL);
        struct pf_bytes text = {json.data, (uint32_t)json.len};
        rc = rc != 0 ? rc : write_file(folder, i, "json", text);
        rc = rc != 0 ? rc : write_file(folder, i, "bin", pf_msg_bytes(msg));
    }
    pf_buf_fini(&json);
    pf_fb_builder_fini(&b);
    return rc != 0;
}

static void read_stream(FILE *file, struct pf_buf *out)
{
    uint8_t part[4096];
    size_t n;
    pf_buf_clear(out);
    while ((n = fread(part, 1, sizeof part, file)) > 0) {
        pf_buf_add(out, part, n);
    }
}

static int read_file(const char *path, struct pf_buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 1;
    }
    read_stream(file, out);
    return fclose(file) != 0;
}

static int write_plan(void)
{
    struct pf_fb_builder b;
    struct pf_buf json = {0};
    struct pf_msg msg;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    read_stream(stdin, &json);
    struct pf_str text = {pf_buf_cstr(&json), (uint32_t)json.len};
    int rc = pf_json_read(text, &FetchPlan__desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, &err);
    if (rc == 0) {
        rc = fwrite(msg.data, 1, msg.len, stdout) != msg.len || fflush(stdout) != 0;
    } else {
        (void)fprintf(stderr, "%s\n", err.msg);
    }
    pf_buf_fini(&json);
    pf_fb_builder_fini(&b);
    return rc != 0;
}

static int print_json(const char *path)
{
    struct pf_buf data = {0}, json = {0};
    struct pf_msg msg;
    struct pf_err err = {0};
    int rc = read_file(path, &data);
    struct pf_bytes bytes = {data.data, (uint32_t)data.len};
    if (rc == 0) {
        rc = pf_fb_verify(bytes, &TestMsg__desc, &msg, &err);
    }
    if (rc == 0) {
        rc = pf_json_write(&json, TestMsg__root(msg).tab, &TestMsg__desc, PF_JSON_NO_DEFAULTS,
                           &err);
    }
    if (rc == 0) {
        (void)puts(pf_buf_cstr(&json));
    } else {
        (void)fprintf(stderr, "%s: %s\n", path, err.msg);
    }
    pf_buf_fini(&data);
    pf_buf_fini(&json);
    return rc != 0;
}

int main(int argc, char **argv)
{
    int rc = 0;
    if (argc == 5 && strcmp(argv[1], "random") == 0) {
        return write_random(strtoull(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), argv[4]);
    }
    if (argc == 2 && strcmp(argv[1], "plan") == 0) {
        return write_plan();
    }
    if (argc < 3 || strcmp(argv[1], "json") != 0) {
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        rc |= print_json(argv[i]);
    }
    return rc;
}
