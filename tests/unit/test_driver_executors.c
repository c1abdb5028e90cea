/* SPDX-License-Identifier: Apache-2.0 */
/* What a scheduler driver does with executors: task groups, messages, ends. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/support/drv.h"

#define TASK(id)                                                                                   \
    "{\"name\":\"t\",\"task_id\":{\"value\":\"" id "\"},\"agent_id\":{\"value\":\"a1\"}}"
#define MESSAGE(data)                                                                              \
    F1 ",\"type\":\"MESSAGE\",\"message\":{\"agent_id\":{\"value\":\"a1\"},\"executor_id\":"       \
       "{\"value\":\"e1\"},\"data\":\"" data "\"}}\n"
#define SHUTDOWN                                                                                   \
    F1 ",\"type\":\"SHUTDOWN\",\"shutdown\":{\"executor_id\":{\"value\":\"e1\"},"                  \
       "\"agent_id\":{\"value\":\"a1\"}}}\n"

static void executor_call(struct drv *f, enum pf_driver_event_type type, const void *data,
                          uint32_t len)
{
    struct pf_driver_event ev = {.type = type};

    ev.executor.agent_id = PF_STR("a1");
    ev.executor.executor_id = PF_STR("e1");
    ev.executor.data = (struct pf_bytes){data, len};
    drv_step(f, ev);
}

static void test_driver_launches_a_group(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_hear_offer(f, "o1", "");
    drv_drain(f);
    drv_accept_group(f, "o1", "t1 t2");
    drv_expect(f,
               "send 10 {" F1 ",\"type\":\"ACCEPT\",\"accept\":{\"offer_ids\":[{\"value\":\"o1\"}],"
               "\"operations\":[{\"type\":\"LAUNCH_GROUP\",\"launch_group\":{\"executor\":"
               "{\"type\":\"DEFAULT\",\"executor_id\":{\"value\":\"e1\"}},\"task_group\":{"
               "\"tasks\":[" TASK("t1") "," TASK("t2") "]}}}]}}\n");
    drv_accept_group(f, "o1", "t3 t4"); /* an offer is used once: none starts */
    drv_expect(f, "update local t3 TASK_LOST\nupdate local t4 TASK_LOST\n");
}

/* One of them is there already, or one is there twice: none of the group leaves. */
static void test_driver_refuses_a_whole_group(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_offer(f, "o2", "");
    drv_drain(f);
    drv_accept_group(f, "o2", "t3 t1");
    drv_expect(f, "send 10 {" F1 ",\"type\":\"DECLINE\",\"decline\":{\"offer_ids\":[{\"value\":"
                  "\"o2\"}],\"filters\":{\"refuse_seconds\":0.0}}}\n"
                  "update local t3 TASK_ERROR\nupdate local t1 TASK_ERROR\n");
    drv_hear_offer(f, "o3", "");
    drv_drain(f);
    drv_accept_group(f, "o3", "t3 t3");
    drv_expect(f, "send 10 {" F1 ",\"type\":\"DECLINE\",\"decline\":{\"offer_ids\":[{\"value\":"
                  "\"o3\"}],\"filters\":{\"refuse_seconds\":0.0}}}\n"
                  "update local t3 TASK_ERROR\nupdate local t3 TASK_ERROR\n");
}

static void test_driver_sends_to_executors_at_once(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    executor_call(f, PF_DRIVER_SEND_MESSAGE, "ping", 4);
    executor_call(f, PF_DRIVER_SEND_MESSAGE, NULL, 0);
    executor_call(f, PF_DRIVER_SHUTDOWN_EXECUTOR, NULL, 0);
    drv_expect(f, "send 10 {" MESSAGE("cGluZw==") "send 10 {" MESSAGE("") "send 10 {" SHUTDOWN);
}

static void test_driver_sends_to_executors_with_the_next_subscription(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_down(f, 0, PF_ECONN);
    executor_call(f, PF_DRIVER_SEND_MESSAGE, "ping", 4);
    executor_call(f, PF_DRIVER_SHUTDOWN_EXECUTOR, NULL, 0);
    drv_drain(f);
    drv_up(f, 0, 11, 2);
    drv_drain(f);
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
                  "send 11 {" MESSAGE("cGluZw==") "send 11 {" SHUTDOWN);
}

static void test_driver_keeps_no_more_messages_than_it_may(void **state)
{
    struct drv *f = *state;
    struct pf_driver_stats stats;
    char *data = pf_alloc(PF_EXECUTOR_MESSAGE_MAX_BYTES + 1);

    drv_start(f);
    for (int i = 0; i < 17; i++) {
        executor_call(f, PF_DRIVER_SEND_MESSAGE, data, PF_EXECUTOR_MESSAGE_MAX_BYTES);
    }
    executor_call(f, PF_DRIVER_SEND_MESSAGE, data, PF_EXECUTOR_MESSAGE_MAX_BYTES + 1);
    pf_free(data);
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.dropped_messages, 2);
    drv_drain(f);
}

static void test_driver_tells_messages_and_failures(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_hear_event(f, "{\"type\":\"MESSAGE\",\"message\":{\"agent_id\":{\"value\":\"a1\"},"
                      "\"executor_id\":{\"value\":\"e1\"},\"data\":\"cG9uZw==\"}}");
    drv_hear_event(f, "{\"type\":\"FAILURE\",\"failure\":{\"agent_id\":{\"value\":\"a1\"},"
                      "\"executor_id\":{\"value\":\"e1\"},\"status\":9}}");
    drv_hear_event(f, "{\"type\":\"FAILURE\",\"failure\":{\"agent_id\":{\"value\":\"a1\"}}}");
    drv_expect(f, "told {\"agent_id\":{\"value\":\"a1\"},\"executor_id\":{\"value\":\"e1\"},"
                  "\"data\":\"cG9uZw==\"}\n"
                  "failure {\"agent_id\":{\"value\":\"a1\"},\"executor_id\":{\"value\":\"e1\"},"
                  "\"status\":9}\nfailure {\"agent_id\":{\"value\":\"a1\"}}\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, drv_setup, drv_teardown)
    const struct CMUnitTest tests[] = {
        T(test_driver_launches_a_group),
        T(test_driver_refuses_a_whole_group),
        T(test_driver_sends_to_executors_at_once),
        T(test_driver_sends_to_executors_with_the_next_subscription),
        T(test_driver_keeps_no_more_messages_than_it_may),
        T(test_driver_tells_messages_and_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
