/* SPDX-License-Identifier: Apache-2.0 */
/* See reply.h. */
#include "framework/cli/reply.h"

#include "schemas/proffer.h"

int pf_reply_error(const struct pf_envelope *e, struct pf_err *err)
{
    int code = PF_EPROTO;
    switch ((enum ReplyCode)e->code) {
    case ReplyCode_OK:
    case ReplyCode_ACCEPTED: return 0;
    case ReplyCode_BAD_REQUEST: code = PF_EINVAL; break;
    case ReplyCode_NOT_FOUND: code = PF_ENOENT; break;
    case ReplyCode_AMBIGUOUS: code = PF_EAMBIGUOUS; break;
    case ReplyCode_FORBIDDEN: code = PF_EACCESS; break;
    case ReplyCode_CONFLICT: code = PF_EEXIST; break;
    case ReplyCode_NOT_LEADER:
    case ReplyCode_UNAVAILABLE: code = PF_ECONN; break;
    case ReplyCode_TOO_LARGE:
    case ReplyCode_TOO_MANY: code = PF_ELIMIT; break;
    case ReplyCode_UNSUPPORTED: code = PF_EVERSION; break;
    case ReplyCode_NOT_SUBSCRIBED: code = PF_ENOENT; break;
    }
    if (e->text.len > 0) {
        return pf_err_set(err, code, "%.*s", PF_STR_ARG(e->text));
    }
    const char *name = ReplyCode__str(e->code);
    return pf_err_set(err, code, "refused: %s", name != NULL ? name : "unknown reason");
}
