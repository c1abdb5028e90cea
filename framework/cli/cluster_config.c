/* SPDX-License-Identifier: Apache-2.0 */
/* The config file that names clusters. */
#include <string.h>
#include "framework/cli/cluster.h"

static struct pf_str trim(struct pf_str s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t' ||
                         s.at[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

struct section {
    const char **master, **dir, **key_file;
};

static int set_value(const struct section *s, struct pf_arena *arena, struct pf_str line,
                     int number, struct pf_err *err)
{
    const char *eq = memchr(line.at, '=', line.len);
    if (eq == NULL) {
        return pf_err_set(err, PF_EINVAL, "line %d: neither [NAME] nor KEY = VALUE", number);
    }
    struct pf_str key = trim((struct pf_str){line.at, (uint32_t)(eq - line.at)});
    struct pf_str value = trim((struct pf_str){eq + 1, line.len - (uint32_t)(eq + 1 - line.at)});
    const char **to = pf_str_is(key, "master")     ? s->master
                      : pf_str_is(key, "dir")      ? s->dir
                      : pf_str_is(key, "key-file") ? s->key_file
                                                   : NULL;
    if (to == NULL || value.len == 0) {
        return pf_err_set(err, PF_EINVAL, "line %d: %s '%.*s'", number,
                          to == NULL ? "unknown key" : "no value for", PF_STR_ARG(key));
    }
    *to = pf_arena_strdup(arena, value).at;
    return 0;
}

int pf_cluster_config_find(const char *text, const char *name, struct pf_arena *arena,
                           const char **out_master, const char **out_dir,
                           const char **out_key_file, struct pf_err *err)
{
    const char *master = NULL, *dir = NULL, *key_file = NULL;
    const struct section s = {&master, &dir, &key_file};
    bool is_inside = false, was_found = false;
    int number = 0;
    while (*text != '\0') {
        uint32_t len = (uint32_t)strcspn(text, "\n");
        struct pf_str line = trim((struct pf_str){text, len});
        text += len + (text[len] == '\n' ? 1 : 0);
        number++;
        if (line.len == 0 || line.at[0] == '#') {
            continue;
        }
        if (line.at[0] == '[') {
            if (line.at[line.len - 1] != ']') {
                return pf_err_set(err, PF_EINVAL, "line %d: the ] is missing", number);
            }
            is_inside = pf_str_is(trim((struct pf_str){line.at + 1, line.len - 2}), name);
            was_found |= is_inside;
        } else if (is_inside) {
            int rc = set_value(&s, arena, line, number, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    if (!was_found) {
        return PF_ENOENT;
    }
    if ((master == NULL) == (dir == NULL)) {
        return pf_err_set(err, PF_EINVAL, "[%s] needs one of master and dir", name);
    }
    *out_master = master;
    *out_dir = dir;
    *out_key_file = key_file;
    return 0;
}
