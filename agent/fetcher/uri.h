/* SPDX-License-Identifier: Apache-2.0 */
/* What a URI of a task means: where its content is, what the file is called, and how it may be
 * shown. Nothing is decoded: `%20` in a URI is `%20` in the file's name, as in Mesos. */
#ifndef PF_AGENT_FETCHER_URI_H
#define PF_AGENT_FETCHER_URI_H

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

enum pf_uri_kind {
    PF_URI_INVALID = 0,
    PF_URI_LOCAL,  /* a path of this machine */
    PF_URI_REMOTE, /* http, https, ftp, ftps */
    PF_URI_KIND_COUNT
};

/* Appends to `source` the absolute path of a local file (file:// and file://localhost are taken
 * off, `base` is put before a relative path), or the URI itself. PF_EINVAL: another scheme, a
 * relative path without `base`, control characters, empty; PF_ELIMIT: too long. */
PF_MUST_USE int pf_uri_parse(struct pf_str uri, struct pf_str base, enum pf_uri_kind *out_kind,
                             struct pf_buf *source, struct pf_err *err);

/* Appends the last component of the path, the query and fragment of a remote URI left out.
 * PF_EINVAL where that is "", "." or "..". */
PF_MUST_USE int pf_uri_name(struct pf_str uri, struct pf_buf *name, struct pf_err *err);

/* Appends the URI for people to see: on one line, at most PF_URI_SHOWN_MAX bytes, without what may
 * be secret (user, password, query). Works for anything, also for what is no URI. */
void pf_uri_show(struct pf_str uri, struct pf_buf *out);

#endif
