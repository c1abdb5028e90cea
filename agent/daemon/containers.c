/* SPDX-License-Identifier: Apache-2.0 */
/* See containers.h. */
#include "agent/daemon/containers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/alloc.h"
#include "common/base/map.h"
#include "common/sys/clock.h"
#include "common/sys/log.h"
#include "common/sys/random.h"

#define NOT_ENFORCED    "accounted, not enforced"
#define PLACES_MAX      8 /* a launcher in another cgroup makes another */
#define REMOVE_EVERY_MS 5
#define REMOVE_US       1000 /* of each of these */
#define REMOVE_LINE     256  /* that wait: who makes one removes two */
#define REMOVE_TRIES    400  /* then it is left for the next start of the agent */
#define REMOVE_AGAIN_MS 10   /* busy: its processes need time to end */

struct container {
    struct pf_uuid uuid;
    bool is_removing;
    uint32_t n_tries;
    int64_t at_ms;               /* not before */
    TAILQ_ENTRY(container) link; /* in `removing` */
};

struct listed {
    struct pf_uuid launch;
};

struct pf_containers {
    struct pf_loop *loop;
    enum pf_isolation isolation;
    char *name, *text;
    struct pf_cgroups place[PLACES_MAX]; /* the last is the one in use */
    uint32_t n_places;
    bool is_on;    /* cgroups are in use */
    bool was_told; /* why they are not */
    int64_t launcher_pid;
    bool is_listing;
    struct pf_map listed; /* struct listed by launch */
    struct pf_map known;  /* struct container by uuid */
    TAILQ_HEAD(, container) removing;
    struct pf_timer *timer;
    char path[PF_CGROUP_DIRS_MAX][4096]; /* of pf_containers_dirs */
    struct pf_containers_counters counters;
};

static const struct pf_cgroups *place_now(const struct pf_containers *x)
{
    return &x->place[x->n_places - 1];
}

/* --- removal ---------------------------------------------------------------------------------- */

static void container_forget(struct pf_containers *x, struct container *c)
{
    if (c->is_removing) {
        TAILQ_REMOVE(&x->removing, c, link);
        x->counters.n_removing--;
    }
    (void)pf_map_del(&x->known, &c->uuid, sizeof c->uuid);
    x->counters.n_known--;
    pf_free(c);
}

/* One try. True: it is gone from everywhere, or will not go. */
static bool container_remove(struct pf_containers *x, struct container *c)
{
    char name[PF_UUID_TEXT_LEN + 1];
    struct pf_err err = {0};
    int rc = 0;

    pf_uuid_format(c->uuid, name);
    for (uint32_t i = 0; i < x->n_places; i++) {
        struct pf_err e = {0};
        int r = pf_cgroup_remove(&x->place[i], name, &e);
        if (r == PF_EBUSY && pf_cgroup_kill(&x->place[i], name) == 0) {
            pf_err_clear(&e);
            r = pf_cgroup_remove(&x->place[i], name, &e); /* the kernel needs a moment only */
        }
        if (r != 0 && rc == 0) {
            rc = r;
            err = e;
        }
    }
    if (rc == 0) {
        x->counters.removed++;
        return true;
    }
    if (rc == PF_EBUSY && ++c->n_tries < REMOVE_TRIES) {
        c->at_ms = pf_loop_now_ms(x->loop) + REMOVE_AGAIN_MS * (c->n_tries < 20 ? 1 : 10);
        return false;
    }
    pf_log_err(PF_LOG_WARN, "cgroup not removed", &err);
    return true;
}

/* Up to `n`, and as long as `end_us` says. Those that are not to be tried yet go behind. */
static void remove_some(struct pf_containers *x, uint32_t n, int64_t end_us)
{
    int64_t now_ms = pf_loop_now_ms(x->loop);
    uint32_t n_seen = x->counters.n_removing;
    struct container *c;

    for (; n > 0 && n_seen > 0 && (c = TAILQ_FIRST(&x->removing)) != NULL; n_seen--) {
        if (c->at_ms <= now_ms) {
            n--;
            if (container_remove(x, c)) {
                container_forget(x, c);
                c = NULL;
            }
        }
        if (c != NULL) {
            TAILQ_REMOVE(&x->removing, c, link);
            TAILQ_INSERT_TAIL(&x->removing, c, link);
        }
        if (pf_now_us() >= end_us) {
            break;
        }
    }
}

static void on_time(void *ctx)
{
    struct pf_containers *x = ctx;

    remove_some(x, UINT32_MAX, pf_now_us() + REMOVE_US);
    pf_timer_set(x->timer, x->counters.n_removing > 0 ? pf_loop_now_ms(x->loop) + REMOVE_EVERY_MS
                                                      : INT64_MAX);
}

static struct container *container_add(struct pf_containers *x, struct pf_uuid uuid)
{
    struct container *c = PF_NEW(struct container);

    c->uuid = uuid;
    pf_map_put(&x->known, &c->uuid, sizeof c->uuid, c);
    x->counters.n_known++;
    return c;
}

static void removal_begin(struct pf_containers *x, struct container *c)
{
    if (c->is_removing) {
        return;
    }
    c->is_removing = true;
    TAILQ_INSERT_TAIL(&x->removing, c, link);
    if (x->counters.n_removing++ == 0) {
        pf_timer_set(x->timer, pf_loop_now_ms(x->loop) + REMOVE_EVERY_MS);
    }
}

void pf_containers_remove(struct pf_containers *x, struct pf_uuid container)
{
    struct container *c = pf_map_get(&x->known, &container, sizeof container);

    if (c != NULL) {
        removal_begin(x, c);
    }
}

/* --- what there is ---------------------------------------------------------------------------- */

struct pf_containers *pf_containers_create(struct pf_loop *loop, enum pf_isolation isolation,
                                           const char *name)
{
    struct pf_containers *x = PF_NEW(struct pf_containers);

    x->loop = loop;
    x->isolation = isolation;
    x->name = pf_strdup(name);
    x->text = pf_strdup(NOT_ENFORCED);
    x->known.seed = pf_random_u64();
    x->listed.seed = pf_random_u64();
    TAILQ_INIT(&x->removing);
    x->timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_time, x);
    return x;
}

static void listed_clear(struct pf_containers *x)
{
    uint32_t cursor = 0;
    struct listed *l;

    while ((l = pf_map_next(&x->listed, &cursor)) != NULL) {
        pf_free(l);
    }
    uint64_t seed = x->listed.seed;
    pf_map_fini(&x->listed);
    x->listed = (struct pf_map){.seed = seed};
}

void pf_containers_destroy(struct pf_containers *x)
{
    uint32_t cursor = 0;
    struct container *c;

    if (x == NULL) {
        return;
    }
    remove_some(x, UINT32_MAX, INT64_MAX);
    while ((c = pf_map_next(&x->known, &cursor)) != NULL) {
        pf_free(c);
    }
    pf_map_fini(&x->known);
    listed_clear(x);
    pf_map_fini(&x->listed);
    for (uint32_t i = 0; i < x->n_places; i++) {
        pf_cgroups_remove_empty(&x->place[i]);
        pf_cgroups_fini(&x->place[i]);
    }
    pf_timer_destroy(x->timer);
    pf_free(x->name);
    pf_free(x->text);
    pf_free(x);
}

static void text_set(struct pf_containers *x, const char *text)
{
    pf_free(x->text);
    x->text = pf_strdup(text);
}

/* Takes `found`; one that is known comes to the end. */
static void place_add(struct pf_containers *x, struct pf_cgroups *found)
{
    uint32_t i = 0;

    while (i < x->n_places && strcmp(x->place[i].dir[0].path, found->dir[0].path) != 0) {
        i++;
    }
    if (i == x->n_places && i == PLACES_MAX) {
        i = 0; /* the oldest is given up */
    }
    if (i < x->n_places) {
        pf_cgroups_fini(&x->place[i]);
        memmove(&x->place[i], &x->place[i + 1], (x->n_places - i - 1) * sizeof x->place[0]);
        x->n_places--;
    }
    x->place[x->n_places++] = *found;
}

int pf_containers_open(struct pf_containers *x, int64_t launcher_pid, struct pf_err *err)
{
    const struct pf_cgroup_options o = {.root = "", .pid = launcher_pid, .name = x->name};
    struct pf_cgroups found = {0};
    struct pf_buf text = {0};
    struct pf_err why = {0};

    listed_clear(x);
    x->is_listing = true;
    if (x->isolation == PF_ISOLATION_NONE || (x->is_on && x->launcher_pid == launcher_pid)) {
        return 0;
    }
    x->is_on = pf_cgroups_open(&o, &found, &why) == 0;
    if (!x->is_on) {
        text_set(x, NOT_ENFORCED);
        if (x->isolation == PF_ISOLATION_CGROUPS) {
            pf_err_wrap(&why, "--isolation cgroups: not permitted");
            if (err != NULL) {
                *err = why;
            }
            return why.code;
        }
        if (!x->was_told) {
            pf_log(PF_LOG_WARN, "limits of tasks are " NOT_ENFORCED, "why=%s", why.msg);
            x->was_told = true;
        }
        return 0;
    }
    place_add(x, &found);
    x->launcher_pid = launcher_pid;
    pf_cgroups_text(place_now(x), &text);
    if (strcmp(pf_buf_cstr(&text), x->text) != 0) {
        text_set(x, pf_buf_cstr(&text));
        pf_log(PF_LOG_INFO, "limits of tasks are enforced", "by=%s", x->text);
    }
    pf_buf_fini(&text);
    return 0;
}

const char *pf_containers_text(const struct pf_containers *x)
{
    return x->text;
}

void pf_containers_listed(struct pf_containers *x, struct pf_uuid launch)
{
    if (x->is_on && x->is_listing && pf_map_get(&x->listed, &launch, sizeof launch) == NULL) {
        struct listed *l = PF_NEW(struct listed);
        l->launch = launch;
        pf_map_put(&x->listed, &l->launch, sizeof l->launch, l);
    }
}

static bool is_listed(const struct pf_containers *x, struct pf_uuid launch)
{
    return pf_map_get(&x->listed, &launch, sizeof launch) != NULL;
}

/* A directory below the parent. What this process made is none of this; neither is what the
 * launcher knows: its end will be told. */
static void on_name(void *ctx, const char *name)
{
    struct pf_containers *x = ctx;
    struct pf_uuid uuid;

    if (!pf_uuid_parse(pf_str(name), &uuid) || pf_map_get(&x->known, &uuid, sizeof uuid) != NULL) {
        return;
    }
    struct container *c = container_add(x, uuid);
    if (!is_listed(x, uuid) && !is_listed(x, pf_agent_process_uuid(uuid, PF_AGENT_ROLE_FETCH))) {
        x->counters.stale++;
        removal_begin(x, c);
    }
}

void pf_containers_list_end(struct pf_containers *x)
{
    for (uint32_t i = 0; i < x->n_places; i++) {
        pf_cgroup_list(&x->place[i], on_name, x);
    }
    x->is_listing = false;
    listed_clear(x);
}

/* --- use -------------------------------------------------------------------------------------- */

static struct pf_cgroup_limits limits_of(const struct pf_agent_limits *l)
{
    return (struct pf_cgroup_limits){.cpu_shares = l->cpu_shares,
                                     .cpu_quota_us = l->cpu_quota_us,
                                     .memory_bytes = l->memory_bytes,
                                     .pids = l->pids};
}

bool pf_containers_make(struct pf_containers *x, struct pf_uuid container,
                        const struct pf_agent_limits *limits, struct pf_sandbox_failure *out)
{
    const struct pf_cgroup_limits l = limits_of(limits);
    char name[PF_UUID_TEXT_LEN + 1];
    struct pf_err err = {0};

    if (!x->is_on) {
        return true;
    }
    if (x->counters.n_removing > REMOVE_LINE) {
        remove_some(x, 2, INT64_MAX); /* so that the line does not grow without end */
    }
    struct container *c = pf_map_get(&x->known, &container, sizeof container);
    if (c == NULL) {
        c = container_add(x, container);
    } else if (c->is_removing) {
        c->is_removing = false;
        TAILQ_REMOVE(&x->removing, c, link);
        x->counters.n_removing--;
    }
    pf_uuid_format(container, name);
    if (pf_cgroup_make(place_now(x), name, &l, &err) == 0) {
        x->counters.made++;
        return true;
    }
    pf_log_err(PF_LOG_WARN, "cgroup not made", &err);
    *out = (struct pf_sandbox_failure){err.sys != 0 ? err.sys : EIO, "cgroup"};
    removal_begin(x, c); /* what of it was made */
    return false;
}

void pf_containers_limit(struct pf_containers *x, struct pf_uuid container,
                         const struct pf_agent_limits *limits)
{
    const struct pf_cgroup_limits l = limits_of(limits);
    char name[PF_UUID_TEXT_LEN + 1];
    struct pf_err err = {0};

    if (!x->is_on || pf_map_get(&x->known, &container, sizeof container) == NULL) {
        return;
    }
    pf_uuid_format(container, name);
    if (pf_cgroup_limit(place_now(x), name, &l, &err) != 0) {
        pf_log_err(PF_LOG_WARN, "limits not changed", &err);
    }
}

uint32_t pf_containers_dirs(struct pf_containers *x, struct pf_uuid container,
                            struct pf_str out[PF_CGROUP_DIRS_MAX])
{
    char name[PF_UUID_TEXT_LEN + 1];

    if (!x->is_on || pf_map_get(&x->known, &container, sizeof container) == NULL) {
        return 0;
    }
    const struct pf_cgroups *place = place_now(x);
    pf_uuid_format(container, name);
    for (uint32_t i = 0; i < place->n_dirs; i++) {
        (void)snprintf(x->path[i], sizeof x->path[i], "%s/%s", place->dir[i].path, name);
        out[i] = pf_str(x->path[i]);
    }
    return place->n_dirs;
}

const struct pf_containers_counters *pf_containers_counters(const struct pf_containers *x)
{
    return &x->counters;
}
