/* SPDX-License-Identifier: Apache-2.0 */
/* See lines.h. Writes block: a reader that stops reading us makes us stop reading the tasks. */
#include "framework/cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"

struct tail {
    struct pf_buf text; /* of a line that is not complete */
};

struct pf_lines {
    int fd[2];
    bool has_prefix;
    int error;
    struct pf_ptrs tails; /* struct tail, at index * 2 + stream; owned */
    struct pf_buf out;
};

struct pf_lines *pf_lines_create(const int fd[2], bool has_prefix)
{
    struct pf_lines *l = PF_NEW(struct pf_lines);
    l->fd[0] = fd[0];
    l->fd[1] = fd[1];
    l->has_prefix = has_prefix;
    return l;
}

void pf_lines_destroy(struct pf_lines *l)
{
    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->tails.len; i++) {
        struct tail *t = l->tails.at[i];
        pf_buf_fini(&t->text);
        pf_free(t);
    }
    pf_ptrs_fini(&l->tails);
    pf_buf_fini(&l->out);
    pf_free(l);
}

static void write_all(struct pf_lines *l, int stream, const uint8_t *p, size_t n)
{
    while (n > 0 && l->error == 0) {
        ssize_t k = write(l->fd[stream], p, n);
        if (k >= 0) {
            p += k;
            n -= (size_t)k;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = l->fd[stream], .events = POLLOUT};
            (void)poll(&room, 1, -1); /* whoever shares it with us made it non-blocking */
        } else if (errno != EINTR) {
            l->error = errno;
        }
    }
}

static struct tail *tail_of(struct pf_lines *l, uint32_t index, int stream)
{
    uint32_t at = index * 2 + (uint32_t)stream;
    while (l->tails.len <= at) {
        pf_ptrs_push(&l->tails, PF_NEW(struct tail));
    }
    return l->tails.at[at];
}

static void line_put(struct pf_lines *l, uint32_t index, struct tail *t, const uint8_t *p, size_t n)
{
    pf_buf_printf(&l->out, "[%u] ", index);
    pf_buf_add(&l->out, t->text.data, t->text.len);
    pf_buf_add(&l->out, p, n);
    pf_buf_clear(&t->text);
}

void pf_lines_add(struct pf_lines *l, uint32_t index, int stream, struct pf_bytes data)
{
    if (!l->has_prefix) {
        write_all(l, stream, data.at, data.len);
        return;
    }
    struct tail *t = tail_of(l, index, stream);
    const uint8_t *p = data.at, *end = data.at + data.len;
    const uint8_t *newline;
    while (p < end && (newline = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        line_put(l, index, t, p, (size_t)(newline + 1 - p));
        p = newline + 1;
    }
    if (p < end) {
        pf_buf_add(&t->text, p, (size_t)(end - p));
    }
    if (t->text.len >= PF_LINE_MAX_BYTES) {
        pf_lines_end(l, index, stream);
    }
    write_all(l, stream, l->out.data, l->out.len);
    pf_buf_clear(&l->out);
}

void pf_lines_end(struct pf_lines *l, uint32_t index, int stream)
{
    if (!l->has_prefix) {
        return;
    }
    struct tail *t = tail_of(l, index, stream);
    if (t->text.len > 0) {
        line_put(l, index, t, NULL, 0);
        pf_buf_add_byte(&l->out, '\n');
        write_all(l, stream, l->out.data, l->out.len);
        pf_buf_clear(&l->out);
    }
}

int pf_lines_error(const struct pf_lines *l)
{
    return l->error;
}

int pf_lines_fail(const struct pf_lines *l, struct pf_cli *cli, int status)
{
    return pf_cli_fail(cli, status,
                       pf_cli_text(cli, "cannot write the output: %s", strerror(l->error)),
                       "what was printed is not complete: look at where it goes");
}
