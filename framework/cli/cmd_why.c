/* SPDX-License-Identifier: Apache-2.0 */
/* proffer why [ID...]: why something waits, or is as it is. */
#include "common/base/buf.h"
#include "common/fb/json_writer.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/cli/ids.h"
#include "framework/cli/output.h"
#include "framework/cli/table.h"

enum { W_ID, W_KIND, W_STATE, W_TEXT, W_SINCE, W_N_AGENTS, W_CAUSES };

static const struct pf_column columns[] = {
    [W_ID] = {"id", PF_CELL_TEXT, true},
    [W_KIND] = {"kind", PF_CELL_TEXT, true},
    [W_STATE] = {"state", PF_CELL_TEXT, true},
    [W_TEXT] = {"text", PF_CELL_TEXT, true},
    [W_SINCE] = {"since", PF_CELL_TIME, false},
    [W_N_AGENTS] = {"agents", PF_CELL_INT, false},
    [W_CAUSES] = {"causes", PF_CELL_RAW, false},
};
static const struct pf_columns why_columns = PF_COLUMNS(columns);

static void cause_json(struct pf_json_writer *w, struct WaitCause c)
{
    pf_jw_begin_object(w);
    pf_jw_field_cstr(w, "reason", WaitReason__str((int)WaitCause_reason(c)));
    pf_jw_field_uint(w, "agents", WaitCause_n_agents(c));
    pf_jw_field_str(w, "resource", WaitCause_resource(c));
    pf_jw_field_milli(w, "short", WaitCause_short_milli(c));
    pf_jw_field_str(w, "framework_id", WaitCause_framework_id(c));
    pf_jw_field_str(w, "framework_name", WaitCause_framework_name(c));
    pf_jw_field_int(w, "for_ms", WaitCause_for_ms(c));
    pf_jw_field_str(w, "constraint", WaitCause_constraint(c));
    pf_jw_end_object(w);
}

static const char *cause_text(struct pf_arena *arena, struct WaitCause c)
{
    struct pf_buf amount = {0};
    char lasting[PF_FORMAT_DURATION_MAX];
    struct pf_str name = WaitCause_framework_name(c), id = WaitCause_framework_id(c);
    struct pf_str text = {0};
    pf_milli_format(WaitCause_short_milli(c), &amount);
    pf_format_duration(WaitCause_for_ms(c), lasting);
    switch (WaitCause_reason(c)) {
    case WaitReason_NONE: text = PF_STR("nothing stands in the way"); break;
    case WaitReason_NO_AGENTS: text = PF_STR("there are no agents"); break;
    case WaitReason_TOO_LITTLE:
        text = pf_arena_printf(arena, "too little %.*s (short %s)",
                               PF_STR_ARG(WaitCause_resource(c)), pf_buf_cstr(&amount));
        break;
    case WaitReason_LARGER_THAN_ANY:
        text = pf_arena_printf(arena, "never had so much %.*s (short %s)",
                               PF_STR_ARG(WaitCause_resource(c)), pf_buf_cstr(&amount));
        break;
    case WaitReason_CONSTRAINT:
        text = pf_arena_printf(arena, "constraint %.*s is not met",
                               PF_STR_ARG(WaitCause_constraint(c)));
        break;
    case WaitReason_HELD_BY_OFFER:
        text = pf_arena_printf(arena, "held by an offer to %.*s %.*s for %s", PF_STR_ARG(id),
                               PF_STR_ARG(name), lasting);
        break;
    case WaitReason_IN_USE:
        text = id.len > 0 ? pf_arena_printf(arena, "in use by %.*s %.*s", PF_STR_ARG(id),
                                            PF_STR_ARG(name))
                          : pf_arena_printf(arena, "too little %.*s free (short %s)",
                                            PF_STR_ARG(WaitCause_resource(c)),
                                            pf_buf_cstr(&amount));
        break;
    case WaitReason_FILTERED:
        text = pf_arena_printf(arena, "declined by the framework, for %s more", lasting);
        break;
    case WaitReason_AGENT_DISCONNECTED: text = PF_STR("not connected"); break;
    case WaitReason_AGENT_DEACTIVATED: text = PF_STR("deactivated by an operator"); break;
    case WaitReason_AGENT_DRAINING: text = PF_STR("being drained by an operator"); break;
    case WaitReason_FAIR_SHARE:
        text = PF_STR("others have had less than their share and go first");
        break;
    case WaitReason_SUPPRESSED: text = PF_STR("the framework asked for no offers"); break;
    case WaitReason_RECOVERING: text = PF_STR("not back since the master started"); break;
    case WaitReason_FRAMEWORK_DISCONNECTED:
        text = PF_STR("the framework's scheduler is away");
        break;
    }
    pf_buf_fini(&amount);
    return text.at != NULL ? text.at : "for a reason that this program does not know";
}

/* What is asked for: a framework's answer is that of what it waits for. */
static void put(struct pf_output *o, struct pf_str asked, struct Master_Response_Why why)
{
    struct pf_arena *arena = pf_output_arena(o);
    struct pf_cell *row = pf_output_row(o);
    struct pf_buf json = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &json, false);
    pf_jw_begin_array(&w);
    for (uint32_t i = 0; i < Master_Response_Why_causes__len(why); i++) {
        cause_json(&w, Master_Response_Why_causes__at(why, i));
    }
    pf_jw_end_array(&w);
    pf_cell_text(&row[W_ID], asked);
    pf_cell_text(&row[W_KIND], pf_str(pf_entity_word(Master_Response_Why_kind(why))));
    pf_cell_name(&row[W_STATE], Master_Response_Why_state(why));
    pf_cell_name(&row[W_TEXT], Master_Response_Why_text(why));
    pf_cell_time(&row[W_SINCE], Master_Response_Why_since_ms(why));
    pf_cell_num(&row[W_N_AGENTS], Master_Response_Why_n_agents(why));
    row[W_CAUSES].is_set = true;
    row[W_CAUSES].json =
        pf_arena_strdup(arena, (struct pf_str){pf_buf_cstr(&json), (uint32_t)json.len});
    pf_buf_fini(&json);
    pf_output_put(o);
    pf_output_flush(o);
}

/* For people: a line, and one for each cause where there are several. */
static void tell(struct pf_cli *cli, struct pf_str asked, struct Master_Response_Why why)
{
    struct pf_str state = Master_Response_Why_state(why);
    struct pf_str text = Master_Response_Why_text(why);
    int64_t since_ms = Master_Response_Why_since_ms(why);
    char lasting[PF_FORMAT_DURATION_MAX] = "";
    if (since_ms > 0) {
        pf_format_duration(pf_wall_ms() - since_ms, lasting);
    }
    (void)fprintf(cli->out, "%.*s %.*s%s%s: %.*s\n", PF_STR_ARG(asked), PF_STR_ARG(state),
                  since_ms > 0 ? " for " : "", lasting, PF_STR_ARG(text));
    uint32_t n = Master_Response_Why_causes__len(why);
    for (uint32_t i = 0; i < n; i++) {
        struct WaitCause c = Master_Response_Why_causes__at(why, i);
        uint32_t agents = WaitCause_n_agents(c);
        if (agents > 0) {
            (void)fprintf(cli->out, "  %u agent%s: ", agents, agents == 1 ? "" : "s");
        } else {
            (void)fputs("  ", cli->out);
        }
        (void)fprintf(cli->out, "%s\n", cause_text(&cli->arena, c));
    }
}

struct asker {
    struct pf_cli *cli;
    struct pf_client *client;
    struct pf_cluster cluster;
    struct pf_output *o; /* NULL: for people */
    uint32_t n;
};

static int ask(struct asker *a, enum EntityKind kind, struct pf_str id, struct pf_str framework_id)
{
    struct pf_fb_builder *b = pf_client_builder(a->client);
    struct Master_Call_Why__args args = {.kind = kind, .id = id, .framework_id = framework_id};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_WHY),
                                     .why = Master_Call_Why__put(b, &args)};
    struct Master_Response r;
    struct pf_err err = {0};
    if (pf_client_ask(a->client, &call, &r, &err) != 0) {
        return pf_client_fail(a->cli, &a->cluster, &err);
    }
    if (a->o != NULL) {
        put(a->o, id, Master_Response_why(r));
    } else {
        tell(a->cli, id, Master_Response_why(r));
    }
    a->n++;
    return 0;
}

/* Without an id: every framework that has something waiting. */
static int ask_all(struct asker *a)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_FRAMEWORKS};
    struct Master_Response r;
    struct pf_err err = {0};
    struct pf_ptrs ids = {0};
    int rc, status = 0;
    while ((rc = pf_pages_next(a->client, &pages, &r, &err)) == 1) {
        struct Master_Response_GetFrameworks list = Master_Response_get_frameworks(r);
        for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
            struct Master_Response_GetFrameworks_Framework f =
                Master_Response_GetFrameworks_frameworks__at(list, i);
            uint64_t n = 0;
            for (uint32_t k = 0; k < Master_Response_GetFrameworks_Framework_demands__len(f);
                 k++) {
                n += Demand_count(Master_Response_GetFrameworks_Framework_demands__at(f, k));
            }
            struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(f);
            if (n > 0) {
                struct pf_str *id = pf_arena_alloc(&a->cli->arena, sizeof *id);
                *id = pf_arena_strdup(&a->cli->arena, FrameworkID_value(FrameworkInfo_id(info)));
                pf_ptrs_push(&ids, id);
            }
        }
    }
    if (rc < 0) {
        status = pf_client_fail(a->cli, &a->cluster, &err);
    }
    for (uint32_t i = 0; status == 0 && i < ids.len; i++) {
        status = ask(a, EntityKind_FRAMEWORK, *(const struct pf_str *)ids.at[i],
                     (struct pf_str){0});
    }
    pf_ptrs_fini(&ids);
    if (status == 0 && a->n == 0 && a->o == NULL) {
        pf_cli_note(a->cli, "nothing waits in the cluster %s", a->cluster.name);
    }
    return status;
}

static int ask_named(struct asker *a, const char *text)
{
    static const enum EntityKind any[] = {EntityKind_TASK, EntityKind_FRAMEWORK, EntityKind_AGENT,
                                          EntityKind_OFFER};
    struct pf_entities found = {0};
    int status = pf_ids_resolve(a->cli, a->client, &a->cluster, text, any,
                                (uint32_t)PF_ARRAY_LEN(any), &found);
    for (uint32_t i = 0; status == 0 && i < found.n; i++) {
        status = ask(a, found.at[i].kind, found.at[i].id, found.at[i].framework_id);
    }
    return status;
}

static int run(struct pf_cli *cli)
{
    struct asker a = {.cli = cli};
    int status = pf_output_open(cli, &why_columns, &a.o);
    if (status != 0) {
        return status;
    }
    if (pf_output_is_table(a.o) && !pf_args_has(&cli->args, "columns")) {
        pf_output_discard(a.o);
        a.o = NULL;
    }
    status = pf_client_of(cli, &a.cluster, &a.client);
    if (status == 0 && cli->args.n_operands == 0) {
        status = ask_all(&a);
    }
    for (uint32_t i = 0; status == 0 && i < cli->args.n_operands; i++) {
        status = ask_named(&a, cli->args.operand[i]);
    }
    if (a.o != NULL) {
        (void)pf_output_close(a.o);
    }
    pf_client_close(a.client);
    return status;
}

const struct pf_command pf_cmd_why = {
    .name = "why",
    .group = "look",
    .summary = "why something waits, or is as it is",
    .operands = "[ID...]",
    .about = "Without an id: everything that waits.",
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_ANY_ID,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer why", "what waits, and for what"},
                 {"proffer why last", "the last run"}},
    .run = run,
};
