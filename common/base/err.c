/* SPDX-License-Identifier: Apache-2.0 */
/* Filling and wrapping error objects; what codes and errno values mean. */
#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_fill(struct pf_err *err, int code, int sys, const char *fmt, va_list ap)
    PF_PRINTF(4, 0);

static void err_fill(struct pf_err *err, int code, int sys, const char *fmt, va_list ap)
{
    PF_ASSERT(err->code == 0);
    err->code = code;
    err->sys = sys;
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap); /* a long message is cut */
}

int pf_err_set(struct pf_err *err, int code, const char *fmt, ...)
{
    PF_ASSERT(code < 0);
    if (err) {
        va_list ap;

        va_start(ap, fmt);
        err_fill(err, code, 0, fmt, ap);
        va_end(ap);
    }
    return code;
}

int pf_err_set_sys(struct pf_err *err, int code, int sys, const char *fmt, ...)
{
    PF_ASSERT(code < 0);
    if (err) {
        va_list ap;

        va_start(ap, fmt);
        err_fill(err, code, sys, fmt, ap);
        va_end(ap);
        size_t len = strlen(err->msg);
        (void)snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror(sys));
    }
    return code;
}

void pf_err_wrap(struct pf_err *err, const char *fmt, ...)
{
    char old[sizeof err->msg];

    if (!err || err->code == 0) {
        return;
    }
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap); /* a long message is cut */
    va_end(ap);
    size_t len = strlen(err->msg);
    (void)snprintf(err->msg + len, sizeof err->msg - len, ": %s", old);
}

void pf_err_clear(struct pf_err *err)
{
    if (err) {
        *err = (struct pf_err){0};
    }
}

const char *pf_err_str(int code)
{
    switch (code) {
    case PF_OK: return "success";
#define PF_ERR_CASE(name, value, text) \
    case name: return text;
        PF_ERRORS(PF_ERR_CASE)
#undef PF_ERR_CASE
    default: return "unknown error";
    }
}

int pf_err_from_errno(int sys)
{
    switch (sys) {
    case ENOMEM: return PF_ENOMEM;
    case EINVAL:
    case EDOM:
    case ERANGE:
    case EISDIR:
    case ENOTDIR:
    case ELOOP: return PF_EINVAL;
    case EBADMSG:
    case EPROTO:
    case EILSEQ: return PF_EPROTO;
    case E2BIG:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case EMSGSIZE:
    case ENAMETOOLONG:
    case EOVERFLOW: return PF_ELIMIT;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV: return PF_ENOENT;
    case EEXIST:
    case ENOTEMPTY: return PF_EEXIST;
    case EACCES:
    case EPERM:
    case EROFS: return PF_EACCESS;
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY: return PF_EBUSY;
    case ENOSPC:
    case EDQUOT: return PF_ENOSPC;
    case ECONNREFUSED: return PF_EREFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case EPIPE:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL: return PF_ECONN;
    case ETIMEDOUT: return PF_ETIMEOUT;
    case ECANCELED: return PF_ECANCELED;
    default: return PF_EIO;
    }
}
