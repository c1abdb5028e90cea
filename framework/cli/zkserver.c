/* SPDX-License-Identifier: Apache-2.0 */
/* See zkserver.h. Started directly: Debian's zkServer.sh sleeps a second and wants to be root's. */
#include "framework/cli/zkserver.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define JAVA_DIR "/usr/share/java"
#define ZK_JAR   JAVA_DIR "/zookeeper.jar"

enum { HEAP_MIN_MIB = 64, ROW_BYTES = 1024, COPIES = 4 };

const char *pf_zk_java(const char *(*env)(const char *name), struct pf_arena *arena)
{
    const char *home = env("JAVA_HOME"), *path = env("PATH");
    if (home != NULL && home[0] != '\0') {
        const char *java = pf_arena_printf(arena, "%s/bin/java", home).at;
        if (access(java, X_OK) == 0) {
            return java;
        }
    }
    while (path != NULL && *path != '\0') {
        int len = (int)strcspn(path, ":");
        const char *java = pf_arena_printf(arena, "%.*s/java", len, path).at;
        if (len > 0 && access(java, X_OK) == 0) {
            return java;
        }
        path += len + (path[len] == ':' ? 1 : 0);
    }
    return NULL;
}

int pf_zk_check(const char *java, const char *dir, const char **out_hint, struct pf_err *err)
{
    *out_hint = "several masters elect through ZooKeeper: apt-get install --no-install-recommends "
                "zookeeper default-jre-headless";
    if (java == NULL) {
        return pf_err_set(err, PF_ENOENT, "there is no java in PATH or JAVA_HOME");
    }
    if (access(ZK_JAR, R_OK) != 0) {
        return pf_err_set(err, PF_ENOENT, "there is no %s", ZK_JAR);
    }
    for (const char *c = dir; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~' || *c == '\\') {
            *out_hint = "choose a directory with a plain name: --dir DIR";
            return pf_err_set(err, PF_EINVAL, "ZooKeeper cannot keep data in '%.150s'", dir);
        }
    }
    return 0;
}

static const char *host_of(const struct pf_zk_ports *at)
{
    return at->host[0] != '\0' ? at->host : "127.0.0.1";
}

const char *pf_zk_config(const char *dir, const struct pf_zk_ports *at, uint32_t n, uint32_t i,
                         struct pf_arena *arena)
{
    struct pf_str text = pf_arena_printf(arena,
                                         "# written by proffer up\n"
                                         "tickTime=500\n"
                                         "initLimit=10\n"
                                         "syncLimit=2\n"
                                         "maxSessionTimeout=60000\n"
                                         "dataDir=%s/data\n"
                                         "clientPortAddress=%s\n"
                                         "clientPort=%u\n"
                                         "maxClientCnxns=0\n"
                                         "admin.enableServer=false\n"
                                         "4lw.commands.whitelist=srvr,ruok,stat,mntr\n"
                                         "commitLogCount=100\n"
                                         "snapCount=10000\n"
                                         "preAllocSize=1024\n"
                                         "autopurge.snapRetainCount=3\n"
                                         "autopurge.purgeInterval=1\n",
                                         dir, host_of(&at[i]), (unsigned)at[i].client);
    for (uint32_t k = 0; n > 1 && k < n; k++) {
        text = pf_arena_printf(arena, "%sserver.%u=%s:%u:%u\n", text.at, k + 1, host_of(&at[k]),
                               (unsigned)at[k].quorum, (unsigned)at[k].election);
    }
    return text.at;
}

const char *pf_zk_url(const char *password, const struct pf_zk_ports *at, uint32_t n,
                      struct pf_arena *arena)
{
    struct pf_str url = pf_arena_printf(arena, "zk://%s:%s@", PF_ZK_USER, password);
    for (uint32_t i = 0; i < n; i++) {
        url = pf_arena_printf(arena, "%s%s%s:%u", url.at, i > 0 ? "," : "", host_of(&at[i]),
                              (unsigned)at[i].client);
    }
    return pf_arena_printf(arena, "%s%s", url.at, PF_ZK_PATH).at;
}

uint32_t pf_zk_heap_mib(uint32_t n_agents)
{
    uint64_t bytes = (uint64_t)n_agents * ROW_BYTES * COPIES;
    return HEAP_MIN_MIB + (uint32_t)(bytes >> 20);
}

void pf_zk_command(const char *java, const char *dir, uint32_t heap_mib, struct pf_arena *arena,
                   struct pf_spawn_args *out)
{
    static const char *const flags[] = {
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xss256k",
        "-XX:-UsePerfData",            /* nothing in /tmp */
        "-XX:+ExitOnOutOfMemoryError", /* else it stays, deaf, and nobody starts it anew */
        "-Dzookeeper.admin.enableServer=false",
        "-Dzookeeper.jmx.log4j.disable=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    };
    pf_spawn_arg(out, java);
    pf_spawn_arg(out, pf_arena_printf(arena, "-Xmx%um", heap_mib).at);
    for (size_t i = 0; i < PF_ARRAY_LEN(flags); i++) {
        pf_spawn_arg(out, flags[i]);
    }
    pf_spawn_arg(out, "-cp");
    pf_spawn_arg(out, ZK_JAR ":" JAVA_DIR "/slf4j-simple.jar");
    pf_spawn_arg(out, "org.apache.zookeeper.server.quorum.QuorumPeerMain");
    pf_spawn_arg(out, pf_arena_printf(arena, "%s/zoo.cfg", dir).at);
}

bool pf_zk_is_serving(struct pf_str answer)
{
    struct pf_str mode = PF_STR("\nMode: ");
    for (uint32_t i = 0; i + mode.len <= answer.len; i++) {
        if (memcmp(answer.at + i, mode.at, mode.len) == 0) {
            return true;
        }
    }
    return false;
}

struct sockaddr_in pf_zk_address(const char *host, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host[0] != '\0' ? host : "127.0.0.1", &sa.sin_addr) != 1) {
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return sa;
}

bool pf_zk_serves(const char *host, uint16_t client_port, int timeout_ms)
{
    char answer[4096];
    uint32_t len = 0;
    ssize_t n = 0;
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    struct sockaddr_in sa = pf_zk_address(host, client_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_asked = fd >= 0 &&
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, (socklen_t)sizeof limit) == 0 &&
                    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, (socklen_t)sizeof limit) == 0 &&
                    connect(fd, (const struct sockaddr *)&sa, (socklen_t)sizeof sa) == 0 &&
                    send(fd, "srvr", 4, MSG_NOSIGNAL) == 4;
    while (is_asked && len < sizeof answer &&
           (n = recv(fd, answer + len, sizeof answer - len, 0)) > 0) {
        len += (uint32_t)n;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_asked && pf_zk_is_serving((struct pf_str){answer, len});
}
