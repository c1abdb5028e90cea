/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks. Deadlines and durations are monotonic; the wall clock is for people and records. */
#ifndef PF_COMMON_SYS_CLOCK_H
#define PF_COMMON_SYS_CLOCK_H

#include <stdint.h>

int64_t pf_now_ms(void);  /* monotonic; its zero means nothing */
int64_t pf_now_us(void);  /* the same clock */
int64_t pf_boot_ms(void); /* monotonic, and goes on while the machine sleeps: leases */
int64_t pf_wall_ms(void); /* since 1970-01-01T00:00:00Z */

#endif
