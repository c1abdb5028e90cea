/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the clocks of the kernel. */
#include "common/sys/clock.h"

#include <time.h>
#include "common/base/compiler.h"

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    int rc = clock_gettime(clock, &t);

    PF_ASSERT(rc == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t pf_now_ms(void)
{
    return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t pf_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t pf_boot_ms(void)
{
    return clock_us(CLOCK_BOOTTIME) / 1000;
}

int64_t pf_wall_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}
