/* SPDX-License-Identifier: Apache-2.0 */
/* Lists over HTTP: page after page of the core becomes one JSON document, written as the client
 * reads it. A list has arrays that its pages fill one after the other ("tasks", then
 * "completed_tasks"); GET_STATE is several lists. */
#include "master/daemon/api_internal.h"

#include "common/base/alloc.h"
#include "common/fb/json.h"

enum { LIST_TASKS, LIST_FRAMEWORKS, LIST_AGENTS, LIST_OFFERS, LIST_EXECUTORS, LIST_COUNT };

typedef uint32_t array_len_fn(struct Master_Response r);
typedef struct pf_tab array_at_fn(struct Master_Response r, uint32_t i);

struct array {
    const char *name;
    array_len_fn *len;
    array_at_fn *at;
    const struct pf_fb_table_desc *schema;
};

struct list {
    int call;         /* Master_Call_Type */
    const char *name; /* of the member that holds the arrays */
    const struct array *array;
    uint32_t n_arrays;
};

#define ARRAY_FNS(id, body, Table, field)                                                          \
    static uint32_t id##_len(struct Master_Response r)                                             \
    {                                                                                              \
        return Table##_##field##__len(Master_Response_##body(r));                                  \
    }                                                                                              \
    static struct pf_tab id##_at(struct Master_Response r, uint32_t i)                             \
    {                                                                                              \
        return Table##_##field##__at(Master_Response_##body(r), i).tab;                            \
    }
ARRAY_FNS(tasks, get_tasks, Master_Response_GetTasks, tasks)
ARRAY_FNS(unreachable, get_tasks, Master_Response_GetTasks, unreachable_tasks)
ARRAY_FNS(completed, get_tasks, Master_Response_GetTasks, completed_tasks)
ARRAY_FNS(frameworks, get_frameworks, Master_Response_GetFrameworks, frameworks)
ARRAY_FNS(ended, get_frameworks, Master_Response_GetFrameworks, completed_frameworks)
ARRAY_FNS(agents, get_agents, Master_Response_GetAgents, agents)
ARRAY_FNS(recovered, get_agents, Master_Response_GetAgents, recovered_agents)
ARRAY_FNS(executors, get_executors, Master_Response_GetExecutors, executors)
ARRAY_FNS(offers, get_offers, Master_Response_GetOffers, offers)

static const struct array task_arrays[] = {
    {"tasks", tasks_len, tasks_at, &Task__desc},
    {"unreachable_tasks", unreachable_len, unreachable_at, &Task__desc},
    {"completed_tasks", completed_len, completed_at, &Task__desc},
};
static const struct array framework_arrays[] = {
    {"frameworks", frameworks_len, frameworks_at, &Master_Response_GetFrameworks_Framework__desc},
    {"completed_frameworks", ended_len, ended_at, &Master_Response_GetFrameworks_Framework__desc},
};
static const struct array agent_arrays[] = {
    {"agents", agents_len, agents_at, &Master_Response_GetAgents_Agent__desc},
    {"recovered_agents", recovered_len, recovered_at, &AgentInfo__desc},
};
static const struct array executor_arrays[] = {
    {"executors", executors_len, executors_at, &Master_Response_GetExecutors_Executor__desc}};
static const struct array offer_arrays[] = {{"offers", offers_len, offers_at, &Offer__desc}};

static const struct list lists[LIST_COUNT] = {
    [LIST_TASKS] = {Master_Call_Type_GET_TASKS, "get_tasks", task_arrays, 3},
    [LIST_FRAMEWORKS] = {Master_Call_Type_GET_FRAMEWORKS, "get_frameworks", framework_arrays, 2},
    [LIST_AGENTS] = {Master_Call_Type_GET_AGENTS, "get_agents", agent_arrays, 2},
    [LIST_OFFERS] = {Master_Call_Type_GET_OFFERS, "get_offers", offer_arrays, 1},
    [LIST_EXECUTORS] = {Master_Call_Type_GET_EXECUTORS, "get_executors", executor_arrays, 1},
};

/* What a call asks for: one list, or the parts of GET_STATE. */
static const uint8_t state_parts[] = {LIST_TASKS, LIST_EXECUTORS, LIST_FRAMEWORKS, LIST_AGENTS};
static const struct walk {
    int call;
    const uint8_t *part;
    uint32_t n_parts;
} walks[] = {
    {Master_Call_Type_GET_STATE, state_parts, PF_ARRAY_LEN(state_parts)},
    {Master_Call_Type_GET_TASKS, (const uint8_t[]){LIST_TASKS}, 1},
    {Master_Call_Type_GET_FRAMEWORKS, (const uint8_t[]){LIST_FRAMEWORKS}, 1},
    {Master_Call_Type_GET_AGENTS, (const uint8_t[]){LIST_AGENTS}, 1},
    {Master_Call_Type_GET_OFFERS, (const uint8_t[]){LIST_OFFERS}, 1},
    {Master_Call_Type_GET_EXECUTORS, (const uint8_t[]){LIST_EXECUTORS}, 1},
};

static const struct walk *walk_of(int type)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(walks); i++) {
        if (walks[i].call == type) {
            return &walks[i];
        }
    }
    return NULL;
}

bool pf_api_walk_is(int type)
{
    return walk_of(type) != NULL;
}

void pf_api_walk_fini(struct api_call *c)
{
    pf_free((char *)(uintptr_t)c->after.at);
    c->after = (struct pf_str){NULL, 0};
    pf_buf_fini(&c->out);
}

static const struct list *walk_list(const struct api_call *c)
{
    return &lists[walk_of(c->type)->part[c->part]];
}

/* Opens the member of the current list. */
static void part_open(struct api_call *c)
{
    pf_jw_key(&c->json, walk_list(c)->name);
    pf_jw_begin_object(&c->json);
    c->section = 0;
    c->is_section_open = false;
}

static void part_close(struct api_call *c)
{
    if (c->is_section_open) {
        pf_jw_end_array(&c->json);
    }
    pf_jw_end_object(&c->json);
}

static void part_ask(struct api_call *c)
{
    pf_api_send_page(c, walk_list(c)->call, c->after, API_PAGE_LIMIT);
}

/* Moves on to the next list; false: the document is complete. */
static bool part_next(struct api_call *c)
{
    const struct walk *w = walk_of(c->type);
    part_close(c);
    if (++c->part == w->n_parts) {
        return false;
    }
    part_open(c);
    return true;
}

void pf_api_walk_begin(struct api_call *c)
{
    pf_jw_init(&c->json, &c->out, false);
    pf_jw_begin_object(&c->json);
    pf_jw_field_cstr(&c->json, "type", Master_Call_Type__str(c->type));
    if (walk_of(c->type)->n_parts > 1) {
        pf_jw_key(&c->json, "get_state");
        pf_jw_begin_object(&c->json);
    }
    part_open(c);
    part_ask(c);
}

static void page_write(struct api_call *c, struct Master_Response response)
{
    const struct list *l = walk_list(c);
    for (uint32_t s = c->section; s < l->n_arrays; s++) {
        uint32_t n = l->array[s].len(response);
        if (n == 0) {
            continue;
        }
        if (s != c->section || !c->is_section_open) {
            if (c->is_section_open) {
                pf_jw_end_array(&c->json);
            }
            pf_jw_key(&c->json, l->array[s].name);
            pf_jw_begin_array(&c->json);
            c->section = s;
            c->is_section_open = true;
        }
        for (uint32_t i = 0; i < n; i++) {
            pf_jw_table(&c->json, l->array[s].at(response, i), l->array[s].schema,
                        c->shows_ours ? 0 : PF_JSON_SKIP_OURS);
        }
    }
}

static void walk_drained(void *ctx, struct pf_http_req *req)
{
    (void)req;
    part_ask(ctx);
}

static void walk_finish(struct api_call *c)
{
    if (walk_of(c->type)->n_parts > 1) {
        pf_jw_end_object(&c->json);
    }
    pf_jw_end_object(&c->json);
    struct pf_bytes rest = {c->out.data, (uint32_t)c->out.len};
    if (c->is_streaming) {
        pf_http_stream_chunk(c->req, rest);
        pf_http_stream_end(c->req);
    } else {
        pf_http_reply(c->req, 200, "application/json", rest);
    }
    pf_api_end(c);
}

void pf_api_walk_reply(struct api_call *c, struct Master_Response response)
{
    page_write(c, response);
    struct pf_str after = Master_Response_next_after_id(response);
    pf_free((char *)(uintptr_t)c->after.at);
    c->after = (struct pf_str){NULL, 0};
    if (after.len > 0) {
        c->after = (struct pf_str){pf_strndup(after.at, after.len), after.len};
    } else if (!part_next(c)) {
        walk_finish(c);
        return;
    }
    if (!c->is_streaming) {
        c->is_streaming = true;
        pf_http_stream_begin(c->req, 200, "application/json");
    }
    pf_http_stream_chunk(c->req, (struct pf_bytes){c->out.data, (uint32_t)c->out.len});
    pf_buf_clear(&c->out);
    pf_http_stream_on_drain(c->req, walk_drained, c);
}
