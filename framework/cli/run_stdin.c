/* SPDX-License-Identifier: Apache-2.0 */
/* Our standard input to the task's (run -i): one piece after the other, each when the task's pipe
 * took the one before; our end of file closes it. */
#include "framework/cli/run.h"

#include <errno.h>
#include <unistd.h>
#include "common/base/limits.h"
#include "framework/cli/tty.h"

static void piece_read(struct pf_run *r);
static void piece_send(struct pf_run *r, const void *p, size_t n, bool is_end);

/* The piece is perhaps with the task, perhaps not. */
static bool is_link_error(int code)
{
    return code == PF_ECONN || code == PF_EREFUSED || code == PF_ETIMEOUT || code == PF_EPROTO;
}

/* A file or a terminal at its end is read at once, a pipe when the loop says so. */
static void wait_for_input(struct pf_run *r)
{
    if (r->stdin_watch != NULL) {
        pf_watch_set(r->stdin_watch, PF_WATCH_READ);
    } else {
        piece_read(r);
    }
}

static void on_taken(void *ctx, const struct pf_err *err)
{
    struct pf_run *r = ctx;
    r->stdin_is_busy = false;
    bool was_open = r->stdin_is_open;
    if (err == NULL && was_open) {
        wait_for_input(r);
    } else if (err != NULL && was_open && is_link_error(err->code) && r->spec.has_terminal) {
        wait_for_input(r); /* a key was lost: who typed it sees that */
    } else if (err != NULL && was_open && is_link_error(err->code) &&
               !pf_outcome_has_ended(&r->outcome[0])) {
        /* the task must not take a part for the whole, nor wait for the rest */
        r->status =
            pf_cli_fail(r->session.cli, PF_EXIT_OURS,
                        pf_cli_text(r->session.cli, "standard input of %s.0 is cut off: %s",
                                    r->run_id, err->msg),
                        "run it again; a task that reads files survives a restart of its agent");
        piece_send(r, NULL, 0, true);
    } else if (err != NULL) { /* the task has closed it, or is gone: its own affair */
        r->stdin_is_open = false;
        if (r->spec.is_verbose) {
            pf_cli_note(r->session.cli, "standard input: %s", err->msg);
        }
    }
}

static void piece_send(struct pf_run *r, const void *p, size_t n, bool is_end)
{
    r->stdin_is_busy = true;
    r->stdin_is_open = !is_end;
    pf_follow_write(r->follow, &(struct pf_follow_stdin){
                                   .agent_address = pf_str(r->task[0].agent_address),
                                   .framework_id = pf_str(r->run_id),
                                   .task_id = pf_str(r->outcome[0].task_id),
                                   .data = {p, (uint32_t)n},
                                   .eof = is_end,
                                   .on_done = on_taken,
                                   .ctx = r,
                               });
}

static void piece_read(struct pf_run *r)
{
    uint8_t piece[PF_STDIN_CHUNK_BYTES];
    ssize_t n;
    do {
        n = read(STDIN_FILENO, piece, sizeof piece);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    piece_send(r, piece, n > 0 ? (size_t)n : 0, n <= 0);
}

static void on_readable(void *ctx, unsigned ready)
{
    struct pf_run *r = ctx;
    (void)ready;
    pf_watch_set(r->stdin_watch, 0);
    if (r->stdin_is_open && !r->stdin_is_busy) {
        piece_read(r);
    }
}

void pf_run_stdin_begin(struct pf_run *r)
{
    if (r->stdin_is_open || r->stdin_is_busy || r->stdin_watch != NULL) {
        return;
    }
    r->stdin_is_open = true;
    if (r->spec.has_terminal) {
        pf_tty_raw();
    }
    /* epoll knows no regular files: those are always readable */
    if (pf_watch_create(r->session.loop, STDIN_FILENO, PF_WATCH_READ, PF_PRIO_NORMAL, on_readable,
                        r, &r->stdin_watch, NULL) < 0) {
        r->stdin_watch = NULL;
        piece_read(r);
    }
}

void pf_run_stdin_fini(struct pf_run *r)
{
    pf_tty_restore();
    pf_watch_destroy(r->stdin_watch);
    r->stdin_watch = NULL;
}
