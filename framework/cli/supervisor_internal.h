/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the supervisor share; for supervisor*.c only. */
#ifndef PF_FRAMEWORK_CLI_SUPERVISOR_INTERNAL_H
#define PF_FRAMEWORK_CLI_SUPERVISOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/buf.h"
#include "common/net/loop.h"
#include "framework/cli/hosts.h"
#include "framework/cli/ports.h"
#include "framework/cli/spawn.h"
#include "framework/cli/supervise.h"
#include "framework/cli/supervisor.h"
#include "framework/cli/zkserver.h"

struct pf_supervisor;

struct pf_daemon {
    struct pf_supervisor *owner;
    uint32_t index;
    uint32_t agent_i, zk_i; /* which agent, which ZooKeeper server */
    uint32_t n_fake;        /* simulated agents in it */
    char *name;             /* "zk1", "master", "master2", "agent-0", "fake-agents" */
    char *work_dir, *log;
    char *native, *http;    /* where to listen; where it listens, once it said so */
    char *behind;           /* where a master listens whose native address is a relay's */
    bool is_relay;
    struct pf_host host;    /* its own; name "" = none */
    char *last_end;
    pid_t pid, cleaner_pid; /* 0 = none */
    int ready_fd;           /* of its pipe, or to ask a ZooKeeper server; -1 = none */
    struct pf_timer *probe; /* of a ZooKeeper server: when to ask again */
    int32_t probe_ms;
    struct pf_watch *watch;
    struct pf_buf line;
    int64_t since_ms;       /* of its present state */
};

struct pf_supervisor {
    const struct pf_supervisor_options *options;
    struct pf_arena *arena;
    const char **out_hint;
    struct pf_err *err;
    struct pf_sup sup;
    struct pf_sup_child *child;
    struct pf_daemon *daemon; /* as child */
    uint32_t n, n_zk, n_masters; /* ZooKeeper servers first, then masters, then agents */
    struct pf_zk_ports zk[PF_SHAPE_ZK_MAX];
    struct pf_port_picker ports;
    struct pf_hosts_net hosts; /* of --hosts */
    uint16_t relay_zk[PF_SHAPE_MASTERS_MAX][PF_SHAPE_ZK_MAX]; /* ports of the relays */
    const char *java, *zk_conf, *zk_password; /* in the arena; NULL without ZooKeeper */
    struct pf_shape_machine machine;
    struct pf_loop *loop;
    struct pf_timer *timer;
    struct pf_ptrs unstarted, uncleaned;
    int log_fd;
    bool was_up, failed;
    int rc;
    int64_t since_ms;
};

/* Makes directories and the key, chooses addresses, fills the daemons. */
PF_MUST_USE int pf_supervisor_prepare(struct pf_supervisor *s, struct pf_err *err);
void pf_supervisor_release(struct pf_supervisor *s);
/* The command line of a daemon. */
void pf_supervisor_args(struct pf_supervisor *s, struct pf_daemon *d, struct pf_arena *arena,
                        struct pf_spawn_args *out);
void pf_stop_launcher_args(const char *bin_dir, const char *work_dir, struct pf_arena *arena,
                           struct pf_spawn_args *out);
/* Files and ports of the ZooKeeper servers. */
PF_MUST_USE int pf_supervisor_prepare_zk(struct pf_supervisor *s, struct pf_err *err);
/* Puts relays before the masters and the ZooKeeper servers, which have their addresses. */
PF_MUST_USE int pf_supervisor_add_relay(struct pf_supervisor *s, struct pf_daemon *d,
                                        struct pf_err *err);
void pf_supervisor_relay_args(struct pf_supervisor *s, struct pf_daemon *d, struct pf_arena *arena,
                              struct pf_spawn_args *out);
/* Makes the network of --hosts or removes one that a killed supervisor left; then a host for each
 * daemon, with its addresses. */
PF_MUST_USE int pf_supervisor_begin_hosts(struct pf_supervisor *s, struct LocalCluster before,
                                          struct pf_err *err);
PF_MUST_USE int pf_supervisor_make_hosts(struct pf_supervisor *s, struct pf_err *err);
void pf_supervisor_end_hosts(struct pf_supervisor *s);
/* The file with the --zk of a master; NULL without ZooKeeper. */
const char *pf_supervisor_zk_conf(struct pf_supervisor *s, uint32_t master_i,
                                  struct pf_arena *arena);
/* Asks a server that was started until it serves, then tells pf_supervisor_daemon_ready(). */
void pf_supervisor_probe(struct pf_daemon *d);
void pf_supervisor_daemon_ready(struct pf_daemon *d);
/* Ends its pipe, or the question. */
void pf_supervisor_close_pipe(struct pf_daemon *d);
/* A line in the supervisor's log. */
void pf_supervisor_log(struct pf_supervisor *s, const char *fmt, ...) PF_PRINTF(2, 3);

#endif
