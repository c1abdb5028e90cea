/* SPDX-License-Identifier: Apache-2.0 */
/* Real ZooKeeper servers for tests: Debian's, started directly, with ports of the system's choice
 * and data under a directory of their own. They end with the test, whatever way that ends. */
#ifndef PF_TESTS_SUPPORT_ZK_SERVER_H
#define PF_TESTS_SUPPORT_ZK_SERVER_H

#include <stdint.h>
#include "common/base/err.h"

#define ZKS_MAX 3

struct zks;

/* 1 or 3 servers, not started yet. PF_ENOENT: ZooKeeper or java is not installed. */
PF_MUST_USE int zks_create(uint32_t n, struct zks **out, struct pf_err *err);
/* Starts all that do not run and waits until each is ready; picks other ports if one is taken. */
PF_MUST_USE int zks_start(struct zks *z, struct pf_err *err);
/* Kills them, waits for them, removes their data. NULL is fine. */
void zks_destroy(struct zks *z);

/* "127.0.0.1:1234,127.0.0.1:1235"; may change only in the first zks_start(). */
const char *zks_hosts(const struct zks *z);
const char *zks_address(const struct zks *z, uint32_t i);
/* The server at "127.0.0.1:1234"; -1 = none of them. */
int zks_find(const struct zks *z, const char *address);
/* Of servers that are started from now on; 64 before. */
void zks_set_heap(struct zks *z, uint32_t mib);
/* Of the process; 0 = does not run. */
int64_t zks_pid(const struct zks *z, uint32_t i);
/* Index of the one that leads; -1 = none does now. */
int zks_leader(const struct zks *z);

void zks_kill(struct zks *z, uint32_t i); /* SIGKILL; waits for its end */
void zks_stop(struct zks *z, uint32_t i); /* SIGSTOP */
void zks_cont(struct zks *z, uint32_t i);
void zks_launch(struct zks *z, uint32_t i); /* does not wait until it is ready */
/* Waits until server `i` says that it serves. */
PF_MUST_USE int zks_wait(struct zks *z, uint32_t i, struct pf_err *err);

#endif
