/* SPDX-License-Identifier: Apache-2.0 */
/* The world around an agent's core: the loop that a daemon would run, one operation at a time, so
 * that a crash can fall between any two. The peers are in agent_sim_peers.c. */
#include "tests/support/agent_sim_internal.h"

static void on_move(void *ctx, const char *entity, const char *id, const char *from, const char *to,
                    const char *why)
{
    struct agent_sim *s = ctx;

    pf_buf_printf(&s->trace, "%s %s %s->%s %s\n", entity, id, from, to, why);
}

struct agent_sim *agent_sim_create(void)
{
    struct agent_sim *s = PF_NEW(struct agent_sim);
    struct pf_err err = {0};

    assert_int_equal(
        pf_res_parse(PF_STR("cpus:4;mem:4096;disk:10000;ports:[31000-31009]"), &s->total, &err), 0);
    s->options = (struct pf_agent_options){
        .seed = 7,
        .instance = s->instance,
        .hostname = "h1",
        .address = "127.0.0.1:5056",
        .http_address = "127.0.0.1:5051",
        .http_port = 5051,
        .pid = 77,
        .machine_id = "m1",
        .boot_id = "b1",
        .total = &s->total,
        .attributes = "rack:a;slots:3",
        .work_dir = "/w",
        .isolation = "accounted, not enforced",
        .default_user = "",
        .task_user = "nobody",
        .runs_as_root = true,
        .min_free_bytes = 64 << 20,
        .resend_ms = 10000,
        .tracer = {on_move, s},
    };
    s->image = pf_store_image_create();
    s->now_ms = 1000;
    s->wall_ms = 1700000000000;
    s->events_per_turn = 1;
    s->next_pid = 100;
    s->next_peer = SIM_EXECUTOR;
    s->registers = s->acknowledges = true;
    memset(s->incarnation.b, 0xab, sizeof s->incarnation.b);
    (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "l1");
    return s;
}

static void core_drop(struct agent_sim *s)
{
    for (uint32_t i = 0; i < s->queue.len; i++) {
        sim_event_free(s->queue.at[i]);
    }
    s->queue.len = 0;
    pf_agent_destroy(s->core);
    s->core = NULL;
    pf_turns_destroy(s->turns);
    s->turns = NULL;
    pf_store_destroy(s->store);
    s->store = NULL;
    s->in_flight = 0;
    s->launcher_up = false;
    s->master_up = false;
    sim_executors_cut(s);
}

void agent_sim_destroy(struct agent_sim *s)
{
    if (s->core) {
        pf_agent_check(s->core);
    }
    core_drop(s);
    pf_store_image_destroy(s->image);
    for (uint32_t i = 0; i < s->processes.len; i++) {
        pf_free(s->processes.at[i]);
    }
    for (uint32_t i = 0; i < s->told.len; i++) {
        pf_free(s->told.at[i]);
    }
    for (uint32_t i = 0; i < s->executors.len; i++) {
        pf_free(s->executors.at[i]);
    }
    pf_ptrs_fini(&s->executors);
    pf_ptrs_fini(&s->processes);
    pf_ptrs_fini(&s->told);
    pf_ptrs_fini(&s->queue);
    pf_buf_fini(&s->log);
    pf_buf_fini(&s->trace);
    pf_buf_fini(&s->registered);
    pf_res_fini(&s->total);
    pf_free(s);
}

void sim_step(struct agent_sim *s, struct pf_agent_event *ev)
{
    ev->now_ms = s->now_ms;
    ev->wall_ms = s->wall_ms;
    pf_agent_step(s->core, ev, pf_turns_open(s->turns));
    pf_agent_check(s->core);
}

static int on_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct agent_sim *s = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_ROW, .row = {.table = table, .key = key}};
    struct pf_err err = {0};

    assert_non_null(pf_agent_row_desc(table));
    assert_int_equal(pf_fb_verify(row, pf_agent_row_desc(table), &ev.row.row, &err), 0);
    sim_step(s, &ev);
    return 0;
}

void agent_sim_start(struct agent_sim *s)
{
    struct pf_err err = {0};

    assert_null(s->core);
    s->crashed = false;
    s->options.seed++;
    (void)snprintf(s->instance, sizeof s->instance, "instance%u", ++s->n_lives);
    s->core = pf_agent_create(&s->options);
    s->turns = pf_turns_create(1 << 20, 1);
    s->store = pf_store_memory_open(s->image);
    assert_int_equal(pf_store_load(s->store, on_row, s, &err), 0);
    sim_step(s, &(struct pf_agent_event){.type = PF_AGENT_BOOT});
    if (s->launcher_instance[0] != '\0') {
        agent_sim_launcher_up(s, s->launcher_instance);
    }
    if (s->core) {
        sim_executors_return(s);
        agent_sim_run(s);
    }
}

void agent_sim_kill(struct agent_sim *s)
{
    pf_buf_add_cstr(&s->log, "KILLED\n");
    core_drop(s);
}

void agent_sim_reboot(struct agent_sim *s, const char *boot_id)
{
    agent_sim_kill(s);
    for (uint32_t i = 0; i < s->processes.len; i++) {
        ((struct sim_process *)s->processes.at[i])->forgotten = true;
    }
    s->options.boot_id = boot_id;
    (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "of-%s", boot_id);
}

/* Counts an operation; false: the agent died before it. */
static bool sim_op(struct agent_sim *s)
{
    s->n_ops++;
    if (s->crash_at == s->n_ops) {
        s->crashed = true;
    }
    return !s->crashed;
}

static void sim_collect(struct agent_sim *s)
{
    uint64_t number = 0;
    struct pf_err err = {0};

    if (s->in_flight == 0) {
        return;
    }
    assert_int_equal(pf_store_collect(s->store, &number, &err), 0);
    assert_int_equal(number, s->in_flight);
    s->in_flight = 0;
    pf_turns_stored(s->turns, number);
}

/* One turn of a daemon's loop. False: nothing was left to do. */
static bool sim_turn(struct agent_sim *s)
{
    const struct pf_batch *batch = NULL;
    const struct pf_effect *e = NULL;
    bool did = s->queue.len > 0 || s->in_flight != 0;

    for (uint32_t i = 0; i < s->events_per_turn && s->queue.len > 0; i++) {
        struct sim_event *ev = s->queue.at[0];
        pf_ptrs_remove(&s->queue, 0);
        sim_event_deliver(s, ev);
        sim_event_free(ev);
    }
    if (s->is_store_slow) {
        sim_collect(s);
    }
    batch = s->in_flight == 0 ? pf_turns_seal(s->turns) : NULL;
    if (batch) {
        did = true;
        if (!sim_op(s)) {
            return false;
        }
        s->in_flight = batch->number;
        pf_store_submit(s->store, batch);
    }
    if (!s->is_store_slow) {
        sim_collect(s);
    }
    while ((e = pf_turns_next(s->turns)) != NULL) {
        did = true;
        if (!sim_op(s)) {
            return false;
        }
        sim_effect(s, e);
    }
    pf_turns_check(s->turns);
    return did;
}

void agent_sim_run(struct agent_sim *s)
{
    for (int i = 0; s->core && i < 100000; i++) {
        if (!sim_turn(s)) {
            if (s->crashed) {
                agent_sim_kill(s);
                return;
            }
            if (pf_agent_deadline(s->core) > s->now_ms) {
                return;
            }
            sim_step(s, &(struct pf_agent_event){.type = PF_AGENT_DEADLINE});
        }
    }
    if (s->core) {
        fail_msg("the agent does not come to rest");
    }
}

void agent_sim_pass(struct agent_sim *s, int64_t ms)
{
    int64_t end_ms = s->now_ms + ms;

    while (s->core && pf_agent_deadline(s->core) <= end_ms) {
        int64_t at_ms = pf_agent_deadline(s->core);
        s->wall_ms += at_ms - s->now_ms;
        s->now_ms = at_ms;
        sim_step(s, &(struct pf_agent_event){.type = PF_AGENT_DEADLINE});
        agent_sim_run(s);
    }
    s->wall_ms += end_ms - s->now_ms;
    s->now_ms = end_ms;
}

struct count_rows {
    uint8_t table;
    uint32_t n;
};

static int count_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct count_rows *c = ctx;

    (void)key;
    (void)row;
    c->n += table == c->table;
    return 0;
}

uint32_t agent_sim_rows(struct agent_sim *s, uint8_t table)
{
    struct count_rows c = {table, 0};
    struct pf_store *store = pf_store_memory_open(s->image);
    struct pf_err err = {0};

    assert_int_equal(pf_store_load(store, count_row, &c, &err), 0);
    pf_store_destroy(store);
    return c.n;
}

void agent_sim_stats(const struct agent_sim *s, struct pf_agent_stats *out)
{
    pf_agent_stats(s->core, out);
}

void agent_sim_expect_log(struct agent_sim *s, const char *const *texts, size_t n)
{
    const char *at = pf_buf_cstr(&s->log);

    for (size_t i = 0; i < n; i++) {
        const char *found = strstr(at, texts[i]);
        if (!found) {
            fail_msg("no \"%s\" in (rest of) the log:\n%s", texts[i], at);
            return;
        }
        at = found + strlen(texts[i]);
    }
    agent_sim_clear_log(s);
}

void agent_sim_clear_log(struct agent_sim *s)
{
    pf_buf_clear(&s->log);
}
