/* SPDX-License-Identifier: Apache-2.0 */
/* zk://[user:password@]host1:port1,host2/path taken apart. Only for common/zk. */
#ifndef PF_COMMON_ZK_URL_H
#define PF_COMMON_ZK_URL_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/sys/parse.h"

#define PF_ZK_HOSTS_MAX    16
#define PF_ZK_URL_MAX      4096
#define PF_ZK_PATH_MAX     256
#define PF_ZK_PORT_DEFAULT 2181

struct pf_zk_url {
    struct pf_hostport host[PF_ZK_HOSTS_MAX];
    uint32_t n_hosts;
    char path[PF_ZK_PATH_MAX + 1]; /* "/a/b", never "/" */
    char *auth;                    /* "user:password", NULL = none; owned, wiped at the end */
};

/* PF_EINVAL; no error text holds the password. */
PF_MUST_USE int pf_zk_url_parse(const char *text, struct pf_zk_url *out, struct pf_err *err);
void pf_zk_url_fini(struct pf_zk_url *u);

#endif
