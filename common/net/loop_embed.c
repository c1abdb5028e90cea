/* SPDX-License-Identifier: Apache-2.0 */
/* Our loop inside somebody else's: which descriptor to poll, and for how long. libevent does not
 * tell its epoll descriptor, so it is found by what it watches. */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/net/loop_internal.h"
#include "common/sys/clock.h"

#define DNS_LOOK_MS 250 /* the resolver's own time-outs are not ours to see */

static void nothing(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
}

/* Is `fd` an epoll descriptor of this process that watches `probe`? */
static bool is_epoll_of(int fd, int probe)
{
    char path[64], line[256];
    bool found = false;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    while (!found && fgets(line, sizeof line, f) != NULL) {
        int watched;

        found = sscanf(line, "tfd: %d", &watched) == 1 && watched == probe;
    }
    (void)fclose(f);
    return found;
}

static int find_epoll(int probe)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int found = -1;

    if (dir == NULL) {
        return -1;
    }
    while (found < 0 && (entry = readdir(dir)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);

        if (entry->d_name[0] != '.' && fd != dirfd(dir) && is_epoll_of(fd, probe)) {
            found = fd;
        }
    }
    (void)closedir(dir);
    return found;
}

int pf_loop_fd(const struct pf_loop *loop, int *out_fd, struct pf_err *err)
{
    int probe = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), found = -1;
    struct event *ev = NULL;

    if (probe >= 0) {
        ev = event_new(loop->base, probe, EV_READ, nothing, NULL);
    }
    if (ev != NULL && event_add(ev, NULL) == 0) {
        found = find_epoll(probe);
    }
    if (ev != NULL) {
        event_free(ev);
    }
    if (probe >= 0) {
        (void)close(probe);
    }
    if (found < 0) {
        return pf_err_set(err, PF_EIO, "the event loop has no descriptor to poll (needs epoll, "
                                       "and /proc)");
    }
    *out_fd = found;
    return 0;
}

int64_t pf_loop_wait_ms(const struct pf_loop *loop)
{
    const struct pf_heap_node *first = pf_heap_first(&loop->timers);
    int64_t wait_ms = -1;

    if (loop->wants_turn || !TAILQ_EMPTY(&loop->queue[PF_PRIO_URGENT]) ||
        !TAILQ_EMPTY(&loop->queue[PF_PRIO_NORMAL])) {
        return 0;
    }
    if (first != NULL && first->key != INT64_MAX) {
        wait_ms = first->key - pf_now_ms();
        wait_ms = wait_ms > 0 ? wait_ms : 0;
    }
    if (loop->dns != NULL && (wait_ms < 0 || wait_ms > DNS_LOOK_MS)) {
        wait_ms = DNS_LOOK_MS;
    }
    return wait_ms;
}
