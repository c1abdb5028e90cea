/* SPDX-License-Identifier: Apache-2.0 */
/* proffer masters */
#include "framework/cli/entity.h"
#include "framework/cli/list.h"
#include "framework/cli/table.h"

enum { M_ID, M_ADDRESS, M_HTTP_ADDRESS, M_PID, M_LEADING, M_EPOCH, M_STATE, M_LAG, M_VERSION };

static const struct pf_column columns[] = {
    [M_ID] = {"id", PF_CELL_TEXT, true},
    [M_ADDRESS] = {"address", PF_CELL_TEXT, true},
    [M_HTTP_ADDRESS] = {"http_address", PF_CELL_TEXT, true},
    [M_PID] = {"pid", PF_CELL_INT, true},
    [M_LEADING] = {"leading", PF_CELL_BOOL, true},
    [M_EPOCH] = {"epoch", PF_CELL_INT, true},
    [M_STATE] = {"state", PF_CELL_TEXT, true},
    [M_LAG] = {"lag", PF_CELL_INT, false},
    [M_VERSION] = {"version", PF_CELL_TEXT, false},
};
const struct pf_columns pf_master_columns = PF_COLUMNS(columns);

void pf_master_row(struct pf_output *o, struct MasterView m, struct pf_cell *row)
{
    (void)o;
    pf_cell_text(&row[M_ID], MasterView_id(m));
    pf_cell_name(&row[M_ADDRESS], MasterView_address(m));
    pf_cell_name(&row[M_HTTP_ADDRESS], MasterView_http_address(m));
    if (MasterView_pid(m) > 0) {
        pf_cell_num(&row[M_PID], MasterView_pid(m));
    }
    pf_cell_num(&row[M_LEADING], MasterView_leading(m) ? 1 : 0);
    pf_cell_num(&row[M_EPOCH], (int64_t)MasterView_epoch(m));
    pf_cell_name(&row[M_STATE], MasterView_state(m));
    if (MasterView__has_lag(m)) {
        pf_cell_num(&row[M_LAG], MasterView_lag(m));
    }
    pf_cell_name(&row[M_VERSION], MasterView_version(m));
}

static int fetch(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_MASTERS};
    struct Master_Response r;
    int rc;
    (void)cli;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetMasters list = Master_Response_get_masters(r);
        for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
            pf_master_row(o, Master_Response_GetMasters_masters__at(list, i), pf_output_row(o));
            pf_output_put(o);
        }
        pf_output_flush(o);
    }
    return rc;
}

static int run(struct pf_cli *cli)
{
    /* every master knows them: there is no reason to wait long for one to lead */
    static const struct pf_list list = {
        .columns = &pf_master_columns, .stale_ms = 1000, .fetch = fetch};
    return pf_list_run(cli, &list);
}

const struct pf_command pf_cmd_masters = {
    .name = "masters",
    .group = "look",
    .summary = "the masters, and who leads",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer masters -o json", "for programs"}},
    .run = run,
};
