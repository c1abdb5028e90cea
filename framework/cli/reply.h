/* SPDX-License-Identifier: Apache-2.0 */
/* Replies that say no, as errors. */
#ifndef PF_FRAMEWORK_CLI_REPLY_H
#define PF_FRAMEWORK_CLI_REPLY_H

#include "common/base/err.h"
#include "common/link/envelope.h"

/* 0 for OK and ACCEPTED; else the error with the reply's text: NOT_FOUND PF_ENOENT, AMBIGUOUS
 * PF_EAMBIGUOUS, FORBIDDEN PF_EACCESS, BAD_REQUEST PF_EINVAL, CONFLICT PF_EEXIST, NOT_LEADER and
 * UNAVAILABLE PF_ECONN, too much PF_ELIMIT, UNSUPPORTED PF_EVERSION. */
PF_MUST_USE int pf_reply_error(const struct pf_envelope *e, struct pf_err *err);

#endif
