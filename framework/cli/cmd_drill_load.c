/* SPDX-License-Identifier: Apache-2.0 */
/* proffer drill-load: one framework under which a drill happens; started by `proffer drill`, one
 * process for each, so that a framework can be killed like anything else. It keeps tasks running
 * and starts short ones all the time, each of which writes into a file of its own. What it is told
 * of them goes to its journal before it is acknowledged, and to its parent; the forms of the lines
 * are those of oracle.h. A restarted one reads its journal and goes on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/net/loop.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "framework/cli/cli.h"
#include "framework/cli/table.h"
#include "framework/lib/scheduler.h"

enum {
    CPUS_MILLI = 10,
    BATCH = 64,
    TOKEN_MAX = 64,
    RECONCILE_MS = 2000,
    FAILOVER_MS = 3600000,
    JOURNAL_MAX_BYTES = 1 << 30,
};
#define MEM_BYTES (INT64_C(8) << 20)

/* Those that last are kept running, of the brief ones there is always another. */
enum kind { KIND_LONG, KIND_SHORT, KIND_SIM, KIND_BRIEF, KIND_COUNT };
static const char *const kind_words[KIND_COUNT] = {"long", "short", "sim", "brief"};

/* A line is one write to a file open for appending, so lines never mix. $1 = token, $2 = directory.
 */
#define SCRIPT_HEAD                                                                                \
    "w() { read u x </proc/uptime; echo \"$1 $t $$ $u\" >>\"$d/tasks/$t\"; }; t=$1 d=$2; "         \
    "w start; "
static const char *const scripts[KIND_COUNT] = {
    [KIND_LONG] = SCRIPT_HEAD "while [ ! -e \"$d/stop\" ]; do sleep 0.2; w tick; done; w end",
    [KIND_SHORT] = SCRIPT_HEAD "w end",
    [KIND_SIM] = "sleep 10000000",
    [KIND_BRIEF] = "sleep 0",
};

struct task {
    char token[TOKEN_MAX];
    enum kind kind;
    bool is_final;
    bool is_doubtful; /* from before our own restart, and nothing was heard of it since */
};

struct load {
    struct pf_cli *cli;
    struct pf_loop *loop;
    struct pf_scheduler *scheduler;
    struct pf_timer *timer, *reconcile;
    struct pf_watch *parent;
    const char *files; /* directory of the drill */
    int64_t index, every_ms;
    int journal;
    struct pf_map by_token;
    struct pf_ptrs tasks;
    struct pf_buf words; /* from the parent */
    uint64_t next_seq;
    uint32_t wanted[KIND_COUNT]; /* not accepted yet */
    uint32_t n_open;             /* with files, without a final state */
    char framework_id[256];
    bool is_finishing, is_over, was_asked;
    bool has_sim;    /* there are simulated agents to be used */
    bool is_waiting; /* for an offer, and the parent knows */
};

static bool is_sim(enum kind kind)
{
    return kind == KIND_SIM || kind == KIND_BRIEF;
}

static bool is_lasting(enum kind kind)
{
    return kind == KIND_LONG || kind == KIND_SIM;
}

/* A line for the journal and for the parent. */
static void say(struct load *l, const char *fmt, ...) PF_PRINTF(2, 3);

static void say(struct load *l, const char *fmt, ...)
{
    struct pf_buf line = {0};
    va_list ap;
    va_start(ap, fmt);
    pf_buf_vprintf(&line, fmt, ap);
    va_end(ap);
    pf_buf_add_byte(&line, '\n');
    struct pf_err err = {0};
    if (pf_fd_write_all(l->journal, line.data, line.len, &err) != 0) {
        /* what is not written down must not be acknowledged either: no verdict could be built */
        pf_cli_note(l->cli, "drill-load: the journal: %s", err.msg);
        _exit(PF_EXIT_FAILED);
    }
    /* without a parent the end of stdin is about to be noticed */
    (void)!pf_fd_write_all(STDOUT_FILENO, line.data, line.len, NULL);
    pf_buf_fini(&line);
}

static struct task *task_add(struct load *l, const char *token, enum kind kind)
{
    struct task *t = PF_NEW(struct task);
    (void)snprintf(t->token, sizeof t->token, "%s", token);
    t->kind = kind;
    l->n_open += is_sim(kind) ? 0 : 1;
    pf_ptrs_push(&l->tasks, t);
    pf_map_put(&l->by_token, t->token, (uint32_t)strlen(t->token), t);
    return t;
}

/* --- demands --------------------------------------------------------------------------------- */

static void demand(struct load *l)
{
    static const struct pf_constraint real = {"sim", PF_CONSTRAINT_NOT_EXISTS, NULL};
    static const struct pf_constraint fake = {"sim", PF_CONSTRAINT_EXISTS, NULL};
    struct pf_demand d[KIND_COUNT];
    struct pf_problem problem = {0};
    size_t n = 0;
    for (int k = 0; k < KIND_COUNT; k++) {
        if (l->wanted[k] > 0 && !l->is_finishing) {
            d[n] = (struct pf_demand)PF_DEMAND_INIT;
            d[n].id = kind_words[k];
            d[n].count = l->wanted[k];
            d[n].cpus_milli = CPUS_MILLI;
            d[n].mem_bytes = MEM_BYTES;
            d[n].constraints = is_sim((enum kind)k) ? &fake : &real;
            d[n++].n_constraints = 1;
        }
    }
    if (pf_scheduler_demand(l->scheduler, d, n, &problem) < 0) {
        pf_cli_note(l->cli, "drill-load: %s", problem.text);
    }
    if (n > 0 && !l->is_waiting) {
        l->is_waiting = true;
        say(l, "want %" PRId64, pf_now_us());
    }
}

static void on_time(void *ctx)
{
    struct load *l = ctx;
    if (l->wanted[KIND_SHORT] == 0 || (l->has_sim && l->wanted[KIND_BRIEF] == 0)) {
        l->wanted[KIND_SHORT] = 1;
        l->wanted[KIND_BRIEF] = l->has_sim ? 1 : 0;
        demand(l);
    }
}

static void launch(struct load *l, const struct pf_offer_view *offer, enum kind kind)
{
    struct pf_task_spec spec[BATCH];
    const char *argv[BATCH][7];
    struct pf_problem problem = {0};
    uint32_t n = 0;
    while (n < BATCH && n < offer->demand_count && l->wanted[kind] > 0) {
        char token[TOKEN_MAX];
        /* the drill's own directory makes the names unique on a machine that had many drills */
        (void)snprintf(token, sizeof token, "f%" PRId64 ".%" PRIu64 ".%s", l->index, l->next_seq++,
                       kind_words[kind]);
        const struct task *t = task_add(l, token, kind);
        say(l, "accept %" PRId64 " %s %s", pf_now_us(), t->token,
            kind == KIND_BRIEF ? "brief"
            : is_sim(kind)     ? "sim"
                               : "file");
        const char *const line[] = {"/bin/sh", "-c", scripts[kind], "sh", t->token, l->files, NULL};
        memcpy(argv[n], line, sizeof line);
        spec[n] = (struct pf_task_spec)PF_TASK_SPEC_INIT;
        spec[n].task_id = t->token;
        spec[n].cpus_milli = CPUS_MILLI;
        spec[n].mem_bytes = MEM_BYTES;
        if (is_sim(kind)) {
            spec[n].command = scripts[kind];
        } else {
            spec[n].argv = argv[n];
        }
        n++;
        l->wanted[kind]--;
    }
    if (pf_scheduler_accept(l->scheduler, &offer->id, 1, spec, n, -1, &problem) < 0) {
        pf_cli_note(l->cli, "drill-load: %s", problem.text);
    }
    if (!is_lasting(kind) && n > 0) {
        pf_timer_set(l->timer, pf_loop_now_ms(l->loop) + l->every_ms);
    }
}

static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct load *l = ctx;
    (void)s;
    say(l, "offers %" PRId64 " %zu", pf_now_us(), n);
    l->is_waiting = false;
    for (size_t i = 0; i < n; i++) {
        int k = 0;
        while (k < KIND_COUNT &&
               (offers[i].demand_id == NULL || strcmp(offers[i].demand_id, kind_words[k]) != 0)) {
            k++;
        }
        if (k < KIND_COUNT && l->wanted[k] > 0 && !l->is_finishing) {
            launch(l, &offers[i], (enum kind)k);
        } else {
            pf_scheduler_decline(l->scheduler, &offers[i].id, 1, 0);
        }
    }
}

/* --- what is told ---------------------------------------------------------------------------- */

static void end_if_done(struct load *l)
{
    if (l->is_finishing && l->n_open == 0 && !l->is_over) {
        l->is_over = true;
        say(l, "over %" PRId64, pf_now_us());
        pf_scheduler_teardown(l->scheduler);
    }
}

/* For the oracle an end that nobody saw is a word of its own. */
static const char *state_word(const struct pf_task_status *status)
{
    bool is_unknown = status->state == PF_TASK_FAILED && !status->has_exit_status &&
                      status->reason != NULL &&
                      strcmp(status->reason, "REASON_EXECUTOR_TERMINATED") == 0;
    return is_unknown ? "EXIT_UNKNOWN" : pf_task_state_name(status->state);
}

static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status)
{
    struct load *l = ctx;
    (void)s;
    uint32_t len = (uint32_t)strlen(status->task_id);
    struct task *t = pf_map_get(&l->by_token, status->task_id, len);
    if (len >= TOKEN_MAX || strchr(status->task_id, ' ') != NULL) {
        pf_cli_note(l->cli, "drill-load: told of a strange task");
        return;
    }
    if (l->is_finishing && t != NULL && is_sim(t->kind)) {
        return;
    }
    say(l, "status %" PRId64 " %s %s %s", pf_now_us(), status->task_id, state_word(status),
        status->is_final ? "final" : "open");
    if (t == NULL) {
        return;
    }
    t->is_doubtful = false;
    if (status->is_final && !t->is_final) {
        t->is_final = true;
        l->n_open -= is_sim(t->kind) ? 0 : 1;
        if (is_lasting(t->kind) && status->state != PF_TASK_FINISHED && !l->is_finishing) {
            l->wanted[t->kind]++; /* under another name: nothing is restarted */
            demand(l);
        }
    }
    end_if_done(l);
}

static void on_subscribed(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub)
{
    struct load *l = ctx;
    (void)s;
    say(l, "subscribed %" PRId64 " %" PRIu64 " %s", pf_now_us(), sub->epoch, sub->framework_id);
    pf_timer_set(l->reconcile, pf_loop_now_ms(l->loop));
}

static void on_disconnected(void *ctx, struct pf_scheduler *s, const char *why)
{
    struct load *l = ctx;
    (void)s;
    (void)why;
    say(l, "disconnected %" PRId64, pf_now_us());
    if (!l->is_finishing) {
        on_time(l); /* there is to be something wanted when the next leader comes */
    }
}

/* What a killed predecessor of ours left open. The library knows nothing of these tasks. */
static void on_reconcile(void *ctx)
{
    struct load *l = ctx;
    const char *ids[BATCH];
    size_t n = 0;
    for (uint32_t i = 0; i < l->tasks.len && n < BATCH; i++) {
        const struct task *t = l->tasks.at[i];
        if (t->is_doubtful && !t->is_final) {
            ids[n++] = t->token;
        }
    }
    if (n > 0) {
        if (pf_scheduler_is_subscribed(l->scheduler)) {
            pf_scheduler_reconcile(l->scheduler, ids, n);
        }
        pf_timer_set(l->reconcile, pf_loop_now_ms(l->loop) + RECONCILE_MS);
    }
}

/* --- the parent ------------------------------------------------------------------------------ */

static void on_parent(void *ctx, unsigned ready)
{
    struct load *l = ctx;
    char text[256];
    (void)ready;
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n <= 0) { /* it is gone, and with it the sense of all this */
        pf_watch_set(l->parent, 0);
        pf_scheduler_teardown(l->scheduler);
        return;
    }
    pf_buf_add(&l->words, text, (size_t)n);
    if (!l->is_finishing && strstr(pf_buf_cstr(&l->words), "finish\n") != NULL) {
        l->is_finishing = true;
        say(l, "finish %" PRId64, pf_now_us());
        demand(l);
        end_if_done(l);
    }
}

/* --- the journal of a killed predecessor ------------------------------------------------------ */

static void take_line(struct load *l, char *line)
{
    char *word[8], *save = NULL;
    uint32_t n = 0;
    for (char *w = strtok_r(line, " ", &save); w != NULL && n < 8; w = strtok_r(NULL, " ", &save)) {
        word[n++] = w;
    }
    if (n == 4 && strcmp(word[0], "subscribed") == 0) {
        (void)snprintf(l->framework_id, sizeof l->framework_id, "%s", word[3]);
    } else if (n == 4 && strcmp(word[0], "accept") == 0) {
        const char *last = strrchr(word[2], '.');
        enum kind kind = KIND_SHORT;
        for (int k = 0; last != NULL && k < KIND_COUNT; k++) {
            kind = strcmp(last + 1, kind_words[k]) == 0 ? (enum kind)k : kind;
        }
        task_add(l, word[2], kind)->is_doubtful = true;
        l->next_seq++;
        l->wanted[kind] -= is_lasting(kind) && l->wanted[kind] > 0 ? 1 : 0;
    } else if (n == 5 && strcmp(word[0], "status") == 0) {
        struct task *t = pf_map_get(&l->by_token, word[2], (uint32_t)strlen(word[2]));
        if (t != NULL && strcmp(word[4], "final") == 0 && !t->is_final) {
            t->is_final = true;
            l->n_open -= is_sim(t->kind) ? 0 : 1;
            l->wanted[t->kind] += is_lasting(t->kind) ? 1 : 0;
        }
    }
}

static int journal_open(struct load *l, struct pf_err *err)
{
    const char *path = pf_cli_text(l->cli, "%s/journal.%" PRId64, l->files, l->index);
    struct pf_buf text = {0};
    l->journal = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (l->journal < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", path);
    }
    int rc = pf_file_read(path, JOURNAL_MAX_BYTES, &text, err);
    char *at = rc == 0 && text.len > 0 ? (char *)(uintptr_t)pf_buf_cstr(&text) : NULL, *end;
    while (at != NULL && (end = strchr(at, '\n')) != NULL) {
        *end = '\0';
        take_line(l, at);
        at = end + 1;
    }
    if (at != NULL && *at != '\0') { /* the killed one's half line must not spoil our first */
        (void)!pf_fd_write_all(l->journal, "\n", 1, NULL);
    }
    pf_buf_fini(&text);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------ */

static int start(struct load *l, struct pf_err *err)
{
    const struct pf_args *args = &l->cli->args;
    struct pf_scheduler_options o = PF_SCHEDULER_OPTIONS_INIT;
    struct pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
    struct pf_problem problem = {0};
    const char *key_file = pf_args_text(args, "key-file");
    o.masters = pf_args_text(args, "master");
    o.key_file = key_file != NULL ? key_file : "";
    o.name = pf_cli_text(l->cli, "drill-%" PRId64, l->index);
    o.framework_id = l->framework_id[0] != '\0' ? l->framework_id : NULL;
    o.failover_ms = FAILOVER_MS;
    o.is_durable = l->index % 2 == 0; /* some of each sort */
    o.is_partition_aware = true;
    callbacks.on_subscribed = on_subscribed;
    callbacks.on_disconnected = on_disconnected;
    callbacks.on_offers = on_offers;
    callbacks.on_status = on_status;
    int rc = pf_scheduler_create_on(l->loop, &o, &callbacks, l, &l->scheduler, &problem);
    if (rc < 0) {
        return pf_err_set(err, PF_EINVAL, "%s", problem.text);
    }
    l->timer = pf_timer_create(l->loop, PF_PRIO_NORMAL, on_time, l);
    l->reconcile = pf_timer_create(l->loop, PF_PRIO_NORMAL, on_reconcile, l);
    on_time(l);
    return pf_watch_create(l->loop, STDIN_FILENO, PF_WATCH_READ, PF_PRIO_NORMAL, on_parent, l,
                           &l->parent, err);
}

static int loop_run(struct load *l, struct pf_err *err)
{
    struct pf_problem problem = {0};
    int code = 0, rc = 0;
    while (rc == 0 && !pf_scheduler_is_over(l->scheduler, &code, &problem)) {
        rc = pf_loop_turn(l->loop, true, err);
    }
    return rc == 0 && code != 0 ? pf_err_set(err, PF_ECONN, "%s", problem.text) : rc;
}

static void load_fini(struct load *l)
{
    if (l->parent != NULL) {
        pf_watch_destroy(l->parent);
    }
    if (l->timer != NULL) {
        pf_timer_destroy(l->timer);
        pf_timer_destroy(l->reconcile);
    }
    pf_scheduler_destroy(l->scheduler);
    pf_loop_destroy(l->loop);
    for (uint32_t i = 0; i < l->tasks.len; i++) {
        pf_free(l->tasks.at[i]);
    }
    pf_ptrs_fini(&l->tasks);
    pf_map_fini(&l->by_token);
    pf_buf_fini(&l->words);
    pf_fd_close(&l->journal);
}

static int run(struct pf_cli *cli)
{
    const struct pf_args *args = &cli->args;
    struct load l = {.cli = cli,
                     .journal = -1,
                     .files = pf_args_text(args, "files"),
                     .index = pf_args_num(args, "index", 0),
                     .every_ms = pf_args_num(args, "every", 100)};
    struct pf_err err = {0};
    l.by_token.seed = 1; /* the tokens are our own */
    l.wanted[KIND_LONG] = (uint32_t)pf_args_num(args, "tasks", 1);
    l.wanted[KIND_SIM] = (uint32_t)pf_args_num(args, "sim-tasks", 0);
    l.has_sim = l.wanted[KIND_SIM] > 0;
    if (l.files == NULL || pf_args_text(args, "master") == NULL) {
        return pf_cli_usage(cli, "drill-load is started by proffer drill", "proffer help drill");
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a parent that died is told by the end of stdin */
    int rc = journal_open(&l, &err);
    rc = rc != 0 ? rc : pf_loop_create(&l.loop, &err);
    rc = rc != 0 ? rc : start(&l, &err);
    rc = rc != 0 ? rc : loop_run(&l, &err);
    load_fini(&l);
    return rc == 0 ? PF_EXIT_OK : pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "see proffer status");
}

static const struct pf_cli_option options[] = {
    {.name = "master", .kind = PF_ARG_TEXT, .arg = "LIST", .help = "host:port,..."},
    {.name = "key-file", .kind = PF_ARG_TEXT, .arg = "FILE", .help = "of the cluster"},
    {.name = "files", .kind = PF_ARG_TEXT, .arg = "DIR", .help = "of the drill"},
    {.name = "index", .kind = PF_ARG_COUNT, .arg = "N", .help = "which framework this is"},
    {.name = "tasks", .kind = PF_ARG_COUNT, .arg = "N", .help = "kept running"},
    {.name = "sim-tasks", .kind = PF_ARG_COUNT, .arg = "N", .help = "on simulated agents"},
    {.name = "every", .kind = PF_ARG_DURATION, .arg = "TIME", .help = "between short tasks"},
};

const struct pf_command pf_cmd_drill_load = {
    .name = "drill-load",
    .group = "cluster",
    .summary = "one framework under which a drill happens (started by proffer drill)",
    .is_hidden = true,
    .options = PF_CLI_OPTIONS(options),
    .run = run,
};
