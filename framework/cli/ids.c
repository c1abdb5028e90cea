/* SPDX-License-Identifier: Apache-2.0 */
/* From what the user calls something to its id. */
#include "framework/cli/ids.h"

#include <string.h>
#include "common/base/limits.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"

enum { CANDIDATES_SHOWN = 6 };

const char *pf_entity_word(enum EntityKind kind)
{
    switch (kind) {
    case EntityKind_AGENT: return "agent";
    case EntityKind_FRAMEWORK: return "framework";
    case EntityKind_TASK: return "task";
    case EntityKind_OFFER: return "offer";
    case EntityKind_MASTER: return "master";
    case EntityKind_UNKNOWN: break;
    }
    return "thing";
}

static bool has_star(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && text[len - 1] == '*';
}

/* Does the user's text name it completely? "FRAMEWORK/TASK" names a task. */
static bool is_exactly(const struct pf_entity *e, const char *text)
{
    if (pf_str_is(e->id, text)) {
        return true;
    }
    const char *slash = strchr(text, '/');
    return slash != NULL && e->kind == EntityKind_TASK && pf_str_is(e->id, slash + 1) &&
           pf_str_eq(e->framework_id, (struct pf_str){text, (uint32_t)(slash - text)});
}

/* A framework and a task of it that goes by the same name or id: then the framework is meant. */
static bool belong(const struct pf_entity *a, const struct pf_entity *b)
{
    const struct pf_entity *fw = a->kind == EntityKind_FRAMEWORK ? a : b;
    const struct pf_entity *task = fw == a ? b : a;

    return fw->kind == EntityKind_FRAMEWORK && task->kind == EntityKind_TASK &&
           (pf_str_eq(task->framework_id, fw->id) || pf_str_eq(task->id, fw->id));
}

bool pf_ids_choose(const char *text, const struct pf_entities *found, struct pf_entities *out)
{
    if (found->n == 0) {
        return false;
    }
    if (has_star(text) || found->n == 1) {
        *out = *found;
        return true;
    }
    for (int by_name = 0; by_name < 2; by_name++) {
        struct pf_entity *only = NULL;
        uint32_t n = 0;
        for (uint32_t i = 0; i < found->n; i++) {
            struct pf_entity *e = &found->at[i];
            if (by_name != 0 ? pf_str_is(e->name, text) : is_exactly(e, text)) {
                n += only == NULL || !belong(only, e) ? 1 : 0;
                only = only == NULL || e->kind == EntityKind_FRAMEWORK ? e : only;
            }
        }
        if (n > 0) {
            if (n == 1) {
                *out = (struct pf_entities){only, 1};
            }
            return n == 1;
        }
    }
    return false;
}

int pf_ids_find(struct pf_client *c, const char *text, const enum EntityKind *kinds,
                uint32_t n_kinds, struct pf_arena *arena, struct pf_entities *out, bool *out_more,
                struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(c);
    struct Master_Call_Find__args find = {
        .text = pf_str(text), .kinds = {kinds, n_kinds}, .limit = PF_PAGE_MAX};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_FIND),
                                     .find = Master_Call_Find__put(b, &find)};
    struct Master_Response r;
    int rc = pf_client_ask(c, &call, &r, err);
    if (rc == PF_ENOENT) { /* a master may say so instead of sending an empty list */
        pf_err_clear(err);
        *out = (struct pf_entities){0};
        *out_more = false;
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    struct Master_Response_Find reply = Master_Response_find(r);
    uint32_t n = Master_Response_Find_matches__len(reply);
    struct pf_entities found = {pf_arena_zalloc(arena, (n + 1) * sizeof *found.at), n};
    for (uint32_t i = 0; i < n; i++) {
        struct Match m = Master_Response_Find_matches__at(reply, i);
        found.at[i] = (struct pf_entity){
            .kind = Match_kind(m),
            .id = pf_arena_strdup(arena, Match_id(m)),
            .name = pf_arena_strdup(arena, Match_name(m)),
            .framework_id = pf_arena_strdup(arena, Match_framework_id(m)),
            .state = pf_arena_strdup(arena, Match_state(m)),
        };
    }
    *out = found;
    *out_more = Master_Response_Find_more(reply);
    return 0;
}

static int fail_with_id(struct pf_cli *cli, const char *what, const char *to_do)
{
    int ours = cli->args.cmd->usage_exit;
    return pf_cli_fail(cli, ours != 0 ? ours : PF_EXIT_ID, what, to_do);
}

static int ambiguous(struct pf_cli *cli, const char *text, const struct pf_entities *found,
                     bool more)
{
    const char *what = pf_cli_text(cli, "'%s' may mean", text);
    for (uint32_t i = 0; i < found->n && i < CANDIDATES_SHOWN; i++) {
        const struct pf_entity *e = &found->at[i];
        what = pf_cli_text(cli, "%s%s %s %.*s", what, i > 0 ? "," : "", pf_entity_word(e->kind),
                           PF_STR_ARG(e->id));
        if (e->kind == EntityKind_TASK && e->framework_id.len > 0) {
            what = pf_cli_text(cli, "%s of %.*s", what, PF_STR_ARG(e->framework_id));
        }
    }
    if (more || found->n > CANDIDATES_SHOWN) {
        what = pf_cli_text(cli, "%s and others", what);
    }
    return fail_with_id(cli, what,
                        "write more of the id, or FRAMEWORK/TASK, or a * at its end "
                        "for all of them");
}

int pf_ids_resolve(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                   const char *text, const enum EntityKind *kinds, uint32_t n_kinds,
                   struct pf_entities *out)
{
    struct pf_entities found = {0};
    struct pf_err err = {0};
    bool more = false;
    const char *typed = text;
    if (strcmp(text, "last") == 0) {
        text = pf_last_run(cli);
        if (text == NULL) {
            return fail_with_id(cli, "nothing was run from here yet, so there is no 'last'",
                                "proffer ps lists what runs");
        }
    }
    if (text[0] == '\0') {
        return fail_with_id(cli, "an id is empty", "proffer ps lists the ids");
    }
    if (pf_ids_find(c, text, kinds, n_kinds, &cli->arena, &found, &more, &err) != 0) {
        return pf_client_fail(cli, cluster, &err);
    }
    if (pf_ids_choose(text, &found, out)) {
        return 0;
    }
    if (found.n > 0) {
        return ambiguous(cli, text, &found, more);
    }
    const char *word = n_kinds == 1 ? pf_entity_word(kinds[0]) : "task, framework or agent";
    return fail_with_id(
        cli, pf_cli_text(cli, "there is no %s '%s' in the cluster %s", word, typed, cluster->name),
        n_kinds == 1 ? pf_cli_text(cli, "proffer %ss lists them", word)
                     : "proffer ps, frameworks and agents list them");
}

static const char *last_run_path(struct pf_cli *cli)
{
    const char *root = pf_local_state_root(cli->env, &cli->arena);
    return root != NULL ? pf_local_path(&cli->arena, root, "last-run") : NULL;
}

const char *pf_last_run(struct pf_cli *cli)
{
    struct pf_buf text = {0};
    const char *path = last_run_path(cli), *id = NULL;
    if (path != NULL && pf_file_read(path, PF_ID_MAX + 1, &text, NULL) == 0) {
        const char *line = pf_buf_cstr(&text);
        uint32_t len = (uint32_t)strcspn(line, "\n");
        id = len > 0 ? pf_arena_strdup(&cli->arena, (struct pf_str){line, len}).at : NULL;
    }
    pf_buf_fini(&text);
    return id;
}

void pf_last_run_set(struct pf_cli *cli, const char *framework_id)
{
    const char *root = pf_local_state_root(cli->env, &cli->arena);
    if (root == NULL || pf_mkdir_p(root, 0700, NULL) != 0) {
        return; /* a convenience: `last` is then not known */
    }
    const char *line = pf_cli_text(cli, "%s\n", framework_id);
    (void)!pf_file_write(last_run_path(cli), line, strlen(line), 0600, NULL);
}
