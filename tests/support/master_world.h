/* SPDX-License-Identifier: Apache-2.0 */
/* A master core with its turns and an image of durable rows, driven by JSON messages: for
 * scenarios. Peers are numbers. What is sent to each is kept in order as JSON; moves of the state
 * machines are kept as trace lines. pf_master_check runs after each step. */
#ifndef PF_TESTS_SUPPORT_MASTER_WORLD_H
#define PF_TESTS_SUPPORT_MASTER_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "master/core/master.h"

struct mw;

struct mw *mw_create(void);
void mw_destroy(struct mw *w);
/* Options of the next boot; change between mw_create and mw_boot. */
struct pf_master_options *mw_options(struct mw *w);
struct pf_master *mw_core(struct mw *w);

/* Makes the core, gives it the rows of the image, elects it with the next epoch. */
void mw_boot(struct mw *w);
/* The two halves of it: a standby with the rows of the image; then it leads with the next epoch.
 * `is_stored`: it is kept elsewhere. */
void mw_standby(struct mw *w);
void mw_elect(struct mw *w, bool is_stored);
/* A standby hears of a committed row (JSON of Row_Agent, Row_Framework), or that it is gone (NULL).
 */
void mw_row(struct mw *w, uint8_t table, const char *key, const char *json);
void mw_masters(struct mw *w, const struct pf_master_view *at, uint32_t n);
/* The process is gone: what is durable stays, links and all else go. */
void mw_crash(struct mw *w);
/* Bytes of rows of the largest step that was stored. */
uint32_t mw_largest_batch(const struct mw *w);
/* Holds batches back from now on: nothing becomes durable until mw_store_go. */
void mw_store_hold(struct mw *w);
void mw_store_go(struct mw *w);

/* `hello`: more fields of the Hello, as JSON members ("'instance':'i1'"), or "". */
void mw_up(struct mw *w, uint64_t peer, const char *kind, bool is_trusted, const char *hello);
void mw_down(struct mw *w, uint64_t peer);
/* The JSON of the envelope's fields: "'request_id':1,'body':{'Master_Call':{...}}". */
void mw_send(struct mw *w, uint64_t peer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Time passes; deadlines are served on the way. */
void mw_pass(struct mw *w, int64_t ms);

/* The next message to the peer as JSON, NULL: none. Borrowed until the next call. "CLOSED" stands
 * for the end of the link. */
const char *mw_next(struct mw *w, uint64_t peer);
/* The next message must hold every one of these fragments (' stands for "); NULL ends the list. */
void mw_expect(struct mw *w, uint64_t peer, ...) __attribute__((sentinel));
void mw_expect_nothing(struct mw *w, uint64_t peer);
void mw_drop(struct mw *w, uint64_t peer); /* what is there is of no interest */
/* Everything traced since the last call equals this: "offer o11 open->accepted accept\n...". */
void mw_expect_trace(struct mw *w, const char *expected);
void mw_drop_trace(struct mw *w);
/* All effects so far, for comparing two runs. Borrowed. */
const struct pf_buf *mw_log(const struct mw *w);

/* The text of a field of the last mw_next()/mw_expect(): the value behind "key": of its first
 * appearance. Lives until the world's end. */
const char *mw_field(struct mw *w, const char *key);

/* --- stories in one call --- */
/* Agent `id` (a uuid text is best) registers with these resources and no tasks. */
void mw_agent(struct mw *w, uint64_t peer, const char *id, const char *resources,
              const char *attributes);
/* JSON of a resource list: "cpus:1;mem:64;ports:[1-2]". Lives until the world's end. */
const char *mw_res(struct mw *w, const char *text);
/* SUBSCRIBE by a new peer; `more`: members of the call, e.g. "'has_demands':true". Returns the id;
 * SUBSCRIBED was taken. */
const char *mw_framework(struct mw *w, uint64_t peer, const char *info, const char *more);
/* A TaskInfo. */
const char *mw_task(struct mw *w, const char *task_id, const char *agent_id, const char *resources);

/* ACCEPT of one offer with LAUNCH of `tasks` (TaskInfos, comma between); `more`: members of accept.
 */
void mw_accept(struct mw *w, uint64_t peer, const char *offer, const char *tasks, const char *more);
/* An agent's update number `n` of a task (its uuid ends in n, 1..63). */
void mw_update(struct mw *w, uint64_t agent, const char *framework, const char *task,
               const char *state, unsigned n);
const char *mw_uuid(struct mw *w, unsigned n); /* that uuid in base64 */
void mw_acknowledge(struct mw *w, uint64_t peer, const char *agent_id, const char *task,
                    unsigned n);
/* A scheduler's call: the members behind 'type': "'decline':{...}". */
void mw_call(struct mw *w, uint64_t peer, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* An operator's request (the answer is in mw_next); the operator's peer is made at its first use.
 */
void mw_ask(struct mw *w, uint64_t peer, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The inbox of what the core wants of its daemon: "STEP_DOWN master-2", "EPOCH_SEEN 7". */
#define MW_ACTS 0

#define MW_A1 "00000000-0000-4000-8000-0000000000a1"
#define MW_A2 "00000000-0000-4000-8000-0000000000a2"
#define MW_A3 "00000000-0000-4000-8000-0000000000a3"

#endif
