/* SPDX-License-Identifier: Apache-2.0 */
/* What is left on agents that are to be empty, as it changes. See member.h. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/map.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/cli/entity.h"
#include "framework/cli/member.h"

enum { LEFT_SHOWN = 20 }; /* lines of a table on a terminal */

void pf_member_why(struct Task t, bool is_away, int64_t wall_ms, bool with_times,
                   struct pf_buf *out)
{
    int64_t at_ms = Task_kill_deadline_ms(t), left_ms = at_ms - wall_ms;
    char lasting[PF_FORMAT_DURATION_MAX];

    if (pf_task_is_ended(Task_state(t))) {
        pf_buf_add_cstr(out, "has ended; its framework has not taken that yet");
    } else if (is_away) {
        pf_buf_add_cstr(out, "its agent is not connected");
    } else if (at_ms == 0) {
        pf_buf_add_cstr(out, "was not asked to end");
    } else if (left_ms > 0) {
        pf_buf_add_cstr(out, "was sent SIGTERM");
        if (with_times) {
            pf_format_duration(left_ms < 1000 ? left_ms : left_ms / 1000 * 1000, lasting);
            pf_buf_printf(out, ", SIGKILL in %s", lasting);
        }
    } else {
        pf_buf_add_cstr(out, "SIGKILL was due; its end is awaited");
    }
}

/* A line of the table. `key`: what it is about; `text`: without times, to see changes. */
struct line {
    char *key, *text, *whole;
};

struct pf_left {
    struct pf_cli *cli;
    struct pf_ptrs before, now; /* of struct line */
    uint32_t n_drawn;           /* lines that stand on the terminal */
};

struct pf_left *pf_left_create(struct pf_cli *cli)
{
    struct pf_left *l = PF_NEW(struct pf_left);

    l->cli = cli;
    return l;
}

static void lines_free(struct pf_ptrs *lines)
{
    for (uint32_t i = 0; i < lines->len; i++) {
        struct line *x = lines->at[i];
        pf_free(x->key);
        pf_free(x->text);
        pf_free(x->whole);
        pf_free(x);
    }
    lines->len = 0;
}

void pf_left_destroy(struct pf_left *l)
{
    if (l != NULL) {
        lines_free(&l->before);
        lines_free(&l->now);
        pf_ptrs_fini(&l->before);
        pf_ptrs_fini(&l->now);
        pf_free(l);
    }
}

static struct line *line_add(struct pf_left *l, const char *key, const char *text,
                             const char *whole)
{
    struct line *x = PF_NEW(struct line);

    x->key = pf_strdup(key);
    x->text = pf_strdup(text);
    x->whole = pf_strdup(whole);
    pf_ptrs_push(&l->now, x);
    return x;
}

/* Several may run on one machine. */
static void put_name(const struct pf_member *m, struct pf_buf *out)
{
    pf_buf_printf(out, "%.*s %.8s", PF_STR_ARG(m->hostname), m->id.at);
}

static void add_task(struct pf_left *l, const struct pf_member *m, struct Task t)
{
    struct pf_str id = TaskID_value(Task_task_id(t));
    struct pf_str fw = FrameworkID_value(Task_framework_id(t));
    const char *state = TaskState__str((int)Task_state(t));
    struct pf_buf key = {0}, text = {0}, whole = {0};

    put_name(m, &key);
    /* tasks of a run carry its id already */
    if (pf_str_has_prefix(id, fw)) {
        pf_buf_printf(&key, "  %.*s", PF_STR_ARG(id));
    } else {
        pf_buf_printf(&key, "  %.*s/%.*s", PF_STR_ARG(fw), PF_STR_ARG(id));
    }
    pf_buf_printf(&whole, "%s  %s  ", pf_buf_cstr(&key), state != NULL ? state : "TASK_UNKNOWN");
    pf_buf_add_cstr(&text, pf_buf_cstr(&whole));
    pf_member_why(t, m->is_away, pf_wall_ms(), false, &text);
    pf_member_why(t, m->is_away, pf_wall_ms(), true, &whole);
    (void)line_add(l, pf_buf_cstr(&key), pf_buf_cstr(&text), pf_buf_cstr(&whole));
    pf_buf_fini(&key);
    pf_buf_fini(&text);
    pf_buf_fini(&whole);
}

/* Its tasks that run or are not acknowledged; what is history comes behind them. */
static int add_tasks(struct pf_left *l, struct pf_client *c, const struct pf_member *m,
                     struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_TASKS, .agent_id = m->id};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetTasks list = Master_Response_get_tasks(r);
        for (uint32_t i = 0; i < Master_Response_GetTasks_tasks__len(list); i++) {
            add_task(l, m, Master_Response_GetTasks_tasks__at(list, i));
        }
        for (uint32_t i = 0; i < Master_Response_GetTasks_unreachable_tasks__len(list); i++) {
            add_task(l, m, Master_Response_GetTasks_unreachable_tasks__at(list, i));
        }
        if (Master_Response_GetTasks_completed_tasks__len(list) > 0) {
            return 0;
        }
    }
    return rc;
}

static int add_executors(struct pf_left *l, struct pf_client *c, const struct pf_member *m,
                         struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_EXECUTORS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetExecutors list = Master_Response_get_executors(r);
        for (uint32_t i = 0; i < Master_Response_GetExecutors_executors__len(list); i++) {
            struct Master_Response_GetExecutors_Executor x =
                Master_Response_GetExecutors_executors__at(list, i);
            struct ExecutorInfo info = Master_Response_GetExecutors_Executor_executor_info(x);
            if (!pf_str_eq(AgentID_value(Master_Response_GetExecutors_Executor_agent_id(x)),
                           m->id)) {
                continue;
            }
            struct pf_buf key = {0}, text = {0};
            put_name(m, &key);
            pf_buf_printf(&key, "  executor %.*s",
                          PF_STR_ARG(ExecutorID_value(ExecutorInfo_executor_id(info))));
            pf_buf_printf(&text, "%s  of %.*s has not ended", pf_buf_cstr(&key),
                          PF_STR_ARG(FrameworkID_value(ExecutorInfo_framework_id(info))));
            (void)line_add(l, pf_buf_cstr(&key), pf_buf_cstr(&text), pf_buf_cstr(&text));
            pf_buf_fini(&key);
            pf_buf_fini(&text);
        }
    }
    return rc;
}

static int add_member(struct pf_left *l, struct pf_client *c, const struct pf_member *m,
                      struct pf_err *err)
{
    struct pf_buf key = {0}, text = {0};

    put_name(m, &key);
    pf_buf_printf(&text, "%s  %s%s%.*s", pf_buf_cstr(&key), pf_member_word(m->state),
                  m->is_away && m->text.len > 0 ? ": " : "", m->is_away ? (int)m->text.len : 0,
                  m->text.at);
    (void)line_add(l, pf_buf_cstr(&key), pf_buf_cstr(&text), pf_buf_cstr(&text));
    pf_buf_fini(&key);
    pf_buf_fini(&text);
    if (m->state == PF_MEMBER_NONE || m->state == PF_MEMBER_IS_GONE ||
        m->state == PF_MEMBER_DRAINED || m->state == PF_MEMBER_RECOVERED) {
        return 0;
    }
    int rc = add_tasks(l, c, m, err);
    return rc == 0 && m->n_tasks == 0 ? add_executors(l, c, m, err) : rc;
}

void pf_left_clear(struct pf_left *l)
{
    if (l->n_drawn > 0) {
        (void)fprintf(l->cli->err, "\033[%uA\033[J", (unsigned)l->n_drawn);
        l->n_drawn = 0;
    }
}

static void draw(struct pf_left *l)
{
    pf_left_clear(l);
    for (uint32_t i = 0; i < l->now.len; i++) {
        const struct line *x = l->now.at[i];
        if (i == LEFT_SHOWN) {
            (void)fprintf(l->cli->err, "... and %u more\n", (unsigned)(l->now.len - i));
            l->n_drawn++;
            break;
        }
        (void)fprintf(l->cli->err, "%s\n", x->whole);
        l->n_drawn++;
    }
    (void)fflush(l->cli->err);
}

static const struct line *find(const struct pf_ptrs *lines, const char *key)
{
    for (uint32_t i = 0; i < lines->len; i++) {
        const struct line *x = lines->at[i];
        if (strcmp(x->key, key) == 0) {
            return x;
        }
    }
    return NULL;
}

/* Only what changed since the last look. */
static void tell(struct pf_left *l)
{
    for (uint32_t i = 0; i < l->before.len; i++) {
        const struct line *x = l->before.at[i];
        if (find(&l->now, x->key) == NULL) {
            (void)fprintf(l->cli->err, "%s  has ended\n", x->key);
        }
    }
    for (uint32_t i = 0; i < l->now.len; i++) {
        const struct line *x = l->now.at[i], *was = find(&l->before, x->key);
        if (was == NULL || strcmp(was->text, x->text) != 0) {
            (void)fprintf(l->cli->err, "%s\n", x->whole);
        }
    }
    (void)fflush(l->cli->err);
}

int pf_left_show(struct pf_left *l, struct pf_client *c, const struct pf_member *at, uint32_t n,
                 struct pf_err *err)
{
    struct pf_ptrs old = l->before;
    int rc = 0;

    lines_free(&old);
    l->before = l->now;
    l->now = old;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = add_member(l, c, &at[i], err);
    }
    if (rc == 0 && l->cli->err_is_terminal) {
        draw(l);
    } else if (rc == 0) {
        tell(l);
    }
    return rc;
}
