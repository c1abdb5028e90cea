/* SPDX-License-Identifier: Apache-2.0 */
/* May this executor be launched, or be told of more tasks? See validate.h. */
#include <string.h>
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/executors.h"
#include "master/core/validate.h"

enum { MIN_CPU_MILLI = 10, MIN_MEM_MILLI = 32000 };

static bool refuse_plain(struct m_refusal *why, const char *text)
{
    pf_m_refuse(why, text);
    return false;
}

static bool check_ids(const struct m_launch *l, struct ExecutorInfo x, struct m_refusal *why)
{
    struct pf_str id = ExecutorID_value(ExecutorInfo_executor_id(x));
    struct pf_str framework_id = FrameworkID_value(ExecutorInfo_framework_id(x));
    const char *problem = pf_id_problem(id);

    if (problem) {
        (void)pf_err_set(&why->err, PF_EINVAL, "Executor id: %s", problem);
        return false;
    }
    if (!pf_str_is(framework_id, l->f->id)) {
        (void)pf_err_set(&why->err, PF_EINVAL,
                         "ExecutorInfo has an invalid FrameworkID (Actual: %.*s vs Expected: %s)",
                         PF_STR_ARG(framework_id), l->f->id);
        return false;
    }
    return true;
}

static bool check_type(const struct m_launch *l, struct ExecutorInfo x, struct m_refusal *why)
{
    bool has_command = ExecutorInfo__has_command(x);

    if (!l->is_group) {
        if (ExecutorInfo__has_type(x) && ExecutorInfo_type(x) != ExecutorInfo_Type_CUSTOM) {
            return refuse_plain(why, "'ExecutorInfo.type' must be 'CUSTOM'");
        }
        return has_command || refuse_plain(why, "'ExecutorInfo.command' must be set");
    }
    if (!ExecutorInfo__has_type(x)) {
        return refuse_plain(why, "'ExecutorInfo.type' must be set");
    }
    switch (ExecutorInfo_type(x)) {
    case ExecutorInfo_Type_DEFAULT:
        return !has_command || refuse_plain(why, "'ExecutorInfo.command' must not be set for "
                                                 "'DEFAULT' executor");
    case ExecutorInfo_Type_CUSTOM:
        return has_command || refuse_plain(why, "'ExecutorInfo.command' must be set for 'CUSTOM' "
                                                "executor");
    case ExecutorInfo_Type_UNKNOWN: break;
    }
    return refuse_plain(why, "Unknown executor type");
}

static bool read_resources(const struct m_launch *l, struct ExecutorInfo x,
                           struct pf_resources *out, struct m_refusal *why)
{
    for (uint32_t i = 0; i < ExecutorInfo_resources__len(x); i++) {
        struct pf_err err = {0};

        if (pf_m_resource_read(ExecutorInfo_resources__at(x, i), pf_str(l->f->role), out, &err) <
            0) {
            (void)pf_err_set(&why->err, err.code, "Executor uses invalid resources: %s", err.msg);
            return false;
        }
    }
    if (out->scalar_milli[PF_RES_GPUS] % 1000 != 0) {
        return refuse_plain(why, "The 'gpus' resource must be an unsigned integer");
    }
    if (!l->is_group) {
        return true;
    }
    if (out->scalar_milli[PF_RES_CPUS] < MIN_CPU_MILLI) {
        return refuse_plain(why, "Executor uses less CPUs than the minimum required (0.01)");
    }
    if (out->scalar_milli[PF_RES_MEM] < MIN_MEM_MILLI) {
        return refuse_plain(why, "Executor uses less memory than the minimum required (32MB)");
    }
    return out->scalar_milli[PF_RES_DISK] > 0 || refuse_plain(why, "Executor uses no disk");
}

static bool check_info(const struct m_launch *l, struct ExecutorInfo x, struct m_refusal *why)
{
    struct DurationInfo grace = ExecutorInfo_shutdown_grace_period(x);

    if (!check_ids(l, x, why) || !check_type(l, x, why)) {
        return false;
    }
    if (DurationInfo_nanoseconds(grace) < 0) {
        return refuse_plain(why, "ExecutorInfo's 'shutdown_grace_period' must be non-negative");
    }
    return pf_m_command_validate(ExecutorInfo_command(x), !ExecutorInfo__has_command(x), why) &&
           pf_m_container_validate(ExecutorInfo_container(x), why);
}

bool pf_m_executor_validate(struct pf_master *m, const struct m_launch *l, struct pf_resources *out,
                            struct m_refusal *why)
{
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);
    const struct m_executor *running;

    (void)m;
    if (l->executor.len == 0) {
        return refuse_plain(why, "The group has no ExecutorInfo");
    }
    if (!check_info(l, x, why)) {
        return false;
    }
    running = pf_m_executor_get(l->a, l->f, ExecutorID_value(ExecutorInfo_executor_id(x)));
    if (running) {
        bool is_same = running->info.len == l->executor.len &&
                       memcmp(running->info.at, l->executor.at, l->executor.len) == 0;

        return is_same || refuse_plain(why, "ExecutorInfo is not compatible with existing "
                                            "ExecutorInfo with same ExecutorID");
    }
    if (l->a->executors.len >= PF_AGENT_TASKS_MAX) {
        return refuse_plain(why, "The agent has too many executors");
    }
    return read_resources(l, x, out, why);
}
