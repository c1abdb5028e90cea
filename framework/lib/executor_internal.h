/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the public executor share. Included by framework/lib/executor*.c only. */
#ifndef PF_FRAMEWORK_LIB_EXECUTOR_INTERNAL_H
#define PF_FRAMEWORK_LIB_EXECUTOR_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/link/handshake.h"
#include "common/net/peer.h"
#include "framework/driver/executor.h"
#include "framework/include/proffer/executor.h"

struct pf_executor {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_timer *timer; /* the driver's deadline, and a kick after calls from outside a turn */
    struct pf_link_self self;
    char instance[PF_UUID_TEXT_LEN + 1];
    char *executor_id, *framework_id;

    struct pf_executor_driver *driver;
    struct pf_turns *turns;
    uint64_t peer;        /* current link, 0 = none */
    uint32_t n_open;      /* numbers of pf_net_connect not yet down */
    bool is_started;
    bool is_carrying_out; /* effects; callbacks run inside */
    bool is_ending;       /* the driver has ended; the link is closing */
    bool is_over;
    struct pf_problem problem; /* why, code 0: as wanted */

    struct pf_executor_callbacks callbacks;
    void *ctx;
    struct pf_arena scratch; /* of one callback or call */
    struct pf_buf json;
};

/* executor_options.c: the options for the driver, texts borrowed from `given` or the environment or
 * in `scratch`. */
PF_MUST_USE int executor_read_options(struct pf_arena *scratch,
                                      const struct pf_executor_options *given,
                                      struct pf_executor_driver_options *out, struct pf_err *err);

/* executor_view.c: what callbacks get, in `scratch` or borrowed from the message. */
struct pf_task_view *executor_task_views(struct pf_arena *scratch,
                                         const struct pf_executor_launch *launch);
void executor_subscription_view(const struct pf_executor *e,
                                const struct pf_executor_subscribed *sub,
                                struct pf_executor_subscription *out);

#endif
