/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in tests are JSON texts, with ' for " so that they read well in C. */
#ifndef PF_TESTS_SUPPORT_MSG_H
#define PF_TESTS_SUPPORT_MSG_H

#include "common/base/alloc.h"
#include "common/fb/build.h"
#include "common/fb/json.h"
#include "tests/support/test.h"

/* The text with " for '; to be freed with pf_free. */
static inline char *test_json_quotes(const char *text)
{
    char *json = pf_strdup(text);
    for (char *p = json; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return json;
}

/* The message of type `d` that `text` says, in the caller's builder (initialised). */
static inline struct pf_msg test_msg(struct pf_fb_builder *b, const struct pf_fb_table_desc *d,
                                     const char *text)
{
    struct pf_msg msg = {NULL, 0, NULL};
    struct pf_err err = {0};
    char *json = test_json_quotes(text);
    int rc = pf_json_read(pf_str(json), d, b, &msg, PF_JSON_REFUSE_UNKNOWN, &err);
    if (rc != 0) {
        fail_msg("%s in %s", err.msg, json);
    }
    pf_free(json);
    return msg;
}

/* The table as JSON without defaults; to be freed with pf_free. */
static inline char *test_json_of(struct pf_tab t, const struct pf_fb_table_desc *d)
{
    struct pf_buf out = {0};
    struct pf_err err = {0};
    if (pf_json_write(&out, t, d, PF_JSON_NO_DEFAULTS, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    char *text = pf_strdup(pf_buf_cstr(&out));
    pf_buf_fini(&out);
    return text;
}

/* `t`, of type `d`, says what `want` says, whatever the order and spacing of `want`. */
static inline void assert_table_json(struct pf_tab t, const struct pf_fb_table_desc *d,
                                     const char *want)
{
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg = test_msg(&b, d, want);
    char *have_text = test_json_of(t, d);
    char *want_text = test_json_of(pf_msg_root(msg, d), d);
    assert_string_equal(have_text, want_text);
    pf_free(have_text);
    pf_free(want_text);
    pf_fb_builder_fini(&b);
}

#endif
