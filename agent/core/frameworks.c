/* SPDX-License-Identifier: Apache-2.0 */
/* Frameworks that have, or lately had, tasks here. Their infos are told to a new leader, which
 * learns from them what it did not store. One without a task is kept in memory only, because the
 * leader sends an info once per registration. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

struct framework *ag_framework_need(struct pf_agent *a, struct pf_str id)
{
    struct framework *fw = pf_map_get_str(&a->frameworks, id);

    if (fw) {
        return fw;
    }
    fw = PF_NEW(struct framework);
    fw->id = pf_strndup(id.at, id.len);
    pf_map_put(&a->frameworks, fw->id, id.len, fw);
    TAILQ_INSERT_TAIL(&a->idle, fw, link);
    a->n_idle++;
    if (a->n_idle > AGENT_IDLE_FRAMEWORKS) {
        ag_framework_free(a, TAILQ_FIRST(&a->idle));
    }
    return fw;
}

void ag_framework_set_info(struct framework *fw, struct pf_bytes bytes)
{
    struct FrameworkInfo info = FrameworkInfo__from_bytes(bytes);

    if (bytes.len == 0 ||
        (bytes.len == fw->info_len && memcmp(bytes.at, fw->info, bytes.len) == 0)) {
        return;
    }
    pf_free(fw->info);
    fw->info = pf_memdup(bytes.at, bytes.len);
    fw->info_len = bytes.len;
    fw->stored = false;
    fw->wants_killing = false;
    for (uint32_t i = 0; i < FrameworkInfo_capabilities__len(info); i++) {
        if (FrameworkInfo_Capability_type(FrameworkInfo_capabilities__at(info, i)) ==
            FrameworkInfo_Capability_Type_TASK_KILLING_STATE) {
            fw->wants_killing = true;
        }
    }
}

void ag_framework_hold(struct pf_agent *a, struct framework *fw)
{
    if (fw->n_runs++ == 0) {
        TAILQ_REMOVE(&a->idle, fw, link);
        a->n_idle--;
    }
}

void ag_framework_release(struct pf_agent *a, struct framework *fw)
{
    if (--fw->n_runs > 0) {
        return;
    }
    if (fw->stored && a->turn) {
        ag_row_del_framework(a, fw);
    }
    TAILQ_INSERT_TAIL(&a->idle, fw, link);
    a->n_idle++;
    if (fw->torn_down) {
        ag_framework_free(a, fw);
    }
}

void ag_framework_join(struct pf_agent *a, struct run *r, struct framework *fw)
{
    PF_ASSERT(r->fw == NULL);
    r->fw = fw;
    ag_framework_hold(a, fw);
}

void ag_framework_leave(struct pf_agent *a, struct run *r)
{
    struct framework *fw = r->fw;

    r->fw = NULL;
    ag_framework_release(a, fw);
}

/* Only of one without a run. */
void ag_framework_free(struct pf_agent *a, struct framework *fw)
{
    PF_ASSERT(fw->n_runs == 0);
    (void)pf_map_del(&a->frameworks, fw->id, (uint32_t)strlen(fw->id));
    TAILQ_REMOVE(&a->idle, fw, link);
    a->n_idle--;
    pf_free(fw->info);
    pf_free(fw->id);
    pf_free(fw);
}
