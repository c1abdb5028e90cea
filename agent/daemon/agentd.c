/* SPDX-License-Identifier: Apache-2.0 */
/* See agentd.h. Boot: rows -> core, an identity stored before anybody hears of it, then the
 * launcher and the masters. */
#include "agent/daemon/agentd.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/daemon/agentd_internal.h"
#include "agent/daemon/detect.h"
#include "common/base/alloc.h"
#include "common/engine/ready.h"
#include "common/net/keyfile.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"

#define BEGIN_MS      2000 /* masters hear of us without a launcher, too */
#define STATE_LEVEL   1
#define RESEND_MS     10000
#define WORK_DIR_MODE 0755 /* tasks of other users pass through to their sandboxes */

/* --- engine ----------------------------------------------------------------------------------- */

/* Once, when everything stands and (--ready-when registered) a master knows us. */
static void tell_ready(struct agentd *d)
{
    struct pf_agent_stats s;

    pf_agent_stats(d->core, &s);
    if (d->has_told || !d->is_up || (d->o->waits_registered && !s.registered)) {
        return;
    }
    d->has_told = true;
    pf_ready_tell((int)d->o->ready_fd, d->native_address, d->http_address);
}

/* Says what only a person can mend, once. */
static void log_problem(struct agentd *d)
{
    const char *problem = pf_agent_problem(d->core);

    if (strcmp(problem != NULL ? problem : "", d->problem != NULL ? d->problem : "") == 0) {
        return;
    }
    pf_free(d->problem);
    d->problem = problem != NULL ? pf_strdup(problem) : NULL;
    if (problem != NULL) {
        pf_log(PF_LOG_ERROR, "no master to obey", "agent=%s why=%s", pf_agent_id(d->core),
               problem);
    }
}

/* Asked last in every turn: what was said to the launcher leaves at once. */
static int64_t engine_deadline(void *ctx)
{
    struct agentd *d = ctx;

    if (d->launcher != NULL) {
        pf_launcher_link_flush(d->launcher);
    }
    tell_ready(d);
    log_problem(d);
    return pf_agent_deadline(d->core);
}

static void engine_on_deadline(void *ctx)
{
    struct pf_agent_event ev = {.type = PF_AGENT_DEADLINE};

    agentd_step(ctx, &ev);
}

static bool engine_on_virtual(void *ctx, const struct pf_effect *e)
{
    struct agentd *d = ctx;

    return pf_executor_api_effect(d->executor_api, e);
}

static void engine_store_failed(void *ctx, const struct pf_err *why)
{
    struct agentd *d = ctx;

    d->failure = *why;
    pf_err_wrap(&d->failure, "cannot store the state in %s (tasks run on)", d->state_dir);
    pf_loop_stop(d->loop);
}

/* --- boot: directories and addresses ---------------------------------------------------------- */

static char *path_join(const char *dir, const char *name)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "%s/%s", dir, name);
    char *path = pf_strdup(pf_buf_cstr(&b));
    pf_buf_fini(&b);
    return path;
}

static int boot_dirs(struct agentd *d, struct pf_err *err)
{
    int rc = pf_mkdir_p(d->o->work_dir, WORK_DIR_MODE, err);
    if (rc < 0) {
        return rc;
    }
    char real[PATH_MAX];
    if (realpath(d->o->work_dir, real) == NULL) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", d->o->work_dir);
    }
    d->work_dir = pf_strdup(real);
    d->state_dir = path_join(d->work_dir, "state");
    d->run_dir = path_join(d->work_dir, "run");
    d->cache_dir = path_join(d->work_dir, "cache");
    char *lock = path_join(d->work_dir, "agent.lock");
    rc = pf_file_lock(lock, &d->lock_fd, err);
    pf_free(lock);
    if (rc < 0) {
        pf_err_wrap(err, "another agent uses %s", d->work_dir);
        return rc;
    }
    return pf_mkdir_p(d->run_dir, 0700, err);
}

static int boot_identity(struct agentd *d, struct pf_err *err)
{
    char *own = path_join(d->work_dir, "machine-id");

    int rc = pf_machine_id(own, d->machine_id, err);
    pf_free(own);
    if (rc == 0) {
        rc = pf_boot_id(d->boot_id, err);
    }
    if (rc == 0 && d->o->hostname[0] != '\0') {
        (void)snprintf(d->hostname, sizeof d->hostname, "%s", d->o->hostname);
    } else if (rc == 0 && gethostname(d->hostname, sizeof d->hostname - 1) != 0) {
        (void)snprintf(d->hostname, sizeof d->hostname, "localhost");
    }
    return rc;
}

/* The address others are told: where we listen everywhere, our host's name. */
static void told_address(const struct agentd *d, const char *bound, char *out, size_t bytes)
{
    struct pf_hostport hp;

    (void)snprintf(out, bytes, "%s", bound);
    if (pf_parse_hostport(pf_str(bound), 0, &hp, NULL) == 0 &&
        (hp.host[0] == '\0' || strcmp(hp.host, "0.0.0.0") == 0 || strcmp(hp.host, "::") == 0)) {
        (void)snprintf(out, bytes, "%s:%u", d->hostname, hp.port);
    }
}

static int boot_key(struct agentd *d, struct pf_err *err)
{
    if (d->o->key_file[0] != '\0') {
        int rc = pf_keyfile_read(d->o->key_file, &d->key, err);
        if (rc < 0) {
            return rc;
        }
        d->has_key = true;
    }
    int rc = pf_listen_check(d->o->listen, d->has_key, d->o->insecure, err);
    return rc == 0 ? pf_listen_check(d->o->http, d->has_key, d->o->insecure, err) : rc;
}

static void on_signal(void *ctx, int signo)
{
    struct agentd *d = ctx;

    pf_log(PF_LOG_INFO, "ending, tasks run on", "signal=%d", signo);
    d->is_ending = true;
    pf_loop_stop(d->loop);
}

static int boot_net(struct agentd *d, struct pf_err *err)
{
    d->self = (struct pf_link_self){.kind = PeerKind_AGENT,
                                    .key = d->has_key ? &d->key : NULL,
                                    .id = "",
                                    .instance = d->instance,
                                    .cluster = d->o->cluster,
                                    .version = PF_VERSION};
    const struct pf_net_options no = {.self = &d->self, .seed = pf_random_u64()};
    int rc = pf_net_create(d->loop, &no, &agentd_net_ops, d, &d->net, err);
    if (rc == 0) {
        rc = pf_http_create(d->loop, NULL, &d->http, err);
    }
    if (rc < 0) {
        return rc;
    }
    d->http_routes = (struct pf_agent_http){agentd_http_ops, d};
    pf_agent_http_routes(d->http, &d->http_routes);
    const struct pf_executor_api_options eo = {.authenticates = d->o->authenticates_executors};
    d->executor_api =
        pf_executor_api_create(d->loop, d->http, &eo, &agentd_executor_api_ops, d);
    const struct pf_masters_options mo = {
        .addresses = &d->o->masters, .how = {.prio = PF_PRIO_URGENT}, .seed = pf_random_u64()};
    d->masters = pf_masters_create(d->loop, d->net, &mo);
    rc = pf_net_listen(d->net, d->o->listen, d->native_address, err);
    if (rc == 0) {
        rc = pf_http_listen(d->http, d->o->http, d->http_address, err);
    }
    if (rc == 0) {
        told_address(d, d->native_address, d->told_native, sizeof d->told_native);
        told_address(d, d->http_address, d->told_http, sizeof d->told_http);
        rc = pf_loop_on_signal(d->loop, SIGTERM, on_signal, d, err);
    }
    return rc < 0 ? rc : pf_loop_on_signal(d->loop, SIGINT, on_signal, d, err);
}

/* --- boot: the core --------------------------------------------------------------------------- */

static int make_core(struct agentd *d, struct pf_err *err)
{
    struct pf_resources total = {0};
    struct pf_machine machine;
    struct pf_hostport http;
    uint64_t free_bytes = 0;
    uint64_t disk_bytes = 0;

    int rc = pf_machine_read(d->work_dir, &machine, err);
    if (rc == 0) {
        rc = pf_fs_space(d->work_dir, &free_bytes, &disk_bytes, err);
    }
    if (rc == 0) {
        rc = pf_detect_resources(d->o->resources, &machine, &total, err);
    }
    if (rc == 0) {
        rc = pf_parse_hostport(pf_str(d->http_address), 0, &http, err);
    }
    if (rc < 0) {
        pf_res_fini(&total);
        return rc;
    }
    const struct pf_agent_options ao = {
        .instance = d->instance,
        .seed = pf_random_u64(),
        .token_key = {pf_random_u64(), pf_random_u64()},
        .hostname = d->hostname,
        .address = d->told_native,
        .http_address = d->told_http,
        .http_port = http.port,
        .pid = getpid(),
        .machine_id = d->machine_id,
        .boot_id = d->boot_id,
        .total = &total,
        .attributes = d->o->attributes,
        .work_dir = d->work_dir,
        .isolation = "accounted, not enforced",
        .default_user = "",
        .task_user = d->o->task_user,
        .allow_any_user = d->o->allow_any_user,
        .runs_as_root = geteuid() == 0,
        .min_free_bytes = (uint64_t)d->o->min_free_bytes,
        .cache_dir = d->o->fetch_cache_bytes > 0 ? d->cache_dir : "",
        .cache_max_bytes = (uint64_t)d->o->fetch_cache_bytes,
        .log_max_bytes = (uint64_t)d->o->log_max_bytes,
        .limits_cpu_hard = d->o->limits_cpu_hard,
        .task_pids_max = (uint64_t)d->o->task_pids_max,
        .gc_delay_ms = d->o->gc_delay_ms > 0 ? d->o->gc_delay_ms : 1, /* 0 is "as usual" there */
        .disk_bytes = disk_bytes,
        .executor_subscribe_ms = d->o->executor_subscribe_ms,
        .executor_resubscribe_ms = d->o->executor_resubscribe_ms,
        .executor_shutdown_ms = d->o->executor_shutdown_ms,
        .authenticates_executors = d->o->authenticates_executors,
        .cleans_up = d->o->cleans_up,
        .reconfiguration = (enum pf_agent_reconfiguration)d->o->policy,
        .resend_ms = RESEND_MS,
    };
    d->core = pf_agent_create(&ao);
    pf_res_fini(&total);
    return 0;
}

static int boot_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes bytes)
{
    struct agentd *d = ctx;
    const struct pf_fb_table_desc *schema = pf_agent_row_desc(table);
    struct pf_msg row;

    if (schema == NULL) {
        return pf_err_set(&d->failure, PF_EVERSION, "the state has an unknown table %u", table);
    }
    int rc = pf_fb_verify(bytes, schema, &row, &d->failure);
    if (rc < 0) {
        pf_err_wrap(&d->failure, "a row of table %u of the state", table);
        return rc;
    }
    struct pf_agent_event ev = {.type = PF_AGENT_ROW, .row = {table, key, row}};
    agentd_step(d, &ev);
    return 0;
}

/* Rows, BOOT, and turns until what BOOT made is stored: the identity comes before the first
 * Hello. */
static int boot_rows(struct agentd *d, struct pf_err *err)
{
    int rc = pf_store_load(d->store, boot_row, d, err);
    if (rc == 0) {
        struct pf_agent_event ev = {.type = PF_AGENT_BOOT};
        agentd_step(d, &ev);
        if (pf_agent_misfit(d->core) != NULL) {
            return pf_err_set(err, PF_EINVAL, "%s", pf_agent_misfit(d->core));
        }
        bool may_wait = false; /* nothing wakes the first turn, which begins to store */
        do {
            rc = pf_loop_turn(d->loop, may_wait, err);
            may_wait = true;
        } while (rc == 0 && d->failure.code == 0 && !pf_engine_is_idle(d->engine));
    }
    if (d->failure.code != 0) {
        if (err != NULL) {
            *err = d->failure;
        }
        rc = d->failure.code;
    }
    d->self.id = pf_agent_id(d->core);
    return rc;
}

static int boot_core(struct agentd *d, struct pf_err *err)
{
    int rc = make_core(d, err);
    if (rc < 0) {
        return rc;
    }
    const struct pf_store_lmdb_options so = {
        .dir = d->state_dir, .kind = "agent", .level = STATE_LEVEL};
    rc = pf_store_lmdb_open(&so, &d->store, err);
    if (rc < 0) {
        return rc;
    }
    const struct pf_engine_ops ops = {.next_deadline = engine_deadline,
                                      .on_deadline = engine_on_deadline,
                                      .on_act = agentd_on_act,
                                      .on_virtual = engine_on_virtual,
                                      .on_store_failed = engine_store_failed};
    const struct pf_engine_options eo = {.loop = d->loop, .net = d->net, .store = d->store};
    rc = pf_engine_create(&eo, &ops, d, &d->engine, err);
    if (rc < 0) {
        pf_store_destroy(d->store);
        return rc;
    }
    return boot_rows(d, err);
}

/* Beside our own program, unless it was said where. */
static char *program_path(const char *said, const char *name)
{
    char self[4096];

    if (said[0] != '\0') {
        return pf_strdup(said);
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return path_join("/usr/bin", name);
    }
    *slash = '\0';
    return path_join(self, name);
}

static int boot_launcher(struct agentd *d, struct pf_err *err)
{
    bool is_ours = strcmp(d->o->launcher, "external") != 0; /* to start */
    char *program = is_ours ? program_path(d->o->launcher, "proffer-launcher") : NULL;
    d->containers = pf_containers_create(d->loop, d->o->isolation, pf_agent_id(d->core));
    const struct pf_launcher_link_options lo = {
        .dir = d->run_dir,
        .program = program,
        .nofile = d->nofile,
        .containers = d->containers};
    int rc = pf_launcher_link_create(d->loop, &lo, &agentd_launcher_ops, d, &d->launcher, err);
    pf_free(program);
    return rc;
}

/* What looks after tasks beside the core: their input, output, fetchers and checks. */
static int boot_helpers(struct agentd *d, struct pf_err *err)
{
    char *fetcher = program_path(d->o->fetcher, "proffer-fetcher");
    const struct pf_fetches_options fo = {.run_dir = d->run_dir,
                                          .cache_dir = d->cache_dir,
                                          .program = fetcher,
                                          .base = d->o->frameworks_home,
                                          .stall_ms = (uint32_t)d->o->fetch_stall_ms};
    const struct pf_logtrim_options to = {.max_bytes = (uint64_t)d->o->log_max_bytes,
                                          .dir = d->work_dir,
                                          .on_gone = agentd_on_sandbox_gone,
                                          .ctx = d};

    int rc = pf_files_create(d->loop, agentd_reply, d, &d->files, err);
    if (rc == 0) {
        rc = pf_fetches_create(&fo, &d->fetches, err);
    }
    if (rc == 0) {
        d->stdin_pipes = pf_stdin_create(d->loop, &agentd_stdin_ops, d);
        d->sessions = pf_sessions_create(d->loop, agentd_reply, d);
        d->terminals = pf_terminals_create(d->loop);
        d->checks = pf_checks_create(d->loop, agentd_on_checked, d);
        d->logtrim = pf_logtrim_create(d->loop, &to);
    }
    pf_free(fetcher);
    return rc;
}

/* Many connections for us; tasks keep the limit that we were given. */
static void raise_nofile(struct agentd *d)
{
    struct pf_err err = {0};
    struct rlimit given;
    uint64_t limit;

    if (getrlimit(RLIMIT_NOFILE, &given) == 0) {
        d->nofile = given.rlim_cur;
    }
    if (pf_fd_raise_limit(&limit, &err) < 0) {
        pf_log_err(PF_LOG_WARN, "descriptors stay limited", &err);
    }
}

static int boot(struct agentd *d, struct pf_err *err)
{
    int rc = boot_key(d, err);
    if (rc == 0) {
        rc = boot_dirs(d, err);
    }
    if (rc == 0) {
        rc = boot_identity(d, err);
    }
    if (rc == 0) {
        rc = pf_loop_create(&d->loop, err);
    }
    if (rc == 0) {
        rc = boot_net(d, err);
    }
    if (rc < 0) {
        return rc;
    }
    /* Bound before the core is made, because it tells its addresses; who connects that early is
     * not heard before everything stands. */
    pf_net_pause(d->net, true);
    d->removal_timer = pf_timer_create(d->loop, PF_PRIO_NORMAL, agentd_on_removal_time, d);
    rc = boot_helpers(d, err);
    if (rc == 0) {
        rc = boot_core(d, err);
    }
    if (rc == 0) {
        rc = boot_launcher(d, err);
    }
    if (rc == 0) {
        d->disk_timer = pf_timer_create(d->loop, PF_PRIO_NORMAL, agentd_on_disk, d);
        agentd_on_disk(d);
        pf_net_pause(d->net, false);
        d->begin_timer = pf_timer_create(d->loop, PF_PRIO_NORMAL, agentd_begin, d);
        pf_timer_set(d->begin_timer, pf_loop_now_ms(d->loop) + BEGIN_MS);
    }
    return rc;
}

/* After the store was closed: a later start in this directory is a new agent. */
static void identity_remove(const struct agentd *d)
{
    struct pf_err err = {0};

    if (pf_remove_tree(d->state_dir, &err) != 0) {
        pf_log_err(PF_LOG_ERROR, "left the cluster, but the identity could not be removed", &err);
    } else {
        pf_log(PF_LOG_INFO, "left the cluster, the identity is removed", "state=%s", d->state_dir);
    }
}

static void agentd_fini(struct agentd *d)
{
    pf_engine_destroy(d->engine); /* waits for the batch in flight */
    pf_launcher_link_destroy(d->launcher);
    pf_stdin_destroy(d->stdin_pipes);
    pf_sessions_destroy(d->sessions);
    pf_terminals_destroy(d->terminals);
    pf_files_destroy(d->files);
    pf_fetches_destroy(d->fetches);
    pf_checks_destroy(d->checks);
    pf_logtrim_destroy(d->logtrim);
    pf_masters_destroy(d->masters);
    pf_net_destroy(d->net);
    pf_http_destroy(d->http);
    pf_executor_api_destroy(d->executor_api);
    if (d->core != NULL) {
        pf_agent_destroy(d->core);
    }
    if (d->has_left) {
        identity_remove(d);
    }
    agentd_remove_some(d, UINT32_MAX); /* nobody would know of them any more */
    pf_containers_destroy(d->containers);
    if (d->begin_timer != NULL) {
        pf_timer_destroy(d->begin_timer);
    }
    if (d->disk_timer != NULL) {
        pf_timer_destroy(d->disk_timer);
    }
    if (d->removal_timer != NULL) {
        pf_timer_destroy(d->removal_timer);
    }
    pf_loop_destroy(d->loop);
    pf_users_fini(&d->users);
    pf_fb_builder_fini(&d->builder);
    pf_key_wipe(&d->key);
    pf_fd_close(&d->lock_fd);
    pf_free(d->work_dir);
    pf_free(d->state_dir);
    pf_free(d->run_dir);
    pf_free(d->cache_dir);
    pf_free(d->problem);
}

int pf_agentd_run(const struct pf_agentd_options *options, struct pf_err *err)
{
    struct agentd d = {.o = options, .lock_fd = -1};

    pf_uuid_format(pf_random_uuid(), d.instance);
    pf_fb_builder_init(&d.builder, NULL);
    (void)signal(SIGCHLD, SIG_IGN); /* a launcher of ours that ends leaves no zombie */
    (void)umask(022);               /* sandboxes must be reachable for their users */
    raise_nofile(&d);
    int rc = boot(&d, err);
    if (rc == 0) {
        pf_log(PF_LOG_INFO, "agent ready", "agent=%s native=%s http=%s work_dir=%s",
               pf_agent_id(d.core), d.native_address, d.http_address, d.work_dir);
        d.is_up = true;
        tell_ready(&d);
        rc = d.is_ending ? 0 : pf_loop_run(d.loop, err);
    }
    if (rc == 0 && d.failure.code != 0) {
        if (err != NULL) {
            *err = d.failure;
        }
        rc = d.failure.code;
    }
    agentd_fini(&d);
    return rc;
}
