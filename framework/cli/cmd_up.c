/* SPDX-License-Identifier: Apache-2.0 */
/* proffer up: starts a local cluster and returns when it is ready. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/buf.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "framework/cli/cluster.h"
#include "framework/cli/hosts.h"
#include "framework/cli/local.h"
#include "framework/cli/supervisor.h"
#include "framework/cli/table.h"
#include "framework/cli/value.h"

enum { FAKE_AGENTS_MAX = 65536, MESSAGE_MAX = 8192 };
#define MEM_MIN_BYTES (INT64_C(1) << 20)

struct up {
    struct pf_cli *cli;
    struct pf_shape shape;
    const char *name, *dir, *state_root;
    int tell_fd; /* to the `up` that waits; -1 in the foreground */
};

/* What drills can break the network with. */
static int read_network(struct up *u)
{
    struct pf_cli *cli = u->cli;
    u->shape.has_relays = pf_args_has(&cli->args, "relays");
    u->shape.has_hosts = pf_args_has(&cli->args, "hosts");
    if (u->shape.has_relays && u->shape.masters < 2) {
        return pf_cli_usage(cli, "--relays stand between several masters",
                            "proffer up --masters 3 --relays");
    }
    if (!u->shape.has_hosts) {
        return 0;
    }
    if (u->shape.has_relays) {
        return pf_cli_usage(cli, "--hosts and --relays are two ways to the same end",
                            "say one of them: hosts lose packets, relays need no rights");
    }
    if (u->shape.listen != NULL || u->shape.http != NULL) {
        return pf_cli_usage(cli, "--hosts gives every daemon an address of its own",
                            "leave --listen and --http away");
    }
    if (u->shape.agents > PF_HOSTS_AGENTS_MAX) {
        return pf_cli_usage(cli, "too many agents for --hosts",
                            pf_cli_text(cli, "at most --agents %d, and --fake-agents besides",
                                        PF_HOSTS_AGENTS_MAX));
    }
    return 0;
}

/* How many masters, and whether they need a ZooKeeper. */
static int read_quorum(struct up *u)
{
    struct pf_cli *cli = u->cli;
    int64_t masters = pf_args_num(&cli->args, "masters", 1);
    int64_t zk = pf_args_num(&cli->args, "zk-servers", masters > 1 ? 1 : 0);
    if (masters > PF_SHAPE_MASTERS_MAX || masters % 2 == 0) {
        return pf_cli_usage(cli, pf_cli_text(cli, "--masters %" PRId64 ": 1, 3 or 5", masters),
                            masters > 0 && masters % 2 == 0
                                ? "an even number survives no more losses than one less"
                                : "three survive the loss of one, five of two");
    }
    if (pf_args_has(&cli->args, "zk-servers") && zk != 1 && zk != PF_SHAPE_ZK_MAX) {
        return pf_cli_usage(
            cli, pf_cli_text(cli, "--zk-servers %" PRId64 ": 1 or 3", zk),
            "ZooKeeper needs more than half of its servers: three survive one loss");
    }
    u->shape.masters = (uint32_t)masters;
    u->shape.zk_servers = (uint32_t)zk;
    return read_network(u);
}

static int read_shape(struct up *u)
{
    struct pf_cli *cli = u->cli;
    const struct pf_args *args = &cli->args;
    int64_t agents = pf_args_num(args, "agents", 1), fake = pf_args_num(args, "fake-agents", 0);
    u->shape = (struct pf_shape){.cpus_milli = pf_args_num(args, "cpus", -1),
                                 .mem_bytes = pf_args_num(args, "mem", -1),
                                 .listen = pf_args_text(args, "listen"),
                                 .http = pf_args_text(args, "http")};
    if (agents > PF_SHAPE_AGENTS_MAX || fake > FAKE_AGENTS_MAX) {
        return pf_cli_usage(cli, "too many agents",
                            pf_cli_text(cli, "at most --agents %d and --fake-agents %d",
                                        PF_SHAPE_AGENTS_MAX, FAKE_AGENTS_MAX));
    }
    if (u->shape.mem_bytes >= 0 && u->shape.mem_bytes < MEM_MIN_BYTES) {
        return pf_cli_usage(cli, "--mem is less than a megabyte", "write for example: --mem 512M");
    }
    u->shape.agents = (uint32_t)agents;
    u->shape.fake_agents = (uint32_t)fake;
    uint32_t cursor = 0;
    const char *text;
    while ((text = pf_args_next(args, "attr", &cursor)) != NULL) {
        struct pf_str key, value;
        if (!pf_value_split(text, &key, &value) || strpbrk(text, ";:") != NULL ||
            u->shape.n_attributes == PF_SHAPE_ATTRIBUTES_MAX) {
            return pf_cli_usage(cli, pf_cli_text(cli, "--attr '%s' is no attribute", text),
                                "write for example: --attr rack=a1");
        }
        u->shape.attribute[u->shape.n_attributes++] = pf_str(text);
    }
    return read_quorum(u);
}

/* --dir, else --name, else PROFFER_DIR, else the cluster named "local". */
static int choose_dir(struct up *u)
{
    struct pf_cli *cli = u->cli;
    const char *dir = pf_args_text(&cli->args, "dir"), *name = pf_args_text(&cli->args, "name");
    const char *env_dir = cli->env("PROFFER_DIR");
    u->state_root = pf_local_state_root(cli->env, &cli->arena);
    if (name != NULL &&
        (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL || strlen(name) > 64)) {
        return pf_cli_usage(cli, pf_cli_text(cli, "'%s' is no name for a cluster", name),
                            "use letters, digits and dashes: --name test-1");
    }
    if (dir == NULL && name == NULL && env_dir != NULL && env_dir[0] != '\0') {
        dir = env_dir;
    }
    u->name = name != NULL ? name : "local";
    if (dir != NULL) {
        u->dir = pf_local_absolute(&cli->arena, dir);
    } else if (u->state_root != NULL) {
        u->dir = pf_local_path(&cli->arena, u->state_root, u->name);
    } else {
        return pf_cli_usage(cli, "there is no home directory to keep the cluster in",
                            "say where: --dir DIR (or set HOME)");
    }
    return 0;
}

/* How long a daemon that died may take to come back. */
#define WHOLE_MS 30000

static const char *describe(struct pf_cli *cli, const char *dir, struct LocalCluster c)
{
    struct pf_str http = {0};
    uint32_t n_agents = 0, n_masters = 0, n_zk = 0;
    for (uint32_t i = 0; i < LocalCluster_daemons__len(c); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(c, i);
        enum pf_local_kind kind = pf_local_kind(d);
        http = kind == PF_LOCAL_MASTER && http.len == 0 ? LocalDaemon_http(d) : http;
        n_masters += kind == PF_LOCAL_MASTER ? 1 : 0;
        n_zk += kind == PF_LOCAL_ZOOKEEPER ? 1 : 0;
        n_agents += pf_local_agents(d);
    }
    const char *zk =
        n_zk == 0 ? "" : pf_cli_text(cli, "%u ZooKeeper server%s, ", n_zk, n_zk == 1 ? "" : "s");
    return pf_cli_text(cli, "cluster %.*s is up: master%s %s, http://%.*s, %s%u agent%s, in %s",
                       PF_STR_ARG(LocalCluster_name(c)), n_masters == 1 ? "" : "s",
                       pf_local_masters(&cli->arena, c), PF_STR_ARG(http), zk, n_agents,
                       n_agents == 1 ? "" : "s", dir);
}

/* A supervisor lives there already. */
static int already_up(struct up *u, pid_t holder)
{
    struct pf_cli *cli = u->cli;
    struct LocalCluster c;
    struct pf_err err = {0};
    if (pf_local_read(u->dir, &cli->arena, &c, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "the cluster in %s is being started by process %ld",
                                       u->dir, (long)holder),
                           "try again in a moment");
    }
    const char *difference = pf_shape_difference(LocalCluster_shape(c), &u->shape, &cli->arena);
    if (difference != NULL) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "the cluster %.*s is up in another shape: %s",
                                       PF_STR_ARG(LocalCluster_name(c)), difference),
                           "take it down first (proffer down), or start another one with --name");
    }
    if (pf_local_wait_whole(u->dir, WHOLE_MS, &cli->arena, &c, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "the cluster %.*s is not whole: %s",
                                       PF_STR_ARG(LocalCluster_name(c)), err.msg),
                           "proffer status tells what is missing");
    }
    pf_cli_note(cli, "%s (it was up already)", describe(cli, u->dir, c));
    return PF_EXIT_OK;
}

static void remember(struct up *u)
{
    struct pf_err err = {0};
    if (u->state_root != NULL && pf_local_set_last(u->state_root, u->dir, &err) != 0) {
        pf_cli_note(u->cli, "%s; name this cluster with --dir", err.msg);
    }
}

/* In the supervisor. The message is "+what" or "-what\nto do". */
static void tell(struct up *u, const char *text)
{
    if (u->tell_fd >= 0) {
        (void)!pf_fd_write_all(u->tell_fd, text, strlen(text), NULL); /* it may have gone */
        pf_fd_close(&u->tell_fd);
    }
}

static void on_ready(void *ctx, struct LocalCluster cluster)
{
    struct up *u = ctx;
    const char *what = describe(u->cli, u->dir, cluster);
    if (u->tell_fd >= 0) {
        tell(u, pf_cli_text(u->cli, "+%s", what));
    } else {
        remember(u);
        pf_cli_note(u->cli, "%s; Ctrl-C takes it down", what);
    }
}

static int supervise(struct up *u, bool stays)
{
    struct pf_err err = {0};
    const char *hint = "";
    const struct pf_supervisor_options options = {
        .dir = u->dir,
        .name = u->name,
        .bin_dir = pf_bin_dir(u->cli->env, &u->cli->arena),
        .env = u->cli->env,
        .shape = &u->shape,
        .stays = stays,
        .on_ready = on_ready,
        .ctx = u,
    };
    int rc = pf_supervise(&options, &u->cli->arena, &hint, &err);
    if (rc == 0) {
        return PF_EXIT_OK;
    }
    if (!stays) {
        tell(u, pf_cli_text(u->cli, "-%s\n%s", err.msg, hint));
        return PF_EXIT_FAILED;
    }
    return pf_cli_fail(u->cli, PF_EXIT_FAILED, err.msg, hint);
}

/* The child of fork: becomes the supervisor, detached from the terminal. */
static int detach(struct up *u, int tell_fd)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    u->tell_fd = tell_fd;
    if (setsid() < 0 || chdir("/") != 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(null_fd, STDOUT_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0) {
        tell(u, pf_cli_text(u->cli, "-cannot detach: %s\ntry --foreground", strerror(errno)));
        return PF_EXIT_FAILED;
    }
    pf_fd_close(&null_fd);
    return supervise(u, false);
}

/* What the supervisor says, until it closes the pipe. */
static int hear(struct up *u, int fd)
{
    struct pf_cli *cli = u->cli;
    char *text = pf_arena_zalloc(&cli->arena, MESSAGE_MAX);
    size_t len = 0;
    ssize_t n;
    while (len < MESSAGE_MAX - 1 && (n = read(fd, text + len, MESSAGE_MAX - 1 - len)) != 0) {
        if (n < 0 && errno != EINTR) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    if (text[0] == '+') {
        remember(u);
        pf_cli_note(cli, "%s", text + 1);
        return PF_EXIT_OK;
    }
    char *line_end = strchr(text, '\n');
    if (text[0] != '-' || line_end == NULL) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, "the supervisor ended without a word",
                           pf_cli_text(cli, "its log: %s/log/supervisor.log", u->dir));
    }
    *line_end = '\0';
    return pf_cli_fail(cli, PF_EXIT_FAILED, text + 1, line_end + 1);
}

static int start_detached(struct up *u)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return pf_cli_fail(u->cli, PF_EXIT_FAILED,
                           pf_cli_text(u->cli, "cannot start a process: %s", strerror(errno)),
                           "free some resources and try again");
    }
    (void)fflush(NULL); /* nothing may be written twice */
    pid_t pid = fork();
    if (pid == 0) {
        pf_fd_close(&fds[0]);
        _exit(detach(u, fds[1]));
    }
    pf_fd_close(&fds[1]);
    int status;
    if (pid < 0) {
        status = pf_cli_fail(u->cli, PF_EXIT_FAILED,
                             pf_cli_text(u->cli, "cannot start a process: %s", strerror(errno)),
                             "free some resources and try again");
    } else {
        status = hear(u, fds[0]);
        if (status != PF_EXIT_OK) {
            (void)waitpid(pid, NULL, 0); /* it stops what it had started */
        }
    }
    pf_fd_close(&fds[0]);
    return status;
}

static int run(struct pf_cli *cli)
{
    struct up u = {.cli = cli, .tell_fd = -1};
    struct pf_err err = {0};
    int status = read_shape(&u);
    status = status != 0 ? status : choose_dir(&u);
    if (status != 0) {
        return status;
    }
    if (pf_mkdir_p(u.dir, 0700, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED, err.msg, "choose another directory: --dir DIR");
    }
    if (access(u.dir, W_OK | X_OK) != 0) {
        return pf_cli_fail(cli, PF_EXIT_FAILED,
                           pf_cli_text(cli, "cannot write in %s: %s", u.dir, strerror(errno)),
                           "choose another directory: --dir DIR");
    }
    pid_t holder = pf_local_holder(u.dir);
    if (holder > 0) {
        return already_up(&u, holder);
    }
    return pf_args_has(&cli->args, "foreground") ? supervise(&u, true) : start_detached(&u);
}

static const struct pf_cli_option options[] = {
    {.name = "agents",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "how many agents share this machine (default 1)"},
    {.name = "cpus",
     .kind = PF_ARG_MILLI,
     .arg = "CPUS",
     .help = "of each agent (default: its part of what is there)"},
    {.name = "mem",
     .kind = PF_ARG_SIZE,
     .arg = "SIZE",
     .help = "of each agent (default: its part of what is there)"},
    {.name = "attr",
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "NAME=VALUE",
     .help = "an attribute of each agent"},
    {.name = "fake-agents",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "besides, N simulated agents that start no processes"},
    {.name = "masters",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .complete = PF_COMPLETE_CHOICES,
     .choices = "1 3 5",
     .help = "how many masters, of which one leads (default 1); several elect through a private "
             "ZooKeeper"},
    {.name = "zk-servers",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .complete = PF_COMPLETE_CHOICES,
     .choices = "1 3",
     .help = "of how many servers that ZooKeeper is made (default 1)"},
    {.name = "name", .kind = PF_ARG_TEXT, .arg = "NAME", .help = "its name (default local)"},
    {.name = "dir",
     .kind = PF_ARG_TEXT,
     .arg = "DIR",
     .complete = PF_COMPLETE_DIR,
     .help = "where to keep it (default: by its name under ~/.local/state/proffer)"},
    {.name = "listen",
     .kind = PF_ARG_TEXT,
     .arg = "HOST:PORT",
     .help = "native address of the (first) master (default 127.0.0.1:5055, or a free port)"},
    {.name = "http",
     .kind = PF_ARG_TEXT,
     .arg = "HOST:PORT",
     .help = "HTTP address of the (first) master (default 127.0.0.1:5050, or a free port)"},
    {.name = "relays",
     .kind = PF_ARG_FLAG,
     .help = "connections go through relays, so that drills can break the network"},
    {.name = "hosts",
     .kind = PF_ARG_FLAG,
     .help =
         "each daemon on a host of its own (a network namespace), for the same end; needs root"},
    {.name = "foreground", .kind = PF_ARG_FLAG, .help = "stay; Ctrl-C takes the cluster down"},
};

const struct pf_command pf_cmd_up = {
    .name = "up",
    .group = "cluster",
    .summary = "start a cluster on this machine",
    .about = "Returns when it is ready, and leaves a supervisor that restarts a daemon that dies. "
             "Starting what is up already in the same shape is no error.",
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer up --agents 2", "two agents share the machine"},
                 {"proffer up --name test --fake-agents 1000", "another one, much to look at"},
                 {"proffer up --masters 3", "kill the leading one: another takes over"}},
    .exits = "0 it is up, 1 it could not be started or is up in another shape, 2 wrong usage",
    .run = run,
};
