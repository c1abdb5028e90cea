/* SPDX-License-Identifier: Apache-2.0 */
/* A store whose batches are carried out by its owner, who tells when they are durable: the link
 * between a core's turns and a registry that is a state machine of its own. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/store/store.h"

struct remote_store {
    struct pf_store base;
    pf_store_submit_fn *on_submit;
    void *ctx;
    uint64_t submitted, stored, collected; /* numbers of the last ones; 0 = none */
    uint32_t n_in_flight;                  /* submitted, not stored */
    struct pf_err failure;                 /* code 0: none; sticky */
};

static struct remote_store *store_of(const struct pf_store *s)
{
    return PF_CONTAINER(s, struct remote_store, base);
}

static int remote_load(struct pf_store *store, pf_store_row_fn *on_row, void *ctx,
                       struct pf_err *err)
{
    (void)store;
    (void)on_row;
    (void)ctx;
    (void)err;
    return 0;
}

static void remote_submit(struct pf_store *store, const struct pf_batch *batch)
{
    struct remote_store *s = store_of(store);

    if (s->failure.code) {
        return;
    }
    PF_ASSERT(s->n_in_flight < store->depth);
    PF_ASSERT(s->submitted == 0 || batch->number == s->submitted + 1);
    s->submitted = batch->number;
    s->n_in_flight++;
    s->on_submit(s->ctx, batch);
}

static int remote_collect(struct pf_store *store, uint64_t *out_number, struct pf_err *err)
{
    struct remote_store *s = store_of(store);

    if (s->failure.code) {
        if (err) {
            PF_ASSERT(err->code == 0);
            *err = s->failure;
        }
        return s->failure.code;
    }
    *out_number = s->stored != s->collected ? s->stored : 0;
    s->collected = s->stored;
    return 0;
}

static int remote_wake_fd(const struct pf_store *store)
{
    (void)store;
    return PF_STORE_WAKE_OWNER;
}

static void remote_destroy(struct pf_store *store)
{
    pf_free(store_of(store));
}

static const struct pf_store_ops remote_ops = {
    .load = remote_load,
    .submit = remote_submit,
    .collect = remote_collect,
    .wake_fd = remote_wake_fd,
    .destroy = remote_destroy,
};

struct pf_store *pf_store_remote_open(pf_store_submit_fn *on_submit, void *ctx, uint32_t depth)
{
    struct remote_store *s = PF_NEW(struct remote_store);

    PF_ASSERT(depth >= 1 && depth <= PF_TURN_IN_FLIGHT_MAX);
    s->base = (struct pf_store){.ops = &remote_ops, .depth = depth};
    s->on_submit = on_submit;
    s->ctx = ctx;
    return &s->base;
}

void pf_store_remote_stored(struct pf_store *store, uint64_t number)
{
    struct remote_store *s = store_of(store);

    PF_ASSERT(store->ops == &remote_ops);
    if (s->failure.code) {
        return;
    }
    PF_ASSERT(s->n_in_flight > 0);
    PF_ASSERT(number == s->submitted - s->n_in_flight + 1);
    s->n_in_flight--;
    s->stored = number;
}

void pf_store_remote_failed(struct pf_store *store, const struct pf_err *why)
{
    struct remote_store *s = store_of(store);

    PF_ASSERT(store->ops == &remote_ops);
    PF_ASSERT(why->code < 0);
    if (!s->failure.code) {
        s->failure = *why;
    }
}
