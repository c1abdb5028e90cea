/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-agent that dies where it is told: once the file of PF_FAULT_FILE exists, its number k is
 * read, the file is removed, and the k-th fault point after that is the end of the process. What
 * was left is in PF_FAULT_FILE.done: the name of the point. For tests/system/test_crash_points.py.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sys/fault.h"

#define STATUS 86

static const char *file_path;
static long left; /* 0: not armed */

static void arm(void)
{
    char text[32] = "";

    int fd = open(file_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd); /* only read */
    if (n > 0 && unlink(file_path) == 0) {
        left = strtol(text, NULL, 10);
    }
}

static void die(const char *where)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s.done", file_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        (void)!write(fd, where, strlen(where)); /* the test says if it is missing */
        (void)close(fd);
    }
    _exit(STATUS);
}

static void on_point(const char *where)
{
    if (left == 0) {
        arm();
    }
    if (left > 0 && --left == 0) {
        die(where);
    }
}

__attribute__((constructor)) static void faulty_agent_init(void)
{
    file_path = getenv("PF_FAULT_FILE");
    if (file_path != NULL) {
        pf_fault_hook = on_point;
    }
}
