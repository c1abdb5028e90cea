/* SPDX-License-Identifier: Apache-2.0 */
/* The program, arguments and environment of a command task, by the rules of Mesos's command
 * executor. The agent's own environment is not inherited; what CommandInfo sets wins over what the
 * agent says. */
#include "agent/core/calls_internal.h"
#include "agent/core/limits_internal.h"

#include "common/base/limits.h"

enum {
    ENV_OURS_MAX = 40,
    ENV_PORTS_MAX = 100,
    SHUTDOWN_MS = 5000, /* when no option says */
    RESUBSCRIBE_MS = 2000,
    RECOVERY_MS = 900000,
};

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct env {
    struct pf_arena *arena;
    struct pf_map by_name; /* of env_var */
    struct env_var {
        struct pf_str name, value;
    } * var;
    uint32_t n;
};

/* A later value of a name takes the place of the earlier one. */
static void env_set(struct env *env, struct pf_str name, struct pf_str value)
{
    struct env_var *v = pf_map_get_str(&env->by_name, name);

    if (!v) {
        v = &env->var[env->n++];
        v->name = name;
        pf_map_put(&env->by_name, name.at, name.len, v);
    }
    v->value = value;
}

static void env_set_c(struct env *env, const char *name, struct pf_str value)
{
    env_set(env, pf_str(name), value);
}

static void env_set_port(struct env *env, uint32_t i, uint64_t port)
{
    struct pf_str value = pf_arena_printf(env->arena, "%llu", (unsigned long long)port);

    env_set(env, pf_arena_printf(env->arena, "PROFFER_PORT_%u", (unsigned)i), value);
    env_set(env, pf_arena_printf(env->arena, "PORT%u", (unsigned)i), value);
}

static void env_set_ports(struct env *env, struct TaskInfo info)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < TaskInfo_resources__len(info); i++) {
        struct Resource r = TaskInfo_resources__at(info, i);
        struct Value_Ranges ranges = Resource_ranges(r);
        if (!pf_str_is(Resource_name(r), "ports")) {
            continue;
        }
        for (uint32_t k = 0; k < Value_Ranges_range__len(ranges); k++) {
            struct Value_Range range = Value_Ranges_range__at(ranges, k);
            uint64_t port = Value_Range_begin(range);
            while (n < ENV_PORTS_MAX && port <= Value_Range_end(range)) {
                env_set_port(env, n++, port++);
            }
        }
    }
}

static int64_t or_default(int64_t ms, int64_t otherwise_ms)
{
    return ms > 0 ? ms : otherwise_ms;
}

static void env_set_ours(struct env *env, const struct pf_agent *a, const struct run *r,
                         struct pf_str sandbox)
{
    env_set_c(env, "PATH", PF_STR(DEFAULT_PATH));
    env_set_c(env, "HOME", sandbox);
    if (r->user[0] != '\0') {
        env_set_c(env, "USER", pf_str(r->user));
        env_set_c(env, "LOGNAME", pf_str(r->user));
    }
    env_set_c(env, "MESOS_FRAMEWORK_ID", ag_run_framework_id(r));
    env_set_c(env, "MESOS_EXECUTOR_ID", ag_run_id(r));
    env_set_c(env, "MESOS_DIRECTORY", sandbox);
    env_set_c(env, "MESOS_SANDBOX", sandbox);
    env_set_c(env, "MESOS_SLAVE_ID", pf_str(a->id));
    env_set_c(env, "MESOS_AGENT_ENDPOINT", pf_str(a->opt.http_address));
    env_set_c(env, "MESOS_SLAVE_PID",
              pf_arena_printf(env->arena, "slave(1)@%s", a->opt.http_address));
    env_set_c(env, "MESOS_CHECKPOINT", PF_STR("1"));
    env_set_c(env, "MESOS_HTTP_COMMAND_EXECUTOR", PF_STR("0"));
    env_set_c(env, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
              ag_duration_text(env->arena, or_default(a->opt.executor_shutdown_ms, SHUTDOWN_MS)));
    env_set_c(env, "MESOS_RECOVERY_TIMEOUT", ag_duration_text(env->arena, RECOVERY_MS));
    env_set_c(
        env, "MESOS_SUBSCRIPTION_BACKOFF_MAX",
        ag_duration_text(env->arena, or_default(a->opt.executor_resubscribe_ms, RESUBSCRIBE_MS)));
    env_set_c(env, "LIBPROCESS_PORT", PF_STR("0"));
    env_set_c(env, "PROFFER_FRAMEWORK_ID", ag_run_framework_id(r));
    env_set_c(env, "PROFFER_AGENT_ID", pf_str(a->id));
    env_set_c(env, "PROFFER_HOSTNAME", pf_str(a->opt.hostname));
    env_set_c(env, "PROFFER_SANDBOX", sandbox);
}

static void env_set_of_executor(struct env *env, const struct pf_agent *a, const struct run *r)
{
    const struct executor *x = ag_run_executor_const(r);
    struct pf_str native = pf_str(a->opt.address);
    uint32_t colon = native.len;

    while (colon > 0 && native.at[colon - 1] != ':') {
        colon--;
    }
    env_set_c(env, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
              ag_duration_text(env->arena, x->grace_ms));
    env_set_c(env, "MESOS_EXECUTOR_AUTHENTICATION_TOKEN", pf_str(x->token));
    env_set_c(env, "PROFFER_EXECUTOR_ID", ag_run_id(r));
    env_set_c(env, "PROFFER_EXECUTOR_TOKEN", pf_str(x->token));
    env_set_c(env, "PROFFER_AGENT",
              pf_arena_printf(env->arena, "127.0.0.1:%.*s", (int)(native.len - colon),
                              native.at + colon));
}

/* `info`: of the task, or what is still known of it. */
static void env_set_of_task(struct env *env, const struct run *r, struct TaskInfo info)
{
    const struct task *t = ag_run_task_const(r);
    struct pf_str role = Task_role(ag_task_summary(t));

    if (t->executor) {
        env_set_c(env, "MESOS_EXECUTOR_ID", ag_run_id(&t->executor->run));
    }
    env_set_c(env, "MESOS_TASK_ID", ag_run_id(r));
    env_set_c(env, "PROFFER_TASK_ID", ag_run_id(r));
    if (role.at) {
        env_set_c(env, "MESOS_ALLOCATION_ROLE", role);
    }
    env_set_ports(env, info);
}

static void env_set_vars(struct env *env, struct Environment vars)
{
    for (uint32_t i = 0; i < Environment_variables__len(vars); i++) {
        struct Environment_Variable v = Environment_variables__at(vars, i);
        env_set(env, Environment_Variable_name(v), Environment_Variable_value(v));
    }
}

/* "NAME=value" */
static struct pf_str env_text(struct pf_arena *arena, const struct env_var *v)
{
    uint32_t len = v->name.len + 1 + v->value.len;
    char *text = pf_arena_alloc(arena, (size_t)len + 1);

    memcpy(text, v->name.at, v->name.len);
    text[v->name.len] = '=';
    if (v->value.len > 0) {
        memcpy(text + v->name.len + 1, v->value.at, v->value.len);
    }
    text[len] = '\0';
    return (struct pf_str){text, len};
}

/* `info`: of a task. `vars`: of its command. `more`: of a process beside it, or absent. */
static void make_env(struct pf_agent *a, const struct run *r, struct TaskInfo info,
                     struct Environment vars, struct Environment more,
                     struct pf_agent_act_start *act)
{
    struct env env = {.arena = pf_turn_arena(a->turn)};
    size_t room = (size_t)ENV_OURS_MAX + 2 * ENV_PORTS_MAX + Environment_variables__len(vars) +
                  Environment_variables__len(more);

    env.var = pf_arena_alloc(env.arena, room * sizeof *env.var);
    env_set_ours(&env, a, r, act->sandbox);
    if (r->kind == RUN_TASK) {
        env_set_of_task(&env, r, info);
    } else {
        env_set_of_executor(&env, a, r);
    }
    env_set_vars(&env, vars);
    env_set_vars(&env, more);
    struct pf_str *text = pf_arena_alloc(env.arena, env.n * sizeof *text);
    for (uint32_t i = 0; i < env.n; i++) {
        text[i] = env_text(env.arena, &env.var[i]);
    }
    pf_map_fini(&env.by_name);
    act->env = text;
    act->n_env = env.n;
}

static struct pf_str *args_with(struct pf_agent *a, struct CommandInfo c, uint32_t n_before,
                                struct pf_agent_act_start *act)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    uint32_t n = CommandInfo_arguments__len(c);
    struct pf_str *args = pf_arena_alloc(arena, (n_before + n + 1) * sizeof *args);

    for (uint32_t i = 0; i < n; i++) {
        args[n_before + i] = pf_arena_strdup(arena, CommandInfo_arguments__at(c, i));
    }
    act->args = args;
    act->n_args = n_before + n;
    return args;
}

static void make_command(struct pf_agent *a, struct CommandInfo c, struct pf_agent_act_start *act)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);

    if (CommandInfo__has_script(c)) {
        bool has_cwd = CommandInfo_cwd(c).len > 0;
        act->path = has_cwd ? pf_arena_printf(arena, "%s/script", act->sandbox.at)
                            : PF_STR("./script"); /* its parents may be closed to the user */
        args_with(a, c, 1, act)[0] = act->path;
        return;
    }
    struct pf_str value = pf_arena_strdup(arena, CommandInfo_value(c));

    if (CommandInfo_shell(c)) {
        struct pf_str *args = pf_arena_alloc(arena, 3 * sizeof *args);
        args[0] = PF_STR("sh");
        args[1] = PF_STR("-c");
        args[2] = value;
        act->path = PF_STR("/bin/sh");
        act->args = args;
        act->n_args = 3;
    } else if (CommandInfo_arguments__len(c) > 0) {
        act->path = value;
        (void)args_with(a, c, 0, act);
    } else {
        act->path = value;
        args_with(a, c, 1, act)[0] = value;
    }
}

static struct pf_agent_act_start *start_of(struct pf_agent *a, const struct run *r,
                                           struct pf_uuid launch, struct pf_str cwd)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_start *act = pf_arena_zalloc(arena, sizeof *act);

    act->launch = launch;
    act->container = r->launch;
    act->sandbox = ag_run_sandbox(a, r);
    act->user = pf_arena_strdup(arena, pf_str(r->user));
    if (cwd.len == 0) {
        act->cwd = PF_STR("");
    } else if (cwd.at[0] == '/') {
        act->cwd = pf_arena_strdup(arena, cwd);
    } else {
        act->cwd = pf_arena_printf(arena, "%s/%.*s", act->sandbox.at, PF_STR_ARG(cwd));
    }
    return act;
}

/* What ContainerInfo says of the process. */
static void make_container(struct pf_agent *a, struct ContainerInfo container,
                           struct pf_agent_act_start *act)
{
    struct TTYInfo_WindowSize window = TTYInfo_window_size(ContainerInfo_tty_info(container));

    act->rlimits = ag_rlimits_of(pf_turn_arena(a->turn), container, &act->n_rlimits);
    if (ContainerInfo__has_tty_info(container)) {
        act->is_terminal = act->keeps_stdin = true;
        act->rows = TTYInfo_WindowSize_rows(window);
        act->columns = TTYInfo_WindowSize_columns(window);
    }
}

const struct pf_agent_act_start *ag_command_start(struct pf_agent *a, const struct run *r)
{
    struct pf_bytes bytes = {r->info, r->info_len};
    struct TaskInfo info = {{NULL}};
    struct ContainerInfo container;
    struct CommandInfo c = ag_run_command(r);
    struct pf_agent_act_start *act = start_of(a, r, r->launch, CommandInfo_cwd(c));

    if (r->kind == RUN_TASK) {
        info = TaskInfo__from_bytes(bytes);
        container = TaskInfo_container(info);
    } else {
        container = ExecutorInfo_container(ExecutorInfo__from_bytes(bytes));
    }
    act->owns_container = true;
    act->keeps_stdin = CommandInfo_keep_stdin(c) && r->kind == RUN_TASK;
    make_container(a, container, act);
    make_command(a, c, act);
    make_env(a, r, info, CommandInfo_environment(c), (struct Environment){{NULL}}, act);
    return act;
}

const struct pf_agent_act_start *ag_command_start_beside(struct pf_agent *a, const struct run *r,
                                                         struct TaskInfo info, struct CommandInfo c,
                                                         struct pf_uuid launch)
{
    struct pf_str cwd = CommandInfo_cwd(c);
    struct pf_agent_act_start *act =
        start_of(a, r, launch, cwd.len > 0 ? cwd : CommandInfo_cwd(TaskInfo_command(info)));

    act->is_session = true;
    make_command(a, c, act);
    make_env(a, r, info, CommandInfo_environment(TaskInfo_command(info)),
             CommandInfo_environment(c), act);
    return act;
}
