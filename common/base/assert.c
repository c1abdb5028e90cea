/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process that found its own bug. The only place of the pure layers that writes to
 * stderr or aborts. */
#include "common/base/compiler.h"

#include <stdio.h>
#include <stdlib.h>

void pf_assert_fail(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
    (void)fflush(stderr); /* nothing can be done about a failure here */
    abort();
}
