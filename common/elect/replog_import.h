/* SPDX-License-Identifier: Apache-2.0 */
/* Publishes rows as the registry of an empty path, or over one that nobody may lead: the parts of a
 * snapshot first, then fence, base and head by one multi, so that there is nothing or everything,
 * the old or the new. Pure: the caller sends the
 * requests one at a time and tells the answers. */
#ifndef PF_COMMON_ELECT_REPLOG_IMPORT_H
#define PF_COMMON_ELECT_REPLOG_IMPORT_H

#include "common/base/err.h"
#include "common/base/id.h"
#include "common/elect/replica.h"
#include "common/elect/zk_op.h"

struct pf_replog_import;

struct pf_replog_import_options {
    uint64_t seed;
    struct pf_uuid incarnation;
    uint64_t epoch;      /* of the registry that is imported: /epoch is made with epoch + 1 */
    const char *cluster; /* copied */
    uint32_t format;     /* of the rows */
    /* What stands there already and is replaced if it is still that: the version of /epoch, that of
     * /registry/head (the new log goes on behind it) and whether there is a /registry/base. */
    bool has_epoch, has_head, has_base;
    int32_t epoch_version, head_version;
};

/* `rows` must live until destroy, and no other cut of it be open. */
struct pf_replog_import *pf_replog_import_create(struct pf_replica *rows,
                                                 const struct pf_replog_import_options *o);
void pf_replog_import_destroy(struct pf_replog_import *i);
/* What to send now, on any session: the same until it is answered. NULL: done. */
const struct pf_zk_request *pf_replog_import_request(struct pf_replog_import *i);
/* 0: look at request() again; what was lost (UNKNOWN, NOT_SENT) is to be sent again then, once
 * there is a connection. PF_EEXIST: there is a registry, or a fence, already. PF_EACCESS, PF_EIO:
 * ZooKeeper refused, as `err` says. After an error nothing more can be asked. */
PF_MUST_USE int pf_replog_import_reply(struct pf_replog_import *i, const struct pf_zk_reply *r,
                                       struct pf_err *err);
bool pf_replog_import_is_done(const struct pf_replog_import *i);

#endif
