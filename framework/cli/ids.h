/* SPDX-License-Identifier: Apache-2.0 */
/* What the user calls something: a whole id or the beginning of one, a name, FRAMEWORK/TASK,
 * `last`, and with a trailing * several things at once. */
#ifndef PF_FRAMEWORK_CLI_IDS_H
#define PF_FRAMEWORK_CLI_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include "framework/cli/cli.h"
#include "framework/cli/client.h"

struct pf_entity {
    enum EntityKind kind;
    struct pf_str id, name, framework_id, state;
};

struct pf_entities {
    struct pf_entity *at; /* in the command's arena */
    uint32_t n;
};

/* Of what was found, what `text` means: all of it for a trailing *, else the one with that very id,
 * else the one with that very name, else the only one. False: ambiguous (or nothing); then `out` is
 * untouched. Pure. */
bool pf_ids_choose(const char *text, const struct pf_entities *found, struct pf_entities *out);

/* Asks the master what `text` means among `kinds`. 0; or the exit status, the error (with the
 * candidates) is printed. `text` may be `last`. */
int pf_ids_resolve(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                   const char *text, const enum EntityKind *kinds, uint32_t n_kinds,
                   struct pf_entities *out);
/* The kinds of entities that begin with `text`; for completion. */
int pf_ids_find(struct pf_client *c, const char *text, const enum EntityKind *kinds,
                uint32_t n_kinds, struct pf_arena *arena, struct pf_entities *out, bool *out_more,
                struct pf_err *err);

/* The framework id of the last `run` of this user, NULL if none is known; and setting it. */
const char *pf_last_run(struct pf_cli *cli);
void pf_last_run_set(struct pf_cli *cli, const char *framework_id);

/* "task", "agent", ... */
const char *pf_entity_word(enum EntityKind kind);

#endif
