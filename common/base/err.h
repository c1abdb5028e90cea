/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: a negative code as the return value, and a text for people in an object of the caller.
 * Codes of libc and of libraries are translated at the edge and go no further. */
#ifndef PF_COMMON_BASE_ERR_H
#define PF_COMMON_BASE_ERR_H

#include "common/base/compiler.h"

/* name, value, text */
#define PF_ERRORS(X)                                        \
    X(PF_ENOMEM, -1, "out of memory")                       \
    X(PF_EINVAL, -2, "invalid value")                       \
    X(PF_EPROTO, -3, "malformed data")                      \
    X(PF_ELIMIT, -4, "limit exceeded")                      \
    X(PF_ENOENT, -5, "not found")                           \
    X(PF_EEXIST, -6, "already exists")                      \
    X(PF_EACCESS, -7, "permission denied")                  \
    X(PF_EBUSY, -8, "in use")                               \
    X(PF_EIO, -9, "input or output failed")                 \
    X(PF_ENOSPC, -10, "no space left")                      \
    X(PF_ECONN, -11, "connection failed")                   \
    X(PF_ETIMEOUT, -12, "timed out")                        \
    X(PF_EAUTH, -13, "authentication failed")               \
    X(PF_EVERSION, -14, "incompatible version")             \
    X(PF_EUSAGE, -15, "wrong usage")                        \
    X(PF_ECANCELED, -16, "canceled")                        \
    X(PF_EAMBIGUOUS, -17, "ambiguous")                      \
    X(PF_EREFUSED, -18, "connection refused")

enum pf_errcode {
    PF_OK = 0,
#define PF_ERR_ENUM(name, value, text) name = value,
    PF_ERRORS(PF_ERR_ENUM)
#undef PF_ERR_ENUM
};

/* On the caller's stack, last argument, may be NULL everywhere. Must be empty (`{0}`) when passed;
 * filled at most once, then only wrapped. */
struct pf_err {
    int code;      /* PF_E*, 0 = empty */
    int sys;       /* errno where one caused it, else 0 */
    char msg[256]; /* what happened, for people */
};

/* Fills the empty `err` (NULL: nothing) and returns `code`. */
int pf_err_set(struct pf_err *err, int code, const char *fmt, ...) PF_PRINTF(3, 4);
/* The same, with ": strerror(sys)" appended. */
int pf_err_set_sys(struct pf_err *err, int code, int sys, const char *fmt, ...) PF_PRINTF(4, 5);
/* Prefixes the message with "fmt: ". Does nothing to an empty or NULL object. */
void pf_err_wrap(struct pf_err *err, const char *fmt, ...) PF_PRINTF(2, 3);
void pf_err_clear(struct pf_err *err);
/* The fixed text of a code ("not found"); never NULL. */
const char *pf_err_str(int code);
/* The PF_E* that stands for an errno value; PF_EIO for those without a closer one. */
int pf_err_from_errno(int sys);

#endif
