/* SPDX-License-Identifier: Apache-2.0 */
/* See launcher_client.h. */
#include "tests/support/launcher_client.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

struct pf_uuid uuid_of(uint32_t n)
{
    struct pf_uuid u = {{0x70}};
    memcpy(&u.b[12], &n, sizeof n);
    return u;
}

void client_connect(struct launcher_client *c)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(dir >= 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/launcher.sock", dir);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(close(dir), 0);
    pf_buf_clear(&c->in);
}

void client_close(struct launcher_client *c)
{
    assert_int_equal(close(c->fd), 0);
    c->fd = -1;
}

void client_spawn(struct launcher_client *c)
{
    int pair[2];
    char fd_text[16];
    char *argv[] = {(char *)(uintptr_t)"proffer-launcher", (char *)(uintptr_t)"--dir", c->dir,
                    (char *)(uintptr_t)"--controller-fd", fd_text, NULL};
    char *envp[] = {NULL};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFD, FD_CLOEXEC), 0);
    (void)snprintf(fd_text, sizeof fd_text, "%d", pair[1]);
    assert_int_equal(posix_spawn(&c->pid, PF_LAUNCHER_PATH, NULL, NULL, argv, envp), 0);
    assert_int_equal(close(pair[1]), 0);
    c->fd = pair[0];
    pf_buf_clear(&c->in);
}

void client_open(struct launcher_client *c)
{
    memset(c, 0, sizeof *c);
    c->got_fd = -1;
    (void)snprintf(c->dir, sizeof c->dir, "/tmp/pf-launcher-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    pf_fb_builder_init(&c->b, NULL);
    client_spawn(c);
}

void client_send_bytes(struct launcher_client *c, const void *p, size_t len, const int *fds,
                       uint32_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } room = {0};
    struct iovec iov = {(void *)(uintptr_t)p, len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > 0) {
        mh.msg_control = room.bytes;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, n_fds * sizeof(int));
    }
    assert_int_equal(sendmsg(c->fd, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

void client_frame(struct launcher_client *c, enum LauncherBody type, struct pf_ref body,
                  struct pf_buf *out)
{
    struct LauncherMessage__args args = {.body_type = type, .body = body};
    struct pf_msg msg = LauncherMessage__finish(&c->b, LauncherMessage__put(&c->b, &args));

    pf_buf_add(out, &msg.len, sizeof msg.len);
    pf_buf_add(out, msg.data, msg.len);
}

void client_send(struct launcher_client *c, enum LauncherBody type, struct pf_ref body,
                 const int *fds, uint32_t n_fds)
{
    struct pf_buf out = {0};

    client_frame(c, type, body, &out);
    client_send_bytes(c, out.data, out.len, fds, n_fds);
    pf_buf_fini(&out);
}

/* Instead of the files: three times the terminal, its other side kept here and by the launcher. */
static void open_terminal(struct launcher_client *c, const struct start_spec *s, int fds[4])
{
    const struct winsize size = {.ws_row = s->rows, .ws_col = s->columns};
    int side = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    assert_true(side >= 0);
    assert_int_equal(grantpt(side), 0);
    assert_int_equal(unlockpt(side), 0);
    assert_int_equal(ioctl(side, TIOCSWINSZ, &size), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(close(fds[i]), 0);
        fds[i] = open(ptsname(side), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    if (s->keeps_stdin) {
        assert_int_equal(close(fds[3]), 0);
        fds[3] = dup(side);
    }
    c->got_fd = side;
}

uint32_t client_start_frame(struct launcher_client *c, const struct start_spec *s,
                            struct pf_buf *out, int fds[4])
{
    struct pf_str args[6];
    struct pf_str env[3];
    uint32_t n_args = 0;
    uint32_t n_env = 0;
    uint32_t groups[1] = {s->gid};
    struct pf_str cgroups[PF_CGROUP_DIRS_MAX];
    char path[PF_CGROUP_DIRS_MAX][1024];
    uint32_t n_cgroups = 0;

    fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fds[1] = open(s->out != NULL ? s->out : "/dev/null",
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    fds[2] = dup(fds[1]);
    fds[3] = -1;
    if (s->keeps_stdin) {
        int pipe_fd[2];
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
        fds[0] = pipe_fd[0];
        fds[3] = pipe_fd[1];
    }
    if (s->terminal) {
        open_terminal(c, s, fds);
    }
    for (; n_args < PF_ARRAY_LEN(s->args) && s->args[n_args] != NULL; n_args++) {
        args[n_args] = pf_str(s->args[n_args]);
    }
    for (; n_env < PF_ARRAY_LEN(s->env) && s->env[n_env] != NULL; n_env++) {
        env[n_env] = pf_str(s->env[n_env]);
    }
    for (uint32_t i = 0; s->cgroups != NULL && i < s->cgroups->n_dirs; i++) {
        char uuid[PF_UUID_TEXT_LEN + 1];
        pf_uuid_format(s->container, uuid);
        (void)snprintf(path[i], sizeof path[i], "%s/%s", s->cgroups->dir[i].path, uuid);
        cgroups[n_cgroups++] = pf_str(path[i]);
    }
    pf_fb_builder_reset(&c->b);
    struct pf_ref rlimits[4];
    for (uint32_t i = 0; i < s->n_rlimits; i++) {
        rlimits[i] = LauncherRlimit__put(&c->b, &s->rlimits[i]);
    }
    struct LauncherStart__args a = {
        .uuid = {s->uuid.b, 16},
        .path = pf_str(s->path),
        .args = {args, n_args},
        .env = {env, n_env},
        .cwd = pf_str(s->cwd != NULL ? s->cwd : "/"),
        .search_path = pf_str(s->search_path),
        .keeps_stdin = s->keeps_stdin,
        .set_ids = s->set_ids,
        .uid = s->uid,
        .gid = s->gid,
        .groups = {groups, s->set_ids ? 1 : 0},
        .cgroups = {cgroups, n_cgroups},
        .owns_cgroups = s->owns_container,
        .rlimits = {rlimits, s->n_rlimits},
        .terminal = s->terminal,
    };
    client_frame(c, LauncherBody_LauncherStart, LauncherStart__put(&c->b, &a), out);
    return s->keeps_stdin ? 4 : 3;
}

void close_fds(const int *fds, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

void client_start(struct launcher_client *c, const struct start_spec *s)
{
    struct pf_buf out = {0};
    int fds[4];
    uint32_t n = client_start_frame(c, s, &out, fds);

    client_send_bytes(c, out.data, out.len, fds, n);
    close_fds(fds, n);
    pf_buf_fini(&out);
}

void client_shell(struct launcher_client *c, struct pf_uuid uuid, const char *script)
{
    client_start(c, &(struct start_spec){
                        .uuid = uuid, .path = "/bin/sh", .args = {"sh", "-c", script}});
}

static void client_take_fd(struct launcher_client *c, struct msghdr *mh)
{
    struct cmsghdr *cm = CMSG_FIRSTHDR(mh);

    if (cm != NULL && cm->cmsg_type == SCM_RIGHTS) {
        memcpy(&c->got_fd, CMSG_DATA(cm), sizeof c->got_fd);
    }
}

/* Reads more; false at the end of the link. A launcher that says nothing fails the test. */
static bool client_read(struct launcher_client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } room;
    char chunk[65536];
    struct iovec iov = {chunk, sizeof chunk};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes,
                        .msg_controllen = sizeof room.bytes};

    assert_int_equal(poll(&p, 1, CLIENT_WAIT_MS), 1);
    ssize_t n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        return false;
    }
    client_take_fd(c, &mh);
    pf_buf_add(&c->in, chunk, (size_t)n);
    return true;
}

struct LauncherMessage client_next(struct launcher_client *c)
{
    struct pf_msg msg;
    uint32_t len = 0;

    for (;;) {
        if (c->in.len >= sizeof len) {
            memcpy(&len, c->in.data, sizeof len);
            if (c->in.len >= sizeof len + len) {
                break;
            }
        }
        if (!client_read(c)) {
            return (struct LauncherMessage){{NULL}};
        }
    }
    pf_buf_clear(&c->last);
    pf_buf_add(&c->last, c->in.data + sizeof len, len);
    pf_buf_drop_front(&c->in, sizeof len + len);
    struct pf_bytes bytes = {c->last.data, len};
    assert_int_equal(pf_fb_verify(bytes, &LauncherMessage__desc, &msg, NULL), 0);
    return LauncherMessage__root(msg);
}

bool client_is_closed(struct launcher_client *c)
{
    return client_next(c).tab.p == NULL;
}

struct LauncherProcess client_report(struct launcher_client *c, struct pf_uuid uuid)
{
    for (;;) {
        struct LauncherMessage m = client_next(c);
        assert_non_null(m.tab.p);
        if (LauncherMessage_body_type(m) == LauncherBody_LauncherProcess) {
            struct LauncherProcess p = LauncherMessage_body_as_LauncherProcess(m);
            if (memcmp(LauncherProcess_uuid(p).at, uuid.b, 16) == 0) {
                return p;
            }
        }
    }
}

struct LauncherProcess client_end(struct launcher_client *c, struct pf_uuid uuid)
{
    for (;;) {
        struct LauncherProcess p = client_report(c, uuid);
        if (LauncherProcess_state(p) != LauncherState_STARTING &&
            LauncherProcess_state(p) != LauncherState_RUNNING) {
            return p;
        }
    }
}

void client_signal(struct launcher_client *c, struct pf_uuid uuid, int signo)
{
    pf_fb_builder_reset(&c->b);
    struct LauncherSignal__args a = {.uuid = {uuid.b, 16}, .signal = signo};
    client_send(c, LauncherBody_LauncherSignal, LauncherSignal__put(&c->b, &a), NULL, 0);
}

void client_forget(struct launcher_client *c, struct pf_uuid uuid)
{
    pf_fb_builder_reset(&c->b);
    struct LauncherForget__args a = {.uuid = {uuid.b, 16}};
    client_send(c, LauncherBody_LauncherForget, LauncherForget__put(&c->b, &a), NULL, 0);
}

void client_list(struct launcher_client *c)
{
    pf_fb_builder_reset(&c->b);
    struct LauncherList__args a = {0};
    client_send(c, LauncherBody_LauncherList, LauncherList__put(&c->b, &a), NULL, 0);
}

void client_quit(struct launcher_client *c, bool force)
{
    pf_fb_builder_reset(&c->b);
    struct LauncherQuit__args a = {.force = force};
    client_send(c, LauncherBody_LauncherQuit, LauncherQuit__put(&c->b, &a), NULL, 0);
}

int client_wait(struct launcher_client *c)
{
    int status = 0;

    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    c->pid = 0;
    return status;
}

void client_finish(struct launcher_client *c)
{
    static const char *const files[] = {"launcher.cgroups", "launcher.journal", "launcher.lock",
                                        "launcher.log", "launcher.sock", "out", "tool", "script"};
    if (c->pid > 0) {
        if (c->fd < 0) {
            client_connect(c);
        }
        client_quit(c, true);
        while (!client_is_closed(c)) {
        }
        assert_int_equal(client_wait(c), 0);
    }
    if (c->fd >= 0) {
        client_close(c);
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(files); i++) {
        char path[300];
        (void)snprintf(path, sizeof path, "%s/%s", c->dir, files[i]);
        (void)unlink(path); /* most tests make only some of them */
    }
    assert_int_equal(rmdir(c->dir), 0);
    if (c->got_fd >= 0) {
        assert_int_equal(close(c->got_fd), 0);
    }
    pf_buf_fini(&c->in);
    pf_buf_fini(&c->last);
    pf_fb_builder_fini(&c->b);
}

void client_read_file(const struct launcher_client *c, const char *name, char *out,
                      size_t out_bytes)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, out_bytes - 1);
    assert_true(n >= 0);
    out[n] = '\0';
    assert_int_equal(close(fd), 0);
}
