/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. Included by framework/lib only. */
#ifndef PF_FRAMEWORK_LIB_SCHEDULER_INTERNAL_H
#define PF_FRAMEWORK_LIB_SCHEDULER_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/link/handshake.h"
#include "common/net/peer.h"
#include "framework/lib/scheduler.h"

struct pf_scheduler {
    struct pf_loop *loop;
    bool owns_loop;
    struct pf_net *net;
    struct pf_timer *timer; /* the driver's deadline, and a kick after calls from outside a turn */
    struct pf_key key;
    struct pf_link_self self;
    char instance[PF_UUID_TEXT_LEN + 1];
    char *user;

    struct pf_driver *driver;
    struct pf_turns *turns;
    uint64_t peer[PF_MASTERS_MAX]; /* current link to each master, 0 = none */
    uint32_t n_open;               /* numbers of pf_net_connect not yet down */
    bool is_started;
    bool is_carrying_out;          /* effects; callbacks run inside */
    bool is_ending;                /* the driver has ended; links are closing */
    bool is_over;
    struct pf_problem problem;     /* why, code 0: as wanted */

    struct pf_scheduler_callbacks callbacks;
    void *ctx;
    struct pf_arena scratch;       /* of one callback or call */
    struct pf_buf json;
};

/* pf_err of our own layers to what the public header promises; returns the code. */
int scheduler_problem(struct pf_problem *problem, const struct pf_err *err);

/* scheduler.c: an event of the owner. Outside of a turn its effects wait for the next one. */
void scheduler_call(struct pf_scheduler *s, struct pf_driver_event *ev);

/* options.c: reads options, in `scratch`. */
struct scheduler_setup {
    struct pf_scheduler_options o; /* of our own size */
    struct pf_str master[PF_MASTERS_MAX];
    uint32_t n_masters;
    const char *key_file; /* NULL = none */
    const char *user;
    struct pf_msg framework;
};
PF_MUST_USE int scheduler_read_options(struct pf_arena *scratch,
                                       const struct pf_scheduler_options *given,
                                       struct scheduler_setup *out, struct pf_err *err);

/* spec.c: messages from what the public header describes, in `scratch`. `ports` gives the ports of
 * the offers; it is used up from the front. */
struct scheduler_ports {
    struct pf_range *at;
    uint32_t n;
};
PF_MUST_USE int scheduler_task_info(struct pf_arena *scratch, const struct pf_task_spec *given,
                                    bool is_in_group, struct pf_str agent_id,
                                    struct scheduler_ports *ports, struct pf_msg *out,
                                    struct pf_err *err);
PF_MUST_USE int scheduler_executor_info(struct pf_arena *scratch,
                                        const struct pf_executor_spec *given, struct pf_msg *out,
                                        struct pf_err *err);
PF_MUST_USE int scheduler_demand_msg(struct pf_arena *scratch, const struct pf_demand *given,
                                     size_t n, struct pf_msg *out, struct pf_err *err);
/* "KEY=VALUE" texts, ended by NULL, as Labels; absent for NULL. */
PF_MUST_USE int scheduler_check_pairs(const char *const *pairs, const char *what,
                                      struct pf_err *err);

/* spec_parts.c: what descriptions of tasks and executors have in common. */
struct scheduler_amounts {
    int64_t cpus_milli, mem_bytes, disk_bytes, gpus_milli;
};
enum { SCHEDULER_AMOUNTS = 4 }; /* resources that they make at most */
PF_MUST_USE int scheduler_put_amounts(struct pf_fb_builder *b, const struct scheduler_amounts *a,
                                      struct pf_ref *res, uint32_t *n, struct pf_err *err);
struct scheduler_command {
    const char *command;
    const char *const *argv, *const *env;
    const char *user, *cwd;
    const void *script;
    size_t script_bytes;
    bool keeps_stdin;
    const struct pf_uri *uris;
    size_t n_uris;
};
/* Whether nothing (false) or one thing is to be run; PF_EINVAL, PF_ELIMIT. */
PF_MUST_USE int scheduler_check_command(const struct scheduler_command *c, bool *out_runs,
                                        struct pf_err *err);
struct pf_ref scheduler_put_command(struct pf_fb_builder *b, struct pf_arena *scratch,
                                    const struct scheduler_command *c);
struct pf_ref scheduler_put_labels(struct pf_fb_builder *b, struct pf_arena *scratch,
                                   const char *const *labels);
struct pf_ref scheduler_put_duration(struct pf_fb_builder *b, int64_t ms);
PF_MUST_USE int scheduler_put_health_check(struct pf_fb_builder *b, struct pf_arena *scratch,
                                           const struct pf_health_check *given,
                                           struct pf_ref *out, struct pf_err *err);
/* `*message` with the fields that `json`, an object, gives instead; NULL: as it is. */
PF_MUST_USE int scheduler_merge(struct pf_arena *scratch, const struct pf_fb_table_desc *desc,
                                const char *json, struct pf_msg *message, struct pf_err *err);

/* view.c: what callbacks get, in `scratch` or borrowed from the message. */
struct pf_offer_view *scheduler_offer_views(struct pf_arena *scratch,
                                            struct Scheduler_Event_Offers offers, size_t *out_n);
void scheduler_status_view(const struct pf_driver_update *update, struct pf_task_status *out);
void scheduler_failure_view(struct Scheduler_Event_Failure f, struct pf_failure *out);
void scheduler_demand_view(struct Scheduler_Event_DemandStatus s, struct pf_demand_status *out);

#endif
