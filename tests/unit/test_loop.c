/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: what is delivered, in which order, how much of it; timers, descriptors, signals. */
#include "common/net/loop.h"

#include <sys/eventfd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/net/loop_internal.h"
#include "tests/support/net.h"

struct world {
    struct pf_loop *loop;
    char log[256];
    int n;
    struct pf_watch *watch;
    struct pf_timer *timer;
    int signo;
    bool wants_more;
};

static int setup(void **state)
{
    struct world *w = pf_alloc(sizeof *w);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    pf_watch_destroy(w->watch);
    pf_timer_destroy(w->timer);
    pf_loop_destroy(w->loop);
    pf_free(w);
    return 0;
}

static void note(struct world *w, const char *what)
{
    size_t len = strlen(w->log);
    (void)snprintf(w->log + len, sizeof w->log - len, "%s", what);
    w->n++;
}

static void on_deadline(void *ctx)
{
    note(ctx, "d");
}

static void on_urgent(void *ctx)
{
    note(ctx, "u");
}

static bool on_turn(void *ctx)
{
    struct world *w = ctx;
    note(w, ".");
    bool wants = w->wants_more;
    w->wants_more = false;
    return wants;
}

static void test_loop_timer_fires_once_and_on_time(void **state)
{
    struct world *w = *state;
    pf_loop_set_on_deadline(w->loop, on_deadline, w);
    int64_t began_ms = pf_loop_now_ms(w->loop);
    pf_loop_set_timer(w->loop, began_ms + 30);
    pf_loop_set_timer(w->loop, began_ms + 10); /* moved */
    test_turn_until(w->loop, w->n > 0);
    assert_true(pf_loop_now_ms(w->loop) >= began_ms + 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_string_equal(w->log, "d");
    pf_loop_set_timer(w->loop, began_ms); /* in the past: at once */
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_string_equal(w->log, "dd");
    pf_loop_set_timer(w->loop, began_ms);
    pf_loop_set_timer(w->loop, INT64_MAX); /* off */
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_string_equal(w->log, "dd");
}

static void test_loop_urgent_comes_first(void **state)
{
    struct world *w = *state;
    w->timer = pf_timer_create(w->loop, PF_PRIO_URGENT, on_urgent, w);
    pf_loop_set_on_deadline(w->loop, on_deadline, w);
    pf_loop_set_on_turn(w->loop, on_turn, w);
    pf_loop_set_timer(w->loop, pf_loop_now_ms(w->loop) - 1);
    pf_timer_set(w->timer, pf_loop_now_ms(w->loop));
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_string_equal(w->log, "ud.");
}

static void test_loop_on_turn_may_ask_for_another(void **state)
{
    struct world *w = *state;
    pf_loop_set_on_turn(w->loop, on_turn, w);
    w->wants_more = true;
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0); /* does not wait */
    assert_string_equal(w->log, "..");
    assert_int_equal(pf_loop_counters(w->loop)->turns, 2);
}

static void on_ready(void *ctx, unsigned ready)
{
    struct world *w = ctx;
    assert_int_equal(ready, PF_WATCH_READ);
    note(w, "r");
}

static void on_ready_destroy(void *ctx, unsigned ready)
{
    struct world *w = ctx;
    (void)ready;
    note(w, "x");
    pf_watch_destroy(w->watch);
    w->watch = NULL;
}

static void test_loop_watch_is_level_triggered(void **state)
{
    struct world *w = *state;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(pf_watch_create(w->loop, fd, PF_WATCH_READ, PF_PRIO_NORMAL, on_ready, w,
                                     &w->watch, NULL),
                     0);
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_string_equal(w->log, "");
    assert_int_equal(eventfd_write(fd, 1), 0);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0); /* was not read */
    assert_string_equal(w->log, "rr");
    pf_watch_set(w->watch, 0);
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_string_equal(w->log, "rr");
    pf_watch_set(w->watch, PF_WATCH_READ);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_string_equal(w->log, "rrr");
    pf_watch_destroy(w->watch);
    assert_int_equal(pf_watch_create(w->loop, fd, PF_WATCH_READ, PF_PRIO_URGENT, on_ready_destroy,
                                     w, &w->watch, NULL),
                     0);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_string_equal(w->log, "rrrx");
    assert_null(w->watch);
    assert_int_equal(close(fd), 0);
}

static void test_loop_watch_refuses_what_cannot_be_polled(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pf_watch_create(w->loop, fd, PF_WATCH_READ, PF_PRIO_NORMAL, on_ready, w,
                                     &w->watch, &err),
                     PF_EIO);
    assert_null(w->watch);
    assert_int_equal(close(fd), 0);
}

static void on_signal(void *ctx, int signo)
{
    struct world *w = ctx;
    w->signo = signo;
    pf_loop_stop(w->loop);
}

static void test_loop_runs_until_a_signal_stops_it(void **state)
{
    struct world *w = *state;
    assert_int_equal(pf_loop_on_signal(w->loop, SIGHUP, on_signal, w, NULL), 0);
    assert_int_equal(pf_loop_on_signal(w->loop, SIGTERM, on_signal, w, NULL), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(pf_loop_run(w->loop, NULL), 0);
    assert_int_equal(w->signo, SIGTERM);
}

struct busy {
    struct pf_loop_item item;
    uint64_t n;
};

static void busy_deliver(struct pf_loop_item *item)
{
    struct busy *b = PF_CONTAINER(item, struct busy, item);
    b->n++;
    pf_loop_queue(item);
}

/* Something that always has more does not keep the turn from ending. */
static void test_loop_turn_has_a_budget(void **state)
{
    struct world *w = *state;
    struct busy b = {.n = 0};
    pf_loop_item_init(&b.item, w->loop, PF_PRIO_NORMAL, busy_deliver);
    pf_loop_set_on_turn(w->loop, on_turn, w);
    pf_loop_queue(&b.item);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_true(b.n > 0 && b.n <= PF_TURN_EVENTS_MAX);
    assert_string_equal(w->log, ".");
    assert_int_equal(pf_loop_counters(w->loop)->cut_turns, 1);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_string_equal(w->log, "..");
    pf_loop_unqueue(&b.item);
}

static void on_time_destroy(void *ctx)
{
    struct world *w = ctx;
    note(w, "t");
    pf_timer_destroy(w->timer);
    w->timer = NULL;
}

static void test_loop_timer_may_destroy_itself(void **state)
{
    struct world *w = *state;
    w->timer = pf_timer_create(w->loop, PF_PRIO_NORMAL, on_time_destroy, w);
    pf_timer_set(w->timer, 0);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_string_equal(w->log, "t");
    assert_null(w->timer);
}

static void test_loop_moves_descriptors_to_the_top(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_CLOEXEC);
    assert_true(fd >= 0);
    int top = pf_loop_fd_to_top(fd);
    assert_true(top > fd);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(fcntl(top, F_GETFD), FD_CLOEXEC);
    assert_int_equal(close(top), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loop_timer_fires_once_and_on_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_urgent_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_on_turn_may_ask_for_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_watch_is_level_triggered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_watch_refuses_what_cannot_be_polled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_runs_until_a_signal_stops_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_turn_has_a_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_timer_may_destroy_itself, setup, teardown),
        cmocka_unit_test(test_loop_moves_descriptors_to_the_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
