/* SPDX-License-Identifier: Apache-2.0 */
/* Schemes, paths and names of URIs. */
#include "agent/fetcher/uri.h"

#include "common/base/limits.h"

static const char *const remote_schemes[] = {"http", "https", "ftp", "ftps"};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The scheme of "scheme://...", absent for everything else, which is a path. */
static struct pf_str uri_scheme(struct pf_str uri)
{
    uint32_t i = 0;

    while (i < uri.len && (is_letter(uri.at[i]) ||
                           (i > 0 && (is_digit(uri.at[i]) || strchr("+-.", uri.at[i]) != NULL)))) {
        i++;
    }
    if (i == 0 || uri.len - i < 3 || memcmp(uri.at + i, "://", 3) != 0) {
        return (struct pf_str){NULL, 0};
    }
    return (struct pf_str){uri.at, i};
}

static bool scheme_is(struct pf_str scheme, const char *lower)
{
    size_t len = strlen(lower);

    if (scheme.len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = scheme.at[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != lower[i]) {
            return false;
        }
    }
    return true;
}

static bool scheme_is_remote(struct pf_str scheme)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(remote_schemes); i++) {
        if (scheme_is(scheme, remote_schemes[i])) {
            return true;
        }
    }
    return false;
}

static struct pf_str str_from(struct pf_str s, uint32_t i)
{
    return (struct pf_str){s.at + i, s.len - i};
}

/* How many bytes come before the first of `stops`. */
static uint32_t str_span(struct pf_str s, const char *stops)
{
    uint32_t i = 0;

    while (i < s.len && strchr(stops, s.at[i]) == NULL) {
        i++;
    }
    return i;
}

static int uri_check(struct pf_str uri, struct pf_err *err)
{
    if (uri.len == 0) {
        return pf_err_set(err, PF_EINVAL, "the URI is empty");
    }
    if (uri.len > PF_URI_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT, "the URI has more than %u bytes", PF_URI_MAX_BYTES);
    }
    for (uint32_t i = 0; i < uri.len; i++) {
        if ((unsigned char)uri.at[i] < 0x20 || uri.at[i] == 0x7f) {
            return pf_err_set(err, PF_EINVAL, "the URI has control characters");
        }
    }
    return 0;
}

/* What follows file://, with its host taken off. */
static int file_path(struct pf_str rest, struct pf_str *out, struct pf_err *err)
{
    if (pf_str_has_prefix(rest, PF_STR("localhost/"))) {
        rest = str_from(rest, 9);
    }
    if (rest.len == 0 || rest.at[0] != '/') {
        return pf_err_set(err, PF_EINVAL, "a file URI needs an absolute path of this machine");
    }
    *out = rest;
    return 0;
}

int pf_uri_parse(struct pf_str uri, struct pf_str base, enum pf_uri_kind *out_kind,
                 struct pf_buf *source, struct pf_err *err)
{
    struct pf_str scheme = uri_scheme(uri);
    struct pf_str path = uri;
    int rc = uri_check(uri, err);

    if (rc != 0) {
        return rc;
    }
    if (scheme.at != NULL && scheme_is_remote(scheme)) {
        pf_buf_add_str(source, uri);
        *out_kind = PF_URI_REMOTE;
        return 0;
    }
    if (scheme.at != NULL && !scheme_is(scheme, "file")) {
        return pf_err_set(err, PF_EINVAL,
                          "scheme %.*s is not supported (http, https, ftp, ftps, file or a path)",
                          (int)(scheme.len < 32 ? scheme.len : 32), scheme.at);
    }
    if (scheme.at != NULL) {
        rc = file_path(str_from(uri, scheme.len + 3), &path, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (path.at[0] != '/') {
        if (base.len == 0) {
            return pf_err_set(err, PF_EINVAL, "a relative path, and the agent has no base for it");
        }
        pf_buf_add_str(source, base);
        pf_buf_add_byte(source, '/');
    }
    pf_buf_add_str(source, path);
    *out_kind = PF_URI_LOCAL;
    return 0;
}

int pf_uri_name(struct pf_str uri, struct pf_buf *name, struct pf_err *err)
{
    struct pf_str scheme = uri_scheme(uri);
    struct pf_str path = uri;

    if (scheme.at != NULL) {
        path = str_from(uri, scheme.len + 3);
        if (!scheme_is(scheme, "file")) {
            path.len = str_span(path, "?#");
        }
        path = str_from(path, str_span(path, "/")); /* the host is no name */
    }
    uint32_t begin = path.len;
    while (begin > 0 && path.at[begin - 1] != '/') {
        begin--;
    }
    path = str_from(path, begin);
    if (path.len == 0 || pf_str_is(path, ".") || pf_str_is(path, "..")) {
        return pf_err_set(err, PF_EINVAL, "the URI ends without the name of a file");
    }
    pf_buf_add_str(name, path);
    return 0;
}

/* How much of what follows "scheme://" is a user and a password: up to the last @ of the authority,
 * or of all of it where the authority has no valid port: a password with an unescaped slash. */
static uint32_t userinfo_len(struct pf_str rest)
{
    uint32_t end = str_span(rest, "/?#");
    uint32_t len = 0;
    bool is_odd = false;

    for (uint32_t i = 0; i < end; i++) {
        if (rest.at[i] == '@') {
            len = i + 1;
        }
    }
    for (uint32_t i = len; i + 1 < end && rest.at[len] != '['; i++) {
        is_odd = is_odd || (rest.at[i] == ':' && !is_digit(rest.at[i + 1]));
    }
    for (uint32_t i = end; i < rest.len && is_odd; i++) {
        if (rest.at[i] == '@') {
            len = i + 1;
        }
    }
    return len;
}

void pf_uri_show(struct pf_str uri, struct pf_buf *out)
{
    struct pf_str scheme = uri_scheme(uri);
    struct pf_str rest = uri;
    size_t start = out->len;
    bool has_query = false;

    if (scheme.at != NULL && !scheme_is(scheme, "file")) {
        rest = str_from(uri, scheme.len + 3);
        rest = str_from(rest, userinfo_len(rest));
        uint32_t len = str_span(rest, "?");
        has_query = len < rest.len;
        rest.len = len;
        pf_buf_add_str(out, (struct pf_str){uri.at, scheme.len + 3});
    }
    pf_buf_add_str(out, rest);
    pf_buf_add_cstr(out, has_query ? "?..." : "");
    if (out->len - start > PF_URI_SHOWN_MAX) {
        out->len = start + PF_URI_SHOWN_MAX - 3;
        pf_buf_add_cstr(out, "...");
    }
    for (size_t i = start; i < out->len; i++) {
        out->data[i] = out->data[i] < 0x20 || out->data[i] == 0x7f ? '?' : out->data[i];
    }
}
