/* SPDX-License-Identifier: Apache-2.0 */
/* What lmdb.c (batches), lmdb_open.c (opening a directory) and lmdb_verify.c share. Included by
 * those only. */
#ifndef PF_COMMON_STORE_LMDB_INTERNAL_H
#define PF_COMMON_STORE_LMDB_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include "common/store/store.h"

enum { LMDB_BALLAST_BYTES = 16 << 20 };

/* All is in the one unnamed database: the first byte of a key is the table, 0 = our stamp. */
struct lmdb_store {
    struct pf_store base;
    char *dir, *data_path, *lock_path, *readers_path, *ballast_path;
    bool no_sync;
    int lock_fd, wake_fd;
    MDB_env *env;
    MDB_dbi dbi;
    size_t map_bytes;
    bool has_ballast;

    /* of the caller's thread */
    bool has_thread, in_flight;
    pthread_t thread;

    /* under `mutex` */
    pthread_mutex_t mutex;
    pthread_cond_t work; /* a job, or stop */
    const struct pf_batch *job;
    uint64_t done; /* number not yet collected */
    bool stop;
    struct pf_err failure; /* code 0: none; sticky */
    struct pf_store_stats stats;
};

/* The error of LMDB's return code `rc` while `doing`, always naming the data file. */
int lmdb_err_set(const struct lmdb_store *s, struct pf_err *err, int rc, const char *doing);

/* Whether `rc` means that; LMDB reports a write that the disk took only in part as EIO. */
bool lmdb_disk_is_full(const struct lmdb_store *s, int rc);

/* The map and the file grow together: a file that is shorter than its pages was cut. */
int lmdb_set_map(struct lmdb_store *s, size_t bytes); /* 0, an errno or MDB_* */

/* Is the file as long as its newest commit says? Of an open environment. */
int lmdb_check_length(const struct lmdb_store *s, uint64_t *out_bytes, struct pf_err *err);
/* Reads the whole file in a child process. PF_EPROTO: it is damaged. */
int lmdb_verify(struct lmdb_store *s, struct pf_err *err);

int lmdb_dir_open(struct lmdb_store *s, const struct pf_store_lmdb_options *o,
                  struct pf_err *err);
void lmdb_dir_close(struct lmdb_store *s);

#endif
