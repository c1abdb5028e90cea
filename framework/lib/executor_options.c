/* SPDX-License-Identifier: Apache-2.0 */
/* Options of an executor: what the caller says, else the environment that the agent made. */
#include <stdlib.h>
#include <string.h>
#include "common/sys/parse.h"
#include "framework/lib/executor_internal.h"

enum { DEFAULT_RECOVERY_MS = 15 * 60 * 1000, DEFAULT_GRACE_MS = 5000 };

/* The first of the two variables that says something; absent: neither. */
static struct pf_str environment(const char *first, const char *second)
{
    const char *value = getenv(first);

    if (!value || !value[0]) {
        value = second ? getenv(second) : NULL;
    }
    return pf_str(value && value[0] ? value : NULL);
}

static int read_id(const char *given, const char *ours, const char *mesos, struct pf_str *out,
                   struct pf_err *err)
{
    *out = given ? pf_str(given) : environment(ours, mesos);
    if (!out->at) {
        return pf_err_set(err, PF_EINVAL, "%s is not set: not started by an agent", ours);
    }
    if (pf_id_problem(*out)) {
        return pf_err_set(err, PF_EINVAL, "%s: %s", ours, pf_id_problem(*out));
    }
    return 0;
}

static int read_agent(struct pf_arena *scratch, const char *given, struct pf_str *out,
                      struct pf_err *err)
{
    struct pf_str text = given ? pf_str(given) : environment("PROFFER_AGENT", NULL);
    char formatted[PF_FORMAT_HOSTPORT_MAX];
    struct pf_hostport hp;

    if (!text.at) {
        return pf_err_set(err, PF_EINVAL, "PROFFER_AGENT is not set: not started by an agent");
    }
    if (pf_parse_hostport(text, 0, &hp, err) < 0) {
        pf_err_wrap(err, "PROFFER_AGENT");
        return PF_EINVAL;
    }
    pf_format_hostport(&hp, formatted);
    *out = pf_arena_strdup(scratch, pf_str(formatted));
    return 0;
}

static int read_duration(int64_t given_ms, const char *name, int64_t default_ms, int64_t *out_ms,
                         struct pf_err *err)
{
    struct pf_str text = environment(name, NULL);

    *out_ms = given_ms > 0 ? given_ms : default_ms;
    if (given_ms < 0) {
        return pf_err_set(err, PF_EINVAL, "options: a negative time");
    }
    if (given_ms == 0 && text.at && pf_parse_duration_ms(text, out_ms, err) < 0) {
        pf_err_wrap(err, "%s", name);
        return PF_EINVAL;
    }
    return 0;
}

int executor_read_options(struct pf_arena *scratch, const struct pf_executor_options *given,
                          struct pf_executor_driver_options *out, struct pf_err *err)
{
    struct pf_executor_options o = {0};
    int rc;

    if (given->size < offsetof(struct pf_executor_options, agent)) {
        return pf_err_set(err, PF_EINVAL,
                          "options: size is not set (use PF_EXECUTOR_OPTIONS_INIT)");
    }
    memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    rc = read_agent(scratch, o.agent, &out->agent, err);
    if (rc == 0) {
        rc = read_id(o.framework_id, "PROFFER_FRAMEWORK_ID", "MESOS_FRAMEWORK_ID",
                     &out->framework_id, err);
    }
    if (rc == 0) {
        rc = read_id(o.executor_id, "PROFFER_EXECUTOR_ID", "MESOS_EXECUTOR_ID", &out->executor_id,
                     err);
    }
    if (rc == 0) {
        rc = read_duration(o.recovery_ms, "MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_MS,
                           &out->recovery_ms, err);
    }
    if (rc == 0) {
        rc = read_duration(o.shutdown_grace_ms, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                           DEFAULT_GRACE_MS, &out->grace_ms, err);
    }
    out->token = o.token
                     ? pf_str(o.token[0] ? o.token : NULL)
                     : environment("PROFFER_EXECUTOR_TOKEN", "MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
    return rc;
}
