/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a scheduler: defaults, the environment, and the FrameworkInfo they make. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/fb/json.h"
#include "common/sys/parse.h"
#include "framework/lib/scheduler_internal.h"

#define DEFAULT_MASTER "127.0.0.1:5055"
#define DEFAULT_PORT   5055

static int read_masters(struct pf_arena *scratch, const char *text, struct scheduler_setup *out,
                        struct pf_err *err)
{
    while (*text) {
        struct pf_str one = {text, (uint32_t)strcspn(text, ",")};
        struct pf_hostport hp;
        char formatted[PF_FORMAT_HOSTPORT_MAX];

        text += one.len + (text[one.len] == ',');
        if (one.len == 0) {
            continue;
        }
        if (pf_parse_hostport(one, DEFAULT_PORT, &hp, err) < 0) {
            pf_err_wrap(err, "masters");
            return PF_EINVAL;
        }
        if (out->n_masters == PF_MASTERS_MAX) {
            return pf_err_set(err, PF_ELIMIT, "masters: more than %u", PF_MASTERS_MAX);
        }
        pf_format_hostport(&hp, formatted);
        out->master[out->n_masters++] = pf_arena_strdup(scratch, pf_str(formatted));
    }
    if (out->n_masters == 0) {
        return pf_err_set(err, PF_EINVAL, "masters: none given");
    }
    return 0;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] ? value : NULL;
}

static const char *own_user(struct pf_arena *scratch)
{
    const struct passwd *pw = getpwuid(geteuid());

    if (pw) {
        return pf_arena_strdup(scratch, pf_str(pw->pw_name)).at;
    }
    return pf_arena_printf(scratch, "%lu", (unsigned long)geteuid()).at;
}

static int framework_from_json(struct pf_arena *scratch, const char *json, struct pf_msg *out,
                               struct pf_err *err)
{
    struct pf_fb_builder b;
    int rc;

    pf_fb_builder_init(&b, scratch);
    rc = pf_json_read(pf_str(json), &FrameworkInfo__desc, &b, out, PF_JSON_REFUSE_UNKNOWN, err);
    if (rc < 0) {
        pf_err_wrap(err, "framework_json");
    }
    return rc;
}

static int framework_from_options(struct pf_arena *scratch, const struct scheduler_setup *setup,
                                  struct pf_msg *out, struct pf_err *err)
{
    const struct pf_scheduler_options *o = &setup->o;
    struct pf_fb_builder b;
    char hostname[256] = "";
    struct pf_ref capability;
    struct FrameworkInfo__args args = {
        .user = pf_str(setup->user), .name = pf_str(o->name), .role = pf_str(o->role)};

    if (!o->name || !o->name[0]) {
        return pf_err_set(err, PF_EINVAL, "name: a framework needs one");
    }
    if (o->framework_id && pf_id_problem(pf_str(o->framework_id))) {
        return pf_err_set(err, PF_EINVAL, "framework_id: %s",
                          pf_id_problem(pf_str(o->framework_id)));
    }
    pf_fb_builder_init(&b, scratch);
    (void)gethostname(hostname, sizeof hostname - 1); /* for people only */
    args.hostname = pf_str(hostname);
    if (o->framework_id) {
        args.id = FrameworkID__put(
            &b, &(struct FrameworkID__args){.value = pf_str(o->framework_id)});
    }
    if (o->failover_ms > 0) {
        args.failover_timeout = (struct pf_opt_f64)PF_OPT(pf_milli_to_double(o->failover_ms));
        args.checkpoint = (struct pf_opt_bool)PF_OPT(true);
    }
    if (o->is_partition_aware) {
        capability = FrameworkInfo_Capability__put(&b, &(struct FrameworkInfo_Capability__args){
            .type = {true, FrameworkInfo_Capability_Type_PARTITION_AWARE}});
        args.capabilities = (struct pf_refs){&capability, 1};
    }
    *out = FrameworkInfo__finish(&b, FrameworkInfo__put(&b, &args));
    return 0;
}

int scheduler_read_options(struct pf_arena *scratch, const struct pf_scheduler_options *given,
                           struct scheduler_setup *out, struct pf_err *err)
{
    struct pf_scheduler_options *o = &out->o;
    const char *masters;
    int rc;

    *out = (struct scheduler_setup){0};
    if (given->size < offsetof(struct pf_scheduler_options, masters)) {
        return pf_err_set(err, PF_EINVAL,
                          "options: size is not set (use PF_SCHEDULER_OPTIONS_INIT)");
    }
    memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
    if (o->failover_ms < 0 || o->failover_ms > PF_RES_MILLI_MAX || o->give_up_ms < 0) {
        return pf_err_set(err, PF_EINVAL, "options: a negative or far too long time");
    }
    masters = o->masters ? o->masters : environment("PROFFER_MASTER");
    rc = read_masters(scratch, masters ? masters : DEFAULT_MASTER, out, err);
    if (rc < 0) {
        return rc;
    }
    out->key_file = o->key_file ? o->key_file : environment("PROFFER_KEY_FILE");
    out->user = o->user ? o->user : own_user(scratch);
    if (o->framework_json) {
        return framework_from_json(scratch, o->framework_json, &out->framework, err);
    }
    return framework_from_options(scratch, out, &out->framework, err);
}
