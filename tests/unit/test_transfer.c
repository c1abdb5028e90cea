/* SPDX-License-Identifier: Apache-2.0 */
/* Registries that move between directories and a real ZooKeeper, broken off at each step: never are
 * two places served, and the same command goes on. */
#include "master/daemon/masterd_transfer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "common/sys/options.h"
#include "master/daemon/masterd_internal.h"
#include "master/daemon/masterd_transfer_internal.h"
#include "schemas/quorum.h"
#include "tests/support/test.h"
#include "tests/support/zk_server.h"

#define UUID "0a000000-0000-4000-8000-00000000000b"

enum { N_AGENTS = 300 };

static struct zks *server; /* of the group */
static char base[64];      /* its directory */
static uint32_t n_names;

struct place {
    char dir[128], url[256], text[300];
    struct pf_buf said;
    struct pf_err err;
    int rc;
};

/* Fresh: a directory that is not there, a path that is empty. */
static void place_init(struct place *p)
{
    *p = (struct place){0};
    uint32_t n = n_names++;
    (void)snprintf(p->dir, sizeof p->dir, "%s/d%u", base, n);
    (void)snprintf(p->url, sizeof p->url, "zk://u:secret@%s/t%u/c", zks_hosts(server), n);
}

static void place_fini(struct place *p)
{
    pf_buf_fini(&p->said);
}

enum what { IMPORT, EXPORT, RESTORE_DIR, RESTORE_ZK };

static int run_hooked(struct place *p, enum what what, const char *from,
                      const struct pf_transfer_hook *hook)
{
    char empty[] = "";
    char *arg = (char *)(uintptr_t)from;
    struct pf_masterd_options o = {.zk = what == RESTORE_DIR ? empty : p->url,
                                   .zk_session_ms = 4000,
                                   .work_dir = p->dir,
                                   .import_registry = what == IMPORT ? arg : empty,
                                   .export_registry = what == EXPORT ? arg : empty,
                                   .restore_registry = empty};
    o.restore_registry = what == RESTORE_DIR || what == RESTORE_ZK ? arg : empty;
    pf_err_clear(&p->err);
    pf_buf_clear(&p->said);
    assert_true(pf_transfer_is_wanted(&o));
    p->rc = pf_transfer_run(&o, hook, &p->said, &p->err);
    assert_true(p->rc == 0 || p->err.code == p->rc);
    assert_true(p->said.len > 0); /* what was done, or what to do */
    (void)snprintf(p->text, sizeof p->text, "%s", pf_buf_cstr(&p->said));
    assert_null(strstr(p->text, "secret"));
    assert_null(strstr(p->err.msg, "secret"));
    return p->rc;
}

static int run(struct place *p, enum what what, const char *from)
{
    return run_hooked(p, what, from, NULL);
}

/* Fails where it does not do, showing why. */
#define ASSERT_DONE(p, call)                                                                       \
    do {                                                                                           \
        int done_rc_ = (call);                                                                     \
        if (done_rc_ != 0) {                                                                       \
            print_error("%s\n%s\n", (p)->err.msg, (p)->text);                                      \
        }                                                                                          \
        assert_int_equal(done_rc_, 0);                                                             \
    } while (0)
#define ASSERT_HAS(text, part)                                                                     \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL) {                                                      \
            print_error("'%s' lacks '%s'\n", (text), (part));                                      \
        }                                                                                          \
        assert_non_null(strstr((text), (part)));                                                   \
    } while (0)

/* --- what stands where ------------------------------------------------------------------------ */

struct seen {
    bool is_there, is_served;
    uint64_t epoch;
    uint32_t n_rows;
};

static struct seen look_dir(const char *path)
{
    struct transfer_dir d;
    struct seen s = {0};
    if (!transfer_dir_exists(path)) {
        return s;
    }
    assert_int_equal(transfer_dir_open(path, &d, NULL), 0);
    s.is_there = d.r.is_there;
    s.is_served = s.is_there && d.r.exported_to[0] == '\0' && d.r.arriving_from[0] == '\0';
    s.epoch = d.r.epoch;
    s.n_rows = pf_replica_len(d.r.rows);
    transfer_dir_close(&d);
    return s;
}

static struct transfer_zk *zk_of(struct place *p)
{
    struct pf_masterd_options o = {.zk = p->url, .zk_session_ms = 4000};
    struct transfer t = {.o = &o};
    struct transfer_zk *zk;
    assert_int_equal(transfer_zk_open(&t, &zk, NULL), 0);
    return zk;
}

static struct seen look_zk(struct place *p)
{
    struct transfer_zk *zk = zk_of(p);
    struct transfer_target at;
    struct seen s = {0};
    assert_int_equal(transfer_zk_look(zk, &at, NULL), 0);
    s.is_there = at.has_epoch;
    s.is_served = at.has_epoch && at.exported_to[0] == '\0';
    s.epoch = at.epoch;
    if (at.has_epoch && at.has_base) {
        struct pf_replog *log;
        assert_int_equal(transfer_zk_read(zk, &log, NULL), 0);
        s.n_rows = pf_replica_len(pf_replog_rows(log));
        transfer_zk_forget(zk, log);
    }
    transfer_zk_close(zk, false);
    return s;
}

static enum pf_zk_code do_zk(struct place *p, enum pf_zk_op_type type, const char *path,
                             struct pf_bytes data)
{
    struct transfer_zk *zk = zk_of(p);
    const struct pf_zk_op op = {.type = type, .path = pf_str(path), .data = data, .version = -1};
    struct pf_zk_reply r;
    assert_int_equal(transfer_zk_ask(zk, &(struct pf_zk_request){.n_ops = 1, .op = &op}, &r, NULL),
                     0);
    enum pf_zk_code code = r.code;
    transfer_zk_close(zk, false);
    return code;
}

static void put_epoch(struct place *p, uint8_t incarnation, uint64_t epoch, bool is_there)
{
    struct pf_fb_builder b;
    uint8_t uuid[16] = {incarnation};
    const struct ZkEpoch__args a = {.incarnation = {uuid, sizeof uuid}, .epoch = epoch};
    pf_fb_builder_init(&b, NULL);
    struct pf_bytes node = pf_msg_bytes(ZkEpoch__finish(&b, ZkEpoch__put(&b, &a)));
    assert_int_equal(do_zk(p, is_there ? PF_ZK_SET : PF_ZK_CREATE, "/epoch", node), PF_ZK_OK);
    pf_fb_builder_fini(&b);
}

/* --- a dump ----------------------------------------------------------------------------------- */

static void put_header(struct pf_buf *b, uint64_t epoch)
{
    pf_buf_printf(b, "{\"incarnation\":\"" UUID "\",\"epoch\":%llu,\"format\":1}\n",
                  (unsigned long long)epoch);
}

static void put_agent(struct pf_buf *b, uint32_t i)
{
    char pad[257];
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    pf_buf_printf(
        b,
        "{\"table\":\"AGENTS\",\"key\":\"a%u\",\"json\":\"{\\\"info\\\":{\\\"hostname\\\":"
        "\\\"h%u-%s\\\",\\\"id\\\":{\\\"value\\\":\\\"a%u\\\"}},\\\"admitted_ms\\\":5}\"}"
        "\n",
        i, i, pad, i);
}

static void write_text(char path[128], struct pf_buf *b)
{
    (void)snprintf(path, 128, "%s/f%u", base, n_names++);
    assert_int_equal(pf_file_write(path, b->data, b->len, 0600, NULL), 0);
    pf_buf_fini(b);
}

static void write_dump(char path[128], uint64_t epoch)
{
    struct pf_buf b = {0};
    put_header(&b, epoch);
    for (uint32_t i = 0; i < N_AGENTS; i++) {
        put_agent(&b, i);
    }
    write_text(path, &b);
}

/* A directory with the registry of a master that was alone, at this epoch. */
static void make_source(char path[128], uint64_t epoch)
{
    struct place p;
    char dump[128];
    place_init(&p);
    write_dump(dump, epoch - 1);
    ASSERT_DONE(&p, run(&p, RESTORE_DIR, dump));
    memcpy(path, p.dir, sizeof p.dir);
    place_fini(&p);
}

/* --- broken off ------------------------------------------------------------------------------- */

struct breaker {
    int left; /* steps that may be done */
    uint32_t n;
    void (*act)(struct place *p); /* before the last of them, instead of breaking off */
    struct place *place;
};

static bool may_go_on(void *ctx)
{
    struct breaker *b = ctx;
    b->n++;
    if (b->left-- > 0) {
        return true;
    }
    if (b->act == NULL) {
        return false;
    }
    if (b->left == -1) {
        b->act(b->place);
    }
    return true;
}

static void test_import_broken_off_at_each_step(void **state)
{
    int n_steps = 1;
    (void)state;
    for (int at = 0; at < n_steps; at++) {
        struct place p;
        char source[128];
        struct breaker all = {.left = 1000}, b = {.left = at};
        const struct pf_transfer_hook hook = {may_go_on, &b};
        place_init(&p);
        make_source(source, 7);
        if (at == 0) {
            struct place q;
            char other[128];
            const struct pf_transfer_hook count = {may_go_on, &all};
            place_init(&q);
            make_source(other, 7);
            ASSERT_DONE(&q, run_hooked(&q, IMPORT, other, &count));
            n_steps = (int)all.n;
            place_fini(&q);
        }
        assert_int_equal(run_hooked(&p, IMPORT, source, &hook), PF_ECANCELED);
        struct seen from = look_dir(source), to = look_zk(&p);
        assert_false(from.is_served && to.is_served);
        assert_true(from.is_there && from.n_rows == N_AGENTS);
        ASSERT_DONE(&p, run(&p, IMPORT, source));
        ASSERT_HAS(p.text, "imported 300 rows, incarnation " UUID ", epoch 8, from ");
        for (int again = 0; again < 2; again++) {
            from = look_dir(source);
            to = look_zk(&p);
            assert_true(!from.is_served && to.is_served);
            assert_int_equal(to.epoch, 8);
            assert_int_equal(to.n_rows, N_AGENTS);
            ASSERT_DONE(&p, run(&p, IMPORT, source)); /* it is there: nothing to do */
        }
        place_fini(&p);
    }
    print_message("broken off at %d steps\n", n_steps);
    assert_true(n_steps >= 8); /* 3 nodes, 2 parts, stamp, publish, stamp */
}

static void test_export_broken_off_at_each_step(void **state)
{
    int n_steps = 3; /* rows, fence, mark */
    (void)state;
    for (int at = 0; at <= n_steps; at++) {
        struct place p;
        char dump[128];
        struct breaker b = {.left = at};
        const struct pf_transfer_hook hook = {may_go_on, &b};
        place_init(&p);
        write_dump(dump, 6);
        ASSERT_DONE(&p, run(&p, RESTORE_ZK, dump));
        ASSERT_HAS(p.text, "restored 300 rows, incarnation " UUID ", epoch 7, from ");
        assert_int_equal(run_hooked(&p, EXPORT, p.dir, &hook), at < n_steps ? PF_ECANCELED : 0);
        struct seen from = look_zk(&p), to = look_dir(p.dir);
        assert_false(from.is_served && to.is_served);
        assert_int_equal(from.is_served, at < 2);
        assert_int_equal(to.is_served, at == n_steps);
        for (int again = 0; again < 2; again++) {
            ASSERT_DONE(&p, run(&p, EXPORT, p.dir));
            ASSERT_HAS(p.text, "exported 300 rows, incarnation " UUID ", epoch 8, from zk://127");
            from = look_zk(&p);
            to = look_dir(p.dir);
            assert_true(!from.is_served && to.is_served);
            assert_int_equal(to.epoch, 8);
            assert_int_equal(to.n_rows, N_AGENTS);
        }
        char other[140];
        (void)snprintf(other, sizeof other, "%s-2", p.dir);
        assert_int_equal(run(&p, EXPORT, other), PF_EEXIST);
        ASSERT_HAS(p.err.msg, "left for ");
        assert_false(look_dir(other).is_there);
        place_fini(&p);
    }
}

/* There and back, twice: the epoch only grows, and one place is served at each time. */
static void test_round_trip(void **state)
{
    struct place p;
    char source[128], back[160];
    uint64_t epoch = 7;
    (void)state;
    place_init(&p);
    make_source(source, epoch);
    for (int i = 0; i < 3; i++) {
        ASSERT_DONE(&p, run(&p, IMPORT, source));
        struct seen at = look_zk(&p);
        assert_true(at.is_served && !look_dir(source).is_served && at.epoch > epoch);
        assert_int_equal(at.n_rows, N_AGENTS);
        (void)snprintf(back, sizeof back, "%.100s-back%d", p.dir, i);
        ASSERT_DONE(&p, run(&p, EXPORT, back));
        assert_true(!look_zk(&p).is_served);
        assert_true(look_dir(back).is_served && look_dir(back).epoch > at.epoch);
        epoch = look_dir(back).epoch;
        assert_int_equal(run(&p, IMPORT, source), PF_ENOENT); /* the old copy is no way in */
        ASSERT_HAS(p.err.msg, "is not there any more");
        memcpy(source, back, sizeof source);
    }
    place_fini(&p);
}

/* --- others ----------------------------------------------------------------------------------- */

static void test_other_registries_are_left_alone(void **state)
{
    struct place p, q;
    char source[128], dump[128];
    (void)state;
    place_init(&p);
    place_init(&q);
    make_source(source, 7);
    write_dump(dump, 6);
    put_epoch(&p, 9, 4, false);
    assert_int_equal(run(&p, IMPORT, source), PF_EEXIST);
    ASSERT_HAS(p.err.msg, "incarnation 09000000-0000-0000-0000-000000000000, epoch 4");
    assert_true(look_dir(source).is_served);
    assert_int_equal(run(&p, RESTORE_ZK, dump), PF_EEXIST);
    assert_int_equal(look_zk(&p).epoch, 4);
    assert_int_equal(run(&p, RESTORE_DIR, dump), 0);
    assert_int_equal(run(&p, RESTORE_DIR, dump), PF_EEXIST);
    ASSERT_HAS(p.err.msg, "incarnation " UUID ", epoch 7");
    ASSERT_DONE(&q, run(&q, RESTORE_ZK, dump));
    assert_int_equal(run(&q, EXPORT, source), PF_EEXIST);
    assert_true(look_zk(&q).is_served);
    /* never led: it may be replaced */
    struct place r;
    place_init(&r);
    put_epoch(&r, 9, 0, false);
    ASSERT_DONE(&r, run(&r, IMPORT, source));
    assert_int_equal(look_zk(&r).epoch, 8);
    /* gone to r: nowhere else */
    assert_int_equal(run(&p, IMPORT, source), PF_EEXIST);
    ASSERT_HAS(p.err.msg, "went to zk://127.0.0.1:");
    ASSERT_HAS(p.text, "--export-registry");
    place_fini(&p);
    place_fini(&q);
    place_fini(&r);
}

static void test_running_masters_are_not_disturbed(void **state)
{
    static const char node[] = "x";
    struct place p;
    char source[128], dump[128];
    struct transfer_dir held;
    (void)state;
    place_init(&p);
    make_source(source, 7);
    write_dump(dump, 6);
    ASSERT_DONE(&p, run(&p, RESTORE_ZK, dump));
    assert_int_equal(do_zk(&p, PF_ZK_CREATE, "/masters", (struct pf_bytes){0}), PF_ZK_OK);
    assert_int_equal(
        do_zk(&p, PF_ZK_CREATE, "/masters/m1", (struct pf_bytes){(const uint8_t *)node, 1}),
        PF_ZK_OK);
    assert_int_equal(run(&p, EXPORT, p.dir), PF_EBUSY);
    ASSERT_HAS(p.err.msg, "1 masters run there");
    ASSERT_HAS(p.text, "stop the masters first");
    assert_int_equal(run(&p, IMPORT, source), PF_EBUSY);
    assert_int_equal(do_zk(&p, PF_ZK_DELETE, "/masters/m1", (struct pf_bytes){0}), PF_ZK_OK);
    assert_int_equal(do_zk(&p, PF_ZK_CREATE, "/leader", (struct pf_bytes){0}), PF_ZK_OK);
    assert_int_equal(run(&p, EXPORT, p.dir), PF_EBUSY);
    ASSERT_HAS(p.err.msg, "a master leads there");
    assert_false(look_dir(p.dir).is_there);
    /* the master that is alone */
    assert_int_equal(transfer_dir_open(source, &held, NULL), 0);
    assert_int_equal(run(&p, IMPORT, source), PF_EBUSY);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    ASSERT_HAS(p.err.msg, pid);
    ASSERT_HAS(p.text, "stop that master first");
    transfer_dir_close(&held);
    place_fini(&p);
}

static void make_foreign(struct place *p)
{
    put_epoch(p, 9, 4, false);
}

static void lead_there(struct place *p)
{
    put_epoch(p, 0x0a, 99, true);
}

/* Somebody makes another registry there between our look and our multi: ours is served again. */
static void test_import_that_comes_second(void **state)
{
    (void)state;
    for (int at = 5; at <= 6; at++) { /* before the stamp, before the publishing */
        struct place p;
        char source[128];
        place_init(&p);
        make_source(source, 7);
        struct breaker b = {.left = at, .act = make_foreign, .place = &p};
        const struct pf_transfer_hook hook = {may_go_on, &b};
        assert_int_equal(run_hooked(&p, IMPORT, source, &hook), PF_EEXIST);
        assert_true(look_dir(source).is_served);
        assert_int_equal(look_zk(&p).epoch, 4);
        place_fini(&p);
    }
}

/* The same where a run before had come as far as the stamp. */
static void test_import_that_is_given_again_comes_second(void **state)
{
    struct place p;
    char source[128];
    struct breaker b = {.left = 6};
    const struct pf_transfer_hook hook = {may_go_on, &b};
    (void)state;
    place_init(&p);
    make_source(source, 7);
    assert_int_equal(run_hooked(&p, IMPORT, source, &hook), PF_ECANCELED);
    assert_false(look_dir(source).is_served || look_zk(&p).is_served);
    put_epoch(&p, 9, 4, false);
    assert_int_equal(run(&p, IMPORT, source), PF_EEXIST);
    assert_true(look_dir(source).is_served);
    place_fini(&p);
}

/* A master leads between our reading and our fence: the directory holds what nobody serves. */
static void test_export_that_meets_a_leader(void **state)
{
    struct place p;
    char dump[128];
    struct breaker b = {.left = 1, .act = lead_there, .place = &p};
    const struct pf_transfer_hook hook = {may_go_on, &b};
    (void)state;
    place_init(&p);
    write_dump(dump, 6);
    ASSERT_DONE(&p, run(&p, RESTORE_ZK, dump));
    assert_int_equal(run_hooked(&p, EXPORT, p.dir, &hook), PF_EBUSY);
    assert_true(look_zk(&p).is_served && !look_dir(p.dir).is_served);
    place_fini(&p);
}

/* --- dumps ------------------------------------------------------------------------------------ */

static void test_bad_dumps_name_the_line(void **state)
{
    static const char *const row[] = {
        "{\"table\":\"AGENTZ\",\"key\":\"a\",\"json\":\"{}\"}",
        "{\"table\":\"AGENTS\",\"key\":\"\",\"json\":\"{}\"}",
        "{\"table\":\"AGENTS\",\"key\":\"a\",\"json\":\"{}\"}",
        "{\"table\":\"AGENTS\",\"key\":\"a\",\"json\":\"{\"}",
        "{\"table\":\"FRAMEWORKS\",\"key\":\"f\",\"json\":\"{\\\"generation\\\":-1}\"}",
        "{\"table\":\"AGENTS\",\"key\":\"a\",\"json\":\"{}\",\"more\":1}",
        "nonsense",
        "",
        "{\"table\":\"META\",\"key\":\"registry\",\"json\":\"{\\\"epoch\\\":3}\"}",
    };
    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(row); i++) {
        struct place p;
        struct pf_buf b = {0};
        char path[128];
        place_init(&p);
        put_header(&b, 3);
        put_agent(&b, 1);
        pf_buf_printf(&b, "%s\n", row[i]);
        put_agent(&b, 2);
        write_text(path, &b);
        assert_true(run(&p, RESTORE_DIR, path) < 0);
        ASSERT_HAS(p.err.msg, " line 3: ");
        assert_int_equal(access(p.dir, F_OK), -1);
        assert_true(run(&p, RESTORE_ZK, path) < 0);
        assert_false(look_zk(&p).is_there);
        place_fini(&p);
    }
}

static void test_bad_headers_and_files(void **state)
{
    static const char *const text[] = {"",
                                       "{}",
                                       "{\"incarnation\":\"x\",\"epoch\":1,\"format\":1}",
                                       "{\"incarnation\":\"" UUID "\",\"epoch\":0,\"format\":1}",
                                       "{\"incarnation\":\"" UUID "\",\"epoch\":3,\"format\":2}",
                                       "{\"table\":\"AGENTS\",\"key\":\"a\",\"json\":\"{}\"}"};
    struct place p;
    struct pf_buf b = {0};
    char path[128];
    (void)state;
    place_init(&p);
    for (size_t i = 0; i < PF_ARRAY_LEN(text); i++) {
        pf_buf_add_cstr(&b, text[i]);
        write_text(path, &b);
        assert_true(run(&p, RESTORE_DIR, path) < 0);
        ASSERT_HAS(p.text, "registry dump");
    }
    ASSERT_HAS(p.err.msg, "line 1");
    assert_int_equal(run(&p, RESTORE_DIR, "/nonexistent/file"), PF_ENOENT);
    assert_true(run(&p, RESTORE_DIR, base) < 0); /* a directory */
    put_header(&b, 3);
    put_agent(&b, 1);
    put_agent(&b, 1);
    write_text(path, &b);
    assert_true(run(&p, RESTORE_DIR, path) < 0);
    ASSERT_HAS(p.err.msg, "line 3: key 'a1' stands there twice");
    put_header(&b, 3); /* no rows, no end of line: fine */
    b.len--;
    write_text(path, &b);
    ASSERT_DONE(&p, run(&p, RESTORE_DIR, path));
    ASSERT_HAS(p.text, "restored 0 rows, incarnation " UUID ", epoch 4, from ");
    place_fini(&p);
}

static void test_places_without_a_registry(void **state)
{
    struct place p;
    (void)state;
    place_init(&p);
    assert_int_equal(run(&p, IMPORT, p.dir), PF_ENOENT);
    assert_int_equal(access(p.dir, F_OK), -1); /* not made by asking */
    assert_int_equal(run(&p, EXPORT, p.dir), PF_ENOENT);
    ASSERT_HAS(p.err.msg, "holds no registry");
    assert_int_equal(access(p.dir, F_OK), -1);
    assert_int_equal(do_zk(&p, PF_ZK_CREATE, "/registry", (struct pf_bytes){0}), PF_ZK_OK);
    assert_int_equal(do_zk(&p, PF_ZK_CREATE, "/registry/head", (struct pf_bytes){0}), PF_ZK_OK);
    char source[128];
    make_source(source, 7);
    assert_int_equal(run(&p, IMPORT, source), PF_EEXIST);
    ASSERT_HAS(p.err.msg, "without /epoch");
    assert_true(look_dir(source).is_served);
    place_fini(&p);
}

/* A row may be larger in a directory than in ZooKeeper. */
static void test_rows_that_zookeeper_cannot_hold(void **state)
{
    struct place p;
    struct pf_buf b = {0};
    char path[128];
    (void)state;
    place_init(&p);
    put_header(&b, 3);
    pf_buf_add_cstr(&b, "{\"table\":\"AGENTS\",\"key\":\"a1\",\"json\":\"{\\\"info\\\":{"
                        "\\\"hostname\\\":\\\"");
    for (uint32_t i = 0; i < PF_REPLOG_ROW_BYTES; i++) {
        pf_buf_add_byte(&b, 'h');
    }
    pf_buf_add_cstr(&b, "\\\"}}\"}\n");
    write_text(path, &b);
    assert_int_equal(run(&p, RESTORE_ZK, path), PF_ELIMIT);
    ASSERT_DONE(&p, run(&p, RESTORE_DIR, path));
    char source[128];
    memcpy(source, p.dir, sizeof source);
    assert_int_equal(run(&p, IMPORT, source), PF_ELIMIT);
    ASSERT_HAS(p.err.msg, "row a1 has ");
    assert_true(look_dir(source).is_served);
    place_fini(&p);
}

/* --- group ------------------------------------------------------------------------------------ */

static int group_setup(void **state)
{
    struct pf_err err = {0};
    (void)state;
    (void)snprintf(base, sizeof base, "/tmp/pf-transfer.XXXXXX");
    assert_non_null(mkdtemp(base));
    if (zks_create(1, &server, &err) < 0 || zks_start(server, &err) < 0) {
        print_error("%s\n", err.msg);
        return -1;
    }
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    zks_destroy(server);
    return pf_remove_tree(base, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_broken_off_at_each_step),
        cmocka_unit_test(test_export_broken_off_at_each_step),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_other_registries_are_left_alone),
        cmocka_unit_test(test_running_masters_are_not_disturbed),
        cmocka_unit_test(test_import_that_comes_second),
        cmocka_unit_test(test_import_that_is_given_again_comes_second),
        cmocka_unit_test(test_export_that_meets_a_leader),
        cmocka_unit_test(test_bad_dumps_name_the_line),
        cmocka_unit_test(test_bad_headers_and_files),
        cmocka_unit_test(test_places_without_a_registry),
        cmocka_unit_test(test_rows_that_zookeeper_cannot_hold),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
