/* SPDX-License-Identifier: Apache-2.0 */
/* The socket of the one controller: frames with descriptors in, frames out, both bounded. The
 * kernel keeps the order of descriptors among the bytes, so those that came wait in line for the
 * frames that need them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/limits.h"

#define IN_CHUNK_BYTES (64u << 10)
#define IN_KEEP_BYTES  (256u << 10) /* a larger buffer is given back */

union fd_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(LAUNCHER_FDS_MAX * sizeof(int))];
};

static uint32_t controller_wants(const struct pf_launcher *l)
{
    const struct controller *c = &l->ctl;
    size_t unsent = c->out.len - c->sent;
    bool is_full = unsent > LAUNCHER_OUT_PAUSE_BYTES || c->n_out_fds == LAUNCHER_OUT_FDS_MAX ||
                   l->n_queued > LAUNCHER_QUEUE_PAUSE;

    return (is_full ? 0u : (uint32_t)EPOLLIN) | (unsent > 0 ? (uint32_t)EPOLLOUT : 0u);
}

static void controller_watch(struct pf_launcher *l)
{
    struct controller *c = &l->ctl;
    uint32_t wants = controller_wants(l);
    struct epoll_event ev = {.events = wants, .data.u64 = SOURCE_CONTROLLER + c->generation};

    if (wants != c->watched && epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev) == 0) {
        c->watched = wants;
    }
}

void controller_set(struct pf_launcher *l, int fd)
{
    struct controller *c = &l->ctl;

    controller_close(l);
    c->generation++;
    c->fd = fd;
    c->watched = EPOLLIN;
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = SOURCE_CONTROLLER + c->generation};
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        controller_close(l);
        return;
    }
    protocol_send_hello(l);
}

void controller_close(struct pf_launcher *l)
{
    struct controller *c = &l->ctl;

    if (c->fd < 0) {
        return;
    }
    (void)close(c->fd); /* what was not read is told to the next one by the list */
    c->fd = -1;
    for (uint32_t i = 0; i < c->n_in_fds; i++) {
        (void)close(c->in_fd[i]); /* files of starts that never came */
    }
    for (uint32_t i = 0; i < c->n_out_fds; i++) {
        (void)close(c->out_fd[i].fd); /* duplicates */
    }
    c->n_in_fds = 0;
    c->n_out_fds = 0;
    c->sent = 0;
    pf_buf_fini(&c->in);
    pf_buf_fini(&c->out);
}

void controller_send(struct pf_launcher *l, uint8_t type, struct pf_ref body, int fd)
{
    struct controller *c = &l->ctl;
    struct LauncherMessage__args args = {.body_type = (enum LauncherBody)type, .body = body};
    struct pf_msg msg =
        LauncherMessage__finish(&l->builder, LauncherMessage__put(&l->builder, &args));

    if (c->fd < 0) {
        return;
    }
    if (fd >= 0 && c->n_out_fds < LAUNCHER_OUT_FDS_MAX) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy >= 0) {
            c->out_fd[c->n_out_fds++] = (struct out_fd){c->out.len, copy};
        }
    }
    pf_buf_add(&c->out, &msg.len, sizeof msg.len);
    pf_buf_add(&c->out, msg.data, msg.len);
}

/* One send, up to the next place where a descriptor has to go along. */
static ssize_t out_send(struct controller *c)
{
    union fd_room room = {0};
    size_t end = c->out.len;
    struct msghdr mh = {0};
    bool has_fd = c->n_out_fds > 0 && c->out_fd[0].at == c->sent;

    if (c->n_out_fds > (has_fd ? 1u : 0u)) {
        end = c->out_fd[has_fd ? 1 : 0].at;
    }
    struct iovec iov = {c->out.data + c->sent, end - c->sent};
    mh.msg_iov = &iov;
    mh.msg_iovlen = 1;
    if (has_fd) {
        mh.msg_control = room.bytes;
        mh.msg_controllen = CMSG_SPACE(sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &c->out_fd[0].fd, sizeof(int));
    }
    ssize_t n = sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && has_fd) {
        (void)close(c->out_fd[0].fd); /* a duplicate, on its way */
        c->n_out_fds--;
        memmove(&c->out_fd[0], &c->out_fd[1], c->n_out_fds * sizeof c->out_fd[0]);
    }
    return n;
}

void controller_flush(struct pf_launcher *l)
{
    struct controller *c = &l->ctl;

    if (c->fd < 0) {
        return;
    }
    while (c->sent < c->out.len) {
        ssize_t n = out_send(c);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n < 0) {
            controller_close(l);
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.len) {
        pf_buf_clear(&c->out);
        c->sent = 0;
        if (c->out.cap > IN_KEEP_BYTES) {
            pf_buf_fini(&c->out);
        }
    }
    controller_watch(l);
}

/* Takes the descriptors of a message. False: more than may wait, or the kernel dropped some. */
static bool in_take_fds(struct controller *c, struct msghdr *mh)
{
    bool is_fine = (mh->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
            if (c->n_in_fds < LAUNCHER_IN_FDS_MAX) {
                c->in_fd[c->n_in_fds++] = fd;
            } else {
                (void)close(fd); /* over the limit: the link ends */
                is_fine = false;
            }
        }
    }
    return is_fine;
}

/* Reads once. False: the link is over. */
static bool in_read(struct controller *c)
{
    union fd_room room;

    if (!pf_buf_reserve(&c->in, IN_CHUNK_BYTES)) {
        return false;
    }
    struct iovec iov = {c->in.data + c->in.len, IN_CHUNK_BYTES};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes,
                        .msg_controllen = sizeof room.bytes};
    ssize_t n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    }
    bool is_fine = in_take_fds(c, &mh);
    c->in.len += (size_t)n;
    return n > 0 && is_fine;
}

/* Handles the whole frames. False: the link must end. */
static bool in_frames(struct pf_launcher *l)
{
    struct controller *c = &l->ctl;
    size_t at = 0;
    uint64_t generation = c->generation;

    while (c->in.len - at >= sizeof(uint32_t)) {
        uint32_t len;
        memcpy(&len, c->in.data + at, sizeof len);
        if (len == 0 || len > PF_FRAME_MAX_BYTES) {
            return false;
        }
        if (c->in.len - at < sizeof len + len) {
            break;
        }
        struct pf_bytes frame = {c->in.data + at + sizeof len, len};
        if (!protocol_on_frame(l, frame)) {
            return false;
        }
        if (c->fd < 0 || c->generation != generation) {
            return true; /* closed meanwhile, buffers and all */
        }
        at += sizeof len + len;
    }
    pf_buf_drop_front(&c->in, at);
    if (c->in.len == 0 && c->in.cap > IN_KEEP_BYTES) {
        pf_buf_fini(&c->in);
    }
    return true;
}

void controller_on_ready(struct pf_launcher *l, uint32_t events)
{
    struct controller *c = &l->ctl;
    bool is_open = true;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        is_open = in_read(c);
    }
    /* What came before the end still counts: an agent may say a word and die. */
    if (!in_frames(l) || !is_open) {
        controller_close(l);
        return;
    }
    if (c->fd >= 0) {
        controller_watch(l);
    }
}
