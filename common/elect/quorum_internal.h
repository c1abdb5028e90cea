/* SPDX-License-Identifier: Apache-2.0 */
/* For quorum*.c only. */
#ifndef PF_COMMON_ELECT_QUORUM_INTERNAL_H
#define PF_COMMON_ELECT_QUORUM_INTERNAL_H

#include "common/base/compiler.h"
#include "common/elect/quorum.h"
#include "common/fb/build.h"
#include "schemas/proffer.h"

enum {
    QUORUM_STATUS_MS = 1000, /* how often masters tell each other how they are */
    QUORUM_FREEZE_MS = 1000, /* a hand-over that is not drained by then is called off */
    QUORUM_SILENT_MS = 5000, /* a linked master that told nothing for so long may hang */
    QUORUM_TROUBLE_BYTES = 320,
    QUORUM_GREY_MS = 10000,  /* a standby that sees over 10 % more agents for so long shall lead */
};

/* Another master, as it is linked to us. */
struct quorum_other {
    char instance[PF_UUID_TEXT_LEN + 1];
    bool is_linked;
    bool has_status; /* what follows is what it told last */
    bool leads;
    uint64_t applied, epoch;
    uint32_t n_agents;
    int64_t heard_ms; /* of its last status, or of the link */
    bool is_silent;
    char trouble[QUORUM_TROUBLE_BYTES]; /* "": it could lead */
    int64_t grey_since_ms; /* 0: it does not see more agents than we */
};

struct pf_quorum {
    struct pf_outbox out;
    struct pf_fb_builder builder;
    struct pf_elect *elect;
    struct pf_replog *log;
    char *instance;
    int64_t now_ms, wall_ms;
    bool leads;
    uint64_t led_epoch;
    bool told_ready, reads_log;
    int32_t told_head;
    int64_t told_renewed_ms;
    uint64_t told_view;
    char told_trouble[QUORUM_TROUBLE_BYTES];
    bool view_changed;
    struct quorum_other other[PF_MASTERS_MAX];
    uint32_t n_others;
    uint32_t n_agents;
    int64_t status_ms; /* of the next status */
    bool is_frozen;
    int64_t frozen_until_ms;
    char target[PF_UUID_TEXT_LEN + 1];
};

void quorum_master_link(struct pf_quorum *q, struct pf_str instance, bool is_up);
void quorum_master_message(struct pf_quorum *q, struct pf_msg message);
void quorum_masters_tick(struct pf_quorum *q);
int64_t quorum_masters_deadline(const struct pf_quorum *q);
void quorum_step_down(struct pf_quorum *q, struct pf_str to);
void quorum_drained(struct pf_quorum *q);

#endif
