/* SPDX-License-Identifier: Apache-2.0 */
/* A blocking controller for tests of the real proffer-launcher: starts one in a directory of its
 * own, sends frames, waits for reports. */
#ifndef PF_TESTS_SUPPORT_LAUNCHER_CLIENT_H
#define PF_TESTS_SUPPORT_LAUNCHER_CLIENT_H

#include "agent/cgroup/cgroup.h"
#include "common/base/buf.h"
#include "common/base/id.h"
#include "schemas/launcher.h"
#include "tests/support/test.h"

#define CLIENT_WAIT_MS 20000

struct launcher_client {
    char dir[256];
    pid_t pid;
    int fd;
    int got_fd; /* the last descriptor that came, -1 = none */
    struct pf_buf in;
    struct pf_fb_builder b;
    struct pf_buf last; /* the last message, kept for its reader */
};

struct start_spec {
    struct pf_uuid uuid;
    const char *path;
    const char *args[6];
    const char *env[3];
    const char *cwd;
    const char *out; /* file for stdout and stderr, NULL: /dev/null */
    const char *search_path;
    bool keeps_stdin;
    bool set_ids;
    uint32_t uid, gid;
    const struct pf_cgroups *cgroups; /* enters container `container` there */
    struct pf_uuid container;
    bool owns_container;
    const struct LauncherRlimit__args *rlimits;
    uint32_t n_rlimits;
    bool terminal; /* a new one; its other side, which the caller closes, is c->got_fd */
    uint16_t rows, columns;
};

struct pf_uuid uuid_of(uint32_t n);
/* Connects from within the directory: its path may be long. */
void client_connect(struct launcher_client *c);
void client_close(struct launcher_client *c);
/* Starts a launcher in c->dir with one end of a pair as its controller. */
void client_spawn(struct launcher_client *c);
void client_open(struct launcher_client *c);
void client_send_bytes(struct launcher_client *c, const void *p, size_t len, const int *fds,
                       uint32_t n_fds);
/* Finishes the message whose body was put, with its length in front, into `out`. */
void client_frame(struct launcher_client *c, enum LauncherBody type, struct pf_ref body,
                  struct pf_buf *out);
void client_send(struct launcher_client *c, enum LauncherBody type, struct pf_ref body,
                 const int *fds, uint32_t n_fds);
/* The Start message of `s` as a frame; its descriptors into `fds` (3 or 4; the caller closes). For
 * a kept stdin the fourth is the write end. */
uint32_t client_start_frame(struct launcher_client *c, const struct start_spec *s,
                            struct pf_buf *out, int fds[4]);
void close_fds(const int *fds, uint32_t n);
void client_start(struct launcher_client *c, const struct start_spec *s);
void client_shell(struct launcher_client *c, struct pf_uuid uuid, const char *script);
/* The next message, valid until the next call; absent when the launcher closed the link. */
struct LauncherMessage client_next(struct launcher_client *c);
bool client_is_closed(struct launcher_client *c);
/* The next report of the process `uuid`; what else comes is skipped. */
struct LauncherProcess client_report(struct launcher_client *c, struct pf_uuid uuid);
/* The report of its end (or failure). */
struct LauncherProcess client_end(struct launcher_client *c, struct pf_uuid uuid);
void client_signal(struct launcher_client *c, struct pf_uuid uuid, int signo);
void client_forget(struct launcher_client *c, struct pf_uuid uuid);
void client_list(struct launcher_client *c);
void client_quit(struct launcher_client *c, bool force);
/* Waits for the launcher's own end; its exit status as waitpid tells it. */
int client_wait(struct launcher_client *c);
/* Ends the launcher by its socket, checks that it went well, removes the directory. */
void client_finish(struct launcher_client *c);
/* What the file in the launcher's directory holds, as text. */
void client_read_file(const struct launcher_client *c, const char *name, char *out,
                      size_t out_bytes);

#endif
