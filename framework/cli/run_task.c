/* SPDX-License-Identifier: Apache-2.0 */
/* See run_spec.h: in the words of libproffer. */
#include <string.h>

#include "common/base/limits.h"
#include "framework/cli/run_spec.h"
#include "framework/cli/tty.h"

void pf_run_spec_command(const struct pf_run_spec *s, struct pf_buf *out)
{
    size_t begin = out->len;
    if (s->script.len > 0) {
        pf_buf_add_cstr(out, "./script");
    }
    for (uint32_t i = 0; i < s->argc && out->len - begin <= PF_COMMAND_SHOWN_MAX; i++) {
        const char *word = s->argv[i];
        bool is_plain = word[0] != '\0' && strpbrk(word, " \t\n'\"\\$;&|<>*?()") == NULL;
        pf_buf_add_cstr(out, out->len > begin ? " " : "");
        pf_buf_printf(out, is_plain ? "%s" : "'%s'", word);
    }
    if (out->len - begin > PF_COMMAND_SHOWN_MAX) {
        out->len = begin + PF_COMMAND_SHOWN_MAX - 3;
        pf_buf_add_cstr(out, "...");
    }
}

/* "rack=a", "zone!=b", "host~web*", "ssd", "!ssd": the operator that stands first decides. */
static void constraint_read(const char *text, struct pf_arena *arena, struct pf_constraint *out)
{
    static const struct {
        const char *sign;
        enum pf_constraint_op op;
    } table[] = {
        {"!=", PF_CONSTRAINT_NOT_EQUALS}, {"=", PF_CONSTRAINT_EQUALS}, {"~", PF_CONSTRAINT_GLOB}};
    const char *first = NULL;
    *out = (struct pf_constraint){.attribute = text, .op = PF_CONSTRAINT_EXISTS};
    for (size_t i = 0; i < PF_ARRAY_LEN(table); i++) {
        const char *at = strstr(text, table[i].sign);
        if (at != NULL && at > text && (first == NULL || at < first)) {
            first = at;
            out->op = table[i].op;
            out->attribute =
                pf_arena_strdup(arena, (struct pf_str){text, (uint32_t)(at - text)}).at;
            out->value = at + strlen(table[i].sign);
        }
    }
    if (first == NULL && text[0] == '!') {
        out->attribute = text + 1;
        out->op = PF_CONSTRAINT_NOT_EXISTS;
    }
}

void pf_run_spec_demand(const struct pf_run_spec *s, const char *run_id, uint32_t count,
                        struct pf_arena *arena, struct pf_demand *out)
{
    struct pf_buf command = {0};
    pf_run_spec_command(s, &command);
    struct pf_constraint *constraint =
        pf_arena_zalloc(arena, (s->constraints.len + 1) * sizeof *constraint);
    for (uint32_t i = 0; i < s->constraints.len; i++) {
        constraint_read(s->constraints.at[i], arena, &constraint[i]);
    }
    *out = (struct pf_demand)PF_DEMAND_INIT;
    out->id = "run";
    out->count = count;
    out->cpus_milli = s->cpus_milli;
    out->mem_bytes = s->mem_bytes;
    out->disk_bytes = s->disk_bytes;
    out->n_ports = s->n_ports;
    out->constraints = constraint;
    out->n_constraints = s->constraints.len;
    out->id_prefix = run_id;
    out->name = s->name;
    out->command = pf_arena_strdup(arena, pf_str(pf_buf_cstr(&command))).at;
    pf_buf_fini(&command);
}

/* What the library has no words for. */
static const char *more_of_task(const struct pf_run_spec *s, struct pf_arena *arena)
{
    const char *terminal = "", *partition = "";

    if (s->has_terminal) {
        terminal = pf_arena_printf(arena,
                                   "\"container\":{\"type\":\"MESOS\",\"tty_info\":{"
                                   "\"window_size\":{\"rows\":%u,\"columns\":%u}}}",
                                   (unsigned)s->rows, (unsigned)s->columns)
                       .at;
    }
    if (s->partition != NULL) {
        partition = pf_arena_printf(arena, "%s\"partition_policy\":%s", s->has_terminal ? "," : "",
                                    s->partition)
                        .at;
    }
    return s->has_terminal || s->partition != NULL
               ? pf_arena_printf(arena, "{%s%s}", terminal, partition).at
               : NULL;
}

void pf_run_spec_task(const struct pf_run_spec *s, const char *run_id, uint32_t index,
                      struct pf_arena *arena, struct pf_task_spec *out)
{
    bool has_script = s->script.len > 0;
    const char **argv = pf_arena_zalloc(arena, (s->argc + 1) * sizeof *argv);
    for (uint32_t i = 0; i < s->argc; i++) {
        argv[i] = s->argv[i];
    }
    const char **env = pf_arena_zalloc(arena, (s->env.len + 4) * sizeof *env);
    for (uint32_t i = 0; i < s->env.len; i++) {
        env[i] = s->env.at[i];
    }
    env[s->env.len] = pf_arena_printf(arena, "PROFFER_TASK_INDEX=%u", index).at;
    env[s->env.len + 1] = pf_arena_printf(arena, "PROFFER_TASK_COUNT=%u", s->count).at;

    *out = (struct pf_task_spec)PF_TASK_SPEC_INIT;
    out->task_id = pf_arena_printf(arena, "%s.%u", run_id, index).at;
    out->name = s->name;
    out->cpus_milli = s->cpus_milli;
    out->mem_bytes = s->mem_bytes;
    out->disk_bytes = s->disk_bytes;
    out->n_ports = s->n_ports;
    out->argv = argv;
    out->env = env;
    out->user = s->user;
    out->cwd = s->cwd;
    out->script = has_script ? s->script.data : NULL;
    out->script_bytes = s->script.len;
    out->uris = s->uris;
    out->n_uris = s->n_uris;
    out->health_check = s->has_health ? &s->health : NULL;
    out->keeps_stdin = s->has_stdin;
    if (s->has_terminal) {
        env[s->env.len + 2] = pf_arena_printf(arena, "TERM=%s", pf_tty_term()).at;
    }
    out->merge_json = more_of_task(s, arena);
    out->kill_grace_ms = s->grace_ms > 0 ? s->grace_ms : 1; /* 0 would mean the agent's default */
    out->max_run_ms = s->timeout_ms > 0 ? s->timeout_ms : s->timeout_ms == 0 ? 1 : 0;
}
