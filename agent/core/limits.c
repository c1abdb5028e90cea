/* SPDX-License-Identifier: Apache-2.0 */
/* What a container may use, by the rules of Mesos's cgroup isolators: cpu shares follow the
 * request, the hard quota and the memory follow the limit where there is one. */
#include "agent/core/limits_internal.h"

#include <math.h>

enum {
    SHARES_PER_CPU = 1024,
    SHARES_MIN = 2,
    QUOTA_PER_MILLI_US = 100, /* of a period of 100 ms */
    QUOTA_MIN_US = 1000,
    RLIMIT_UNKNOWN = -1,
};
#define MEMORY_MIN_BYTES (UINT64_C(32) << 20)
#define PID_BYTES        (UINT64_C(128) << 10) /* less than the smallest process costs */
#define MB               (INT64_C(1) << 20)

static int64_t milli_of(struct Value_Scalar scalar)
{
    int64_t milli = 0;

    return pf_milli_from_double(Value_Scalar_value(scalar), &milli, NULL) == 0 ? milli : 0;
}

static void need_request(struct need *n, struct Resource r, int64_t *cpus, int64_t *mem)
{
    if (Resource_type(r) != Value_Type_SCALAR) {
        return;
    }
    if (pf_str_is(Resource_name(r), "cpus")) {
        *cpus += milli_of(Resource_scalar(r));
        n->cpus += milli_of(Resource_scalar(r));
    } else if (pf_str_is(Resource_name(r), "mem")) {
        *mem += milli_of(Resource_scalar(r));
        n->mem += milli_of(Resource_scalar(r));
    }
}

void ag_need_add_task(struct need *n, struct Task summary)
{
    int64_t cpus = 0, mem = 0;

    for (uint32_t i = 0; i < Task_resources__len(summary); i++) {
        need_request(n, Task_resources__at(summary, i), &cpus, &mem);
    }
    for (uint32_t i = 0; i < Task_limits__len(summary); i++) {
        struct MapOfValueScalar limit = Task_limits__at(summary, i);
        struct Value_Scalar value = MapOfValueScalar_value(limit);
        bool is_infinite = isinf(Value_Scalar_value(value)) != 0;
        if (pf_str_is(MapOfValueScalar_key(limit), "cpus")) {
            n->cpus_limited = true;
            n->cpus_infinite = n->cpus_infinite || is_infinite;
            cpus = milli_of(value);
        } else if (pf_str_is(MapOfValueScalar_key(limit), "mem")) {
            n->mem_infinite = n->mem_infinite || is_infinite;
            mem = milli_of(value);
        }
    }
    n->cpus_most += cpus;
    n->mem_most += mem;
}

void ag_need_add_executor(struct need *n, struct ExecutorInfo info)
{
    int64_t cpus = 0, mem = 0;

    for (uint32_t i = 0; i < ExecutorInfo_resources__len(info); i++) {
        need_request(n, ExecutorInfo_resources__at(info, i), &cpus, &mem);
    }
    n->cpus_most += cpus;
    n->mem_most += mem;
}

static uint64_t at_least(int64_t value, uint64_t least)
{
    return value > 0 && (uint64_t)value > least ? (uint64_t)value : least;
}

/* No more processes than the memory could hold: a fork bomb that the kernel had to end one by one
 * for lack of memory kept the whole machine busy for minutes. */
static uint64_t pids_that_fit(uint64_t pids, uint64_t memory_bytes)
{
    uint64_t fit = memory_bytes / PID_BYTES;

    return pids == 0 || pids < fit ? pids : fit;
}

struct pf_agent_limits ag_need_limits(const struct pf_agent *a, const struct need *n)
{
    struct pf_agent_limits out = {.pids = a->opt.task_pids_max};
    bool has_quota = !n->cpus_infinite && (a->opt.limits_cpu_hard || n->cpus_limited);

    out.cpu_shares = at_least(n->cpus * SHARES_PER_CPU / 1000, SHARES_MIN);
    if (has_quota) {
        out.cpu_quota_us = at_least(n->cpus_most * QUOTA_PER_MILLI_US, QUOTA_MIN_US);
    }
    if (!n->mem_infinite) {
        out.memory_bytes = at_least(n->mem_most * MB / 1000, MEMORY_MIN_BYTES);
        out.pids = pids_that_fit(out.pids, out.memory_bytes);
    }
    return out;
}

static double requested(struct TaskInfo info, struct pf_str name)
{
    double sum = 0;

    for (uint32_t i = 0; i < TaskInfo_resources__len(info); i++) {
        struct Resource r = TaskInfo_resources__at(info, i);
        if (pf_str_eq(Resource_name(r), name)) {
            sum += Value_Scalar_value(Resource_scalar(r));
        }
    }
    return sum;
}

const char *ag_limits_problem(struct TaskInfo info)
{
    for (uint32_t i = 0; i < TaskInfo_limits__len(info); i++) {
        struct MapOfValueScalar limit = TaskInfo_limits__at(info, i);
        struct pf_str name = MapOfValueScalar_key(limit);
        double value = Value_Scalar_value(MapOfValueScalar_value(limit));
        int64_t milli = 0;
        if (!pf_str_is(name, "cpus") && !pf_str_is(name, "mem")) {
            return "limits are for cpus and mem only";
        }
        if (isnan(value) || value < 0 ||
            (!isinf(value) && pf_milli_from_double(value, &milli, NULL) < 0)) {
            return "a resource limit is not an amount";
        }
        if (value < requested(info, name)) {
            return "a resource limit is below what the task requests";
        }
    }
    return NULL;
}

/* The numbers of Linux on x86 and ARM. */
static const int8_t rlimit_numbers[] = {
    [RLimitInfo_RLimit_Type_UNKNOWN] = RLIMIT_UNKNOWN,
    [RLimitInfo_RLimit_Type_RLMT_AS] = 9,
    [RLimitInfo_RLimit_Type_RLMT_CORE] = 4,
    [RLimitInfo_RLimit_Type_RLMT_CPU] = 0,
    [RLimitInfo_RLimit_Type_RLMT_DATA] = 2,
    [RLimitInfo_RLimit_Type_RLMT_FSIZE] = 1,
    [RLimitInfo_RLimit_Type_RLMT_LOCKS] = 10,
    [RLimitInfo_RLimit_Type_RLMT_MEMLOCK] = 8,
    [RLimitInfo_RLimit_Type_RLMT_MSGQUEUE] = 12,
    [RLimitInfo_RLimit_Type_RLMT_NICE] = 13,
    [RLimitInfo_RLimit_Type_RLMT_NOFILE] = 7,
    [RLimitInfo_RLimit_Type_RLMT_NPROC] = 6,
    [RLimitInfo_RLimit_Type_RLMT_RSS] = 5,
    [RLimitInfo_RLimit_Type_RLMT_RTPRIO] = 14,
    [RLimitInfo_RLimit_Type_RLMT_RTTIME] = 15,
    [RLimitInfo_RLimit_Type_RLMT_SIGPENDING] = 11,
    [RLimitInfo_RLimit_Type_RLMT_STACK] = 3,
};

static int rlimit_number(struct RLimitInfo_RLimit limit)
{
    int type = (int)RLimitInfo_RLimit_type(limit);

    return type >= 0 && type < (int)PF_ARRAY_LEN(rlimit_numbers) ? rlimit_numbers[type]
                                                                 : RLIMIT_UNKNOWN;
}

const char *ag_container_problem(struct ContainerInfo container)
{
    struct RLimitInfo info = ContainerInfo_rlimit_info(container);
    struct TTYInfo_WindowSize window = TTYInfo_window_size(ContainerInfo_tty_info(container));
    uint32_t seen = 0;

    for (uint32_t i = 0; i < RLimitInfo_rlimits__len(info); i++) {
        struct RLimitInfo_RLimit limit = RLimitInfo_rlimits__at(info, i);
        int number = rlimit_number(limit);
        bool has_soft = RLimitInfo_RLimit__has_soft(limit);
        if (number == RLIMIT_UNKNOWN) {
            return "an rlimit has no known type";
        }
        if ((seen & 1u << number) != 0) {
            return "an rlimit stands twice";
        }
        if (has_soft != RLimitInfo_RLimit__has_hard(limit)) {
            return "an rlimit needs both its soft and its hard value, or neither";
        }
        if (has_soft && RLimitInfo_RLimit_soft(limit) > RLimitInfo_RLimit_hard(limit)) {
            return "an rlimit has a soft value above its hard one";
        }
        seen |= 1u << number;
    }
    if (TTYInfo_WindowSize_rows(window) > UINT16_MAX ||
        TTYInfo_WindowSize_columns(window) > UINT16_MAX) {
        return "the terminal is too large";
    }
    return NULL;
}

const struct pf_agent_rlimit *ag_rlimits_of(struct pf_arena *arena, struct ContainerInfo container,
                                            uint32_t *out_n)
{
    struct RLimitInfo info = ContainerInfo_rlimit_info(container);
    uint32_t n = RLimitInfo_rlimits__len(info);
    struct pf_agent_rlimit *out = n > 0 ? pf_arena_zalloc(arena, n * sizeof *out) : NULL;

    for (uint32_t i = 0; i < n; i++) {
        struct RLimitInfo_RLimit limit = RLimitInfo_rlimits__at(info, i);
        bool has_values = RLimitInfo_RLimit__has_soft(limit);
        out[i].resource = (uint32_t)rlimit_number(limit);
        out[i].soft = has_values ? RLimitInfo_RLimit_soft(limit) : UINT64_MAX;
        out[i].hard = has_values ? RLimitInfo_RLimit_hard(limit) : UINT64_MAX;
    }
    *out_n = n;
    return out;
}

struct unit {
    const char *name;
    uint64_t size;
};

static struct pf_str unit_text(struct pf_arena *arena, uint64_t value, const struct unit *units)
{
    const struct unit *u = units;

    while (u->size > 1 && (value < u->size || value % u->size != 0)) {
        u++;
    }
    return pf_arena_printf(arena, "%llu%s", (unsigned long long)(value / u->size), u->name);
}

struct pf_str ag_bytes_text(struct pf_arena *arena, uint64_t bytes)
{
    static const struct unit units[] = {
        {"TB", UINT64_C(1) << 40},
        {"GB", UINT64_C(1) << 30},
        {"MB", UINT64_C(1) << 20},
        {"KB", UINT64_C(1) << 10},
        {"B", 1},
    };

    return unit_text(arena, bytes, units);
}

struct pf_str ag_duration_text(struct pf_arena *arena, int64_t ms)
{
    static const struct unit units[] = {
        {"weeks", 604800000}, {"days", 86400000}, {"hrs", 3600000},
        {"mins", 60000},      {"secs", 1000},     {"ms", 1},
    };

    return unit_text(arena, ms > 0 ? (uint64_t)ms : 0, units);
}

struct pf_str ag_time_text(struct pf_arena *arena, int64_t ms)
{
    if (ms >= 120000 && ms % 60000 == 0) {
        return pf_arena_printf(arena, "%lld min", (long long)(ms / 60000));
    }
    if (ms % 1000 == 0) {
        return pf_arena_printf(arena, "%lld s", (long long)(ms / 1000));
    }
    return pf_arena_printf(arena, "%lld ms", (long long)ms);
}
