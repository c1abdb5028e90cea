/* SPDX-License-Identifier: Apache-2.0 */
/* The private ZooKeeper servers of a local cluster: how they are configured, started and asked
 * whether they serve. */
#ifndef PF_FRAMEWORK_CLI_ZKSERVER_H
#define PF_FRAMEWORK_CLI_ZKSERVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "framework/cli/spawn.h"

#define PF_ZK_USER "proffer"
#define PF_ZK_PATH "/proffer"

/* What a server listens at. */
struct pf_zk_ports {
    uint16_t client, quorum, election; /* the last two: with other servers only */
    char host[16];                     /* "" = 127.0.0.1 */
};

/* The java of JAVA_HOME, else the first of PATH, in the arena; NULL: there is none. */
const char *pf_zk_java(const char *(*env)(const char *name), struct pf_arena *arena);
/* PF_ENOENT: Debian's ZooKeeper is not installed; PF_EINVAL: it could not use a directory of that
 * name. `*out_hint` says what to do. */
PF_MUST_USE int pf_zk_check(const char *java, const char *dir, const char **out_hint,
                            struct pf_err *err);
/* zoo.cfg of server `i` of `n`, whose directory is `dir`. */
const char *pf_zk_config(const char *dir, const struct pf_zk_ports *at, uint32_t n, uint32_t i,
                         struct pf_arena *arena);
/* The --zk of the masters, with the password in it. */
const char *pf_zk_url(const char *password, const struct pf_zk_ports *at, uint32_t n,
                      struct pf_arena *arena);
/* The heap that a registry of so many agents needs: it is held about four times (the tree, the
 * latest proposals, a snapshot being written). */
uint32_t pf_zk_heap_mib(uint32_t n_agents);
/* The command line of a server that reads DIR/zoo.cfg. */
void pf_zk_command(const char *java, const char *dir, uint32_t heap_mib, struct pf_arena *arena,
                   struct pf_spawn_args *out);
/* Does a server that answers "srvr" so serve? With others it does once they have a leader. */
bool pf_zk_is_serving(struct pf_str answer);
/* The IPv4 address of its client port. */
struct sockaddr_in pf_zk_address(const char *host, uint16_t port);
/* Asks the one at that address and waits for its answer: does it serve? */
bool pf_zk_serves(const char *host, uint16_t client_port, int timeout_ms);

#endif
