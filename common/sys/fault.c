/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. */
#include "common/sys/fault.h"

void (*pf_fault_hook)(const char *where);
