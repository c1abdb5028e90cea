/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher did, for its successor: fixed records appended to a file without fsync (it must
 * outlive processes, not power). Records of one loop are gathered and written at once. The file is
 * rewritten when most of it is history. */
#ifndef PF_AGENT_LAUNCHER_JOURNAL_H
#define PF_AGENT_LAUNCHER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/id.h"

#define PF_JOURNAL_STAGE_BYTES 8
#define PF_JOURNAL_MEMORY      "memory" /* stage of EXITED */

enum pf_journal_kind {
    PF_JOURNAL_BEGIN = 1, /* of the file: uuid = boot id, pid = the writer, start_time = format */
    PF_JOURNAL_INTENT,    /* about to start; error = number of its set of cgroups, 0 = none */
    PF_JOURNAL_STARTED,   /* pid, start_time */
    PF_JOURNAL_FAILED,    /* error, stage */
    /* wait_status, -1: nobody saw it. With stage "memory": error = oom kills, pid = peak and
     * start_time = limit in bytes. */
    PF_JOURNAL_EXITED,
    PF_JOURNAL_FORGOTTEN,
    PF_JOURNAL_KIND_END,
};

struct pf_journal_record {
    uint32_t sum; /* over all that follows; set by pf_journal_add */
    uint8_t kind;
    uint8_t zero[3];
    struct pf_uuid uuid;
    int64_t pid;
    uint64_t start_time;
    int32_t wait_status;
    int32_t error;
    char stage[PF_JOURNAL_STAGE_BYTES];
    int64_t at_ms; /* wall clock */
};
_Static_assert(sizeof(struct pf_journal_record) == 64, "the format of the file");

/* All zero but fd = -1: closed. */
struct pf_journal {
    int dir_fd; /* borrowed */
    int fd;
    struct pf_buf pending;
    uint64_t file_bytes;
    struct pf_journal_record begin;
};

/* Told of each whole record of the file, in order; BEGIN first. */
typedef void pf_journal_record_fn(void *ctx, const struct pf_journal_record *r);

/* Reads `launcher.journal` of the directory to its first torn record and tells what it holds. A
 * missing file holds nothing. PF_EIO, PF_EVERSION (a newer format), PF_EPROTO. */
PF_MUST_USE int pf_journal_load(int dir_fd, pf_journal_record_fn *on_record, void *ctx,
                                struct pf_err *err);
/* Begins a new file; `boot_id` and `pid` are told to the next reader. What is added until
 * pf_journal_rewritten is its first contents; until then the old file stands. */
PF_MUST_USE int pf_journal_rewrite(struct pf_journal *j, int dir_fd, struct pf_uuid boot_id,
                                   int64_t pid, struct pf_err *err);
PF_MUST_USE int pf_journal_rewritten(struct pf_journal *j, struct pf_err *err);
void pf_journal_close(struct pf_journal *j);

void pf_journal_add(struct pf_journal *j, struct pf_journal_record r);
/* Writes what was added: 0, or errno (then it stays pending). */
PF_MUST_USE int pf_journal_flush(struct pf_journal *j);
/* Drops what was added and not flushed. */
void pf_journal_drop(struct pf_journal *j);
/* Is it time to rewrite, with `n_live` records worth keeping? */
bool pf_journal_is_bloated(const struct pf_journal *j, uint64_t n_live);

#endif
