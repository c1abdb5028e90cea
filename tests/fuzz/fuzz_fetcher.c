/* SPDX-License-Identifier: Apache-2.0 */
/* URIs and names that tasks and archives bring. Input: two texts parted by a newline (a URI and a
 * base, or a link and its target). What is accepted stays inside; what is shown is one line. */
#include <stdlib.h>
#include <string.h>
#include "agent/fetcher/place.h"
#include "agent/fetcher/unpack.h"
#include "agent/fetcher/uri.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/fuzz/fuzz.h"

static bool has_control(const struct pf_buf *b)
{
    for (size_t i = 0; i < b->len; i++) {
        if (b->data[i] < 0x20 || b->data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static void uris(struct pf_str uri, struct pf_str base)
{
    enum pf_uri_kind kind = PF_URI_INVALID;
    struct pf_buf source = {0};
    struct pf_buf name = {0};
    struct pf_buf shown = {0};
    struct pf_err err = {0};

    int rc = pf_uri_parse(uri, base, &kind, &source, &err);
    PF_ASSERT(rc == err.code && (rc == 0) == (kind != PF_URI_INVALID));
    int name_rc = pf_uri_name(uri, &name, NULL);
    if (rc == 0 && name_rc == 0) { /* a name of its own is always a place */
        struct pf_str s = {pf_buf_cstr(&name), (uint32_t)name.len};
        rc = pf_place_check(s, NULL);
        PF_ASSERT(rc == 0 && memchr(name.data, '/', name.len) == NULL);
    }
    pf_uri_show(uri, &shown);
    PF_ASSERT(shown.len <= PF_URI_SHOWN_MAX && !has_control(&shown));
    pf_buf_fini(&source);
    pf_buf_fini(&name);
    pf_buf_fini(&shown);
}

/* Walks a path without links from a directory `depth` levels deep; -1: it left the top. */
static int walk(const char *path, int depth)
{
    while (*path != '\0' && depth >= 0) {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            depth--;
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            depth++;
        }
        path += len + (path[len] == '/' ? 1 : 0);
    }
    return depth;
}

static void names(struct pf_str first, struct pf_str second)
{
    char *path = pf_strndup(first.at, first.len);
    char *target = pf_strndup(second.at, second.len);

    if (pf_place_check(first, NULL) == 0) {
        PF_ASSERT(path[0] != '/' && walk(path, 0) > 0);
    }
    if (pf_unpack_check_path(path, NULL) == 0) {
        PF_ASSERT(path[0] != '/' && walk(path, 0) >= 0);
        if (walk(path, 0) > 0 && pf_unpack_check_symlink(path, target, NULL) == 0) {
            PF_ASSERT(target[0] != '/' && walk(target, walk(path, 0) - 1) >= 0);
        }
    }
    pf_free(path);
    pf_free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    char *first = pf_strndup((const char *)data, len);
    char *second = end != NULL ? pf_strndup((const char *)end + 1, size - len - 1) : pf_strdup("");
    struct pf_str a = {first, (uint32_t)len};
    struct pf_str b = {second, (uint32_t)(end != NULL ? size - len - 1 : 0)};

    uris(a, b);
    names(a, b);
    pf_free(first);
    pf_free(second);
    return 0;
}
