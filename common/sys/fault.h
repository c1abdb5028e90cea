/* SPDX-License-Identifier: Apache-2.0 */
/* Where a test may stop a daemon: right after something became durable, and right after it was
 * shown to somebody. A program for tests sets the hook before anything runs; it may not return.
 * NULL in every program that is installed. */
#ifndef PF_COMMON_SYS_FAULT_H
#define PF_COMMON_SYS_FAULT_H

#include <stddef.h>

extern void (*pf_fault_hook)(const char *where);

/* `where` is static text. */
static inline void pf_fault_point(const char *where)
{
    if (pf_fault_hook != NULL) {
        pf_fault_hook(where);
    }
}

#endif
