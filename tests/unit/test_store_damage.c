/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that lost or mixed up what it held: each page of the file in turn is overwritten. Opening
 * says so in a line, or the store works on; it never takes the process along. */
#include "common/base/rng.h"
#include "tests/support/store.h"

enum { PAGE = 4096, N_ROWS = 400, SEED = 20260707 };

struct image {
    uint8_t *bytes;
    size_t len;
};

static void path_of(const struct fixture *f, char out[96])
{
    (void)snprintf(out, 96, "%s/data.mdb", f->dir);
}

static struct image image_read(const struct fixture *f)
{
    char path[96];
    struct image i;

    path_of(f, path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    i.len = (size_t)ftell(file);
    i.bytes = pf_alloc(i.len);
    rewind(file);
    assert_int_equal(fread(i.bytes, 1, i.len, file), i.len);
    assert_int_equal(fclose(file), 0);
    return i;
}

static void image_write(const struct fixture *f, const struct image *i)
{
    char path[96];

    path_of(f, path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(i->bytes, 1, i->len, file), i->len);
    assert_int_equal(fclose(file), 0);
}

/* Several levels of pages, long rows, a list of free pages. */
static void fill(struct fixture *f)
{
    char *longer = pf_alloc(20001);

    memset(longer, 'x', 20000);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N_ROWS; i++) {
            char key[64];
            (void)snprintf(key, sizeof key, "%048d", i * 7919 % N_ROWS);
            put(f, (uint8_t)(1 + i % 3), key,
                i % 50 == 0 ? longer : "some row that takes as much room as a small task would");
        }
        commit(f);
    }
    for (int i = 0; i < N_ROWS; i += 5) {
        char key[64];
        (void)snprintf(key, sizeof key, "%048d", i * 7919 % N_ROWS);
        del(f, (uint8_t)(1 + i % 3), key);
    }
    commit(f);
    put(f, 1, "last", "one");
    commit(f);
    pf_free(longer);
}

static int ignore_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    (void)ctx;
    (void)table;
    (void)key;
    (void)row;
    return 0;
}

/* Opens what there is now. True: it was refused, by a line that names the file. */
static bool is_refused(struct fixture *f)
{
    struct pf_err err = {0};

    f->store = NULL;
    const struct pf_store_lmdb_options o = {
        .dir = f->dir, .kind = "test", .level = 3, .no_sync = true};
    int rc = pf_store_lmdb_open(&o, &f->store, &err);
    if (rc < 0) {
        assert_true(rc == PF_EPROTO || rc == PF_EVERSION || rc == PF_EINVAL || rc == PF_EIO);
        if (strstr(err.msg, f->dir) == NULL) {
            fail_msg("'%s' does not name the file", err.msg);
        }
        return true;
    }
    f->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    f->next_number = 1;
    assert_int_equal(pf_store_load(f->store, ignore_row, NULL, NULL), 0);
    for (int i = 0; i < 50; i++) { /* uses free pages, frees others */
        char key[64];
        (void)snprintf(key, sizeof key, "%048d", i * 31);
        put(f, 2, key, "changed after the damage");
        del(f, 1, key);
        if (i % 10 == 9) {
            commit(f);
        }
    }
    close_store(f);
    return false;
}

static void test_store_sound_file_is_taken(void **state)
{
    struct fixture *f = *state;

    fill(f);
    close_store(f);
    assert_false(is_refused(f));
    assert_false(is_refused(f));
}

/* `how`: 0 random bytes, 1 zeros, 2 the content of another page. */
static void page_spoil(struct pf_rng *rng, struct image *i, size_t page, int how)
{
    uint8_t *at = i->bytes + page * PAGE;

    if (how == 0) {
        for (size_t k = 0; k < PAGE; k++) {
            at[k] = (uint8_t)pf_rng_next(rng);
        }
    } else if (how == 1) {
        memset(at, 0, PAGE);
    } else {
        memmove(at, i->bytes + pf_rng_below(rng, i->len / PAGE) * PAGE, PAGE);
    }
}

static void test_store_each_page_overwritten(void **state)
{
    struct fixture *f = *state;
    uint32_t n_refused = 0;
    uint32_t n = 0;
    struct pf_rng rng;

    pf_rng_seed(&rng, SEED);
    fill(f);
    close_store(f);
    struct image sound = image_read(f);
    struct image spoilt = {pf_alloc(sound.len), sound.len};
    size_t used = sound.len / PAGE;
    while (used > 2 && sound.bytes[(used - 1) * PAGE + 10] == 0 &&
           sound.bytes[(used - 1) * PAGE + 12] == 0) {
        used--; /* never written */
    }
    for (size_t page = 0; page < used; page++) {
        for (int how = 0; how < 3; how++) {
            memcpy(spoilt.bytes, sound.bytes, sound.len);
            page_spoil(&rng, &spoilt, page, how);
            image_write(f, &spoilt);
            n_refused += is_refused(f) ? 1 : 0;
            n++;
        }
    }
    print_message("%u of %u pages refused, seed %d\n", n_refused, n, SEED);
    assert_true(n > 30);
    assert_true(n_refused > 30); /* the others are free, or the inside of a long row */
    image_write(f, &sound);
    assert_false(is_refused(f));
    pf_free(sound.bytes);
    pf_free(spoilt.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_store_sound_file_is_taken, setup_lmdb, teardown),
        cmocka_unit_test_setup_teardown(test_store_each_page_overwritten, setup_lmdb, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
