/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that leave the master. Each call builds one message in the turn's builder, so nothing
 * else may be half built there. A peer that is gone or closed is told nothing. */
#ifndef PF_MASTER_CORE_OUT_H
#define PF_MASTER_CORE_OUT_H

#include "master/core/state.h"

struct pf_fb_builder *pf_m_builder(struct pf_master *m);
struct pf_arena *pf_m_arena(struct pf_master *m);

/* Finishes the message around `body` and sends it. */
void pf_m_send(struct pf_master *m, struct m_peer *p, enum Body type, struct pf_ref body);
void pf_m_send_event(struct pf_master *m, struct m_peer *p,
                     const struct Scheduler_Event__args *args);
/* The one reply to a request; nothing if `request_id` is 0. */
void pf_m_reply(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum ReplyCode code,
                const char *fmt, ...) PF_PRINTF(5, 6);
void pf_m_reply_body(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum Body type,
                     struct pf_ref body);
/* A request of our own. */
void pf_m_request(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum Body type,
                  struct pf_ref body);
/* Closes after all that was sent before; from now on only its PEER_DOWN is heard. */
void pf_m_close(struct pf_master *m, struct m_peer *p);

/* Events of the scheduler API. */
void pf_m_send_subscribed(struct pf_master *m, struct m_framework *f);
void pf_m_send_error(struct pf_master *m, struct m_peer *p, struct pf_str message);
void pf_m_send_rescind(struct pf_master *m, const struct m_offer *o);
void pf_m_send_status_bytes(struct pf_master *m, struct m_framework *f, struct pf_bytes status);

/* A status update of the master's own: no uuid, not to be acknowledged. */
struct m_status {
    struct pf_str task_id, agent_id;
    enum TaskState state;
    bool has_reason;
    enum TaskStatus_Reason reason;
    struct pf_str message;
    int64_t unreachable_ms;    /* 0 = absent */
    const struct m_task *like; /* NULL, or whose health and container to copy */
};
void pf_m_send_status(struct pf_master *m, struct m_framework *f, const struct m_status *s);

/* Commands to agents. */
void pf_m_send_kill(struct pf_master *m, struct m_task *t);
/* Because its agent is drained: its own grace, at most the drain's. */
void pf_m_send_drain_kill(struct pf_master *m, struct m_task *t);
/* A kill is sent (`is_most`: the task's own grace may be shorter): when will it be over? */
void pf_m_note_kill(struct pf_master *m, struct m_task *t, const int64_t *grace_ms, bool is_most);
void pf_m_send_leave(struct pf_master *m, struct m_peer *p, bool is_gone, const int64_t *grace_ms,
                     struct pf_str text);
void pf_m_send_teardown(struct pf_master *m, struct m_agent *a, struct pf_str framework_id);
void pf_m_send_acknowledge(struct pf_master *m, struct m_agent *a, struct pf_str framework_id,
                           struct pf_str task_id, struct pf_bytes uuid);

/* Copies a finished message into an owned blob, replacing what it held. */
void pf_m_blob_set(struct m_blob *blob, struct pf_bytes bytes);
void pf_m_blob_fini(struct m_blob *blob);
/* Replaces an owned text. */
void pf_m_text_set(char **text, struct pf_str s);

#endif
