/* SPDX-License-Identifier: Apache-2.0 */
/* Which cluster a command is for. The first of these that is said decides, and nothing else is
 * tried when it turns out to be dead: --master, --cluster or --dir (two of them: wrong usage),
 * PROFFER_MASTER, PROFFER_DIR, the local cluster last started, 127.0.0.1:5055. */
#ifndef PF_FRAMEWORK_CLI_CLUSTER_H
#define PF_FRAMEWORK_CLI_CLUSTER_H

#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "framework/cli/cli.h"

#define PF_CLUSTER_DEFAULT "127.0.0.1:5055"

enum pf_cluster_source {
    PF_CLUSTER_BY_MASTER_FLAG,
    PF_CLUSTER_BY_CLUSTER_FLAG,
    PF_CLUSTER_BY_DIR_FLAG,
    PF_CLUSTER_BY_MASTER_ENV,
    PF_CLUSTER_BY_DIR_ENV,
    PF_CLUSTER_BY_LAST,
    PF_CLUSTER_BY_DEFAULT,
};

/* What was said; NULL = was not. Empty texts count as not said. */
struct pf_cluster_ask {
    const char *master, *cluster, *dir, *key_file;       /* flags */
    const char *env_master, *env_dir, *env_key_file;     /* PROFFER_* */
    const char *state_root;                              /* of local clusters */
    const char *config_file;                             /* that names clusters */
};

struct pf_cluster {
    enum pf_cluster_source source;
    const char *name;     /* for people: a name, or the addresses */
    const char *masters;  /* host:port,... */
    const char *dir;      /* of a local cluster, NULL = not known to be one */
    const char *key_file; /* NULL = none */
    bool is_down;         /* a local one that was taken down: its port may be another's by now */
    bool key_is_named;    /* by the user: then it must be readable */
};

/* PF_EUSAGE: two flags, or a bad address; PF_ENOENT: there is no such cluster; PF_EIO, PF_EPROTO:
 * its files cannot be read. `*out_hint` says what to do. Results live in the arena or are borrowed
 * from `ask`. */
PF_MUST_USE int pf_cluster_choose(const struct pf_cluster_ask *ask, struct pf_arena *arena,
                                  struct pf_cluster *out, const char **out_hint,
                                  struct pf_err *err);
/* What the flags of the command (if it has them) and the environment say. */
struct pf_cluster_ask pf_cluster_ask_of(struct pf_cli *cli);
/* Both, with the error printed: 0, or the exit status. */
int pf_cluster_of(struct pf_cli *cli, struct pf_cluster *out);

/* A cluster of the config file, whose sections look like
 *   [prod]
 *   master = h1:5055,h2:5055      (or dir = DIR)
 *   key-file = /etc/proffer/key
 * PF_ENOENT: none of that name (or no file). PF_EINVAL with the line. */
PF_MUST_USE int pf_cluster_config_find(const char *text, const char *name, struct pf_arena *arena,
                                       const char **out_master, const char **out_dir,
                                       const char **out_key_file, struct pf_err *err);

#endif
