/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a cluster. */
#include "framework/cli/cluster.h"

#include <string.h>
#include <sys/stat.h>
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "framework/cli/local.h"

enum { CONFIG_MAX_BYTES = 256 * 1024 };

struct chooser {
    const struct pf_cluster_ask *ask;
    struct pf_arena *arena;
    struct pf_cluster *out;
    const char **out_hint;
    struct pf_err *err;
};

static bool said(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* The list with every port said, or NULL. */
static const char *check_masters(struct chooser *c, const char *list)
{
    const char *whole = "";
    for (const char *at = list;;) {
        uint32_t len = (uint32_t)strcspn(at, ",");
        struct pf_hostport hp;
        struct pf_err why = {0};
        char text[PF_FORMAT_HOSTPORT_MAX];
        if (pf_parse_hostport((struct pf_str){at, len}, 5055, &hp, &why) != 0) {
            *c->out_hint = "addresses of masters look like this: 10.0.0.1:5055,10.0.0.2:5055";
            (void)pf_err_set(c->err, PF_EUSAGE, "%s", why.msg);
            return NULL;
        }
        pf_format_hostport(&hp, text);
        whole = pf_arena_printf(c->arena, "%s%s%s", whole, whole[0] != '\0' ? "," : "", text).at;
        if (at[len] == '\0') {
            return whole;
        }
        at += len + 1;
    }
}

/* --key-file and its like beat the file that stands in a local cluster's directory. */
static void choose_key(struct chooser *c)
{
    struct stat st;
    if (said(c->ask->key_file)) {
        c->out->key_file = c->ask->key_file;
        c->out->key_is_named = true;
    } else if (said(c->ask->env_key_file)) {
        c->out->key_file = c->ask->env_key_file;
        c->out->key_is_named = true;
    } else if (c->out->key_file == NULL && c->out->dir != NULL) {
        const char *path = pf_local_path(c->arena, c->out->dir, "key");
        c->out->key_file = stat(path, &st) == 0 ? path : NULL;
    }
}

static int by_masters(struct chooser *c, enum pf_cluster_source source, const char *list)
{
    const char *masters = check_masters(c, list);
    if (masters == NULL) {
        return PF_EUSAGE;
    }
    *c->out = (struct pf_cluster){.source = source, .name = list, .masters = masters};
    if (c->ask->state_root != NULL) {
        c->out->dir = pf_local_find_by_master(c->ask->state_root, masters, c->arena);
    }
    struct LocalCluster local;
    if (c->out->dir != NULL && pf_local_read(c->out->dir, c->arena, &local, NULL) == 0 &&
        LocalCluster_name(local).len > 0) {
        c->out->name = LocalCluster_name(local).at;
    }
    choose_key(c);
    return 0;
}

static int by_dir(struct chooser *c, enum pf_cluster_source source, const char *dir)
{
    struct LocalCluster local;
    dir = pf_local_absolute(c->arena, dir);
    int rc = pf_local_read(dir, c->arena, &local, c->err);
    if (rc == PF_ENOENT) {
        *c->out_hint = pf_arena_printf(c->arena, "start one: proffer up --dir %s", dir).at;
        return rc;
    }
    if (rc != 0) {
        *c->out_hint = rc == PF_EACCESS ? "use it as the user who started it, or say --master"
                                        : "look at that file; 'proffer up' writes a new one";
        return rc;
    }
    struct pf_str name = LocalCluster_name(local);
    *c->out = (struct pf_cluster){
        .source = source,
        .name = name.len > 0 ? name.at : dir,
        .masters = pf_local_masters(c->arena, local),
        .dir = dir,
        .is_down = pf_str_is(LocalCluster_state(local), "down"),
    };
    choose_key(c);
    return 0;
}

/* A section of the config file, else a local cluster of that name. */
static int by_name(struct chooser *c, const char *name)
{
    struct pf_buf text = {.limit = CONFIG_MAX_BYTES};
    const char *master = NULL, *dir = NULL, *key_file = NULL;
    int rc = PF_ENOENT;
    if (c->ask->config_file != NULL &&
        pf_file_read(c->ask->config_file, CONFIG_MAX_BYTES, &text, NULL) == 0) {
        rc = pf_cluster_config_find(pf_buf_cstr(&text), name, c->arena, &master, &dir, &key_file,
                                    c->err);
    }
    pf_buf_fini(&text);
    if (rc == PF_EINVAL) {
        pf_err_wrap(c->err, "%s", c->ask->config_file);
        *c->out_hint = "a section is [NAME] and lines 'master = host:port,...', 'key-file = FILE'";
        return rc;
    }
    if (rc == 0 && master != NULL) {
        rc = by_masters(c, PF_CLUSTER_BY_CLUSTER_FLAG, master);
    } else if (rc == 0) {
        rc = by_dir(c, PF_CLUSTER_BY_CLUSTER_FLAG, dir);
    } else {
        struct stat st;
        const char *local = c->ask->state_root == NULL || strchr(name, '/') != NULL
                                ? NULL
                                : pf_local_path(c->arena, c->ask->state_root, name);
        if (local == NULL || stat(local, &st) != 0) {
            *c->out_hint = "name it in ~/.config/proffer/config, or start it: proffer up --name "
                           "NAME";
            return pf_err_set(c->err, PF_ENOENT, "there is no cluster named '%.64s'", name);
        }
        rc = by_dir(c, PF_CLUSTER_BY_CLUSTER_FLAG, local);
    }
    if (rc == 0) {
        c->out->name = name;
        if (key_file != NULL && !said(c->ask->key_file)) {
            c->out->key_file = key_file;
        }
    }
    return rc;
}

int pf_cluster_choose(const struct pf_cluster_ask *ask, struct pf_arena *arena,
                      struct pf_cluster *out, const char **out_hint, struct pf_err *err)
{
    struct chooser c = {ask, arena, out, out_hint, err};
    int n_flags = (said(ask->master) ? 1 : 0) + (said(ask->cluster) ? 1 : 0) +
                  (said(ask->dir) ? 1 : 0);
    if (n_flags > 1) {
        *out_hint = "say one of --master, --cluster and --dir";
        return pf_err_set(err, PF_EUSAGE, "several flags name a cluster");
    }
    if (said(ask->master)) {
        return by_masters(&c, PF_CLUSTER_BY_MASTER_FLAG, ask->master);
    }
    if (said(ask->cluster)) {
        return by_name(&c, ask->cluster);
    }
    if (said(ask->dir)) {
        return by_dir(&c, PF_CLUSTER_BY_DIR_FLAG, ask->dir);
    }
    if (said(ask->env_master)) {
        return by_masters(&c, PF_CLUSTER_BY_MASTER_ENV, ask->env_master);
    }
    if (said(ask->env_dir)) {
        return by_dir(&c, PF_CLUSTER_BY_DIR_ENV, ask->env_dir);
    }
    const char *last = ask->state_root != NULL ? pf_local_last(ask->state_root, arena) : NULL;
    if (last != NULL) {
        return by_dir(&c, PF_CLUSTER_BY_LAST, last);
    }
    return by_masters(&c, PF_CLUSTER_BY_DEFAULT, PF_CLUSTER_DEFAULT);
}

struct pf_cluster_ask pf_cluster_ask_of(struct pf_cli *cli)
{
    bool has_flags = (cli->args.cmd->sets & PF_SET_CLUSTER) != 0;
    struct pf_cluster_ask ask = {
        .env_master = cli->env("PROFFER_MASTER"),
        .env_dir = cli->env("PROFFER_DIR"),
        .env_key_file = cli->env("PROFFER_KEY_FILE"),
        .state_root = pf_local_state_root(cli->env, &cli->arena),
    };
    if (has_flags) {
        ask.master = pf_args_text(&cli->args, "master");
        ask.cluster = pf_args_text(&cli->args, "cluster");
        ask.dir = pf_args_text(&cli->args, "dir");
        ask.key_file = pf_args_text(&cli->args, "key-file");
    }
    const char *config = cli->env("XDG_CONFIG_HOME"), *home = cli->env("HOME");
    if (said(config)) {
        ask.config_file = pf_cli_text(cli, "%s/proffer/config", config);
    } else if (said(home)) {
        ask.config_file = pf_cli_text(cli, "%s/.config/proffer/config", home);
    }
    return ask;
}

int pf_cluster_of(struct pf_cli *cli, struct pf_cluster *out)
{
    struct pf_cluster_ask ask = pf_cluster_ask_of(cli);
    struct pf_err err = {0};
    const char *hint = "";
    int rc = pf_cluster_choose(&ask, &cli->arena, out, &hint, &err);
    if (rc == PF_EUSAGE) {
        return pf_cli_usage(cli, err.msg, hint);
    }
    if (rc != 0) {
        int status = cli->args.cmd->usage_exit != 0 ? cli->args.cmd->usage_exit
                                                    : PF_EXIT_UNREACHABLE;
        return pf_cli_fail(cli, status, err.msg, hint);
    }
    return 0;
}
