/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses, and where a daemon may listen. */
#include "common/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

bool pf_address_numeric(const struct pf_hostport *hp, struct pf_address *out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(hp->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(hp->port)};
    const char *host = hp->host;
    if (host[0] == '\0' || strcmp(host, "*") == 0) {
        host = "0.0.0.0";
    } else if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &in4.sin_addr) == 1) {
        memcpy(&out->sa, &in4, sizeof in4);
        out->len = sizeof in4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&out->sa, &in6, sizeof in6);
        out->len = sizeof in6;
        return true;
    }
    return false;
}

void pf_address_format(const struct sockaddr *sa, char out[PF_ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, sa, sizeof in4);
        (void)inet_ntop(AF_INET, &in4.sin_addr, host, sizeof host); /* the size is right */
        (void)snprintf(out, PF_ADDRESS_MAX, "%s:%u", host, ntohs(in4.sin_port));
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host); /* the size is right */
        (void)snprintf(out, PF_ADDRESS_MAX, "[%s]:%u", host, ntohs(in6.sin6_port));
    } else {
        (void)snprintf(out, PF_ADDRESS_MAX, "%s", sa->sa_family == AF_UNIX ? "unix" : "?");
    }
}

bool pf_address_is_loopback(const struct pf_address *a)
{
    if (a->sa.ss_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, &a->sa, sizeof in4);
        return ntohl(in4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, &a->sa, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

int pf_address_parse(const char *text, struct pf_address *out, struct pf_err *err)
{
    struct pf_hostport hp;
    int rc = pf_parse_hostport(pf_str(text), 0, &hp, err);
    if (rc != 0) {
        return rc;
    }
    if (!pf_address_numeric(&hp, out)) {
        return pf_err_set(err, PF_EINVAL, "%.100s: give a numeric address, localhost or *", text);
    }
    return 0;
}

int pf_listen_check(const char *address, bool has_key, bool insecure, struct pf_err *err)
{
    struct pf_address a;
    int rc = pf_address_parse(address, &a, err);
    if (rc != 0 || has_key || insecure || pf_address_is_loopback(&a)) {
        return rc;
    }
    return pf_err_set(err, PF_EUSAGE,
                      "listening on %.100s, which others can reach, needs a key (--key-file FILE), "
                      "or --insecure, which lets anybody run anything",
                      address);
}
