/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_report.h. */
#include "framework/cli/drill_report.h"

#include <inttypes.h>
#include <stdio.h>
#include "common/base/buf.h"
#include "framework/cli/drill_stats.h"

enum { FINDINGS_SHOWN = 20 };

static const char *const measure_words[PF_MEASURE_COUNT] = {
    [PF_MEASURE_LEADER] = "new leader",
    [PF_MEASURE_OFFER] = "first offer",
    [PF_MEASURE_TASK] = "first task",
    [PF_MEASURE_AGENTS] = "all agents back",
    [PF_MEASURE_FRAMEWORKS] = "all frameworks back",
    [PF_MEASURE_WAIT] = "longest wait",
};

static void samples_of(const struct pf_drill_plan *plan, enum pf_drill_measure m,
                       struct pf_samples *out)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->round[i].end_us > 0 && plan->round[i].us[m] >= 0) {
            pf_samples_add(out, plan->round[i].us[m]);
        }
    }
}

static void measure_line(FILE *to, const char *word, const struct pf_samples *s)
{
    static const uint32_t permille[] = {0, 500, 900, 990, 1000};
    (void)fprintf(to, "%-20s %6" PRIu32, word, s->n);
    for (size_t i = 0; i < PF_ARRAY_LEN(permille); i++) {
        struct pf_buf text = {0};
        if (s->n > 0) {
            pf_samples_show(pf_samples_at(s, permille[i]), &text);
        }
        (void)fprintf(to, " %9s", s->n > 0 ? pf_buf_cstr(&text) : "-");
        pf_buf_fini(&text);
    }
    (void)fputc('\n', to);
}

void pf_drill_report_table(struct pf_cli *cli, const struct pf_drill_plan *plan)
{
    struct pf_samples tasks = {0};
    struct pf_buf picture = {0};
    (void)fprintf(cli->out, "%-20s %6s %9s %9s %9s %9s %9s\n", "AFTER THE STRIKE", "ROUNDS", "MIN",
                  "P50", "P90", "P99", "MAX");
    for (int m = 0; m < PF_MEASURE_COUNT; m++) {
        struct pf_samples s = {0};
        samples_of(plan, (enum pf_drill_measure)m, &s);
        measure_line(cli->out, measure_words[m], &s);
        pf_samples_fini(&s);
    }
    samples_of(plan, PF_MEASURE_TASK, &tasks);
    pf_samples_histogram(&tasks, &picture);
    if (picture.len > 0) {
        (void)fprintf(cli->out, "\nfrom the strike to the first task\n%s", pf_buf_cstr(&picture));
    }
    pf_samples_fini(&tasks);
    pf_buf_fini(&picture);
}

enum {
    D_ROUND,
    D_DRILL,
    D_LEADER_US,
    D_OFFER_US,
    D_TASK_US,
    D_AGENTS_US,
    D_FRAMEWORKS_US,
    D_WAIT_US,
    D_EPOCH_BEFORE,
    D_EPOCH_AFTER,
    D_LEADER_BEFORE,
    D_LEADER_AFTER,
    D_SWEEP_US,
    D_TOOK_MS,
    D_PROBLEM
};

static const struct pf_column columns[] = {
    [D_ROUND] = {"round", PF_CELL_INT, true},
    [D_DRILL] = {"drill", PF_CELL_TEXT, true},
    [D_LEADER_US] = {"new_leader_us", PF_CELL_INT, true},
    [D_OFFER_US] = {"first_offer_us", PF_CELL_INT, true},
    [D_TASK_US] = {"first_task_us", PF_CELL_INT, true},
    [D_AGENTS_US] = {"agents_back_us", PF_CELL_INT, true},
    [D_FRAMEWORKS_US] = {"frameworks_back_us", PF_CELL_INT, true},
    [D_WAIT_US] = {"longest_wait_us", PF_CELL_INT, true},
    [D_EPOCH_BEFORE] = {"epoch_before", PF_CELL_INT, true},
    [D_EPOCH_AFTER] = {"epoch_after", PF_CELL_INT, true},
    [D_LEADER_BEFORE] = {"leader_before", PF_CELL_TEXT, true},
    [D_LEADER_AFTER] = {"leader_after", PF_CELL_TEXT, true},
    [D_SWEEP_US] = {"sweep_us", PF_CELL_INT, true},
    [D_TOOK_MS] = {"took_ms", PF_CELL_INT, true},
    [D_PROBLEM] = {"problem", PF_CELL_TEXT, true},
};
const struct pf_columns pf_drill_columns = PF_COLUMNS(columns);

void pf_drill_report_rows(struct pf_output *o, const struct pf_drill_plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct pf_drill_round *round = &plan->round[i];
        if (round->end_us == 0) {
            continue;
        }
        struct pf_cell *row = pf_output_row(o);
        pf_cell_num(&row[D_ROUND], i + 1);
        pf_cell_text(&row[D_DRILL], pf_str(round->drill->name));
        for (int m = 0; m < PF_MEASURE_COUNT; m++) {
            if (round->us[m] >= 0) {
                pf_cell_num(&row[D_LEADER_US + m], round->us[m]);
            }
        }
        pf_cell_num(&row[D_EPOCH_BEFORE], (int64_t)round->epoch_before);
        pf_cell_num(&row[D_EPOCH_AFTER], (int64_t)round->epoch_after);
        pf_cell_name(&row[D_LEADER_BEFORE], pf_str(round->leader_before));
        pf_cell_name(&row[D_LEADER_AFTER], pf_str(round->leader_after));
        if (round->drill->step[0].when == PF_WHEN_ACCEPT) {
            pf_cell_num(&row[D_SWEEP_US], round->sweep_us);
        }
        pf_cell_num(&row[D_TOOK_MS], (round->end_us - round->begin_us) / 1000);
        pf_cell_name(&row[D_PROBLEM], pf_str(round->problem));
        pf_output_put(o);
    }
    pf_output_flush(o);
}

/* The round during which something happened; NULL = none. */
static const struct pf_drill_round *round_at(const struct pf_drill_plan *plan, int64_t at_us,
                                             uint32_t *out_i)
{
    const struct pf_drill_round *found = NULL;
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->round[i].begin_us > 0 && plan->round[i].begin_us <= at_us) {
            found = &plan->round[i];
            *out_i = i;
        }
    }
    return found;
}

static void findings_show(FILE *to, const struct pf_drill_plan *plan,
                          const struct pf_oracle_verdict *v)
{
    for (uint32_t i = 0; i < v->n_findings && i < FINDINGS_SHOWN; i++) {
        const struct pf_oracle_finding *f = &v->finding[i];
        uint32_t at = 0;
        const struct pf_drill_round *round = f->at_us > 0 ? round_at(plan, f->at_us, &at) : NULL;
        (void)fprintf(to, "  %s: %s", pf_oracle_kind_word(f->kind), f->text);
        if (round != NULL) {
            (void)fprintf(to, " (in or after round %" PRIu32 ", %s)", at + 1, round->drill->name);
        }
        (void)fputc('\n', to);
    }
    if (v->n_findings > FINDINGS_SHOWN) {
        (void)fprintf(to, "  ... and more\n");
    }
}

bool pf_drill_report_verdict(FILE *to, const struct pf_drill_plan *plan,
                             const struct pf_oracle_verdict *v, const char *problem)
{
    uint32_t n_done = 0, n_bad = 0;
    struct pf_buf gap = {0};
    for (uint32_t i = 0; i < plan->n; i++) {
        n_done += plan->round[i].end_us > 0 ? 1 : 0;
        n_bad += plan->round[i].problem[0] != '\0' ? 1 : 0;
    }
    (void)fprintf(to, "\ntasks: ");
    for (int k = 0; k < PF_ORACLE_KIND_COUNT; k++) {
        (void)fprintf(to, "%s%s %" PRIu64, k > 0 ? ", " : "",
                      pf_oracle_kind_word((enum pf_oracle_kind)k), v->count[k]);
    }
    pf_samples_show(v->gap_max_us, &gap);
    (void)fprintf(to,
                  "\n%" PRIu64 " launched, %" PRIu64 " refused and told so; %" PRIu64
                  " did their work by their files, %" PRIu64
                  " by what frameworks were told; longest silence %s\n",
                  v->n_accepted, v->n_refused, v->n_files_ended, v->n_told_ended,
                  pf_buf_cstr(&gap));
    pf_buf_fini(&gap);
    if (v->n_unknown > 0) {
        (void)fprintf(to, "%" PRIu64 " of them ended unseen, their launchers had been killed\n",
                      v->n_unknown);
    }
    if (v->n_retold > 0) {
        (void)fprintf(to, "%" PRIu64 " tasks whose end was told again\n", v->n_retold);
    }
    if (v->n_sim > 0) {
        (void)fprintf(to, "%" PRIu64 " simulated tasks besides\n", v->n_sim);
    }
    findings_show(to, plan, v);
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->round[i].problem[0] != '\0') {
            (void)fprintf(to, "  round %" PRIu32 ", %s: %s\n", i + 1, plan->round[i].drill->name,
                          plan->round[i].problem);
        }
    }
    if (problem != NULL) {
        (void)fprintf(to, "  %s\n", problem);
    }
    bool held = pf_oracle_is_clean(v) && n_bad == 0 && n_done == plan->n && problem == NULL;
    (void)fprintf(to, "%" PRIu32 " of %" PRIu32 " rounds carried out, seed %" PRIu64 ": %s\n",
                  n_done, plan->n, plan->seed, held ? "all promises held" : "BROKEN");
    return held;
}
