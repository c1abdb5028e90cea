/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_field.h. */
#include "framework/cli/drill_field.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/parse.h"
#include "framework/cli/drill_table.h"
#include "framework/cli/local.h"

enum { ASK_MS = 100, RELAY_MS = 2000, ZK_PORT = 2181, ANSWER_BYTES = 4096, LOCK_BYTES = 64 };

/* A command of --kill-cmd under way. */
struct command {
    struct pf_drill_field *field;
    pid_t pid;
    int pidfd;
    struct pf_watch *watch;
    char *line;
};

struct pf_drill_field {
    struct pf_loop *loop;
    struct pf_drill_field_options o;
    struct pf_drill_zk zk[PF_DRILL_ZK_MAX];
    uint32_t n_zk;
    bool has_agents;
    char control[256]; /* of the relays; "" = there are none */
    struct pf_drill_hosts hosts;
    char missing[160];
    struct pf_ptrs commands;
};

/* --- who is there ---------------------------------------------------------------------------- */

/* One of the daemons of a local cluster. */
static void take_daemon(struct pf_drill_field *f, struct LocalDaemon d)
{
    struct pf_str name = LocalDaemon_name(d), native = LocalDaemon_native(d);
    if (pf_str_has_prefix(name, PF_STR("agent-"))) {
        f->has_agents = true;
    } else if (pf_str_has_prefix(name, PF_STR("relay"))) {
        (void)snprintf(f->control, sizeof f->control, "%.*s", PF_STR_ARG(native));
    } else if (pf_str_has_prefix(name, PF_STR("zk")) && f->n_zk < PF_DRILL_ZK_MAX) {
        struct pf_drill_zk *z = &f->zk[f->n_zk++];
        *z = (struct pf_drill_zk){.pid = LocalDaemon_pid(d)};
        (void)snprintf(z->host, sizeof z->host, "%.*s",
                       native.len > 0 ? (int)strcspn(native.at, ":") : 0, native.at);
        (void)snprintf(z->address, sizeof z->address, "%.*s", PF_STR_ARG(native));
    }
    pf_drill_hosts_add(&f->hosts, LocalDaemon_host(d), native);
    if (!pf_str_is(LocalDaemon_state(d), "ready") && f->missing[0] == '\0') {
        (void)snprintf(f->missing, sizeof f->missing, "%.*s is %.*s", PF_STR_ARG(name),
                       PF_STR_ARG(LocalDaemon_state(d)));
    }
}

static void read_local(struct pf_drill_field *f)
{
    struct pf_arena arena = {0};
    struct LocalCluster c;
    struct pf_err err = {0};
    if (pf_local_read(f->o.dir, &arena, &c, &err) == 0) {
        f->n_zk = 0;
        for (uint32_t i = 0; i < LocalCluster_daemons__len(c); i++) {
            take_daemon(f, LocalCluster_daemons__at(c, i));
        }
    } else {
        (void)snprintf(f->missing, sizeof f->missing, "%.150s", err.msg);
    }
    pf_arena_fini(&arena);
}

/* zk://[user:password@]h1:port,h2/path */
static int read_zk(struct pf_drill_field *f, struct pf_err *err)
{
    static const char scheme[] = "zk://";
    const char *at = f->o.zk;
    if (strncmp(at, scheme, sizeof scheme - 1) != 0) {
        return pf_err_set(err, PF_EINVAL, "--zk '%s' does not begin with zk://", at);
    }
    at += sizeof scheme - 1;
    const char *end = at + strcspn(at, "/"), *auth = memchr(at, '@', (size_t)(end - at));
    at = auth != NULL ? auth + 1 : at;
    while (at < end && f->n_zk < PF_DRILL_ZK_MAX) {
        struct pf_str one = {at, (uint32_t)strcspn(at, ",/")};
        struct pf_hostport hp;
        struct pf_drill_zk *z = &f->zk[f->n_zk];
        if (pf_parse_hostport(one, ZK_PORT, &hp, err) != 0) {
            return PF_EINVAL;
        }
        (void)snprintf(z->host, sizeof z->host, "%s", hp.host);
        pf_format_hostport(&hp, z->address);
        f->n_zk++;
        at += one.len + (at[one.len] == ',' ? 1 : 0);
    }
    return 0;
}

/* Connects within the time, else -1. */
static int dial(const char *address, int timeout_ms)
{
    struct pf_hostport hp;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    int fd = -1;
    if (pf_parse_hostport(pf_str(address), 0, &hp, NULL) != 0) {
        return -1;
    }
    (void)snprintf(port, sizeof port, "%u", (unsigned)hp.port);
    if (getaddrinfo(hp.host, port, &hints, &list) != 0) {
        return -1;
    }
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) != 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int sys = 0;
        socklen_t len = sizeof sys;
        if (errno != EINPROGRESS || poll(&p, 1, timeout_ms) != 1 ||
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0 || sys != 0) {
            pf_fd_close(&fd);
        }
    }
    freeaddrinfo(list);
    return fd;
}

/* Sends a question and reads until `end` stands at the end, the other side closes, or the time is
 * over. False: not even a part. */
static bool ask(int fd, const char *question, const char *end, int timeout_ms, struct pf_buf *out)
{
    int64_t until_ms = pf_now_ms() + timeout_ms;
    if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question)) {
        return false;
    }
    while (out->len < ANSWER_BYTES) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char text[1024];
        int64_t left_ms = until_ms - pf_now_ms();
        ssize_t n = left_ms > 0 && poll(&p, 1, (int)left_ms) == 1 ? read(fd, text, sizeof text) : 0;
        if (n <= 0) {
            break;
        }
        pf_buf_add(out, text, (size_t)n);
        const char *all = pf_buf_cstr(out);
        if (end != NULL && strstr(all, end) != NULL) {
            break;
        }
    }
    return out->len > 0;
}

static void ask_zk(struct pf_drill_zk *z)
{
    struct pf_buf answer = {0};
    int fd = dial(z->address, ASK_MS);
    z->is_serving = z->is_leading = false;
    if (fd >= 0 && ask(fd, "srvr\n", NULL, ASK_MS, &answer)) {
        const char *mode = strstr(pf_buf_cstr(&answer), "Mode: ");
        z->is_serving = mode != NULL;
        z->is_leading = mode != NULL && strncmp(mode, "Mode: follower", 14) != 0 &&
                        strncmp(mode, "Mode: observer", 14) != 0;
    }
    pf_fd_close(&fd);
    pf_buf_fini(&answer);
}

const char *pf_drill_field_refresh(struct pf_drill_field *f)
{
    f->missing[0] = '\0';
    if (f->o.dir != NULL) {
        read_local(f);
    }
    for (uint32_t i = 0; i < f->n_zk; i++) {
        ask_zk(&f->zk[i]);
        if (!f->zk[i].is_serving && f->missing[0] == '\0') {
            (void)snprintf(f->missing, sizeof f->missing, "ZooKeeper at %.100s does not serve",
                           f->zk[i].address);
        }
    }
    return f->missing[0] != '\0' ? f->missing : NULL;
}

const struct pf_drill_zk *pf_drill_field_zk(const struct pf_drill_field *f, uint32_t *out_n)
{
    *out_n = f->n_zk;
    return f->zk;
}

/* Its lock file begins with its pid. */
static int64_t launcher_of(const char *work_dir)
{
    struct pf_buf path = {0}, text = {0};
    char *end = NULL;
    int64_t pid = 0;
    pf_buf_printf(&path, "%s/run/launcher.lock", work_dir);
    if (pf_file_read(pf_buf_cstr(&path), LOCK_BYTES, &text, NULL) == 0) {
        pid = strtoll(pf_buf_cstr(&text), &end, 10);
    }
    pf_buf_fini(&path);
    pf_buf_fini(&text);
    return pid;
}

int64_t pf_drill_field_launcher(const struct pf_drill_field *f, const char *address)
{
    struct pf_arena arena = {0};
    struct LocalCluster c;
    int64_t pid = 0;
    if (f->o.dir != NULL && pf_local_read(f->o.dir, &arena, &c, NULL) == 0) {
        for (uint32_t i = 0; i < LocalCluster_daemons__len(c); i++) {
            struct LocalDaemon d = LocalCluster_daemons__at(c, i);
            struct pf_str work_dir = LocalDaemon_work_dir(d);
            if (pf_str_is(LocalDaemon_native(d), address) && work_dir.len > 0) {
                pid = launcher_of(work_dir.at);
            }
        }
    }
    pf_arena_fini(&arena);
    return pid;
}

unsigned pf_drill_field_has(const struct pf_drill_field *f)
{
    bool can_signal = f->o.dir != NULL || f->o.kill_cmd != NULL;
    unsigned has = can_signal ? PF_NEED_MASTER : 0;
    has |= can_signal && (f->has_agents || f->o.dir == NULL) ? PF_NEED_AGENT : 0;
    has |= f->o.dir != NULL && f->has_agents ? PF_NEED_LAUNCHER : 0;
    has |= can_signal && f->n_zk > 0 ? PF_NEED_ZK : 0;
    has |= can_signal && f->n_zk > 2 ? PF_NEED_ZK_QUORUM : 0;
    has |= f->hosts.n > 0 ? PF_NEED_NET : 0;
    return has | (f->control[0] != '\0' ? PF_NEED_RELAYS | PF_NEED_NET : 0);
}

/* --- signals --------------------------------------------------------------------------------- */

static void command_free(struct command *c)
{
    if (c->watch != NULL) {
        pf_watch_destroy(c->watch);
    }
    pf_fd_close(&c->pidfd);
    pf_free(c->line);
    pf_free(c);
}

static void on_command_end(void *ctx, unsigned ready)
{
    struct command *c = ctx;
    struct pf_drill_field *f = c->field;
    int status = 0;
    (void)ready;
    if (waitpid(c->pid, &status, WNOHANG) != c->pid) {
        return;
    }
    if (status != 0) {
        struct pf_buf text = {0};
        pf_buf_printf(&text, "'%s' failed (%s %d)", c->line,
                      WIFSIGNALED(status) ? "signal" : "exit status",
                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        f->o.on_wrong(f->o.ctx, pf_buf_cstr(&text));
        pf_buf_fini(&text);
    }
    for (uint32_t i = 0; i < f->commands.len; i++) {
        if (f->commands.at[i] == c) {
            pf_ptrs_remove_swap(&f->commands, i);
            break;
        }
    }
    command_free(c);
}

static int command_start(struct pf_drill_field *f, const char *line, struct pf_err *err)
{
    struct command *c = PF_NEW(struct command);
    c->field = f;
    c->line = pf_strdup(line);
    c->pidfd = -1;
    c->pid = fork();
    if (c->pid == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) { /* stdout is for data */
            (void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        }
        _exit(127);
    }
    c->pidfd = c->pid > 0 ? pidfd_open(c->pid, 0) : -1;
    if (c->pidfd < 0) {
        int sys = errno;
        command_free(c);
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "cannot start '%s'", line);
    }
    int rc = pf_watch_create(f->loop, c->pidfd, PF_WATCH_READ, PF_PRIO_NORMAL, on_command_end, c,
                             &c->watch, err);
    if (rc != 0) {
        command_free(c);
        return rc;
    }
    pf_ptrs_push(&f->commands, c);
    return 0;
}

int pf_drill_field_signal(struct pf_drill_field *f, const struct pf_drill_process *p, int signo,
                          struct pf_err *err)
{
    if (f->o.kill_cmd == NULL) {
        if (f->o.dir == NULL || p->pid <= 1) {
            return pf_err_set(err, PF_ENOENT, "the process of %s is not known", p->what);
        }
        if (kill((pid_t)p->pid, signo) != 0) {
            return pf_err_set_sys(err, errno == ESRCH ? PF_ENOENT : PF_EACCESS, errno,
                                  "cannot signal %s, process %" PRId64, p->what, p->pid);
        }
        return 0;
    }
    struct pf_buf line = {0};
    int rc = pf_drill_command(f->o.kill_cmd, p, signo, &line, err);
    rc = rc != 0 ? rc : command_start(f, pf_buf_cstr(&line), err);
    pf_buf_fini(&line);
    return rc;
}

/* --- relays ---------------------------------------------------------------------------------- */

int pf_drill_field_relay(struct pf_drill_field *f, const char *command, struct pf_buf *out,
                         struct pf_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct pf_buf line = {0}, answer = {0};
    if (f->control[0] == '\0' || strlen(f->control) >= sizeof at.sun_path) {
        return pf_err_set(err, PF_ENOENT, "there are no relays");
    }
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", f->control);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;
    pf_buf_printf(&line, "%s\n", command);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        !ask(fd, pf_buf_cstr(&line), "ok\n", RELAY_MS, &answer)) {
        rc = pf_err_set_sys(err, PF_ECONN, errno, "the relays at %s do not answer", f->control);
    } else if (strstr(pf_buf_cstr(&answer), "ok\n") == NULL) {
        rc = pf_err_set(err, PF_EPROTO, "the relays refuse '%s'", command);
    } else if (out != NULL) {
        pf_buf_add(out, answer.data, answer.len);
    }
    pf_fd_close(&fd);
    pf_buf_fini(&line);
    pf_buf_fini(&answer);
    return rc;
}

void pf_drill_field_route(struct pf_drill_field *f, const char *address, char *out, size_t size)
{
    struct pf_buf list = {0};
    char *save = NULL, *line;
    (void)snprintf(out, size, "%s", "");
    if (pf_drill_field_relay(f, "list", &list, NULL) == 0) {
        line = strtok_r((char *)(uintptr_t)pf_buf_cstr(&list), "\n", &save);
        for (; line != NULL; line = strtok_r(NULL, "\n", &save)) {
            char *space = strchr(line, ' ');
            size_t len = space != NULL ? strcspn(space + 1, " ") : 0;
            if (len == strlen(address) && strncmp(space + 1, address, len) == 0) {
                (void)snprintf(out, size, "%.*s", (int)(space - line), line);
            }
        }
    }
    pf_buf_fini(&list);
}

struct pf_drill_hosts *pf_drill_field_hosts(struct pf_drill_field *f)
{
    return f->hosts.n > 0 ? &f->hosts : NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

int pf_drill_field_create(struct pf_loop *loop, const struct pf_drill_field_options *o,
                          struct pf_drill_field **out, struct pf_err *err)
{
    struct pf_drill_field *f = PF_NEW(struct pf_drill_field);
    f->loop = loop;
    f->o = *o;
    int rc = o->zk != NULL ? read_zk(f, err) : 0;
    if (rc != 0) {
        pf_drill_field_destroy(f);
        return rc;
    }
    (void)pf_drill_field_refresh(f);
    struct pf_err why = {0};
    if (pf_drill_hosts_heal(&f->hosts, true, &why) != 0) {
        o->on_wrong(o->ctx, why.msg);
    }
    *out = f;
    return 0;
}

void pf_drill_field_destroy(struct pf_drill_field *f)
{
    if (f == NULL) {
        return;
    }
    for (uint32_t i = 0; i < f->commands.len; i++) {
        command_free(f->commands.at[i]);
    }
    pf_ptrs_fini(&f->commands);
    pf_free(f);
}
