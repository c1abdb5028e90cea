/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line uses of the library beyond its public header: a scheduler on a loop that it
 * shares with others. */
#ifndef PF_FRAMEWORK_LIB_SCHEDULER_H
#define PF_FRAMEWORK_LIB_SCHEDULER_H

#include "common/net/loop.h"
#include "framework/driver/driver.h"
#include "framework/include/proffer/proffer.h"

/* As pf_scheduler_create(), on the caller's loop: it connects in the next turn, callbacks run in
 * the turns of the loop, pf_scheduler_run() and its kin are not for it. Takes neither on_turn nor
 * on_deadline. */
int pf_scheduler_create_on(struct pf_loop *loop, const struct pf_scheduler_options *options,
                           const struct pf_scheduler_callbacks *callbacks, void *ctx,
                           struct pf_scheduler **out, struct pf_problem *problem);
/* It has ended: stopped (0) or failed (the code, `problem` filled). Destroy it, but not from one of
 * its callbacks. */
bool pf_scheduler_is_over(const struct pf_scheduler *s, int *out_code, struct pf_problem *problem);
void pf_scheduler_stats(const struct pf_scheduler *s, struct pf_driver_stats *out);
/* As pf_driver_leaderless_since(). */
int64_t pf_scheduler_leaderless_since(const struct pf_scheduler *s, struct pf_buf *out_why);
/* Walks the driver and its turns; asserts. */
void pf_scheduler_check(const struct pf_scheduler *s);

#endif
