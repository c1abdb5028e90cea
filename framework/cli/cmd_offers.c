/* SPDX-License-Identifier: Apache-2.0 */
/* proffer offers */
#include "common/sys/clock.h"
#include "framework/cli/entity.h"
#include "framework/cli/list.h"
#include "framework/cli/table.h"

enum { O_ID, O_AGENT_ID, O_FRAMEWORK_ID, O_ROLE, O_RESOURCES, O_AGE_MS };

static const struct pf_column columns[] = {
    [O_ID] = {"id", PF_CELL_TEXT, true},
    [O_AGENT_ID] = {"agent_id", PF_CELL_TEXT, true},
    [O_FRAMEWORK_ID] = {"framework_id", PF_CELL_TEXT, true},
    [O_ROLE] = {"role", PF_CELL_TEXT, true},
    [O_RESOURCES] = {"resources", PF_CELL_RESOURCES, true},
    [O_AGE_MS] = {"age_ms", PF_CELL_MS, true},
};
const struct pf_columns pf_offer_columns = PF_COLUMNS(columns);

void pf_offer_row(struct pf_output *o, struct Offer offer, int64_t now_ms, struct pf_cell *row)
{
    pf_cell_text(&row[O_ID], OfferID_value(Offer_id(offer)));
    pf_agent_id_cell(&row[O_AGENT_ID], AgentID_value(Offer_agent_id(offer)));
    pf_cell_name(&row[O_FRAMEWORK_ID], FrameworkID_value(Offer_framework_id(offer)));
    pf_cell_name(&row[O_ROLE], Resource_AllocationInfo_role(Offer_allocation_info(offer)));
    PF_ROW_RESOURCES(o, &row[O_RESOURCES], Offer, resources, offer);
    int64_t made_ms = Offer_created_ms(offer);
    if (made_ms > 0) {
        pf_cell_num(&row[O_AGE_MS], now_ms > made_ms ? now_ms - made_ms : 0);
    }
}

static int fetch(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_OFFERS};
    struct Master_Response r;
    int rc;
    (void)cli;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetOffers list = Master_Response_get_offers(r);
        for (uint32_t i = 0; i < Master_Response_GetOffers_offers__len(list); i++) {
            pf_offer_row(o, Master_Response_GetOffers_offers__at(list, i), pf_wall_ms(),
                         pf_output_row(o));
            pf_output_put(o);
        }
        pf_output_flush(o);
    }
    return rc;
}

static int run(struct pf_cli *cli)
{
    static const struct pf_list list = {
        .columns = &pf_offer_columns, .fetch = fetch, .stale_ms = -1};
    return pf_list_run(cli, &list);
}

const struct pf_command pf_cmd_offers = {
    .name = "offers",
    .group = "look",
    .summary = "the offers that frameworks hold, and since when",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer offers --filter framework_id=f3", "what one framework holds"}},
    .run = run,
};
