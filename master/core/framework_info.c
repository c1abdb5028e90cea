/* SPDX-License-Identifier: Apache-2.0 */
/* What a FrameworkInfo says. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"

/* Before the name that a peer without the key gave: the principal says so wherever the info goes,
 * so that it is still known after a takeover. */
#define OWNER_PREFIX "user:"

static bool has_capability(struct FrameworkInfo info, enum FrameworkInfo_Capability_Type type)
{
    for (uint32_t i = 0; i < FrameworkInfo_capabilities__len(info); i++) {
        struct FrameworkInfo_Capability c = FrameworkInfo_capabilities__at(info, i);

        if (FrameworkInfo_Capability__has_type(c) && FrameworkInfo_Capability_type(c) == type) {
            return true;
        }
    }
    return false;
}

/* Mesos's rule for role names. NULL = fine. */
static const char *role_problem(struct pf_str role)
{
    if (role.len == 0 || role.len > PF_ROLE_MAX) {
        return "must be 1 to 255 bytes";
    }
    if (pf_str_is(role, ".") || pf_str_is(role, "..") || role.at[0] == '-' || role.at[0] == '/' ||
        role.at[role.len - 1] == '/') {
        return "may not be . or .., begin with - or /, or end with /";
    }
    for (uint32_t i = 0; i < role.len; i++) {
        unsigned char c = (unsigned char)role.at[i];

        if (c <= ' ' || c == 0x7f || c == '\\') {
            return "may not hold spaces, control characters or a backslash";
        }
    }
    return NULL;
}

static struct pf_str role_of(struct FrameworkInfo info)
{
    if (FrameworkInfo_roles__len(info) > 0) {
        return FrameworkInfo_roles__at(info, 0);
    }
    struct pf_str role = FrameworkInfo_role(info);

    return role.len > 0 ? role : PF_STR("*");
}

int pf_m_framework_info_check(struct FrameworkInfo info, struct pf_err *err)
{
    int64_t milli;
    const char *problem = role_problem(role_of(info));

    if (FrameworkInfo_roles__len(info) > 1) {
        return pf_err_set(err, PF_EINVAL, "several roles are not supported yet");
    }
    if (problem) {
        return pf_err_set(err, PF_EINVAL, "role \"%.*s\" %s", PF_STR_ARG(role_of(info)), problem);
    }
    if (FrameworkInfo_name(info).len > PF_NAME_MAX || FrameworkInfo_user(info).len > PF_ID_MAX) {
        return pf_err_set(err, PF_ELIMIT, "the framework's name or user is too long");
    }
    if (pf_milli_from_double(FrameworkInfo_failover_timeout(info), &milli, err) < 0) {
        pf_err_wrap(err, "failover_timeout");
        return PF_EINVAL;
    }
    return 0;
}

int64_t pf_m_failover_ms(struct FrameworkInfo info)
{
    int64_t ms;

    return pf_milli_from_double(FrameworkInfo_failover_timeout(info), &ms, NULL) == 0 ? ms : 0;
}

struct pf_bytes pf_m_framework_info_with_id(struct pf_master *m, struct FrameworkInfo info,
                                            struct pf_str id, const char *owner)
{
    struct pf_str principal = FrameworkInfo_principal(info);

    if (owner) {
        principal = pf_arena_printf(pf_m_arena(m), "%s%s", OWNER_PREFIX, owner);
    } else if (pf_str_has_prefix(principal, PF_STR(OWNER_PREFIX))) {
        principal = (struct pf_str){NULL, 0};
    }
    struct pf_fb_builder *b = pf_m_builder(m);
    uint32_t n_roles = FrameworkInfo_roles__len(info);
    uint32_t n_caps = FrameworkInfo_capabilities__len(info);
    struct pf_str *roles = pf_arena_alloc(pf_m_arena(m), (n_roles + 1) * sizeof *roles);
    struct pf_ref *caps = pf_arena_alloc(pf_m_arena(m), (n_caps + 1) * sizeof *caps);
    struct FrameworkInfo__args args = {
        .user = FrameworkInfo_user(info),
        .name = FrameworkInfo_name(info),
        .failover_timeout = PF_OPT(FrameworkInfo_failover_timeout(info)),
        .checkpoint = PF_OPT(FrameworkInfo_checkpoint(info)),
        .role = FrameworkInfo_role(info),
        .roles = {roles, n_roles},
        .hostname = FrameworkInfo_hostname(info),
        .principal = principal,
        .webui_url = FrameworkInfo_webui_url(info),
        .capabilities = {caps, n_caps},
    };

    for (uint32_t i = 0; i < n_roles; i++) {
        roles[i] = FrameworkInfo_roles__at(info, i);
    }
    for (uint32_t i = 0; i < n_caps; i++) {
        caps[i] = FrameworkInfo_Capability__copy(b, FrameworkInfo_capabilities__at(info, i));
    }
    if (FrameworkInfo__has_labels(info)) {
        args.labels = Labels__copy(b, FrameworkInfo_labels(info));
    }
    args.id = FrameworkID__put(b, &(struct FrameworkID__args){.value = id});
    return pf_msg_bytes(FrameworkInfo__finish(b, FrameworkInfo__put(b, &args)));
}

void pf_m_framework_set_info(struct m_framework *f, struct pf_bytes bytes)
{
    struct FrameworkInfo info = FrameworkInfo__from_bytes(bytes);

    pf_m_text_set(&f->name, FrameworkInfo_name(info));
    pf_m_text_set(&f->user, FrameworkInfo_user(info));
    pf_m_text_set(&f->role, role_of(info));
    f->is_partition_aware = has_capability(info, FrameworkInfo_Capability_Type_PARTITION_AWARE);
    f->is_multi_role = has_capability(info, FrameworkInfo_Capability_Type_MULTI_ROLE);
    f->failover_ms = pf_m_failover_ms(info);
    f->is_trusted = !pf_str_has_prefix(FrameworkInfo_principal(info), PF_STR(OWNER_PREFIX));
    pf_m_text_set(&f->owner, f->is_trusted
                                 ? PF_STR("")
                                 : pf_str(FrameworkInfo_principal(info).at + strlen(OWNER_PREFIX)));
    pf_m_blob_set(&f->info, bytes);
}
