/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses from text and back, without asking any name server. Only for common/net. */
#ifndef PF_COMMON_NET_ADDRESS_H
#define PF_COMMON_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/net/peer.h"
#include "common/sys/parse.h"

struct pf_address {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* A numeric host or "localhost"; empty or "*" is all IPv4 addresses. False: a name. */
PF_MUST_USE bool pf_address_numeric(const struct pf_hostport *hp, struct pf_address *out);
/* "127.0.0.1:80", "[::1]:80"; "unix" or "?" for other families. */
void pf_address_format(const struct sockaddr *sa, char out[PF_ADDRESS_MAX]);
bool pf_address_is_loopback(const struct pf_address *a);
/* Parses and insists on a numeric one: PF_EINVAL. */
PF_MUST_USE int pf_address_parse(const char *text, struct pf_address *out, struct pf_err *err);

#endif
