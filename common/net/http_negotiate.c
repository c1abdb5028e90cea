/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends and what it takes: media types, q values, gzip. */
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include "common/net/http_internal.h"

#define GZIP_LEVEL  1        /* the loop waits for it */
#define GZIP_WINDOW (15 + 16) /* 16: with gzip's header */

static struct pf_str trim(struct pf_str s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* The trimmed text before the next `sep`; `*rest` becomes what is behind it. */
static struct pf_str next_part(struct pf_str *rest, char sep)
{
    const char *end = memchr(rest->at, sep, rest->len);
    uint32_t len = end != NULL ? (uint32_t)(end - rest->at) : rest->len;
    struct pf_str part = {rest->at, len};
    uint32_t skip = end != NULL ? len + 1 : len;
    rest->at += skip;
    rest->len -= skip;
    return trim(part);
}

static bool is_word(struct pf_str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.at, word, s.len) == 0;
}

/* Is the q value in these parameters zero? ("0", "0.", "0.000") */
static bool params_exclude(struct pf_str params)
{
    while (params.len > 0) {
        struct pf_str param = next_part(&params, ';');
        struct pf_str name = next_part(&param, '=');
        if (!is_word(name, "q")) {
            continue;
        }
        struct pf_str value = trim(param);
        bool is_zero = value.len > 0 && value.at[0] == '0';
        for (uint32_t i = 1; i < value.len; i++) {
            is_zero = is_zero && (value.at[i] == '.' || value.at[i] == '0');
        }
        return is_zero;
    }
    return false;
}

/* Does the list allow `name`? The most specific entry counts: rank 3 is the name itself, 2 `group`
 * ("application/" and a star; NULL: there is none), 1 `any`. */
static bool list_allows(struct pf_str list, const char *name, const char *group, const char *any)
{
    int best = 0;
    bool is_allowed = false;
    while (list.len > 0) {
        struct pf_str params = next_part(&list, ',');
        if (params.len == 0) {
            continue;
        }
        struct pf_str what = next_part(&params, ';');
        int rank = is_word(what, name)                       ? 3
                   : group != NULL && is_word(what, group) ? 2
                   : is_word(what, any)                      ? 1
                                                             : 0;
        if (rank > best) {
            best = rank;
            is_allowed = !params_exclude(params);
        }
    }
    return is_allowed;
}

static const char json_type[] = "application/json";
static const char protobuf_type[] = "application/x-protobuf";
static const char any_application[] = "application/*";
static const char any_type[] = "*/*";

int pf_http_media_of(struct pf_str content_type, bool can_protobuf, enum pf_http_encoding *out)
{
    if (content_type.at == NULL) {
        return 400;
    }
    struct pf_str type = next_part(&content_type, ';');
    if (is_word(type, json_type)) {
        *out = PF_HTTP_JSON;
    } else if (can_protobuf && is_word(type, protobuf_type)) {
        *out = PF_HTTP_PROTOBUF;
    } else {
        return 415;
    }
    return 0;
}

int pf_http_media_accepted(struct pf_str accept, bool can_protobuf, enum pf_http_encoding *out)
{
    if (accept.at == NULL || trim(accept).len == 0 ||
        list_allows(accept, json_type, any_application, any_type)) {
        *out = PF_HTTP_JSON;
    } else if (can_protobuf && list_allows(accept, protobuf_type, any_application, any_type)) {
        *out = PF_HTTP_PROTOBUF;
    } else {
        return 406;
    }
    return 0;
}

bool pf_http_gzip_accepted(struct pf_str accept_encoding)
{
    return accept_encoding.at != NULL && list_allows(accept_encoding, "gzip", NULL, "*");
}

bool pf_http_gzip(struct pf_bytes body, struct pf_buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body.at, .avail_in = body.len};
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    uint8_t piece[16 << 10];
    size_t before = out->len;
    int rc;
    do {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        rc = deflate(&z, Z_FINISH);
        pf_buf_add(out, piece, sizeof piece - z.avail_out);
    } while (rc == Z_OK);
    (void)deflateEnd(&z); /* frees; its result repeats ours */
    if (rc != Z_STREAM_END || out->len - before >= body.len) {
        out->len = before;
        return false;
    }
    return true;
}
