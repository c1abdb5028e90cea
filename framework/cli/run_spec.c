/* SPDX-License-Identifier: Apache-2.0 */
/* See run_spec.h: from the command line. */
#include "framework/cli/run_spec.h"

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/sys/file.h"
#include "framework/cli/value.h"
#include "framework/cli/tty.h"

#define PORTS_MAX          100 /* as many as an agent tells a task of */
#define ENV_FILE_MAX_BYTES (1u << 20)

void pf_run_spec_fini(struct pf_run_spec *s)
{
    pf_ptrs_fini(&s->constraints);
    pf_ptrs_fini(&s->env);
    pf_buf_fini(&s->script);
}

/* "K=V" as it is, "K" with our own value of it. */
static int env_add(struct pf_cli *cli, struct pf_run_spec *s, const char *text, const char *where)
{
    const char *equals = strchr(text, '=');
    if (equals == text || text[0] == '\0') {
        return pf_cli_usage(cli, pf_cli_text(cli, "'%s' in %s has no name", text, where),
                            "write NAME=VALUE, or NAME to pass on your own value");
    }
    if (equals == NULL) {
        const char *value = cli->env(text);
        if (value == NULL) {
            return 0; /* as with `docker run -e`: what is not set here is not set there */
        }
        text = pf_cli_text(cli, "%s=%s", text, value);
    }
    pf_ptrs_push(&s->env, (void *)(uintptr_t)text);
    return 0;
}

static int env_file(struct pf_cli *cli, struct pf_run_spec *s, const char *path)
{
    struct pf_buf text = {0};
    struct pf_err err = {0};
    if (pf_file_read(path, ENV_FILE_MAX_BYTES, &text, &err) < 0) {
        return pf_cli_usage(cli, err.msg, "give --env-file a file with lines NAME=VALUE");
    }
    int status = 0;
    char *save = NULL;
    char *copy = (char *)(uintptr_t)pf_cli_text(cli, "%s", pf_buf_cstr(&text));
    for (char *line = strtok_r(copy, "\r\n", &save); line != NULL && status == 0;
         line = strtok_r(NULL, "\r\n", &save)) {
        line += strspn(line, " \t");
        if (*line != '\0' && *line != '#') {
            status = env_add(cli, s, line, path);
        }
    }
    pf_buf_fini(&text);
    return status;
}

static int read_env(struct pf_cli *cli, struct pf_run_spec *s)
{
    int status = 0;
    uint32_t cursor = 0;
    const char *text;
    while (status == 0 && (text = pf_args_next(&cli->args, "env-file", &cursor)) != NULL) {
        status = env_file(cli, s, text);
    }
    cursor = 0;
    while (status == 0 && (text = pf_args_next(&cli->args, "env", &cursor)) != NULL) {
        status = env_add(cli, s, text, "--env");
    }
    size_t bytes = 0;
    for (uint32_t i = 0; i < s->env.len; i++) {
        bytes += strlen(s->env.at[i]) + 1;
    }
    if (status == 0 && bytes > PF_ENV_MAX_BYTES) {
        status = pf_cli_usage(cli, "the environment is larger than 1 MiB",
                              "put large values into a file that the task reads");
    }
    return status;
}

static int read_script(struct pf_cli *cli, struct pf_run_spec *s)
{
    const char *path = pf_args_text(&cli->args, "script");
    struct pf_err err = {0};
    if (path == NULL) {
        return 0;
    }
    if (pf_file_read(path, PF_SCRIPT_MAX_BYTES, &s->script, &err) < 0) {
        return pf_cli_usage(cli, err.msg, "give --script a readable file of at most 256 KiB");
    }
    if (s->script.len == 0) {
        return pf_cli_usage(cli, pf_cli_text(cli, "the script %s is empty", path),
                            "it should begin with a line like #!/bin/sh");
    }
    return 0;
}

static const char *user_name(struct pf_cli *cli)
{
    const struct passwd *me = getpwuid(geteuid());
    return me != NULL ? pf_cli_text(cli, "%s", me->pw_name)
                      : pf_cli_text(cli, "%u", (unsigned)geteuid());
}

/* The last part of the program's path: what people recognise. */
static const char *default_name(struct pf_cli *cli, const struct pf_run_spec *s)
{
    const char *script = pf_args_text(&cli->args, "script");
    const char *path = script != NULL ? script : s->argv[0];
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static int check_numbers(struct pf_cli *cli, const struct pf_run_spec *s)
{
    if (s->count == 0 || s->count > PF_DEMAND_COUNT_MAX) {
        return pf_cli_usage(cli, "-n wants 1 to 1000000 tasks", "for example: -n 20");
    }
    if (s->cpus_milli == 0 && s->mem_bytes == 0) {
        return pf_cli_usage(cli, "a task needs some cpu or memory", "for example: --cpus 0.1");
    }
    if (s->n_ports > PORTS_MAX) {
        return pf_cli_usage(cli, "--ports wants at most 100 port numbers for each task",
                            "a task finds them in PROFFER_PORT_0 to PROFFER_PORT_99");
    }
    const char *option = s->has_terminal ? "-t" : "-i";
    if (s->has_stdin && s->count > 1) {
        return pf_cli_usage(cli,
                            pf_cli_text(cli, "%s passes standard input to one task only", option),
                            pf_cli_text(cli, "leave out -n or %s", option));
    }
    if (s->has_stdin && s->is_detached) {
        return pf_cli_usage(cli, "-d leaves, so it cannot pass standard input",
                            pf_cli_text(cli, "leave out -d or %s", option));
    }
    if (s->has_terminal && !pf_tty_is_here()) {
        return pf_cli_usage(cli, "-t needs a terminal, and standard input or output is none",
                            "leave out -t; -i passes standard input on");
    }
    return 0;
}

static void read_numbers(struct pf_cli *cli, struct pf_run_spec *s)
{
    const struct pf_args *a = &cli->args;
    int64_t count = pf_args_num(a, "count", 1);
    s->count = count >= 0 && count <= UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    s->cpus_milli = pf_args_num(a, "cpus", 1000);
    s->mem_bytes = pf_args_num(a, "mem", INT64_C(128) << 20);
    s->disk_bytes = pf_args_num(a, "disk", 0);
    s->n_ports = (uint32_t)pf_args_num(a, "ports", 0);
    s->timeout_ms = pf_args_num(a, "timeout", -1);
    s->start_timeout_ms = pf_args_num(a, "start-timeout", -1);
    s->grace_ms = pf_args_num(a, "grace", PF_RUN_GRACE_MS);
    s->has_terminal = pf_args_has(a, "tty");
    s->has_stdin = s->has_terminal || pf_args_has(a, "stdin");
    pf_tty_size(&s->rows, &s->columns);
    s->is_detached = pf_args_has(a, "detach");
    s->is_quiet = pf_args_has(a, "quiet");
    s->is_verbose = pf_args_has(a, "verbose");
    s->orphan_ms =
        pf_args_num(a, "orphan-after", s->is_detached ? PF_RUN_DETACHED_MS : PF_RUN_ORPHAN_MS);
}

int pf_run_spec_read(struct pf_cli *cli, struct pf_run_spec *out)
{
    struct pf_run_spec s = {.argv = cli->args.operand, .argc = cli->args.n_operands};
    const struct pf_args *a = &cli->args;
    read_numbers(cli, &s);
    s.cwd = pf_args_text(a, "cwd");
    s.user = pf_args_text(a, "user");
    s.report = pf_args_text(a, "report");
    if (s.argc == 0 && pf_args_text(a, "script") == NULL) {
        return pf_cli_usage(cli, "there is nothing to run",
                            "usage: proffer run [OPTION]... -- COMMAND [ARGUMENT]...");
    }
    if (s.cwd != NULL && s.cwd[0] != '/') {
        return pf_cli_usage(cli, pf_cli_text(cli, "--cwd %s is not absolute", s.cwd),
                            "it names a directory on the agent's machine, like /srv/data");
    }
    int status = check_numbers(cli, &s);
    status = status != 0 ? status : read_env(cli, &s);
    status = status != 0 ? status : read_script(cli, &s);
    status = status != 0 ? status : pf_run_spec_uris(cli, &s);
    status = status != 0 ? status : pf_run_spec_health(cli, &s);
    status = status != 0 ? status : pf_run_spec_partition(cli, &s);
    if (status != 0) {
        pf_run_spec_fini(&s);
        return status;
    }
    uint32_t cursor = 0;
    const char *text;
    while ((text = pf_args_next(a, "constraint", &cursor)) != NULL) {
        pf_ptrs_push(&s.constraints, (void *)(uintptr_t)text);
    }
    const char *name = pf_args_text(a, "name");
    const char *role = pf_args_text(a, "role");
    s.name = name != NULL ? name : default_name(cli, &s);
    s.role = role != NULL ? role : pf_cli_text(cli, "run/%s", user_name(cli));
    *out = s;
    return 0;
}
