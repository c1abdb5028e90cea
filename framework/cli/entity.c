/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of several entities share. */
#include "framework/cli/entity.h"

bool pf_task_is_ended(enum TaskState state)
{
    switch (state) {
    case TaskState_TASK_STAGING:
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_KILLING:
    case TaskState_TASK_UNREACHABLE:
    case TaskState_TASK_UNKNOWN: return false;
    case TaskState_TASK_FINISHED:
    case TaskState_TASK_FAILED:
    case TaskState_TASK_KILLED:
    case TaskState_TASK_LOST:
    case TaskState_TASK_ERROR:
    case TaskState_TASK_DROPPED:
    case TaskState_TASK_GONE:
    case TaskState_TASK_GONE_BY_OPERATOR: return true;
    }
    return false;
}

void pf_resources_take(struct pf_resources *to, struct Resource r)
{
    struct pf_str name = Resource_name(r);
    int64_t milli = 0;
    /* what the master sends was checked by it; what is odd anyway is not shown */
    switch (Resource_type(r)) {
    case Value_Type_SCALAR:
        if (pf_milli_from_double(Value_Scalar_value(Resource_scalar(r)), &milli, NULL) == 0) {
            (void)!pf_res_add_scalar(to, name, milli, NULL);
        }
        break;
    case Value_Type_RANGES: {
        struct Value_Ranges ranges = Resource_ranges(r);
        for (uint32_t i = 0; i < Value_Ranges_range__len(ranges); i++) {
            struct Value_Range range = Value_Ranges_range__at(ranges, i);
            (void)!pf_res_add_range(to, name, Value_Range_begin(range), Value_Range_end(range),
                                    NULL);
        }
        break;
    }
    case Value_Type_SET:
    case Value_Type_TEXT: break;
    }
}

void pf_agent_id_cell(struct pf_cell *cell, struct pf_str id)
{
    pf_cell_name(cell, id);
    cell->shown = id;
    if (id.len > PF_AGENT_ID_SHOWN) {
        cell->shown.len = PF_AGENT_ID_SHOWN;
    }
}
