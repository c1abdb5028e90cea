/* SPDX-License-Identifier: Apache-2.0 */
/* Many agents in one process: N real agent cores, each with its own identity, memory store and link
 * to the leading master, above one fake launcher. A fake process runs as long as the `sleep`s of
 * its command say (else it ends at once) with the status of its `exit N`, or by the signal it is
 * sent. What readers ask of its output is empty and at its end. */
#ifndef PF_AGENT_DAEMON_SIMULATION_H
#define PF_AGENT_DAEMON_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/resources.h"
#include "common/base/str.h"
#include "common/link/key.h"
#include "common/net/loop.h"
#include "common/net/peer.h"

struct pf_simulation;

/* Copied, but for the key (borrowed while the simulation lives). Texts may be NULL = empty. */
struct pf_simulation_options {
    uint32_t n_agents;
    const struct pf_str *master; /* "host:port"; more are learnt from them */
    uint32_t n_masters;
    const char *listen;     /* one address for all, "" = none */
    const struct pf_key *key;
    const char *cluster;
    const struct pf_resources *resources; /* of each; NULL = PF_SIMULATION_RESOURCES */
    const char *attributes; /* of each, besides "sim:true;rack:r<i % 10>" */
    const char *hostname;   /* prefix of theirs; "" = "sim" */
    const char *http_address; /* told of each, "" = none */
    const char *task_user;
    bool allow_any_user;
    uint64_t seed;          /* 0: a random one, so that no two runs share identities */
    /* May be NULL: every agent was registered at the same time, the first time. */
    void (*on_ready)(void *ctx);
    void *ctx;
};

#define PF_SIMULATION_RESOURCES "cpus:8;mem:16384;disk:65536;ports:[31000-32000]"

/* The links are made in later turns, spread over time. Fails only as pf_net_listen does. */
PF_MUST_USE int pf_simulation_create(struct pf_loop *loop,
                                     const struct pf_simulation_options *options,
                                     struct pf_simulation **out, struct pf_err *err);
void pf_simulation_destroy(struct pf_simulation *s);
/* Where it listens, "" = nowhere. */
const char *pf_simulation_address(const struct pf_simulation *s);
const struct pf_net *pf_simulation_net(const struct pf_simulation *s); /* for its counters */

struct pf_simulation_stats {
    uint32_t n_agents, n_linked, n_registered; /* now */
    uint32_t n_processes;                      /* now */
    uint64_t started, ended, signals;
    uint64_t connects, reads, bad_messages;
};
void pf_simulation_stats(const struct pf_simulation *s, struct pf_simulation_stats *out);
void pf_simulation_check(const struct pf_simulation *s);

/* How long the command (argv) would run, and the status it would end with. Exposed for its test. */
struct pf_fake_run {
    int64_t run_ms;
    int status; /* of exit */
};
struct pf_fake_run pf_fake_run_of(const struct pf_str *args, uint32_t n_args);

#endif
