/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of one kind that go out by the hundred thousand. A message's layout depends on the
 * lengths of its texts alone, so one that was built serves as a stamp for the next with equal
 * lengths: a copy with other texts in it costs a tenth of building it. */
#ifndef PF_MASTER_CORE_STAMP_H
#define PF_MASTER_CORE_STAMP_H

#include "common/base/arena.h"
#include "common/base/str.h"

enum { M_STAMP_PARTS = 3, M_STAMPS = 64, M_STAMP_BYTES_MAX = 2048 };

struct m_stamp {
    uint8_t *bytes; /* owned; NULL: free */
    uint32_t len;
    uint32_t part_len[M_STAMP_PARTS], part_at[M_STAMP_PARTS];
};

/* The stamps of one kind of message, by the lengths of its parts. All zero = none. */
struct m_stamps {
    struct m_stamp at[M_STAMPS];
};

void pf_m_stamps_fini(struct m_stamps *s);
/* A copy in `arena` with these parts; absent: there is no such stamp yet. Unused parts are absent.
 */
struct pf_bytes pf_m_stamp_use(const struct m_stamps *s, struct pf_arena *arena,
                               const struct pf_bytes part[M_STAMP_PARTS]);
/* Remembers `message`, built of parts of these lengths; `at` is where each part's bytes lie in it
 * (NULL: unused). Too large a message is not remembered. */
void pf_m_stamp_learn(struct m_stamps *s, struct pf_bytes message,
                      const struct pf_bytes at[M_STAMP_PARTS]);

#endif
