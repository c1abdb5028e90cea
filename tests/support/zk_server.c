/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_server.h. */
#include "tests/support/zk_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"

#define JARS     "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-nop.jar"
#define READY_MS 60000
#define ATTEMPTS 3

struct server {
    pid_t pid;         /* 0 = does not run */
    uint32_t heap_mib; /* 0 = 64 */
    uint16_t port, quorum_port, election_port;
    char address[32];
    char dir[64];
};

struct zks {
    struct server server[ZKS_MAX];
    uint32_t n;
    char dir[40];
    char hosts[ZKS_MAX * 32];
    bool was_ready;
};

static int listener_open(uint16_t *out_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        pf_fd_close(&fd);
        return -1;
    }
    *out_port = ntohs(sa.sin_port);
    return fd;
}

static int ports_pick(struct zks *z, struct pf_err *err)
{
    int fd[ZKS_MAX * 3];
    uint32_t n = 0;
    bool ok = true;
    z->hosts[0] = '\0';
    for (uint32_t i = 0; i < z->n; i++) {
        struct server *s = &z->server[i];
        uint16_t *ports[] = {&s->port, &s->quorum_port, &s->election_port};
        for (size_t k = 0; k < PF_ARRAY_LEN(ports); k++) {
            fd[n] = listener_open(ports[k]);
            ok = ok && fd[n] >= 0;
            n++;
        }
        (void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
        size_t at = strlen(z->hosts);
        (void)snprintf(z->hosts + at, sizeof z->hosts - at, "%s%s", i > 0 ? "," : "", s->address);
    }
    while (n > 0) {
        pf_fd_close(&fd[--n]);
    }
    return ok ? 0 : pf_err_set(err, PF_EIO, "no free ports");
}

static int file_put(const char *dir, const char *name, struct pf_buf *text, struct pf_err *err)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return pf_err_set(err, PF_EIO, "%s cannot be written", path);
    }
    int rc = pf_fd_write_all(fd, text->data, text->len, err);
    pf_fd_close(&fd);
    return rc;
}

static int config_put(const struct zks *z, uint32_t i, struct pf_err *err)
{
    const struct server *s = &z->server[i];
    struct pf_buf cfg = {.limit = 0}, id = {.limit = 0};
    pf_buf_printf(&cfg,
                  "tickTime=500\nsyncLimit=2\ninitLimit=10\ndataDir=%s\nclientPort=%u\n"
                  "clientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n"
                  "4lw.commands.whitelist=*\nminSessionTimeout=400\ncommitLogCount=100\n"
                  "preAllocSize=1024\nautopurge.purgeInterval=1\n",
                  s->dir, s->port);
    for (uint32_t k = 0; k < z->n && z->n > 1; k++) {
        pf_buf_printf(&cfg, "server.%u=127.0.0.1:%u:%u\n", k + 1, z->server[k].quorum_port,
                      z->server[k].election_port);
    }
    pf_buf_printf(&id, "%u\n", i + 1);
    int rc = file_put(s->dir, "zoo.cfg", &cfg, err);
    if (rc == 0) {
        rc = file_put(s->dir, "myid", &id, err);
    }
    pf_buf_fini(&cfg);
    pf_buf_fini(&id);
    return rc;
}

static void server_exec(const struct server *s, pid_t parent)
{
    char cfg[128], log[128], heap[24];
    (void)snprintf(cfg, sizeof cfg, "%s/zoo.cfg", s->dir);
    (void)snprintf(log, sizeof log, "%s/out", s->dir);
    (void)snprintf(heap, sizeof heap, "-Xmx%um", s->heap_mib != 0 ? s->heap_mib : 64);
    const char *argv[] = {"java",
                          heap,
                          "-XX:+UseSerialGC",
                          "-XX:TieredStopAtLevel=1",
                          "-Xss256k",
                          "-Dzookeeper.admin.enableServer=false",
                          "-Dzookeeper.jmx.log4j.disable=true",
                          "-cp",
                          JARS,
                          "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                          cfg,
                          NULL};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(126);
    }
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(126);
    }
    pf_fd_close_from(STDERR_FILENO + 1);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

void zks_launch(struct zks *z, uint32_t i)
{
    struct server *s = &z->server[i];
    PF_ASSERT(s->pid == 0);
    pid_t parent = getpid();
    pid_t pid = fork();
    PF_ASSERT(pid >= 0);
    if (pid == 0) {
        server_exec(s, parent);
    }
    s->pid = pid;
}

/* Sends "srvr", reads the answer to its end. Empty: nobody there. */
static void srvr_ask(const struct server *s, char *out, size_t size)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {1, 0};
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0 &&
        send(fd, "srvr", 4, MSG_NOSIGNAL) == 4) {
        ssize_t n;
        while (len < size - 1 && (n = recv(fd, out + len, size - 1 - len, 0)) > 0) {
            len += (size_t)n;
        }
    }
    out[len] = '\0';
    pf_fd_close(&fd);
}

/* Waits a little, or until the process ends. False: it has ended. */
static bool server_wait(struct server *s, int ms)
{
    int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    (void)poll(&p, 1, ms);
    pf_fd_close(&fd);
    if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
        s->pid = 0;
        return false;
    }
    return true;
}

int zks_wait(struct zks *z, uint32_t i, struct pf_err *err)
{
    struct server *s = &z->server[i];
    char text[2048];
    for (int64_t until_ms = pf_now_ms() + READY_MS; pf_now_ms() < until_ms;) {
        srvr_ask(s, text, sizeof text);
        if (strstr(text, "Mode: ") != NULL) {
            return 0;
        }
        if (!server_wait(s, 20)) {
            return pf_err_set(err, PF_EBUSY, "ZooKeeper at %s has ended; see %s/out", s->address,
                              s->dir);
        }
    }
    return pf_err_set(err, PF_ETIMEOUT, "ZooKeeper at %s does not get ready; see %s/out",
                      s->address, s->dir);
}

static int start_once(struct zks *z, struct pf_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < z->n && rc == 0 && !z->was_ready; i++) {
        rc = config_put(z, i, err);
    }
    for (uint32_t i = 0; i < z->n && rc == 0; i++) {
        if (z->server[i].pid == 0) {
            zks_launch(z, i);
        }
    }
    for (uint32_t i = 0; i < z->n && rc == 0; i++) {
        rc = zks_wait(z, i, err);
    }
    return rc;
}

int zks_start(struct zks *z, struct pf_err *err)
{
    for (int attempt = 1;; attempt++) {
        struct pf_err why = {0};
        int rc = start_once(z, &why);
        if (rc == 0) {
            z->was_ready = true;
            return 0;
        }
        if (rc != PF_EBUSY || z->was_ready || attempt == ATTEMPTS) {
            return pf_err_set(err, rc, "%s", why.msg);
        }
        for (uint32_t i = 0; i < z->n; i++) {
            zks_kill(z, i);
        }
        rc = ports_pick(z, err); /* perhaps somebody took one meanwhile */
        if (rc != 0) {
            return rc;
        }
    }
}

static bool is_in_path(const char *program)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        char path[512];
        size_t n = strcspn(at, ":");
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)n, at, program);
        if (access(path, X_OK) == 0) {
            return true;
        }
        at += n + (at[n] == ':' ? 1 : 0);
    }
    return false;
}

int zks_create(uint32_t n, struct zks **out, struct pf_err *err)
{
    if (access("/usr/share/java/zookeeper.jar", R_OK) != 0 || !is_in_path("java")) {
        return pf_err_set(err, PF_ENOENT,
                          "this test needs a ZooKeeper server: apt-get install zookeeper "
                          "default-jre-headless");
    }
    struct zks *z = PF_NEW(struct zks);
    z->n = n;
    (void)snprintf(z->dir, sizeof z->dir, "/tmp/proffer-zk.XXXXXX");
    if (mkdtemp(z->dir) == NULL) {
        pf_free(z);
        return pf_err_set(err, PF_EIO, "no directory for ZooKeeper");
    }
    int rc = ports_pick(z, err);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        (void)snprintf(z->server[i].dir, sizeof z->server[i].dir, "%s/%u", z->dir, i);
        rc = mkdir(z->server[i].dir, 0700) == 0 ? config_put(z, i, err)
                                                : pf_err_set(err, PF_EIO, "no directory");
    }
    if (rc != 0) {
        zks_destroy(z);
        return rc;
    }
    *out = z;
    return 0;
}

void zks_destroy(struct zks *z)
{
    if (z == NULL) {
        return;
    }
    for (uint32_t i = 0; i < z->n; i++) {
        zks_kill(z, i);
    }
    struct pf_err err = {0};
    if (pf_remove_tree(z->dir, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
    }
    pf_free(z);
}

const char *zks_hosts(const struct zks *z)
{
    return z->hosts;
}

const char *zks_address(const struct zks *z, uint32_t i)
{
    return z->server[i].address;
}

void zks_set_heap(struct zks *z, uint32_t mib)
{
    for (uint32_t i = 0; i < z->n; i++) {
        z->server[i].heap_mib = mib;
    }
}

int64_t zks_pid(const struct zks *z, uint32_t i)
{
    return z->server[i].pid;
}

int zks_find(const struct zks *z, const char *address)
{
    for (uint32_t i = 0; i < z->n; i++) {
        if (strcmp(z->server[i].address, address) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int zks_leader(const struct zks *z)
{
    for (uint32_t i = 0; i < z->n; i++) {
        char text[2048];
        srvr_ask(&z->server[i], text, sizeof text);
        if (strstr(text, "Mode: leader") != NULL || strstr(text, "Mode: standalone") != NULL) {
            return (int)i;
        }
    }
    return -1;
}

void zks_kill(struct zks *z, uint32_t i)
{
    struct server *s = &z->server[i];
    if (s->pid != 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

void zks_stop(struct zks *z, uint32_t i)
{
    PF_ASSERT(z->server[i].pid > 0); /* 0 would stop ourselves and all that waits for us */
    (void)kill(z->server[i].pid, SIGSTOP);
}

void zks_cont(struct zks *z, uint32_t i)
{
    PF_ASSERT(z->server[i].pid > 0);
    (void)kill(z->server[i].pid, SIGCONT);
}
