/* SPDX-License-Identifier: Apache-2.0 */
/* Local clusters on disk: where they stand, what their directories hold.
 *
 *   STATE/last           directory of the cluster last started
 *   STATE/NAME/          a cluster of `up` without --dir; STATE = $XDG_STATE_HOME/proffer
 *   DIR/cluster.json     what runs (local_schema.fbs), replaced as a whole by the supervisor
 *   DIR/key              mode 0600
 *   DIR/lock             locked by the supervisor while it lives
 *   DIR/master, agent-I  work directories (several masters: master1, ...; ZooKeeper: zk1, ...)
 *   DIR/zk.password, zk.conf  of the private ZooKeeper, mode 0600; the latter for the masters
 *   DIR/log/             what the daemons say */
#ifndef PF_FRAMEWORK_CLI_LOCAL_H
#define PF_FRAMEWORK_CLI_LOCAL_H

#include <stdbool.h>
#include <sys/types.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/fb/fb.h"
#include "framework/cli/local_schema.h"

/* $XDG_STATE_HOME/proffer, or ~/.local/state/proffer; NULL when the environment names neither. */
const char *pf_local_state_root(const char *(*env)(const char *name), struct pf_arena *arena);
/* "DIR/name". */
const char *pf_local_path(struct pf_arena *arena, const char *dir, const char *name);
/* The absolute form of a directory that may not exist yet. */
const char *pf_local_absolute(struct pf_arena *arena, const char *dir);
/* Reads DIR/cluster.json into the arena. PF_ENOENT: no cluster was ever started there. */
PF_MUST_USE int pf_local_read(const char *dir, struct pf_arena *arena, struct LocalCluster *out,
                              struct pf_err *err);
/* Replaces it. */
PF_MUST_USE int pf_local_write(const char *dir, struct pf_msg cluster, struct pf_err *err);
/* Every daemon is ready. */
bool pf_local_is_whole(struct LocalCluster c);
/* Waits until it is so, and no daemon that is called ready has died meanwhile. PF_ETIMEOUT. */
PF_MUST_USE int pf_local_wait_whole(const char *dir, int64_t timeout_ms, struct pf_arena *arena,
                                    struct LocalCluster *out, struct pf_err *err);
enum pf_local_kind { PF_LOCAL_ZOOKEEPER, PF_LOCAL_MASTER, PF_LOCAL_AGENT, PF_LOCAL_RELAY };
/* What a daemon is, by its name. */
enum pf_local_kind pf_local_kind(struct LocalDaemon d);
/* How many agents it is: simulated ones are several. */
uint32_t pf_local_agents(struct LocalDaemon d);
/* Its masters' native addresses as "host:port,...", in the arena; "" if none is known. */
const char *pf_local_masters(struct pf_arena *arena, struct LocalCluster cluster);

/* The directory in STATE/last, NULL if there is none. */
const char *pf_local_last(const char *state_root, struct pf_arena *arena);
PF_MUST_USE int pf_local_set_last(const char *state_root, const char *dir, struct pf_err *err);
/* Forgets it if it names `dir`. */
void pf_local_forget_last(const char *state_root, const char *dir);
/* The directory of a local cluster one of whose masters listens at one of `masters`, or NULL: where
 * a key for them may be found. */
const char *pf_local_find_by_master(const char *state_root, const char *masters,
                                    struct pf_arena *arena);

/* Who holds DIR/lock (the supervisor took it with pf_file_lock); 0 = nobody. */
pid_t pf_local_holder(const char *dir);
/* Waits for a process that is not our child. False: it still lives. */
bool pf_local_wait_gone(int pidfd, int timeout_ms);
/* Ends a daemon whose supervisor is dead and returns when it is gone. */
void pf_local_end_daemon(struct LocalDaemon daemon);

#endif
