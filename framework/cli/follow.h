/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the output of tasks from their agents as it comes. One link for each agent, one request at
 * a time for each stream, so a reader that is slow slows nothing but itself. A broken link is made
 * again and reading goes on at the same byte. Must not be destroyed from its callbacks. */
#ifndef PF_FRAMEWORK_CLI_FOLLOW_H
#define PF_FRAMEWORK_CLI_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/link/key.h"
#include "common/net/loop.h"

struct pf_follow;

enum { PF_STREAM_STDOUT, PF_STREAM_STDERR, PF_STREAM_COUNT };

struct pf_follow_ops {
    /* Bytes of a stream, in order, each once. Borrowed for the call. */
    void (*on_data)(void *ctx, uint32_t user, int stream, struct pf_bytes data);
    /* The stream is read to its end, or (err not NULL) cannot be read. Nothing follows. */
    void (*on_end)(void *ctx, uint32_t user, int stream, const struct pf_err *err);
};

/* What to read. Texts are copied. */
struct pf_follow_task {
    struct pf_str agent_address, framework_id, task_id;
    uint32_t user; /* told back */
    bool streams[PF_STREAM_COUNT];
    bool follow;         /* wait for more until the task has ended */
    uint32_t tail_lines; /* 0: from the beginning */
    int64_t since_ms;
};

/* `key` NULL: none; borrowed. `give_up_ms`: an agent that cannot be reached for so long ends its
 * streams with PF_ECONN; -1: never. */
PF_MUST_USE int pf_follow_create(struct pf_loop *loop, const struct pf_key *key, int32_t give_up_ms,
                                 const struct pf_follow_ops *ops, void *ctx, struct pf_follow **out,
                                 struct pf_err *err);
void pf_follow_destroy(struct pf_follow *f); /* NULL is fine */
void pf_follow_add(struct pf_follow *f, const struct pf_follow_task *task);

/* Standard input of a task at its agent: the bytes are sent one piece after the other; `on_done` is
 * told (in a later turn) when a piece was taken, or why it was not. One piece at a time. */
struct pf_follow_stdin {
    struct pf_str agent_address, framework_id, task_id;
    struct pf_bytes data;
    bool eof;
    void (*on_done)(void *ctx, const struct pf_err *err);
    void *ctx;
};
/* The terminal of a task that is followed has a new size; lost while its agent is away. */
void pf_follow_resize(struct pf_follow *f, struct pf_str agent_address, struct pf_str framework_id,
                      struct pf_str task_id, uint32_t rows, uint32_t columns);
void pf_follow_write(struct pf_follow *f, const struct pf_follow_stdin *in);

#endif
