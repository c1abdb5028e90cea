/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a daemon whose supervisor was killed. It got a signal at that death; here it is waited
 * for, so that its ports and its work directory are free. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "common/base/buf.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"

#define DAEMON_ENDS_MS 10000

bool pf_local_wait_gone(int pidfd, int timeout_ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int n;
    do {
        n = poll(&p, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Is this process the daemon of that directory, and not another one that got its number? */
static bool is_daemon(pid_t pid, struct pf_str work_dir)
{
    char path[64];
    struct pf_buf line = {0};
    bool found = false;
    (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    if (pf_file_read(path, 1 << 20, &line, NULL) == 0) {
        for (size_t at = 0; at < line.len && !found;) {
            const char *word = pf_buf_cstr(&line) + at;
            /* a ZooKeeper server names its file there */
            found = pf_str_has_prefix(pf_str(word), work_dir) &&
                    (word[work_dir.len] == '\0' || word[work_dir.len] == '/');
            at += strlen(word) + 1;
        }
    }
    pf_buf_fini(&line);
    return found;
}

void pf_local_end_daemon(struct LocalDaemon daemon)
{
    pid_t pid = (pid_t)LocalDaemon_pid(daemon);
    int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd >= 0 && is_daemon(pid, LocalDaemon_work_dir(daemon))) {
        (void)pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
        if (!pf_local_wait_gone(pidfd, DAEMON_ENDS_MS)) {
            (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
            (void)pf_local_wait_gone(pidfd, DAEMON_ENDS_MS);
        }
    }
    pf_fd_close(&pidfd);
}
