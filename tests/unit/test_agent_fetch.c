/* SPDX-License-Identifier: Apache-2.0 */
/* Fetchers started through the real launcher: what they are given, what is kept of what they say,
 * and that nothing is left behind. */
#include "agent/daemon/fetch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/file.h"
#include "schemas/fetcher.h"
#include "schemas/launcher.h"
#include "tests/support/net.h"

struct world {
    char dir[64], run[80], box[80], cache[80], program[80];
    struct pf_loop *loop;
    struct pf_launcher_link *link;
    struct pf_fetches *fetches;
    struct pf_fb_builder builder;
    bool is_up;
    uint32_t n_list_ends, n_ended, n_downs;
    int state, wait_status;
    char report[PF_FETCH_REPORT_MAX_BYTES * 2];
};

static const struct pf_uuid launch = {{0xfe, 0x7c}};

static void on_up(void *ctx, struct pf_msg hello)
{
    struct world *w = ctx;

    (void)hello;
    w->is_up = true;
}

static void on_down(void *ctx)
{
    struct world *w = ctx;

    w->is_up = false;
    w->n_downs++;
}

static void on_process(void *ctx, struct pf_msg process)
{
    struct world *w = ctx;
    struct LauncherProcess p = LauncherProcess__root(process);

    w->state = (int)LauncherProcess_state(p);
    if (w->state == LauncherState_EXITED || w->state == LauncherState_FAILED) {
        struct pf_str report = pf_fetches_report(w->fetches, launch);
        w->wait_status = LauncherProcess_wait_status(p);
        (void)snprintf(w->report, sizeof w->report, "%.*s", PF_STR_ARG(report));
        w->n_ended++;
    }
}

static void on_list_end(void *ctx)
{
    struct world *w = ctx;

    w->n_list_ends++;
}

static void on_made(void *ctx, struct pf_uuid l, struct pf_str sandbox, int stdin_fd)
{
    (void)ctx;
    (void)l;
    (void)sandbox;
    (void)stdin_fd;
    fail_msg("a fetcher makes no output files of a task");
}

static void on_stdin(void *ctx, struct pf_uuid l, int fd)
{
    (void)ctx;
    (void)l;
    (void)fd;
    fail_msg("nobody asked");
}

static const struct pf_launcher_link_ops ops = {on_up,       on_down, on_process,
                                                on_list_end, on_made, on_stdin};

#define UNTIL(w, cond)                                                                             \
    for (struct test_wait wait_ = test_wait_begin((w)->loop); !test_wait_is_over(&wait_, (cond));  \
         test_wait_turn(&wait_)) {                                                                 \
        pf_launcher_link_flush((w)->link);                                                         \
    }

static void fetches_open(struct world *w, const char *program)
{
    const struct pf_fetches_options o = {
        .run_dir = w->run, .cache_dir = w->cache, .program = program, .stall_ms = 5000};

    pf_fetches_destroy(w->fetches);
    w->fetches = NULL;
    assert_int_equal(pf_fetches_create(&o, &w->fetches, NULL), 0);
}

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);
    const struct pf_launcher_link_options o = {.dir = w->run, .program = PF_LAUNCHER_PATH};
    const struct pf_user own = {.uid = geteuid(), .gid = getegid(), .is_own = true};
    struct pf_sandbox_failure why;

    (void)signal(SIGCHLD, SIG_IGN);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pf-fetch-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->run, sizeof w->run, "%s/run", w->dir);
    (void)snprintf(w->box, sizeof w->box, "%s/box", w->dir);
    (void)snprintf(w->cache, sizeof w->cache, "%s/cache", w->dir);
    (void)snprintf(w->program, sizeof w->program, "%s/fetcher", w->dir);
    assert_int_equal(mkdir(w->run, 0700), 0);
    assert_true(pf_sandbox_make(pf_str(w->box), &own, (struct pf_bytes){NULL, 0}, &why));
    pf_fb_builder_init(&w->builder, NULL);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    assert_int_equal(pf_launcher_link_create(w->loop, &o, &ops, w, &w->link, NULL), 0);
    fetches_open(w, PF_FETCHER_PATH);
    UNTIL(w, w->n_list_ends == 1)
    *state = w;
    return 0;
}

/* The launcher ends when it is let, and no other takes its place. */
static int teardown(void **state)
{
    struct world *w = *state;

    pf_launcher_link_forget(w->link, launch);
    pf_launcher_link_quit(w->link);
    UNTIL(w, !w->is_up)
    int64_t end_ms = pf_now_ms() + 100; /* it would come back after 20 */
    UNTIL(w, pf_now_ms() >= end_ms)
    assert_int_equal(w->n_downs, 1);
    assert_int_equal(pf_launcher_link_counters(w->link)->spawned, 1);
    pf_launcher_link_destroy(w->link);
    pf_fetches_destroy(w->fetches);
    pf_loop_destroy(w->loop);
    pf_fb_builder_fini(&w->builder);
    assert_int_equal(pf_remove_tree(w->dir, NULL), 0);
    pf_free(w);
    return 0;
}

static void fetch(struct world *w, const char *uri)
{
    const struct pf_user own = {.uid = geteuid(), .gid = getegid(), .is_own = true};
    struct pf_fb_builder *b = &w->builder;
    const char *stage = NULL;

    pf_fb_builder_reset(b);
    struct pf_ref u = CommandInfo_URI__put(
        b, &(struct CommandInfo_URI__args){.value = pf_str(uri), .extract = PF_OPT(false)});
    struct pf_ref plan = FetchPlan__put(b, &(struct FetchPlan__args){
                                               .uris = {&u, 1},
                                               .sandbox = pf_str(w->box),
                                               .cache_dir = pf_str(w->cache),
                                               .cache_max_bytes = 1 << 20,
                                           });
    const struct pf_agent_act_fetch act = {.launch = launch,
                                           .container = {{1}},
                                           .sandbox = pf_str(w->box),
                                           .plan = FetchPlan__finish(b, plan)};
    assert_int_equal(pf_fetches_start(w->fetches, w->link, &act, &own, &stage), 0);
    UNTIL(w, w->n_ended > 0)
}

static void expect_file(const char *dir, const char *name, const char *text)
{
    struct pf_buf path = {0};
    struct pf_buf got = {0};

    pf_buf_printf(&path, "%s/%s", dir, name);
    assert_int_equal(pf_file_read(pf_buf_cstr(&path), 4096, &got, NULL), 0);
    assert_string_equal(pf_buf_cstr(&got), text);
    pf_buf_fini(&path);
    pf_buf_fini(&got);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(pf_file_write(path, text, strlen(text), mode, NULL), 0);
}

static uint32_t n_reports(const struct world *w)
{
    char path[128];
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct stat st;

    pf_uuid_format(launch, uuid);
    (void)snprintf(path, sizeof path, "%s/fetch/%s", w->run, uuid);
    return stat(path, &st) == 0 ? 1 : 0;
}

static void test_fetch_brings_a_file_and_says_nothing(void **state)
{
    struct world *w = *state;
    char source[128];
    char cache[128];
    struct stat st;

    (void)snprintf(source, sizeof source, "%s/source.txt", w->dir);
    write_file(source, "content", 0644);
    fetch(w, source);
    assert_int_equal(w->state, LauncherState_EXITED);
    assert_int_equal(w->wait_status, 0);
    assert_string_equal(w->report, "");
    expect_file(w->box, "source.txt", "content");
    (void)snprintf(cache, sizeof cache, "%s/%lu", w->cache, (unsigned long)geteuid());
    assert_int_equal(stat(cache, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(n_reports(w), 1);
    pf_fetches_forget(w->fetches, launch);
    assert_int_equal(n_reports(w), 0);
    assert_null(pf_fetches_report(w->fetches, launch).at);
}

static void test_fetch_that_fails_names_the_uri(void **state)
{
    struct world *w = *state;

    fetch(w, "/no/such/file.tgz");
    assert_int_equal(w->state, LauncherState_EXITED);
    assert_int_not_equal(w->wait_status, 0);
    if (strstr(w->report, "/no/such/file.tgz") == NULL) {
        fail_msg("'%s' does not name the URI", w->report);
    }
}

static void test_fetch_knows_the_limit_and_the_base(void **state)
{
    struct world *w = *state;
    const struct pf_fetches_options o = {.run_dir = w->run,
                                         .cache_dir = w->cache,
                                         .program = PF_FETCHER_PATH,
                                         .base = w->dir,
                                         .stall_ms = 5000};
    char source[128];

    pf_fetches_destroy(w->fetches);
    w->fetches = NULL;
    assert_int_equal(pf_fetches_create(&o, &w->fetches, NULL), 0);
    (void)snprintf(source, sizeof source, "%s/source.txt", w->dir);
    write_file(source, "content", 0644);
    pf_fetches_set_max(w->fetches, 6);
    fetch(w, "source.txt");
    assert_string_equal(w->report, "source.txt: larger than 6 bytes");
    w->n_ended = 0;
    pf_launcher_link_forget(w->link, launch);
    pf_fetches_forget(w->fetches, launch);
    pf_fetches_set_max(w->fetches, 7);
    fetch(w, "source.txt");
    assert_int_equal(w->wait_status, 0);
    expect_file(w->box, "source.txt", "content");
}

/* What it gets, and how its words are made fit to be shown. */
static void test_fetch_gives_the_plan_and_cleans_what_is_said(void **state)
{
    struct world *w = *state;

    write_file(w->program,
               "#!/bin/sh\nwc -c >size\necho told >&2\n"
               "printf 'a\\001b\\377\\303\\251\\355\\240\\200c\\n'\nexit 3\n",
               0755);
    fetches_open(w, w->program);
    fetch(w, "http://x/y");
    assert_int_equal(w->wait_status, 3 << 8);
    assert_string_equal(w->report, "a b?\xc3\xa9???c");
    expect_file(w->box, "stderr", "told\n");
    struct pf_buf size = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/size", w->box);
    assert_int_equal(pf_file_read(path, 100, &size, NULL), 0);
    assert_true(strtol(pf_buf_cstr(&size), NULL, 10) > 50);
    pf_buf_fini(&size);
}

static void test_fetch_reports_are_bounded(void **state)
{
    struct world *w = *state;

    write_file(w->program, "#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x\nexit 1\n", 0755);
    fetches_open(w, w->program);
    fetch(w, "http://x/y");
    assert_int_equal(strlen(w->report), PF_FETCH_REPORT_MAX_BYTES);
}

static void test_fetch_without_a_fetcher_fails_by_name(void **state)
{
    struct world *w = *state;

    fetches_open(w, "/no/such/program");
    fetch(w, "http://x/y");
    assert_int_equal(w->state, LauncherState_FAILED);
}

/* Of a former life: what the launcher still speaks of stays, the rest goes with its list. */
static void test_fetch_old_reports_go(void **state)
{
    struct world *w = *state;
    char uuid[PF_UUID_TEXT_LEN + 1];
    char path[160];

    pf_uuid_format(launch, uuid);
    (void)snprintf(path, sizeof path, "%s/fetch/%s", w->run, uuid);
    write_file(path, "why it failed", 0600);
    fetches_open(w, PF_FETCHER_PATH);
    pf_fetches_listed(w->fetches, launch);
    pf_fetches_list_end(w->fetches);
    assert_true(pf_str_is(pf_fetches_report(w->fetches, launch), "why it failed"));
    fetches_open(w, PF_FETCHER_PATH);
    pf_fetches_list_end(w->fetches);
    assert_int_equal(n_reports(w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetch_brings_a_file_and_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch_that_fails_names_the_uri, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch_gives_the_plan_and_cleans_what_is_said, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fetch_knows_the_limit_and_the_base, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch_reports_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch_without_a_fetcher_fails_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fetch_old_reports_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
