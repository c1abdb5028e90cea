/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduler driver alone with its test: masters say what the test lets them say (messages as
 * JSON), and what the driver does is compared as text, one line for each effect. */
#ifndef PF_TESTS_SUPPORT_DRV_H
#define PF_TESTS_SUPPORT_DRV_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "framework/driver/driver.h"
#include "tests/support/test.h"

#define INSTANCE    "6a1f0b52-9d3c-4a7e-8f21-0c5d7e9b1a34"
#define INCARNATION "AAECAwQFBgcICQoLDA0ODw=="
#define UUID1       "EBESExQVFhcYGRobHB0eHw==" /* bytes 0x10.. */
#define UUID2       "ICEiIyQlJicoKSorLC0uLw=="
#define FRAMEWORK "\"framework_info\":{\"user\":\"ann\",\"name\":\"demo\""
#define F1        "\"framework_id\":{\"value\":\"f1\"}"

#define SUBSCRIBE_AGAIN                                                                       \
    "{" F1 ",\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK                               \
    ",\"id\":{\"value\":\"f1\"}},\"instance\":\"" INSTANCE "\"}}\n"
#define ACK(task, uuid)                                                                       \
    "{" F1 ",\"type\":\"ACKNOWLEDGE\",\"acknowledge\":{\"agent_id\":{\"value\":\"a1\"},"       \
    "\"task_id\":{\"value\":\"" task "\"},\"uuid\":\"" uuid "\"}}\n"

struct drv {
    struct pf_driver *d;
    struct pf_turns *turns;
    struct pf_arena arena; /* of messages to the driver */
    int64_t now_ms;
    struct pf_buf got;
};

/* Another driver in place of the one that drv_setup made; `masters` are divided by blanks. */
void drv_create(struct drv *f, const char *framework, const char *masters, bool explicit_acks);
/* Framework "demo" of ann, one master "m1:5055"; gives up after 5 s. The state is a struct drv. */
int drv_setup(void **state);
int drv_teardown(void **state);
/* All effects since the last time as text, into f->got. */
void drv_collect(struct drv *f);
/* Exactly these effects since the last time, each line ends with a newline. */
void drv_expect(struct drv *f, const char *expected);
/* Fills in the times. */
void drv_step(struct drv *f, struct pf_driver_event ev);
void drv_start(struct drv *f);
void drv_up_as(struct drv *f, uint32_t master, uint64_t peer, const char *welcome);
/* Master `master` welcomes as the leader of `epoch` over link `peer`. */
void drv_up(struct drv *f, uint32_t master, uint64_t peer, unsigned epoch);
void drv_down(struct drv *f, uint32_t master, int code);
/* Messages of a master; those without `master` come from number 0. */
void drv_hear(struct drv *f, uint32_t master, const char *envelope);
void drv_hear_event(struct drv *f, const char *event);
void drv_hear_event_from(struct drv *f, uint32_t master, const char *event);
void drv_hear_subscribed(struct drv *f, unsigned epoch);
void drv_hear_update(struct drv *f, const char *task, const char *state, const char *more);
void drv_hear_offer(struct drv *f, const char *id, const char *more);
/* Lets time pass to the next deadline, which must be so far away. */
void drv_wait_between(struct drv *f, int64_t least_ms, int64_t most_ms);
/* `task_ids` are divided by blanks; one offer, of agent a1. */
void drv_accept(struct drv *f, const char *offer_id, const char *task_ids);
/* The same as one group under executor "e1". */
void drv_accept_group(struct drv *f, const char *offer_id, const char *task_ids);
void drv_decline(struct drv *f, const char *offer_id, int64_t refuse_ms);
void drv_demand(struct drv *f, const char *json);
void drv_kill(struct drv *f, const char *id, int64_t grace_ms, int signal);
/* The uuid is first_byte, first_byte + 1, ... */
void drv_acknowledge(struct drv *f, const char *id, uint8_t first_byte);
/* An event without data. */
void drv_call(struct drv *f, enum pf_driver_event_type type);
/* Forgets the effects so far. */
void drv_drain(struct drv *f);
/* As f1 over link 10 in epoch 1. */
void given_subscribed(struct drv *f);
/* With tasks t1 and t2 launched on an offer of agent a1. */
void given_launched(struct drv *f);
void drv_expect2(struct drv *f, const char *first, const char *second);

#endif
