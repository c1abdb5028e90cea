/* SPDX-License-Identifier: Apache-2.0 */
/* When to send a heartbeat and when to call a link broken. */
#include "common/link/envelope.h"
#include "common/link/handshake.h"
#include "schemas/proffer.h"

void pf_link_pulse_start(struct pf_link_pulse *p, int64_t now_ms, int32_t heartbeat_ms,
                         int32_t silent_ms, uint64_t phase)
{
    PF_ASSERT(heartbeat_ms > 0);
    PF_ASSERT(silent_ms > heartbeat_ms);
    p->heartbeat_ms = heartbeat_ms;
    p->silent_ms = silent_ms;
    p->last_in_ms = now_ms;
    /* As if something had been sent a part of a beat ago. */
    p->last_out_ms = now_ms - (int64_t)(phase % (uint64_t)heartbeat_ms);
}

enum pf_link_beat pf_link_pulse_at(const struct pf_link_pulse *p, int64_t now_ms)
{
    if (now_ms - p->last_in_ms >= p->silent_ms) {
        return PF_LINK_BEAT_BROKEN;
    }
    return now_ms - p->last_out_ms >= p->heartbeat_ms ? PF_LINK_BEAT_SEND : PF_LINK_BEAT_NONE;
}

int64_t pf_link_pulse_next_ms(const struct pf_link_pulse *p)
{
    int64_t broken_ms = p->last_in_ms + p->silent_ms;
    int64_t beat_ms = p->last_out_ms + p->heartbeat_ms;
    return beat_ms < broken_ms ? beat_ms : broken_ms;
}

struct pf_msg pf_link_heartbeat(struct pf_fb_builder *b)
{
    pf_fb_builder_reset(b);
    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Heartbeat},
                              Heartbeat__put(b, &(struct Heartbeat__args){0}));
}
