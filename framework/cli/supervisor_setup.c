/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor does before it starts anything: directories, key, addresses, command lines. */
#include "framework/cli/supervisor_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/net/keyfile.h"
#include "common/sys/boot.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"
#include "framework/cli/local.h"
#include "framework/cli/ports.h"

enum { MASTER_NATIVE = 5055, MASTER_HTTP = 5050, AGENT_NATIVE = 5056, AGENT_HTTP = 5051 };

void pf_supervisor_log(struct pf_supervisor *s, const char *fmt, ...)
{
    char at[PF_FORMAT_TIME_MAX];
    struct pf_buf line = {0};
    va_list ap;
    pf_format_time(pf_wall_ms(), at);
    pf_buf_printf(&line, "%s ", at);
    va_start(ap, fmt);
    pf_buf_vprintf(&line, fmt, ap);
    va_end(ap);
    pf_buf_add_byte(&line, '\n');
    /* a full disk must not stop the supervisor */
    if (s->log_fd >= 0) {
        (void)!pf_fd_write_all(s->log_fd, line.data, line.len, NULL);
    }
    if (s->options->stays) {
        (void)!pf_fd_write_all(STDERR_FILENO, line.data, line.len, NULL);
    }
    pf_buf_fini(&line);
}

const char *pf_bin_dir(const char *(*env)(const char *name), struct pf_arena *arena)
{
    char path[PATH_MAX];
    const char *said = env("PROFFER_BIN_DIR");
    if (said != NULL && said[0] != '\0') {
        return said;
    }
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    return pf_arena_strdup(arena, pf_str(path)).at;
}

void pf_stop_launcher_args(const char *bin_dir, const char *work_dir, struct pf_arena *arena,
                           struct pf_spawn_args *out)
{
    pf_spawn_arg(out, pf_local_path(arena, bin_dir, "proffer-agent"));
    pf_spawn_arg(out, "--stop-launcher");
    pf_spawn_option(out, "--work-dir", work_dir);
}

int pf_stop_launcher(const char *bin_dir, const char *work_dir, struct pf_err *err)
{
    struct pf_arena arena = {0};
    struct pf_spawn_args args = {0};
    pid_t pid = 0;
    int status = 0;
    pf_stop_launcher_args(bin_dir, work_dir, &arena, &args);
    int rc = pf_spawn(&args, NULL, -1, &pid, err);
    if (rc == 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
        rc = pf_err_set(err, PF_EIO, "the launcher of %s could not be stopped", work_dir);
    }
    pf_arena_fini(&arena);
    return rc;
}

/* The former address if it is free, else the default one if that is, else whatever is. */
static char *choose_address(const char *former_address, uint16_t usual)
{
    struct pf_hostport hp;
    char text[PF_FORMAT_HOSTPORT_MAX] = "127.0.0.1:0";
    if (former_address != NULL && pf_parse_hostport(pf_str(former_address), 0, &hp, NULL) == 0 &&
        strcmp(hp.host, "127.0.0.1") == 0 && pf_port_is_free(hp.port)) {
        return pf_strdup(former_address);
    }
    if (usual != 0 && pf_port_is_free(usual)) {
        (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)usual);
    }
    return pf_strdup(text);
}

/* An agent that comes back moves where its old port was taken meanwhile: the master learns its
 * address anew. A master stays, because the agents know it. */
static void move_if_taken(char **address)
{
    char *now = choose_address(*address, 0);
    pf_free(*address);
    *address = now;
}

void pf_supervisor_args(struct pf_supervisor *s, struct pf_daemon *d, struct pf_arena *arena,
                        struct pf_spawn_args *out)
{
    const struct pf_supervisor_options *o = s->options;
    char ready_fd[16];
    (void)snprintf(ready_fd, sizeof ready_fd, "%d", PF_SPAWN_READY_FD);
    enum pf_sup_tier tier = s->child[d->index].tier;
    if (d->is_relay) {
        pf_supervisor_relay_args(s, d, arena, out);
        return;
    }
    if (tier == PF_SUP_ZOOKEEPER) {
        pf_zk_command(s->java, d->work_dir,
                      pf_zk_heap_mib(o->shape->agents + o->shape->fake_agents), arena, out);
        return;
    }
    if (tier == PF_SUP_AGENT && d->host.name[0] == '\0') {
        move_if_taken(&d->native);
        move_if_taken(&d->http);
    }
    pf_spawn_arg(out, pf_local_path(arena, o->bin_dir,
                                    tier == PF_SUP_MASTER ? "proffer-master" : "proffer-agent"));
    pf_spawn_option(out, "--listen", d->behind != NULL ? d->behind : d->native);
    pf_spawn_option(out, "--advertise", d->behind != NULL ? d->native : NULL);
    pf_spawn_option(out, "--http", d->http);
    pf_spawn_option(out, "--work-dir", d->work_dir);
    pf_spawn_option(out, "--key-file", pf_local_path(arena, o->dir, "key"));
    pf_spawn_option(out, "--cluster", o->name);
    pf_spawn_option(out, "--ready-fd", pf_arena_strdup(arena, pf_str(ready_fd)).at);
    if (tier == PF_SUP_MASTER) {
        pf_spawn_option(out, "--config", pf_supervisor_zk_conf(s, d->index - s->n_zk, arena));
        return;
    }
    const char *masters = "";
    for (uint32_t i = s->n_zk; i < s->n_zk + s->n_masters; i++) {
        masters = pf_arena_printf(arena, "%s%s%s", masters, masters[0] != '\0' ? "," : "",
                                  s->daemon[i].native)
                      .at;
    }
    pf_spawn_option(out, "--master", masters);
    pf_spawn_option(out, "--ready-when", "registered");
    pf_spawn_option(out, "--attributes", pf_shape_attributes(o->shape, arena));
    if (d->n_fake > 0) {
        pf_spawn_option(out, "--simulate", pf_arena_printf(arena, "%u", d->n_fake).at);
        pf_spawn_option(out, "--resources", pf_shape_fake_resources(o->shape, arena));
    } else {
        pf_spawn_option(out, "--resources",
                        pf_shape_resources(o->shape, &s->machine, d->agent_i, arena));
    }
}

/* Where this daemon listened before; NULL = it never did. */
static const char *former(struct LocalCluster before, const char *name, bool http)
{
    for (uint32_t i = 0; i < LocalCluster_daemons__len(before); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(before, i);
        if (pf_str_is(LocalDaemon_name(d), name)) {
            struct pf_str at = http ? LocalDaemon_http(d) : LocalDaemon_native(d);
            return at.len > 0 ? at.at : NULL;
        }
    }
    return NULL;
}

/* An address that the user named must be free: nothing else would be what was asked for. */
static int check_said(struct pf_supervisor *s, const char *option, const char *address,
                      struct pf_err *err)
{
    struct pf_hostport hp;
    int rc = pf_parse_hostport(pf_str(address), 0, &hp, err);
    bool is_local =
        rc == 0 && (strcmp(hp.host, "127.0.0.1") == 0 || strcmp(hp.host, "localhost") == 0);
    if (rc != 0) {
        pf_err_wrap(err, "%s", option);
        *s->out_hint = pf_arena_printf(s->arena, "write for example: %s 127.0.0.1:5055", option).at;
    } else if (is_local && hp.port != 0 && !pf_port_is_free(hp.port)) {
        rc = pf_err_set(err, PF_EBUSY, "%s: the port %s is in use", option, address);
        *s->out_hint = "name another port, or leave the option away: a free one is picked then";
    }
    return rc;
}

static int add_daemon(struct pf_supervisor *s, uint32_t i, const char *name, const char *dir_name,
                      struct pf_err *err)
{
    const char *dir = s->options->dir;
    struct pf_daemon *d = &s->daemon[i];
    *d = (struct pf_daemon){.owner = s, .index = i, .ready_fd = -1, .since_ms = pf_wall_ms()};
    d->name = pf_strdup(name);
    d->work_dir = pf_strdup(pf_local_path(s->arena, dir, dir_name));
    d->log = pf_strdup(pf_arena_printf(s->arena, "%s/log/%s.log", dir, name).at);
    return pf_mkdir_p(d->work_dir, 0700, err);
}

/* Where a master is to listen: as said, but "any port" means the former one if there is one, as
 * agents and frameworks that outlived a supervisor look for it there. */
static char *master_address(struct pf_supervisor *s, const char *said, const char *former_at,
                            uint16_t usual_port)
{
    size_t len = said != NULL ? strlen(said) : 0;
    bool is_any = len > 2 && strcmp(said + len - 2, ":0") == 0;
    char *at = said == NULL ? choose_address(former_at, usual_port)
               : is_any && former_at != NULL && strncmp(said, former_at, len - 1) == 0
                   ? choose_address(former_at, 0)
                   : pf_strdup(said);
    if (s->n_zk > 0 && strcmp(at, "127.0.0.1:0") == 0) {
        /* it must find it free again: the others go on without it meanwhile */
        pf_free(at);
        at = pf_strdup(
            pf_arena_printf(s->arena, "127.0.0.1:%u", (unsigned)pf_port_pick(&s->ports)).at);
    }
    return at;
}

static int add_zk_servers(struct pf_supervisor *s, struct pf_err *err)
{
    int rc = s->n_zk > 0 ? pf_supervisor_prepare_zk(s, err) : 0;
    for (uint32_t i = 0; rc == 0 && i < s->n_zk; i++) {
        const char *name = pf_arena_printf(s->arena, "zk%u", i + 1).at;
        struct pf_daemon *d = &s->daemon[i];
        rc = add_daemon(s, i, name, name, err);
        d->zk_i = i;
        s->child[i].tier = PF_SUP_ZOOKEEPER;
        d->native =
            pf_strdup(pf_arena_printf(s->arena, "127.0.0.1:%u", (unsigned)s->zk[i].client).at);
    }
    return rc;
}

/* What was said of addresses counts for the first one. */
static int add_masters(struct pf_supervisor *s, struct LocalCluster before, struct pf_err *err)
{
    const struct pf_shape *shape = s->options->shape;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < s->n_masters; i++) {
        const char *name =
            s->n_masters == 1 ? "master" : pf_arena_printf(s->arena, "master%u", i + 1).at;
        const char *listen = i == 0 ? shape->listen : NULL, *http = i == 0 ? shape->http : NULL;
        uint32_t at = s->n_zk + i;
        struct pf_daemon *d = &s->daemon[at];
        rc = add_daemon(s, at, name, name, err);
        if (rc == 0 && listen != NULL) {
            rc = check_said(s, "--listen", listen, err);
        }
        if (rc == 0 && http != NULL) {
            rc = check_said(s, "--http", http, err);
        }
        s->child[at].tier = PF_SUP_MASTER;
        d->native =
            master_address(s, listen, former(before, name, false), i == 0 ? MASTER_NATIVE : 0);
        d->http = master_address(s, http, former(before, name, true), i == 0 ? MASTER_HTTP : 0);
    }
    return rc;
}

static int add_agents(struct pf_supervisor *s, struct LocalCluster before, struct pf_err *err)
{
    const struct pf_shape *shape = s->options->shape;
    uint32_t at = s->n_zk + s->n_masters;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < shape->agents; i++, at++) {
        const char *name = pf_arena_printf(s->arena, "agent-%u", i).at;
        struct pf_daemon *d = &s->daemon[at];
        rc = add_daemon(s, at, name, name, err);
        d->agent_i = i;
        d->native = choose_address(former(before, name, false), i == 0 ? AGENT_NATIVE : 0);
        d->http = choose_address(former(before, name, true), i == 0 ? AGENT_HTTP : 0);
        s->child[at].tier = PF_SUP_AGENT;
        s->child[at].has_launcher = true;
    }
    if (rc == 0 && shape->fake_agents > 0) {
        struct pf_daemon *d = &s->daemon[at];
        rc = add_daemon(s, at, "fake-agents", "fake-agents", err);
        s->child[at].tier = PF_SUP_AGENT;
        d->n_fake = shape->fake_agents;
        d->native = pf_strdup("127.0.0.1:0");
        d->http = pf_strdup("127.0.0.1:0");
    }
    return rc;
}

/* A registry belongs to one master or to a ZooKeeper of so many servers: with another kind the
 * cluster would begin anew, and its agents would refuse to obey it. */
static int check_registry(struct pf_supervisor *s, struct LocalCluster before, struct pf_err *err)
{
    const char *dir = s->options->dir;
    uint32_t n_before = LocalShape_zk_servers(LocalCluster_shape(before));
    const char *kept = n_before > 0 ? pf_local_path(s->arena, dir, "zk1/data/version-2")
                                    : pf_local_path(s->arena, dir, "master/data.mdb");
    if (n_before == s->options->shape->zk_servers || access(kept, F_OK) != 0) {
        return 0;
    }
    *s->out_hint = pf_arena_printf(s->arena,
                                   "take it away (proffer down --purge --dir %s), or start "
                                   "another cluster with --name",
                                   dir)
                       .at;
    return n_before == 0
               ? pf_err_set(err, PF_EEXIST, "%.120s holds the registry of a master alone", dir)
               : pf_err_set(err, PF_EEXIST,
                            "%.120s holds a registry in ZooKeeper on %u server%s, not %u", dir,
                            n_before, n_before == 1 ? "" : "s", s->options->shape->zk_servers);
}

static int make_key(struct pf_supervisor *s, struct pf_err *err)
{
    struct pf_key key;
    struct pf_err why = {0};
    const char *path = pf_local_path(s->arena, s->options->dir, "key");
    int rc = pf_keyfile_create(path, &key, &why);
    if (rc == PF_EEXIST) {
        pf_err_clear(&why);
        rc = pf_keyfile_read(path, &key, &why);
    }
    pf_key_wipe(&key);
    return rc != 0 ? pf_err_set(err, rc, "%s", why.msg) : 0;
}

int pf_supervisor_prepare(struct pf_supervisor *s, struct pf_err *err)
{
    const struct pf_supervisor_options *o = s->options;
    uint64_t mem_bytes = 0, free_bytes, disk_bytes = 0;
    struct LocalCluster before = {0};
    const char *log_dir = pf_local_path(s->arena, o->dir, "log");
    s->log_fd = -1;
    int rc = pf_mkdir_p(log_dir, 0700, err);
    rc = rc != 0 ? rc : make_key(s, err);
    rc = rc != 0 ? rc : pf_memory_total(&mem_bytes, err);
    rc = rc != 0 ? rc : pf_fs_space(o->dir, &free_bytes, &disk_bytes, err);
    if (rc != 0) {
        return rc;
    }
    s->log_fd = open(pf_local_path(s->arena, log_dir, "supervisor.log"),
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    s->machine = pf_shape_machine_of(pf_cpu_count(), mem_bytes, disk_bytes);
    (void)!pf_local_read(o->dir, s->arena, &before, NULL); /* none: the first start */
    /* A killed supervisor's daemons: a master must be able to come back where the agents and the
     * frameworks know it. Frees its port for add_master(). */
    for (uint32_t i = LocalCluster_daemons__len(before); i > 0; i--) {
        pf_local_end_daemon(LocalCluster_daemons__at(before, i - 1));
    }
    pf_port_picker_init(&s->ports, pf_random_u64());
    s->n_zk = o->shape->zk_servers;
    s->n_masters = o->shape->masters > 0 ? o->shape->masters : 1;
    s->n = s->n_zk + s->n_masters + o->shape->agents + (o->shape->fake_agents > 0 ? 1 : 0) +
           (o->shape->has_relays ? 1 : 0);
    s->daemon = pf_alloc(s->n * sizeof *s->daemon);
    s->child = pf_alloc(s->n * sizeof *s->child);
    for (uint32_t i = 0; i < s->n; i++) {
        s->daemon[i].ready_fd = -1;
    }
    rc = check_registry(s, before, err);
    rc = rc != 0 ? rc : pf_supervisor_begin_hosts(s, before, err);
    rc = rc != 0 ? rc : add_zk_servers(s, err);
    rc = rc != 0 ? rc : add_masters(s, before, err);
    rc = rc != 0 ? rc : add_agents(s, before, err);
    if (rc == 0 && o->shape->has_relays) {
        rc = add_daemon(s, s->n - 1, "relay", "relay", err);
        rc = rc != 0 ? rc : pf_supervisor_add_relay(s, &s->daemon[s->n - 1], err);
    }
    rc = rc != 0 ? rc : pf_supervisor_make_hosts(s, err);
    pf_sup_init(&s->sup, s->child, s->n);
    return rc;
}

void pf_supervisor_release(struct pf_supervisor *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct pf_daemon *d = &s->daemon[i];
        pf_free(d->name);
        pf_free(d->work_dir);
        pf_free(d->log);
        pf_free(d->native);
        pf_free(d->behind);
        pf_free(d->http);
        pf_free(d->last_end);
        pf_buf_fini(&d->line);
        pf_fd_close(&d->ready_fd);
    }
    pf_free(s->daemon);
    pf_free(s->child);
    pf_ptrs_fini(&s->unstarted);
    pf_ptrs_fini(&s->uncleaned);
    pf_fd_close(&s->log_fd);
}
