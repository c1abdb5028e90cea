/* SPDX-License-Identifier: Apache-2.0 */
/* See url.h. What may stand in a path is what ZooKeeper admits, less what is hard to read. */
#include "common/zk/url.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/str.h"
#include "common/zk/client.h"

#define EXAMPLE "for example zk://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/proffer"

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._:[]", c) != NULL);
}

static bool is_printable(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] <= ' ' || at[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static int url_put_auth(const char *at, size_t len, struct pf_zk_url *u, struct pf_err *err)
{
    const char *colon = memchr(at, ':', len);
    if (colon == NULL || colon == at || colon + 1 == at + len || !is_printable(at, len)) {
        return pf_err_set(err, PF_EINVAL,
                          "what stands before '@' must be user:password without blanks");
    }
    u->auth = pf_strndup(at, len);
    return 0;
}

static int url_put_host(const char *at, size_t len, struct pf_zk_url *u, struct pf_err *err)
{
    struct pf_hostport hp;
    if (len == 0) {
        return pf_err_set(err, PF_EINVAL, "a host is missing; " EXAMPLE);
    }
    if (u->n_hosts == PF_ZK_HOSTS_MAX) {
        return pf_err_set(err, PF_EINVAL, "more than %d hosts", PF_ZK_HOSTS_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_host_char(at[i])) {
            return pf_err_set(err, PF_EINVAL,
                              "host %u holds a character that no host may; " EXAMPLE,
                              u->n_hosts + 1);
        }
    }
    int rc = pf_parse_hostport((struct pf_str){at, (uint32_t)len}, PF_ZK_PORT_DEFAULT, &hp, err);
    if (rc != 0) {
        return rc;
    }
    if (hp.host[0] == '\0' || hp.port == 0) {
        return pf_err_set(err, PF_EINVAL, "'%.*s' is no host:port; " EXAMPLE, (int)len, at);
    }
    for (uint32_t i = 0; i < u->n_hosts; i++) {
        if (strcmp(u->host[i].host, hp.host) == 0 && u->host[i].port == hp.port) {
            return pf_err_set(err, PF_EINVAL, "'%.*s' stands there twice", (int)len, at);
        }
    }
    u->host[u->n_hosts++] = hp;
    return 0;
}

static int url_put_hosts(const char *at, size_t len, struct pf_zk_url *u, struct pf_err *err)
{
    const char *end = at + len;
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        int rc = url_put_host(at, (size_t)(stop - at), u, err);
        if (rc != 0 || comma == NULL) {
            return rc;
        }
        at = comma + 1;
    }
}

static bool is_dots(const char *at, size_t len)
{
    return (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.');
}

static int url_put_path(const char *path, struct pf_zk_url *u, struct pf_err *err)
{
    size_t len = strlen(path);
    if (len > PF_ZK_PATH_MAX) {
        return pf_err_set(err, PF_EINVAL, "the path is longer than %d bytes", PF_ZK_PATH_MAX);
    }
    if (!is_printable(path, len)) {
        return pf_err_set(err, PF_EINVAL, "the path holds blanks or characters beyond ASCII");
    }
    if (len < 2) {
        return pf_err_set(err, PF_EINVAL,
                          "a path of the cluster's own is missing behind the hosts; " EXAMPLE);
    }
    for (const char *at = path; at != NULL;) { /* at a '/' */
        const char *next = strchr(at + 1, '/');
        size_t n = next != NULL ? (size_t)(next - at - 1) : strlen(at + 1);
        if (n == 0 || is_dots(at + 1, n)) {
            return pf_err_set(err, PF_EINVAL, "'%.100s' is no path of ZooKeeper's; " EXAMPLE, path);
        }
        at = next;
    }
    if (strncmp(path, "/zookeeper", 10) == 0 && (path[10] == '/' || path[10] == '\0')) {
        return pf_err_set(err, PF_EINVAL, "/zookeeper is ZooKeeper's own; " EXAMPLE);
    }
    memcpy(u->path, path, len + 1);
    return 0;
}

int pf_zk_url_parse(const char *text, struct pf_zk_url *out, struct pf_err *err)
{
    struct pf_zk_url u = {.n_hosts = 0};
    if (strnlen(text, PF_ZK_URL_MAX + 1) > PF_ZK_URL_MAX) {
        return pf_err_set(err, PF_EINVAL, "longer than %d bytes", PF_ZK_URL_MAX);
    }
    if (strncmp(text, "zk://", 5) != 0) {
        return pf_err_set(err, PF_EINVAL, "must begin with zk://; " EXAMPLE);
    }
    const char *hosts = text + 5;
    const char *slash = strchr(hosts, '/');
    const char *end = slash != NULL ? slash : hosts + strlen(hosts);
    int rc = 0;
    if (strchr(end, '@') != NULL) { /* else a part of a password could be shown as a host */
        return pf_err_set(err, PF_EINVAL,
                          "'@' stands behind the first '/': a password cannot hold '/', a path not "
                          "'@'");
    }
    for (const char *at = end; at > hosts; at--) {
        if (at[-1] == '@') {
            rc = url_put_auth(hosts, (size_t)(at - 1 - hosts), &u, err);
            hosts = at;
            break;
        }
    }
    if (rc == 0) {
        rc = url_put_hosts(hosts, (size_t)(end - hosts), &u, err);
    }
    if (rc == 0) {
        rc = url_put_path(slash != NULL ? slash : "", &u, err);
    }
    if (rc != 0) {
        pf_zk_url_fini(&u);
        return rc;
    }
    *out = u;
    return 0;
}

void pf_zk_url_fini(struct pf_zk_url *u)
{
    if (u->auth != NULL) {
        explicit_bzero(u->auth, strlen(u->auth));
        PF_FREE(u->auth);
    }
}

int pf_zk_url_check(const char *url, struct pf_err *err)
{
    struct pf_zk_url u;
    int rc = pf_zk_url_parse(url, &u, err);
    if (rc == 0) {
        pf_zk_url_fini(&u);
    }
    return rc;
}

int pf_zk_url_show(const char *url, struct pf_buf *out, struct pf_err *err)
{
    struct pf_zk_url u;
    char text[PF_FORMAT_HOSTPORT_MAX];
    int rc = pf_zk_url_parse(url, &u, err);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < u.n_hosts; i++) {
        pf_format_hostport(&u.host[i], text);
        pf_buf_printf(out, "%s%s", i == 0 ? "zk://" : ",", text);
    }
    pf_buf_add_cstr(out, u.path);
    pf_zk_url_fini(&u);
    return 0;
}
