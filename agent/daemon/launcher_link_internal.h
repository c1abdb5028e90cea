/* SPDX-License-Identifier: Apache-2.0 */
/* Between launcher_link.c (messages) and launcher_connect.c (sockets, starting a launcher). */
#ifndef PF_AGENT_DAEMON_LAUNCHER_LINK_INTERNAL_H
#define PF_AGENT_DAEMON_LAUNCHER_LINK_INTERNAL_H

#include <sys/queue.h>
#include "agent/daemon/launcher_link.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/fb/build.h"

#define LINK_OUT_FDS_MAX 240 /* of one message; the kernel takes 253 */
#define LINK_IN_FDS_MAX  64
#define LINK_ASKS_MAX    32
#define LINK_RLIMITS_MAX 64 /* more than kernels know */

/* A start in line: its files are opened when it is its turn. */
struct link_start {
    struct pf_uuid launch;
    char *sandbox;
    struct pf_user user; /* without groups */
    bool keeps_stdin;
    bool has_files;        /* `file` are its stdin, stdout, stderr, and what is kept (-1 = none) */
    int file[4];
    struct pf_bytes frame; /* owned: length and LauncherMessage */
    int error;             /* FAILED: of `stage` */
    const char *stage;
    STAILQ_ENTRY(link_start) link;
};
STAILQ_HEAD(link_starts, link_start);

struct pf_launcher_link {
    struct pf_loop *loop;
    struct pf_launcher_link_ops ops;
    void *ctx;
    char *program, *dir;
    uint64_t nofile;
    struct pf_containers *containers;
    char *version;
    bool has_upgraded; /* it was asked to; once is enough */
    int dir_fd, null_fd;
    int fd; /* -1: not connected */
    bool is_up; /* greeted */
    bool is_quitting; /* it was asked to end */
    int64_t pid;
    struct pf_watch *watch;
    struct pf_timer *timer;  /* next try, or the greeting's time-out */
    struct pf_timer *failer; /* tells failed starts in a turn of their own */
    int64_t back_off_ms;
    struct link_starts waiting, failed;
    struct pf_buf in, out;
    size_t sent;
    int out_fd[LINK_OUT_FDS_MAX], in_fd[LINK_IN_FDS_MAX];
    uint32_t n_out_fds, n_in_fds;
    struct pf_uuid asked[LINK_ASKS_MAX];
    uint32_t n_asked;
    struct pf_fb_builder builder, body_builder;
    struct pf_launcher_link_counters counters;
};

/* --- launcher_connect.c --- */
/* Connects to the launcher that lives in the directory, else starts one: a connected socket, or -1
 * with the error. */
int launcher_connect(struct pf_launcher_link *k, struct pf_err *err);
/* Sends what is in `out` with the descriptors that wait: 1 all, 0 the socket is full, -1 broken. */
int link_send(struct pf_launcher_link *k);
/* Reads once into `in` and `in_fd`: false when the link is over. */
bool link_recv(struct pf_launcher_link *k);

#endif
