/* SPDX-License-Identifier: Apache-2.0 */
/* What `run` is to run, from its command line; and in the words of
 * libproffer. */
#ifndef PF_FRAMEWORK_CLI_RUN_SPEC_H
#define PF_FRAMEWORK_CLI_RUN_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "framework/cli/cli.h"
#include <proffer/task.h>

#define PF_RUN_GRACE_MS    10000
#define PF_RUN_ORPHAN_MS   300000             /* a run whose command died */
#define PF_RUN_DETACHED_MS (24 * 3600 * 1000) /* one that was left on purpose */

/* Texts are borrowed from the command line or live in the command's arena. */
struct pf_run_spec {
    uint32_t count;
    int64_t cpus_milli, mem_bytes, disk_bytes;
    uint32_t n_ports;
    const char *name, *role, *cwd, *user, *report;
    struct pf_ptrs constraints; /* const char *, "ATTR=VALUE" */
    struct pf_ptrs env;         /* const char *, "NAME=value" */
    struct pf_buf script;       /* len 0: none */
    struct pf_uri *uris;        /* in the command's arena */
    size_t n_uris;
    struct pf_health_check health;
    bool has_health;
    const char *partition; /* PartitionPolicy as JSON, NULL = they are kept */
    const char *const *argv;
    uint32_t argc;
    bool has_stdin, is_detached, is_quiet, is_verbose;
    bool has_terminal; /* then has_stdin too; of this size */
    uint32_t rows, columns;
    int64_t timeout_ms;       /* running; -1 = none */
    int64_t start_timeout_ms; /* waiting; -1 = none, 0 = now or never */
    int64_t grace_ms, orphan_ms;
};

/* Fills it from the verb's options. 0, or the exit status with the error printed. */
int pf_run_spec_read(struct pf_cli *cli, struct pf_run_spec *out);
void pf_run_spec_fini(struct pf_run_spec *s);
/* The part of it that --uri fills. */
int pf_run_spec_uris(struct pf_cli *cli, struct pf_run_spec *s);
/* The part of it that --health-* fill. */
int pf_run_spec_health(struct pf_cli *cli, struct pf_run_spec *s);
/* The part of it that --partition fills. */
int pf_run_spec_partition(struct pf_cli *cli, struct pf_run_spec *s);

/* The command line as people would type it, shortened. Appended. */
void pf_run_spec_command(const struct pf_run_spec *s, struct pf_buf *out);
/* `count` tasks more. Texts live in the arena. */
void pf_run_spec_demand(const struct pf_run_spec *s, const char *run_id, uint32_t count,
                        struct pf_arena *arena, struct pf_demand *out);
/* Task number `index`, called RUN.INDEX. Texts live in the arena. */
void pf_run_spec_task(const struct pf_run_spec *s, const char *run_id, uint32_t index,
                      struct pf_arena *arena, struct pf_task_spec *out);

#endif
