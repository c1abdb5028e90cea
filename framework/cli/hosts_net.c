/* SPDX-License-Identifier: Apache-2.0 */
/* Makes, breaks and removes the hosts of a local cluster, by the program `ip`: its lines go to its
 * stdin, no shell is between. */
#include "framework/cli/hosts.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"

#define NETNS_DIR "/run/netns"
#define LINKS_DIR "/sys/class/net"

enum { WORDS_MAX = 2048, ROUTES_MAX_BYTES = 4 << 20 };

extern char **environ;

/* --- ip -------------------------------------------------------------------------------------- */

/* Not by PATH: what is to be run with these rights is the system's. */
static const char *ip_program(void)
{
    static const char *const places[] = {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"};
    for (size_t i = 0; i < PF_ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}

/* Its exit status; -1 with errno. `in` and `words` become its stdin and stderr. */
static int ip_spawn(const char *const *argv, int in, int words)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    pid_t pid = -1;
    int status = 0, sys;
    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &usual);
    sys = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    sys = sys != 0 ? sys : posix_spawn_file_actions_adddup2(&files, words, STDERR_FILENO);
    sys = sys != 0
              ? sys
              : posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    sys = sys != 0
              ? sys
              : posix_spawn(&pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    if (sys != 0) {
        errno = sys;
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Its first line: later ones follow from it. */
static int ip_fail(int words, int status, struct pf_err *err)
{
    char text[WORDS_MAX];
    ssize_t n = pread(words, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text[0] != '\0' ? pf_err_set(err, PF_EIO, "ip: %.200s", text)
                           : pf_err_set(err, PF_EIO, "ip: exit status %d", status);
}

/* Carries out the lines, in a namespace (NULL: in ours). `goes_on`: whatever fails. */
static int ip_run(const char *netns, struct pf_buf *lines, bool goes_on, struct pf_err *err)
{
    const char *argv[8];
    int n = 0, in = -1, words = -1, rc = 0;
    argv[n++] = ip_program();
    if (argv[0] == NULL) {
        return pf_err_set(err, PF_ENOENT, "the program ip is not installed (package iproute2)");
    }
    if (netns != NULL) {
        argv[n++] = "-n";
        argv[n++] = netns;
    }
    if (goes_on) {
        argv[n++] = "-force";
    }
    argv[n++] = "-batch";
    argv[n++] = "-";
    argv[n] = NULL;
    in = memfd_create("lines", MFD_CLOEXEC);
    words = memfd_create("words", MFD_CLOEXEC);
    if (in < 0 || words < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot run %s", argv[0]);
        goto out;
    }
    rc = pf_fd_write_all(in, lines->data, lines->len, err);
    if (rc != 0 || lseek(in, 0, SEEK_SET) != 0) {
        rc = rc != 0 ? rc : pf_err_set(err, PF_EIO, "cannot run %s", argv[0]);
        goto out;
    }
    int status = ip_spawn(argv, in, words);
    if (status < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot run %s", argv[0]);
    } else if (status != 0 && !goes_on) {
        rc = ip_fail(words, status, err);
    }
out:
    pf_fd_close(&in);
    pf_fd_close(&words);
    return rc;
}

/* --- what is there --------------------------------------------------------------------------- */

void pf_host_file(const char *name, char *out, size_t size)
{
    (void)snprintf(out, size, NETNS_DIR "/%s", name);
}

static bool has_space(const char *name)
{
    char path[64];
    pf_host_file(name, path, sizeof path);
    return access(path, F_OK) == 0;
}

/* Plugged in is the last that is done to a host: whatever came before is done as well. */
static bool is_plugged(const char *name)
{
    char path[64];
    struct pf_buf text = {0};
    unsigned long flags = 0;
    (void)snprintf(path, sizeof path, LINKS_DIR "/%s/flags", name);
    if (pf_file_read(path, 64, &text, NULL) == 0) {
        flags = strtoul(pf_buf_cstr(&text), NULL, 16);
    }
    pf_buf_fini(&text);
    return (flags & IFF_UP) != 0;
}

static bool is_wanted(const char *name, const struct pf_host *h, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(h[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Lines that remove what a directory lists of a bridge: all (`wanted` is NULL), or but for itself
 * and what is wanted. */
static void put_removal(const char *list, const char *verb, const char *bridge,
                        const struct pf_host *wanted, uint32_t n, struct pf_buf *out)
{
    DIR *d = opendir(list);
    const struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        bool is_kept = wanted != NULL && strcmp(entry->d_name, bridge) == 0;
        if (pf_hosts_owns(bridge, entry->d_name) && !is_kept &&
            !is_wanted(entry->d_name, wanted, n)) {
            pf_buf_printf(out, "%s %s\n", verb, entry->d_name);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static void put_all_removals(const char *bridge, const struct pf_host *wanted, uint32_t n,
                             struct pf_buf *out)
{
    put_removal(LINKS_DIR, "link del", bridge, wanted, n, out);
    put_removal(NETNS_DIR, "netns del", bridge, wanted, n, out);
}

static int remove_all(const char *bridge, struct pf_err *err)
{
    struct pf_buf lines = {0}, rest = {0};
    int rc = 0;
    put_all_removals(bridge, NULL, 0, &lines);
    if (lines.len > 0) {
        rc = ip_run(NULL, &lines, true, err);
        put_all_removals(bridge, NULL, 0, &rest);
    }
    if (rc == 0 && rest.len > 0) {
        rc = ip_run(NULL, &rest, false, err); /* it says why */
    }
    pf_buf_fini(&lines);
    pf_buf_fini(&rest);
    return rc;
}

static void bridge_of(const char *dir, char out[PF_HOST_NAME_BYTES])
{
    char real[PATH_MAX];
    pf_hosts_bridge(realpath(dir, real) != NULL ? real : dir, out);
}

/* The subnet of a bridge that exists, -1 = there is none. Notes all addresses as taken. */
static int note_addresses(const char *bridge, bool taken[PF_HOSTS_SUBNETS])
{
    struct ifaddrs *list = NULL;
    int found = -1;
    if (getifaddrs(&list) != 0) {
        return -1;
    }
    for (const struct ifaddrs *at = list; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET) {
            continue;
        }
        struct sockaddr_in sa, mask = {.sin_addr.s_addr = UINT32_MAX};
        char text[INET_ADDRSTRLEN];
        memcpy(&sa, at->ifa_addr, sizeof sa);
        if (at->ifa_netmask != NULL) {
            memcpy(&mask, at->ifa_netmask, sizeof mask);
        }
        pf_hosts_note(taken, ntohl(sa.sin_addr.s_addr), ntohl(mask.sin_addr.s_addr));
        if (strcmp(at->ifa_name, bridge) == 0 &&
            inet_ntop(AF_INET, &sa.sin_addr, text, sizeof text) != NULL) {
            found = pf_hosts_subnet_of(text);
        }
    }
    freeifaddrs(list);
    return found;
}

/* The kernel's table: name, destination, ..., mask, in hex as they lie in memory. */
static void note_routes(bool taken[PF_HOSTS_SUBNETS])
{
    struct pf_buf text = {0};
    char *save = NULL, *line = NULL;
    if (pf_file_read("/proc/net/route", ROUTES_MAX_BYTES, &text, NULL) == 0) {
        line = strtok_r((char *)(uintptr_t)pf_buf_cstr(&text), "\n", &save);
    }
    while ((line = line != NULL ? strtok_r(NULL, "\n", &save) : NULL) != NULL) {
        uint32_t to, mask;
        if (sscanf(line, "%*s %" SCNx32 " %*s %*s %*s %*s %*s %" SCNx32, &to, &mask) == 2) {
            pf_hosts_note(taken, ntohl(to), ntohl(mask));
        }
    }
    pf_buf_fini(&text);
}

/* --- made and removed ------------------------------------------------------------------------ */

int pf_hosts_check(const char **out_hint, struct pf_err *err)
{
    struct pf_buf text = {0};
    uint64_t caps = 0;
    if (ip_program() == NULL) {
        *out_hint = "apt-get install iproute2, or let relays stand in for a network: --relays";
        return pf_err_set(err, PF_ENOENT, "--hosts needs the program ip, which is not installed");
    }
    if (pf_file_read("/proc/self/status", 64 << 10, &text, NULL) == 0) {
        const char *at = strstr(pf_buf_cstr(&text), "\nCapEff:");
        caps = at != NULL ? strtoull(at + 8, NULL, 16) : 0;
    }
    pf_buf_fini(&text);
    const char *lacks = pf_hosts_lacks(caps);
    if (lacks != NULL) {
        *out_hint = "start it as root, in a container with these capabilities; or let relays stand "
                    "in for a network: --relays";
        return pf_err_set(err, PF_EACCESS, "--hosts makes network namespaces: it needs %s", lacks);
    }
    if (access(LINKS_DIR "/lo", F_OK) != 0) {
        *out_hint = "mount -t sysfs sysfs /sys, or let relays stand in for a network: --relays";
        return pf_err_set(err, PF_ENOENT, "--hosts needs sysfs, which is not mounted at /sys");
    }
    *out_hint = "this system may forbid it; relays can stand in for a network: --relays";
    return 0;
}

static int bridge_make(int former, struct pf_hosts_net *net, struct pf_err *err)
{
    bool taken[PF_HOSTS_SUBNETS] = {false};
    struct pf_buf lines = {0};
    int found = note_addresses(net->bridge, taken), rc = 0;
    if (found >= 0) {
        net->subnet = (uint8_t)found;
        return 0;
    }
    rc = remove_all(net->bridge, err);
    note_routes(taken);
    found = pf_hosts_pick(taken, former, net->bridge);
    if (rc == 0 && found < 0) {
        rc = pf_err_set(err, PF_EBUSY, "no subnet of 10.213.0.0/16 is free");
    }
    if (rc == 0) {
        net->subnet = (uint8_t)found;
        pf_hosts_put_bridge(net, &lines);
        rc = ip_run(NULL, &lines, false, err);
    }
    pf_buf_fini(&lines);
    return rc;
}

int pf_hosts_begin(const char *dir, int former, struct pf_hosts_net *out, struct pf_err *err)
{
    /* one at a time: two would pick the same subnet. A lock that leaves no file behind */
    int lock = open(LINKS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
    *out = (struct pf_hosts_net){.subnet = 0};
    bridge_of(dir, out->bridge);
    do {
        rc = lock < 0 ? -1 : flock(lock, LOCK_EX);
    } while (rc != 0 && errno == EINTR);
    rc = rc != 0 ? pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot lock " LINKS_DIR)
                 : bridge_make(former, out, err);
    pf_fd_close(&lock);
    return rc;
}

static int make_missing(const struct pf_hosts_net *net, const struct pf_host *const *h, uint32_t n,
                        struct pf_err *err)
{
    struct pf_buf lines = {0};
    for (uint32_t i = 0; i < n; i++) {
        pf_hosts_put_cable(h[i], &lines);
    }
    int rc = ip_run(NULL, &lines, false, err);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        pf_buf_clear(&lines);
        pf_hosts_put_inside(h[i], &lines);
        rc = ip_run(h[i]->name, &lines, false, err);
    }
    pf_buf_clear(&lines);
    for (uint32_t i = 0; i < n; i++) {
        pf_hosts_put_plug(net, h[i], &lines);
    }
    rc = rc != 0 ? rc : ip_run(NULL, &lines, false, err);
    pf_buf_fini(&lines);
    return rc;
}

int pf_hosts_make(const struct pf_hosts_net *net, const struct pf_host *h, uint32_t n,
                  struct pf_err *err)
{
    const struct pf_host *missing[PF_HOSTS_MAX];
    struct pf_host kept[PF_HOSTS_MAX];
    struct pf_buf lines = {0};
    uint32_t n_missing = 0, n_kept = 0;
    int rc = 0;
    PF_ASSERT(n > 0 && n <= PF_HOSTS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (has_space(h[i].name) && is_plugged(h[i].name)) {
            kept[n_kept++] = h[i];
        } else {
            missing[n_missing++] = &h[i];
        }
    }
    put_all_removals(net->bridge, kept, n_kept, &lines);
    rc = lines.len > 0 ? ip_run(NULL, &lines, true, err) : 0;
    for (uint32_t i = 0; rc == 0 && i < n_kept; i++) {
        rc = pf_host_hear(kept[i].name, err);
    }
    rc = rc != 0 || n_missing == 0 ? rc : make_missing(net, missing, n_missing, err);
    pf_buf_fini(&lines);
    return rc;
}

int pf_hosts_remove(const char *dir, struct pf_err *err)
{
    char bridge[PF_HOST_NAME_BYTES];
    bridge_of(dir, bridge);
    return remove_all(bridge, err);
}

/* --- broken and healed ----------------------------------------------------------------------- */

int pf_host_plug(const char *name, bool in, struct pf_err *err)
{
    struct pf_buf lines = {0};
    pf_buf_printf(&lines, "link set %s %s\n", name, in ? "up" : "down");
    int rc = ip_run(NULL, &lines, false, err);
    pf_buf_fini(&lines);
    return rc;
}

int pf_host_deafen(const char *name, const char *const *from, uint32_t n, struct pf_err *err)
{
    struct pf_buf lines = {0};
    for (uint32_t i = 0; i < n; i++) {
        pf_hosts_put_deaf(from[i], &lines);
    }
    int rc = ip_run(name, &lines, false, err);
    pf_buf_fini(&lines);
    return rc;
}

int pf_host_hear(const char *name, struct pf_err *err)
{
    struct pf_buf lines = {0};
    pf_hosts_put_deaf(NULL, &lines);
    int rc = ip_run(name, &lines, false, err);
    pf_buf_fini(&lines);
    return rc;
}
