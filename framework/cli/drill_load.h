/* SPDX-License-Identifier: Apache-2.0 */
/* The frameworks under which a drill happens, from outside: a process each (cmd_drill_load.c), what
 * they say, and the directory where their journals and their tasks' files gather. */
#ifndef PF_FRAMEWORK_CLI_DRILL_LOAD_H
#define PF_FRAMEWORK_CLI_DRILL_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/net/loop.h"
#include "framework/cli/oracle.h"

#define PF_DRILL_FRAMEWORKS_MAX 64

struct pf_drill_load;

/* A framework as its own words show it. Times as pf_now_us(), 0 = never. */
struct pf_drill_framework {
    char id[256];
    pid_t pid;
    bool is_over;   /* said that all its tasks have ended */
    uint64_t epoch; /* subscribed under */
    int64_t subscribed_us, disconnected_us, offers_us;
    int64_t want_us, waited_us; /* it waits for an offer since; it had waited for the last one */
    uint64_t accept_seq; /* of its last ACCEPT */
    int64_t accept_us;
    uint64_t running_seq; /* the highest of which it heard that it runs */
    int64_t running_us;
    uint32_t n_kept; /* tasks of the lasting sorts that it heard to run */
};

struct pf_drill_load_options {
    const char *program; /* ourselves */
    const char *masters, *key_file;
    const char *files;                           /* a directory that the agents see too */
    uint32_t n_frameworks, n_tasks, n_sim_tasks; /* of all together */
    int32_t every_ms;
};

struct pf_drill_load_ops {
    /* A framework said something: its entry is new. `was_accept`: an ACCEPT is about to be sent. */
    void (*on_word)(void *ctx, uint32_t i, bool was_accept);
    /* One ended and it was not our doing. */
    void (*on_wrong)(void *ctx, const char *text);
};

/* Makes the directories and starts the processes. */
PF_MUST_USE int pf_drill_load_create(struct pf_loop *loop, const struct pf_drill_load_options *o,
                                     const struct pf_drill_load_ops *ops, void *ctx,
                                     struct pf_drill_load **out, struct pf_err *err);
/* Ends the processes that are left. NULL is fine. */
void pf_drill_load_destroy(struct pf_drill_load *l);
const struct pf_drill_framework *pf_drill_load_framework(const struct pf_drill_load *l, uint32_t i);
uint32_t pf_drill_load_count(const struct pf_drill_load *l);
/* Do all lasting tasks run that there are to be? */
bool pf_drill_load_is_full(const struct pf_drill_load *l);
/* SIGKILL; another process goes on with the framework at once. */
void pf_drill_load_kill(struct pf_drill_load *l, uint32_t i);
/* All tasks are to do the rest of their work and end. */
PF_MUST_USE int pf_drill_load_finish(struct pf_drill_load *l, struct pf_err *err);
bool pf_drill_load_is_over(const struct pf_drill_load *l);
/* Gives everything that was written to the judge. */
PF_MUST_USE int pf_drill_load_read(const struct pf_drill_load *l, struct pf_oracle *o,
                                   struct pf_err *err);

#endif
