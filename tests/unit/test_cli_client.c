/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's client among several masters. Each master is a process of its own that plays a
 * part: who leads, who stands by, who dies or hangs when it is asked. */
#include "framework/cli/client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/net/loop.h"
#include "common/net/peer.h"

enum { MASTERS_MAX = 3 };

/* How a master behaves. */
struct part {
    enum MasterRole role;
    uint64_t epoch;
    int64_t leads_after_ms; /* a standby that takes over then; 0 = never */
    bool names_others;      /* its Welcome tells the addresses of those made before it */
    bool dies, hangs, refuses, resigns; /* when it is asked */
    uint64_t lag;
};

struct fixture {
    char address[MASTERS_MAX][PF_ADDRESS_MAX];
    pid_t pid[MASTERS_MAX];
    uint32_t n;
    struct pf_client *client;
    char notes[1024];
    uint32_t n_notes;
};

/* --- in the process of a master -------------------------------------------------------------- */

struct master {
    struct part part;
    struct pf_str others[MASTERS_MAX];
    uint32_t n_others;
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_fb_builder b;
    char name[PF_ADDRESS_MAX];
};

static void master_welcome(void *ctx, struct pf_link_state *out)
{
    struct master *m = ctx;
    out->role = (uint8_t)m->part.role;
    out->epoch = m->part.epoch;
    out->master = m->others;
    out->n_masters = m->part.names_others ? m->n_others : 0;
}

static void master_up(void *ctx, const struct pf_peer_up *up)
{
    (void)ctx;
    (void)up;
}

static void master_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    (void)ctx;
    (void)peer;
    (void)why;
}

static void master_leads(void *ctx)
{
    struct master *m = ctx;
    m->part.role = MasterRole_LEADER;
    m->part.epoch++;
    pf_net_welcome_again(m->net);
}

static void master_answer(struct master *m, uint64_t peer, uint64_t request_id)
{
    struct pf_fb_builder *b = &m->b;
    pf_fb_builder_reset(b);
    struct MasterView__args view = {.id = pf_str(m->name)};
    struct pf_ref one = MasterView__put(b, &view);
    struct Master_Response_GetMasters__args list = {.masters = {&one, 1}};
    struct Master_Response__args r = {.get_masters = Master_Response_GetMasters__put(b, &list)};
    if (m->part.role != MasterRole_LEADER) {
        struct Stale__args stale = {.lag = PF_OPT(m->part.lag)};
        r.stale = Stale__put(b, &stale);
    }
    struct pf_envelope e = {
        .request_id = request_id, .is_reply = true, .body_type = Body_Master_Response};
    struct pf_msg msg = pf_envelope_finish(b, &e, Master_Response__put(b, &r));
    pf_peer_send(m->net, peer, pf_msg_bytes(msg));
}

static void master_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct master *m = ctx;
    uint64_t request_id = pf_envelope_of(envelope).request_id;
    if (m->part.dies) {
        _exit(0);
    }
    if (m->part.resigns) {
        m->part.role = MasterRole_STANDBY;
        pf_net_welcome_again(m->net);
    } else if (m->part.refuses) {
        pf_fb_builder_reset(&m->b);
        struct pf_msg msg =
            pf_envelope_reply(&m->b, request_id, ReplyCode_NOT_LEADER, PF_STR("another leads"));
        pf_peer_send(m->net, peer, pf_msg_bytes(msg));
    } else if (!m->part.hangs) {
        master_answer(m, peer, request_id);
    }
}

static void master_main(struct master *m, int tell_fd)
{
    static const struct pf_net_ops ops = {master_up, master_message, master_down, master_welcome};
    struct pf_link_self self = {.kind = PeerKind_MASTER};
    struct pf_net_options options = {.self = &self};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pf_fb_builder_init(&m->b, NULL);
    if (pf_loop_create(&m->loop, NULL) != 0 ||
        pf_net_create(m->loop, &options, &ops, m, &m->net, NULL) != 0 ||
        pf_net_listen(m->net, "127.0.0.1:0", m->name, NULL) != 0) {
        _exit(1);
    }
    if (m->part.leads_after_ms > 0) {
        struct pf_timer *t = pf_timer_create(m->loop, PF_PRIO_NORMAL, master_leads, m);
        pf_timer_set(t, pf_loop_now_ms(m->loop) + m->part.leads_after_ms);
    }
    if (write(tell_fd, m->name, sizeof m->name) == (ssize_t)sizeof m->name) {
        (void)!pf_loop_run(m->loop, NULL);
    }
    _exit(0);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void given_master(struct fixture *f, struct part part)
{
    int fds[2];
    assert_true(f->n < MASTERS_MAX);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct master m = {.part = part, .n_others = f->n};
        for (uint32_t i = 0; i < f->n; i++) {
            m.others[i] = pf_str(f->address[i]);
        }
        master_main(&m, fds[1]);
    }
    assert_true(pid > 0);
    f->pid[f->n] = pid;
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], f->address[f->n], PF_ADDRESS_MAX), PF_ADDRESS_MAX);
    (void)close(fds[0]);
    f->n++;
}

static void on_note(void *ctx, const char *text)
{
    struct fixture *f = ctx;
    size_t len = strlen(f->notes);
    f->n_notes++;
    (void)snprintf(f->notes + len, sizeof f->notes - len, "%s\n", text);
}

/* Opens with the addresses of `n` masters. */
static int client_open(struct fixture *f, uint32_t first, uint32_t n, struct pf_client_options o,
                       struct pf_err *err)
{
    char list[MASTERS_MAX * (PF_ADDRESS_MAX + 1)] = "";
    size_t len = 0;
    for (uint32_t i = first; i < first + n; i++) {
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i > first ? "," : "",
                                f->address[i]);
    }
    o.addresses = list;
    o.on_note = on_note;
    o.ctx = f;
    return pf_client_open(&o, &f->client, err);
}

/* Who answers, as its place among the masters; or the error. */
static int ask(struct fixture *f, struct pf_err *err)
{
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_GET_MASTERS)};
    struct Master_Response r;
    (void)pf_client_builder(f->client);
    int rc = pf_client_ask(f->client, &call, &r, err);
    if (rc != 0) {
        return rc;
    }
    struct pf_str id =
        MasterView_id(Master_Response_GetMasters_masters__at(Master_Response_get_masters(r), 0));
    for (uint32_t i = 0; i < f->n; i++) {
        if (pf_str_is(id, f->address[i])) {
            return (int)i;
        }
    }
    return MASTERS_MAX;
}

static int setup(void **state)
{
    *state = PF_NEW(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pf_client_close(f->client);
    for (uint32_t i = 0; i < f->n; i++) {
        (void)kill(f->pid[i], SIGKILL);
        (void)waitpid(f->pid[i], NULL, 0);
    }
    pf_free(f);
    return 0;
}

#define LEADS(n)                                                                                   \
    {                                                                                              \
        .role = MasterRole_LEADER, .epoch = (n)                                                    \
    }
#define STANDS_BY                                                                                  \
    {                                                                                              \
        .role = MasterRole_STANDBY, .names_others = true                                           \
    }
static const struct pf_client_options usual = {0};

/* One address of a standby is enough: it names the others. */
static void test_client_follows_a_standby_to_the_leader(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part)LEADS(1));
    given_master(f, (struct part)STANDS_BY);
    assert_int_equal(client_open(f, 1, 1, usual, NULL), 0);
    assert_int_equal(ask(f, NULL), 0);
    assert_string_equal(pf_client_address(f->client), f->address[0]);
    assert_int_equal(f->n_notes, 0);
}

/* The leader dies with the question in its hands; the one that takes over answers it. */
static void test_client_asks_again_where_another_leads(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part){.role = MasterRole_LEADER, .epoch = 1, .dies = true});
    given_master(f, (struct part){.role = MasterRole_STANDBY, .leads_after_ms = 200});
    assert_int_equal(client_open(f, 0, 2, usual, NULL), 0);
    assert_int_equal(pf_client_links(f->client), 1);
    assert_int_equal(ask(f, NULL), 1);
    assert_int_equal(pf_client_links(f->client), 2);
    assert_int_equal(f->n_notes, 0);
}

/* What must not be done twice is not asked twice. */
static void test_client_call_once_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct pf_err err = {0};
    struct pf_msg reply;
    given_master(f, (struct part){.role = MasterRole_LEADER, .epoch = 1, .dies = true});
    given_master(f, (struct part)LEADS(2));
    assert_int_equal(client_open(f, 0, 1, usual, NULL), 0);
    struct Master_Call__args args = {.type = PF_OPT(Master_Call_Type_STEP_DOWN)};
    struct pf_ref body = Master_Call__put(pf_client_builder(f->client), &args);
    assert_int_equal(pf_client_call_once(f->client, Body_Master_Call, body, 0, &reply, &err),
                     PF_ECONN);
    assert_non_null(strstr(err.msg, f->address[0]));
}

/* It answers that it does not lead, whatever it said in its greeting. */
static void test_client_leaves_a_master_that_turns_it_away(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part){.role = MasterRole_LEADER, .epoch = 1, .refuses = true});
    given_master(f, (struct part)LEADS(2));
    assert_int_equal(client_open(f, 0, 1, (struct pf_client_options){.leader_ms = 100}, NULL), 0);
    assert_int_equal(ask(f, NULL), PF_ECONN);
    pf_client_close(f->client);
    f->client = NULL;
    assert_int_equal(client_open(f, 0, 2, usual, NULL), 0);
    assert_int_equal(ask(f, NULL), 1);
}

/* It says on the standing link that it does not lead any more. */
static void test_client_leaves_a_master_that_resigns(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part){.role = MasterRole_LEADER, .epoch = 1, .resigns = true});
    given_master(f, (struct part){.role = MasterRole_STANDBY, .leads_after_ms = 200});
    assert_int_equal(client_open(f, 0, 2, usual, NULL), 0);
    assert_int_equal(ask(f, NULL), 1);
}

/* A leader that hangs keeps its link; who leads now is found by looking around. */
static void test_client_notices_that_another_leads(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part){.role = MasterRole_LEADER, .epoch = 1, .hangs = true});
    given_master(f, (struct part){.role = MasterRole_STANDBY, .epoch = 1, .leads_after_ms = 300});
    assert_int_equal(client_open(f, 0, 2, usual, NULL), 0);
    assert_int_equal(ask(f, NULL), 1);
}

static void test_client_takes_a_stale_answer_when_none_leads(void **state)
{
    struct fixture *f = *state;
    given_master(f, (struct part){.role = MasterRole_STANDBY, .lag = 3});
    assert_int_equal(client_open(f, 0, 1, (struct pf_client_options){.stale_ms = 100}, NULL), 0);
    assert_true(pf_client_is_stale(f->client));
    assert_int_equal(ask(f, NULL), 0);
    assert_int_equal(ask(f, NULL), 0);
    assert_string_equal(f->notes, "no master leads; answered by a standby, 3 batches behind\n");
    pf_client_refresh(f->client);
    assert_int_equal(ask(f, NULL), 0);
    assert_true(pf_client_is_stale(f->client));
}

/* Patience has an end, people are told of it, and the error names every address. */
static void test_client_gives_up_with_every_address_named(void **state)
{
    struct fixture *f = *state;
    struct pf_err err = {0};
    given_master(f, (struct part){.role = MasterRole_STANDBY});
    given_master(f, (struct part)LEADS(1));
    (void)kill(f->pid[1], SIGKILL);
    (void)waitpid(f->pid[1], NULL, 0);
    const struct pf_client_options o = {.leader_ms = 2200};
    assert_int_equal(client_open(f, 0, 2, o, &err), PF_ECONN);
    assert_non_null(strstr(err.msg, "no master leads"));
    assert_non_null(strstr(err.msg, ": standing by"));
    assert_non_null(strstr(err.msg, f->address[1]));
    assert_non_null(strstr(err.msg, "refused"));
    assert_int_equal(f->n_notes, 1);
    assert_non_null(strstr(f->notes, "waiting for one"));
}

/* Nobody answers: there is nothing to wait for. */
static void test_client_tells_at_once_that_nobody_is_there(void **state)
{
    struct fixture *f = *state;
    struct pf_err err = {0};
    given_master(f, (struct part)LEADS(1));
    given_master(f, (struct part)LEADS(2));
    for (uint32_t i = 0; i < f->n; i++) {
        (void)kill(f->pid[i], SIGKILL);
        (void)waitpid(f->pid[i], NULL, 0);
    }
    assert_int_equal(client_open(f, 0, 2, usual, &err), PF_ECONN);
    assert_null(strstr(err.msg, "no master leads"));
    assert_non_null(strstr(err.msg, f->address[0]));
    assert_non_null(strstr(err.msg, f->address[1]));
    assert_int_equal(f->n_notes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_client_follows_a_standby_to_the_leader, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_client_asks_again_where_another_leads, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_client_call_once_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_leaves_a_master_that_turns_it_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_client_leaves_a_master_that_resigns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_notices_that_another_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_takes_a_stale_answer_when_none_leads, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_client_gives_up_with_every_address_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_client_tells_at_once_that_nobody_is_there, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
