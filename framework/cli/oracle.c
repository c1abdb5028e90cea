/* SPDX-License-Identifier: Apache-2.0 */
/* See oracle.h. Reading first, judging once everything is known. */
#include "framework/cli/oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/map.h"

/* SLACK_US: /proc/uptime counts hundredths of a second. */
enum { FIELDS_MAX = 8, STARTS_MAX = 8, BRIEF_US = 10000000, SLACK_US = 20000 };

/* One process that worked on a task. */
struct start {
    uint64_t pid;
    int64_t first_us, last_us;
};

struct task {
    char token[PF_ORACLE_TOKEN_MAX];
    bool is_accepted, is_sim, has_file, has_end;
    bool is_brief, is_overdue; /* simulated and ends by itself; nobody told that it did */
    bool was_running, is_final, has_finished;
    bool is_contradicted; /* told another final state than before */
    bool is_retold;       /* told something after its final state */
    char final_state[32]; /* the first one told */
    int64_t accepted_us, final_us;
    char state[32]; /* the last one told */
    struct start start[STARTS_MAX];
    uint32_t n_starts, n_more_starts;
    int64_t gap_us, gap_at_us;
};

struct pf_oracle {
    int64_t pause_limit_us;
    struct pf_map by_token;
    struct pf_ptrs tasks; /* in the order of their first mention */
    struct pf_oracle_verdict verdict;
    struct pf_oracle_finding finding[PF_ORACLE_FINDINGS_MAX];
    bool allows_unknown;
    int64_t finish_us; /* of the journal being read; INT64_MAX: it has no such line */
    bool is_judged;
};

struct pf_oracle *pf_oracle_create(int64_t pause_limit_us)
{
    struct pf_oracle *o = PF_NEW(struct pf_oracle);
    o->pause_limit_us = pause_limit_us;
    o->by_token.seed = 1; /* the tokens are our own */
    return o;
}

void pf_oracle_destroy(struct pf_oracle *o)
{
    if (o == NULL) {
        return;
    }
    for (uint32_t i = 0; i < o->tasks.len; i++) {
        pf_free(o->tasks.at[i]);
    }
    for (uint32_t i = 0; i < o->verdict.n_findings; i++) {
        pf_free(o->finding[i].text);
    }
    pf_ptrs_fini(&o->tasks);
    pf_map_fini(&o->by_token);
    pf_free(o);
}

void pf_oracle_allow_unknown(struct pf_oracle *o)
{
    o->allows_unknown = true;
}

/* --- reading --------------------------------------------------------------------------------- */

static struct task *task_of(struct pf_oracle *o, struct pf_str token)
{
    struct task *t = pf_map_get_str(&o->by_token, token);
    if (t == NULL) {
        t = PF_NEW(struct task);
        (void)snprintf(t->token, sizeof t->token, "%.*s", PF_STR_ARG(token));
        pf_ptrs_push(&o->tasks, t);
        pf_map_put(&o->by_token, t->token, token.len, t);
    }
    return t;
}

/* Takes the next line off `text`; false: there is none that has an end. */
static bool line_take(struct pf_str *text, struct pf_str *out)
{
    const char *end = text->len > 0 ? memchr(text->at, '\n', text->len) : NULL;
    if (end == NULL) {
        return false;
    }
    *out = (struct pf_str){text->at, (uint32_t)(end - text->at)};
    text->at = end + 1;
    text->len -= out->len + 1;
    return true;
}

static uint32_t split(struct pf_str line, struct pf_str field[FIELDS_MAX])
{
    uint32_t n = 0, at = 0;
    while (at < line.len && n < FIELDS_MAX) {
        uint32_t from = at;
        while (at < line.len && line.at[at] != ' ') {
            at++;
        }
        if (at > from) {
            field[n++] = (struct pf_str){line.at + from, at - from};
        }
        at++;
    }
    return n;
}

static bool digits(struct pf_str s, uint64_t *out)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9' || n > (UINT64_MAX >> 8)) {
            return false;
        }
        n = n * 10 + (uint64_t)(s.at[i] - '0');
    }
    *out = n;
    return s.len > 0;
}

/* "123.45" in microseconds. */
static bool seconds(struct pf_str s, int64_t *out_us)
{
    uint64_t whole, part = 0;
    const char *dot = s.len > 0 ? memchr(s.at, '.', s.len) : NULL;
    uint32_t whole_len = dot != NULL ? (uint32_t)(dot - s.at) : s.len;
    struct pf_str tail = {s.at + whole_len + 1, dot != NULL ? s.len - whole_len - 1 : 0};
    if (!digits((struct pf_str){s.at, whole_len}, &whole) || whole > (1u << 30) || tail.len > 6 ||
        (dot != NULL && !digits(tail, &part))) {
        return false;
    }
    for (uint32_t i = tail.len; i < 6; i++) {
        part *= 10;
    }
    *out_us = (int64_t)(whole * 1000000 + part);
    return true;
}

static bool is_token(struct pf_str s)
{
    return s.len > 0 && s.len < PF_ORACLE_TOKEN_MAX;
}

static void take_status(struct task *t, struct pf_str state, bool is_final, int64_t at_us)
{
    if (t->is_final) {
        t->is_retold = true;
        t->is_contradicted |= is_final && !pf_str_is(state, t->final_state);
    } else if (is_final) {
        t->is_final = true;
        t->final_us = at_us;
        (void)snprintf(t->final_state, sizeof t->final_state, "%.*s", PF_STR_ARG(state));
    }
    t->was_running |= pf_str_is(state, "TASK_RUNNING");
    t->has_finished |= pf_str_is(state, "TASK_FINISHED");
    (void)snprintf(t->state, sizeof t->state, "%.*s", PF_STR_ARG(state));
}

/* The brief ones that began long before the finish have to be over. */
static void overdue_note(struct pf_oracle *o)
{
    for (uint32_t i = 0; i < o->tasks.len; i++) {
        struct task *t = o->tasks.at[i];
        t->is_overdue = t->is_brief && !t->is_final && o->finish_us - t->accepted_us > BRIEF_US;
    }
}

/* False: the line makes no sense. */
static bool journal_line(struct pf_oracle *o, const struct pf_str *f, uint32_t n)
{
    bool is_accept = pf_str_is(f[0], "accept"), is_status = pf_str_is(f[0], "status");
    uint64_t at_us;
    if (n < 2 || !digits(f[1], &at_us) || at_us > INT64_MAX) {
        return false;
    }
    if (pf_str_is(f[0], "finish")) {
        o->finish_us = o->finish_us == INT64_MAX ? (int64_t)at_us : o->finish_us;
        overdue_note(o);
        return true;
    }
    if (!is_accept && !is_status) {
        return true;
    }
    if (n != (is_accept ? 4u : 5u) || !is_token(f[2])) {
        return false;
    }
    struct task *t = task_of(o, f[2]);
    if (is_accept) {
        bool is_brief = pf_str_is(f[3], "brief"), is_sim = is_brief || pf_str_is(f[3], "sim");
        if (t->is_accepted || (!is_sim && !pf_str_is(f[3], "file"))) {
            return false; /* a token is used once: the worker's own mistake */
        }
        t->is_accepted = true;
        t->is_sim = is_sim;
        t->is_brief = is_brief;
        t->accepted_us = (int64_t)at_us;
        return true;
    }
    bool is_final = pf_str_is(f[4], "final");
    if (!is_final && !pf_str_is(f[4], "open")) {
        return false;
    }
    if (!t->is_sim || (int64_t)at_us <= o->finish_us) {
        take_status(t, f[3], is_final, (int64_t)at_us);
    }
    return true;
}

int pf_oracle_add_journal(struct pf_oracle *o, const char *framework, struct pf_str text,
                          struct pf_err *err)
{
    struct pf_str line, field[FIELDS_MAX];
    uint32_t number = 0;
    o->finish_us = INT64_MAX;
    while (line_take(&text, &line)) {
        uint32_t n = split(line, field);
        number++;
        if (n > 0 && !journal_line(o, field, n)) {
            return pf_err_set(err, PF_EPROTO, "journal of %s, line %u: '%.*s'", framework, number,
                              PF_STR_ARG(line));
        }
    }
    return 0;
}

static struct start *start_of(struct task *t, uint64_t pid)
{
    for (uint32_t i = t->n_starts; i > 0; i--) {
        if (t->start[i - 1].pid == pid) {
            return &t->start[i - 1];
        }
    }
    return NULL;
}

/* False: the line makes no sense. */
static bool file_line(struct task *t, const struct pf_str *f, uint32_t n)
{
    uint64_t pid;
    int64_t at_us;
    if (n != 4 || !pf_str_is(f[1], t->token) || !digits(f[2], &pid) || !seconds(f[3], &at_us)) {
        return false;
    }
    if (pf_str_is(f[0], "start")) {
        if (t->n_starts == STARTS_MAX) {
            t->n_more_starts++;
            return true;
        }
        t->start[t->n_starts++] = (struct start){pid, at_us, at_us};
        return true;
    }
    struct start *s = start_of(t, pid);
    if (s == NULL) {
        return t->n_more_starts > 0; /* a process that never said that it began */
    }
    if (at_us - s->last_us > t->gap_us) {
        t->gap_us = at_us - s->last_us;
        t->gap_at_us = s->last_us;
    }
    s->last_us = at_us > s->last_us ? at_us : s->last_us;
    t->has_end |= pf_str_is(f[0], "end");
    return pf_str_is(f[0], "end") || pf_str_is(f[0], "tick");
}

int pf_oracle_add_file(struct pf_oracle *o, const char *token, struct pf_str text,
                       struct pf_err *err)
{
    struct pf_str line, field[FIELDS_MAX];
    uint32_t number = 0;
    if (!is_token(pf_str(token))) {
        return pf_err_set(err, PF_EPROTO, "'%s' is no task of a drill", token);
    }
    struct task *t = task_of(o, pf_str(token));
    while (line_take(&text, &line)) {
        uint32_t n = split(line, field);
        number++;
        if (!file_line(t, field, n)) {
            return pf_err_set(err, PF_EPROTO, "file of %s, line %u: '%.*s'", token, number,
                              PF_STR_ARG(line));
        }
    }
    t->has_file = t->n_starts > 0;
    return 0;
}

/* --- judging --------------------------------------------------------------------------------- */

static void find(struct pf_oracle *o, enum pf_oracle_kind kind, const struct task *t, int64_t at_us,
                 const char *fmt, ...) PF_PRINTF(5, 6);

static void find(struct pf_oracle *o, enum pf_oracle_kind kind, const struct task *t, int64_t at_us,
                 const char *fmt, ...)
{
    o->verdict.count[kind]++;
    if (o->verdict.n_findings == PF_ORACLE_FINDINGS_MAX) {
        return;
    }
    struct pf_buf text = {0};
    va_list ap;
    pf_buf_printf(&text, "%s: ", t->token);
    va_start(ap, fmt);
    pf_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    o->finding[o->verdict.n_findings++] =
        (struct pf_oracle_finding){kind, at_us, pf_strdup(pf_buf_cstr(&text))};
    pf_buf_fini(&text);
}

/* Several processes: side by side, or one after the other? */
static void judge_starts(struct pf_oracle *o, const struct task *t)
{
    for (uint32_t i = 1; i < t->n_starts; i++) {
        const struct start *a = &t->start[i - 1], *b = &t->start[i];
        bool is_doubled = a->pid == b->pid || b->first_us < a->last_us;
        find(o, is_doubled ? PF_ORACLE_DOUBLED : PF_ORACLE_RESTARTED, t, b->first_us,
             is_doubled ? "processes %" PRIu64 " and %" PRIu64 " at the same time"
                        : "process %" PRIu64 " ended, process %" PRIu64 " began anew",
             a->pid, b->pid);
    }
    if (t->n_more_starts > 0) {
        find(o, PF_ORACLE_RESTARTED, t, 0, "and begun %u more times", t->n_more_starts);
    }
}

static bool is_unknown(const struct pf_oracle *o, const struct task *t)
{
    return o->allows_unknown && strcmp(t->final_state, "EXIT_UNKNOWN") == 0;
}

static void judge_file(struct pf_oracle *o, const struct task *t)
{
    const struct start *last = &t->start[t->n_starts - 1];
    judge_starts(o, t);
    if (t->gap_us > o->verdict.gap_max_us) {
        o->verdict.gap_max_us = t->gap_us;
    }
    if (t->gap_us > o->pause_limit_us) {
        find(o, PF_ORACLE_PAUSED, t, t->gap_at_us, "did nothing for %" PRId64 " ms",
             t->gap_us / 1000);
    }
    if (!t->is_accepted) {
        find(o, PF_ORACLE_DISAGREED, t, last->first_us, "ran, and no framework launched it");
        return;
    }
    if (!t->has_end) {
        find(o, PF_ORACLE_LOST, t, last->last_us,
             "process %" PRIu64
             " ended without having done its work; the framework's last word is %s",
             last->pid, t->state[0] != '\0' ? t->state : "nothing");
        return;
    }
    o->verdict.n_files_ended++;
    if (!t->is_final) {
        find(o, PF_ORACLE_LOST, t, last->last_us,
             "did its work, and the framework was never told (last: %s)",
             t->state[0] != '\0' ? t->state : "nothing");
    } else if (is_unknown(o, t)) {
        o->verdict.n_unknown++;
        if (last->last_us > t->final_us + SLACK_US) {
            find(o, PF_ORACLE_DISAGREED, t, t->final_us,
                 "was still at work when the framework was told that it had ended");
        }
    } else if (!t->has_finished) {
        find(o, PF_ORACLE_DISAGREED, t, t->final_us, "did its work, and the framework was told %s",
             t->state);
    }
}

static bool is_refusal(const char *state)
{
    static const char *const words[] = {"TASK_LOST", "TASK_DROPPED", "TASK_GONE", "TASK_UNKNOWN",
                                        "TASK_ERROR"};
    for (size_t i = 0; i < PF_ARRAY_LEN(words); i++) {
        if (strcmp(words[i], state) == 0) {
            return true;
        }
    }
    return false;
}

/* Accepted, and there is no file. */
static void judge_absent(struct pf_oracle *o, const struct task *t)
{
    if (!t->is_accepted) {
        find(o, PF_ORACLE_DISAGREED, t, t->final_us,
             "the framework was told %s of a task that it never launched", t->state);
    } else if (!t->is_final) {
        find(o, PF_ORACLE_LOST, t, t->accepted_us,
             "accepted, never ran, and the framework was never told (last: %s)",
             t->state[0] != '\0' ? t->state : "nothing");
    } else if (t->was_running || t->has_finished) {
        find(o, PF_ORACLE_LOST, t, t->accepted_us,
             "the framework was told %s, and it left no trace",
             t->has_finished ? "TASK_FINISHED" : "TASK_RUNNING");
    } else if (!is_refusal(t->state) && !is_unknown(o, t)) {
        find(o, PF_ORACLE_DISAGREED, t, t->final_us, "never ran, and the framework was told %s",
             t->state);
    } else {
        o->verdict.n_refused++;
    }
}

static void judge(struct pf_oracle *o, const struct task *t)
{
    struct pf_oracle_verdict *v = &o->verdict;
    v->n_accepted += t->is_accepted && !t->is_sim ? 1 : 0;
    v->n_sim += t->is_sim ? 1 : 0;
    v->n_told_ended += t->has_finished && !t->is_sim ? 1 : 0;
    v->n_retold += t->is_retold ? 1 : 0;
    /* what was not acknowledged comes again; but it must come to the same end */
    if (t->is_contradicted || (t->is_retold && strcmp(t->state, t->final_state) != 0)) {
        find(o, PF_ORACLE_DISAGREED, t, t->final_us, "the framework was told %s, and afterwards %s",
             t->final_state, t->state);
    }
    if (t->is_brief) {
        if (t->is_overdue ||
            (t->is_final && !t->has_finished && (t->was_running || !is_refusal(t->state)))) {
            find(o, PF_ORACLE_LOST, t, t->final_us, "simulated and brief, %s%s",
                 t->is_overdue ? "nobody told that it ended; last " : "ended as ", t->state);
        }
    } else if (t->is_sim) {
        if (t->is_final && (t->was_running || !is_refusal(t->state))) {
            find(o, PF_ORACLE_LOST, t, t->final_us, "simulated, ended as %s before its time",
                 t->state);
        }
    } else if (t->has_file) {
        judge_file(o, t);
    } else {
        judge_absent(o, t);
    }
}

const struct pf_oracle_verdict *pf_oracle_judge(struct pf_oracle *o)
{
    PF_ASSERT(!o->is_judged);
    o->is_judged = true;
    o->verdict.finding = o->finding;
    for (uint32_t i = 0; i < o->tasks.len; i++) {
        judge(o, o->tasks.at[i]);
    }
    return &o->verdict;
}

bool pf_oracle_is_clean(const struct pf_oracle_verdict *v)
{
    for (int i = 0; i < PF_ORACLE_KIND_COUNT; i++) {
        if (v->count[i] > 0) {
            return false;
        }
    }
    return v->n_files_ended == v->n_told_ended + v->n_unknown;
}

const char *pf_oracle_kind_word(enum pf_oracle_kind kind)
{
    static const char *const words[PF_ORACLE_KIND_COUNT] = {
        [PF_ORACLE_LOST] = "lost",
        [PF_ORACLE_DOUBLED] = "doubled",
        [PF_ORACLE_RESTARTED] = "restarted",
        [PF_ORACLE_PAUSED] = "paused",
        [PF_ORACLE_DISAGREED] = "told wrongly",
    };
    PF_ASSERT(kind >= 0 && kind < PF_ORACLE_KIND_COUNT);
    return words[kind];
}
