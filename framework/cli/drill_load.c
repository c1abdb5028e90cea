/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_load.h. */
#include "framework/cli/drill_load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"

enum { JOURNAL_MAX_BYTES = 1 << 30, FILE_MAX_BYTES = 64 << 20, PATH_BYTES = 4096, LEAVE_MS = 3000 };

struct child {
    struct pf_drill_load *load;
    uint32_t i;
    struct pf_drill_framework seen;
    int pidfd, in_fd, out_fd; /* -1 = none */
    struct pf_watch *death, *words;
    struct pf_buf line;
    bool is_ours_to_kill; /* its death was our doing */
};

struct pf_drill_load {
    struct pf_loop *loop;
    struct pf_drill_load_options o;
    char *program, *masters, *key_file, *files;
    const struct pf_drill_load_ops *ops;
    void *ctx;
    struct child *child;
    struct pf_map kept; /* tokens of lasting tasks that were heard to run; values are not used */
    bool is_finishing;
};

/* --- what they say --------------------------------------------------------------------------- */

/* "f0.17.long": the number, and whether the task is of a lasting sort. */
static uint64_t token_seq(const char *token, bool *out_lasts)
{
    const char *dot = strchr(token, '.');
    const char *kind = dot != NULL ? strchr(dot + 1, '.') : NULL;
    *out_lasts = kind != NULL && strcmp(kind + 1, "short") != 0 && strcmp(kind + 1, "brief") != 0;
    return dot != NULL ? strtoull(dot + 1, NULL, 10) : 0;
}

static void take_status(struct child *c, int64_t at_us, const char *token, const char *state,
                        bool is_final)
{
    struct pf_drill_load *l = c->load;
    bool lasts;
    uint64_t seq = token_seq(token, &lasts);
    uint32_t len = (uint32_t)strlen(token);
    bool was_kept = lasts && pf_map_get(&l->kept, token, len) != NULL;
    if (strcmp(state, "TASK_RUNNING") == 0) {
        if (seq >= c->seen.running_seq || c->seen.running_us == 0) {
            c->seen.running_seq = seq;
            c->seen.running_us = at_us;
        }
        if (lasts && !was_kept) {
            char *key = pf_strdup(token);
            pf_map_put(&l->kept, key, len, key);
            c->seen.n_kept++;
        }
    } else if (is_final && was_kept) {
        pf_free(pf_map_del(&l->kept, token, len));
        c->seen.n_kept--;
    }
}

static void take_line(struct child *c, char *line)
{
    char *word[6], *save = NULL;
    uint32_t n = 0;
    struct pf_drill_framework *f = &c->seen;
    for (char *w = strtok_r(line, " ", &save); w != NULL && n < 6; w = strtok_r(NULL, " ", &save)) {
        word[n++] = w;
    }
    int64_t at_us = n >= 2 ? strtoll(word[1], NULL, 10) : 0;
    bool was_accept = n == 4 && strcmp(word[0], "accept") == 0, lasts;
    if (was_accept) {
        f->accept_seq = token_seq(word[2], &lasts);
        f->accept_us = at_us;
    } else if (n == 5 && strcmp(word[0], "status") == 0) {
        take_status(c, at_us, word[2], word[3], strcmp(word[4], "final") == 0);
    } else if (n == 4 && strcmp(word[0], "subscribed") == 0) {
        f->epoch = strtoull(word[2], NULL, 10);
        f->subscribed_us = at_us;
        (void)snprintf(f->id, sizeof f->id, "%s", word[3]);
    } else if (n == 3 && strcmp(word[0], "offers") == 0) {
        f->offers_us = at_us;
        f->waited_us = f->want_us > 0 ? at_us - f->want_us : 0;
        f->want_us = 0;
    } else if (n == 2 && strcmp(word[0], "want") == 0) {
        f->want_us = at_us;
    } else if (n == 2 && strcmp(word[0], "disconnected") == 0) {
        f->disconnected_us = at_us;
    } else if (n == 2 && strcmp(word[0], "over") == 0) {
        f->is_over = true;
    }
    c->load->ops->on_word(c->load->ctx, c->i, was_accept);
}

/* Takes what is there; false: nothing is. */
static bool words_read(struct child *c)
{
    char text[16384];
    ssize_t n = read(c->out_fd, text, sizeof text);
    if (n <= 0) {
        if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            pf_watch_set(c->words, 0); /* its death comes by the other watch */
        }
        return false;
    }
    pf_buf_add(&c->line, text, (size_t)n);
    size_t from = 0;
    char *at = (char *)(uintptr_t)pf_buf_cstr(&c->line), *end;
    while ((end = memchr(at + from, '\n', c->line.len - from)) != NULL) {
        *end = '\0';
        take_line(c, at + from);
        from = (size_t)(end - at) + 1;
    }
    pf_buf_drop_front(&c->line, from);
    return true;
}

static void on_words(void *ctx, unsigned ready)
{
    (void)ready;
    (void)words_read(ctx);
}

/* --- processes ------------------------------------------------------------------------------- */

static void child_release(struct child *c)
{
    if (c->words != NULL) {
        pf_watch_destroy(c->words);
        c->words = NULL;
    }
    if (c->death != NULL) {
        pf_watch_destroy(c->death);
        c->death = NULL;
    }
    pf_fd_close(&c->in_fd);
    pf_fd_close(&c->out_fd);
    pf_fd_close(&c->pidfd);
    pf_buf_clear(&c->line);
}

/* The part of a whole that falls to the i-th of n. */
static uint32_t part(uint32_t whole, uint32_t n, uint32_t i)
{
    return whole / n + (i < whole % n ? 1 : 0);
}

/* In the child: nothing that allocates. */
static void become(const char *program, char *const *argv, const int in[2], const int out[2],
                   pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Ctrl-C is the parent's business; its end ends us through the pipe */
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent ||
        dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0) {
        _exit(127);
    }
    (void)execv(program, argv);
    _exit(127);
}

static int on_started(struct child *c, struct pf_err *err);

static int child_start(struct child *c, struct pf_err *err)
{
    struct pf_drill_load *l = c->load;
    char text[4][24];
    const struct pf_drill_load_options *o = &l->o;
    (void)snprintf(text[0], sizeof text[0], "%u", c->i);
    (void)snprintf(text[1], sizeof text[1], "%u", part(o->n_tasks, o->n_frameworks, c->i));
    (void)snprintf(text[2], sizeof text[2], "%u", part(o->n_sim_tasks, o->n_frameworks, c->i));
    (void)snprintf(text[3], sizeof text[3], "%" PRId32 "ms", o->every_ms);
    const char *argv[] = {l->program, "drill-load", "--master", l->masters, "--files",     l->files,
                          "--index",  text[0],      "--tasks",  text[1],    "--sim-tasks", text[2],
                          "--every",  text[3],      NULL,       NULL,       NULL};
    if (l->key_file != NULL) {
        argv[14] = "--key-file";
        argv[15] = l->key_file;
    }
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    pid_t self = getpid(), pid = -1;
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
        pid = fork();
    }
    if (pid == 0) {
        become(l->program, (char *const *)(uintptr_t)argv, in, out, self);
    }
    int sys = errno;
    pf_fd_close(&in[0]);
    pf_fd_close(&out[1]);
    c->in_fd = in[1];
    c->out_fd = out[0];
    c->seen.pid = pid;
    c->is_ours_to_kill = false;
    if (pid < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "cannot start a framework");
    }
    return on_started(c, err);
}

static void on_death(void *ctx, unsigned ready)
{
    struct child *c = ctx;
    struct pf_drill_load *l = c->load;
    struct pf_err err = {0};
    int status = 0;
    (void)ready;
    if (waitpid(c->seen.pid, &status, WNOHANG) != c->seen.pid) {
        return;
    }
    while (words_read(c)) { /* what it had said before */
    }
    bool was_ours = c->is_ours_to_kill;
    child_release(c);
    c->seen.pid = 0;
    if (c->seen.is_over) {
        return;
    }
    if (!was_ours) {
        char text[160];
        (void)snprintf(text, sizeof text, "framework drill-%u ended by itself (%s %d)", c->i,
                       WIFSIGNALED(status) ? "signal" : "exit status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        l->ops->on_wrong(l->ctx, text);
    } else if (child_start(c, &err) != 0) {
        l->ops->on_wrong(l->ctx, err.msg);
    }
}

static int on_started(struct child *c, struct pf_err *err)
{
    struct pf_loop *loop = c->load->loop;
    c->pidfd = pidfd_open(c->seen.pid, 0);
    if (c->pidfd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot watch a framework");
    }
    int rc = pf_fd_set_nonblock(c->out_fd, true, err);
    rc = rc != 0 ? rc
                 : pf_watch_create(loop, c->pidfd, PF_WATCH_READ, PF_PRIO_NORMAL, on_death, c,
                                   &c->death, err);
    return rc != 0 ? rc
                   : pf_watch_create(loop, c->out_fd, PF_WATCH_READ, PF_PRIO_URGENT, on_words, c,
                                     &c->words, err);
}

void pf_drill_load_kill(struct pf_drill_load *l, uint32_t i)
{
    struct child *c = &l->child[i];
    if (c->seen.pid > 0) {
        c->is_ours_to_kill = true;
        (void)kill(c->seen.pid, SIGKILL);
    }
}

/* --- all of them ----------------------------------------------------------------------------- */

const struct pf_drill_framework *pf_drill_load_framework(const struct pf_drill_load *l, uint32_t i)
{
    return &l->child[i].seen;
}

uint32_t pf_drill_load_count(const struct pf_drill_load *l)
{
    return l->o.n_frameworks;
}

bool pf_drill_load_is_full(const struct pf_drill_load *l)
{
    for (uint32_t i = 0; i < l->o.n_frameworks; i++) {
        uint32_t wanted =
            part(l->o.n_tasks, l->o.n_frameworks, i) + part(l->o.n_sim_tasks, l->o.n_frameworks, i);
        if (l->child[i].seen.n_kept < wanted) {
            return false;
        }
    }
    return true;
}

int pf_drill_load_finish(struct pf_drill_load *l, struct pf_err *err)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/stop", l->files);
    l->is_finishing = true;
    for (uint32_t i = 0; i < l->o.n_frameworks; i++) {
        if (l->child[i].in_fd >= 0) {
            int rc = pf_fd_write_all(l->child[i].in_fd, "finish\n", 7, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return pf_file_write(path, "", 0, 0644, err);
}

bool pf_drill_load_is_over(const struct pf_drill_load *l)
{
    for (uint32_t i = 0; i < l->o.n_frameworks; i++) {
        if (!l->child[i].seen.is_over) {
            return false;
        }
    }
    return true;
}

static int read_files(const struct pf_drill_load *l, struct pf_oracle *o, struct pf_err *err)
{
    char path[PATH_BYTES + 300];
    struct pf_buf text = {0};
    struct dirent *entry;
    int rc = 0;
    (void)snprintf(path, sizeof path, "%s/tasks", l->files);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", path);
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/tasks/%s", l->files, entry->d_name);
        pf_buf_clear(&text);
        rc = pf_file_read(path, FILE_MAX_BYTES, &text, err);
        rc = rc != 0
                 ? rc
                 : pf_oracle_add_file(o, entry->d_name,
                                      (struct pf_str){pf_buf_cstr(&text), (uint32_t)text.len}, err);
    }
    (void)closedir(dir);
    pf_buf_fini(&text);
    return rc;
}

int pf_drill_load_read(const struct pf_drill_load *l, struct pf_oracle *o, struct pf_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->o.n_frameworks; i++) {
        char path[PATH_BYTES], name[32];
        struct pf_buf text = {0};
        (void)snprintf(path, sizeof path, "%s/journal.%u", l->files, i);
        (void)snprintf(name, sizeof name, "drill-%u", i);
        rc = pf_file_read(path, JOURNAL_MAX_BYTES, &text, err);
        rc = rc != 0 ? rc
                     : pf_oracle_add_journal(
                           o, name, (struct pf_str){pf_buf_cstr(&text), (uint32_t)text.len}, err);
        pf_buf_fini(&text);
    }
    return rc != 0 ? rc : read_files(l, o, err);
}

int pf_drill_load_create(struct pf_loop *loop, const struct pf_drill_load_options *o,
                         const struct pf_drill_load_ops *ops, void *ctx, struct pf_drill_load **out,
                         struct pf_err *err)
{
    struct pf_drill_load *l = PF_NEW(struct pf_drill_load);
    char path[PATH_BYTES];
    PF_ASSERT(o->n_frameworks > 0 && o->n_frameworks <= PF_DRILL_FRAMEWORKS_MAX);
    *l = (struct pf_drill_load){.loop = loop, .o = *o, .ops = ops, .ctx = ctx, .kept = {.seed = 1}};
    l->program = pf_strdup(o->program);
    l->masters = pf_strdup(o->masters);
    l->key_file = o->key_file != NULL ? pf_strdup(o->key_file) : NULL;
    l->files = pf_strdup(o->files);
    l->child = pf_alloc(o->n_frameworks * sizeof *l->child);
    (void)snprintf(path, sizeof path, "%s/tasks", o->files);
    for (uint32_t i = 0; i < o->n_frameworks; i++) {
        l->child[i] = (struct child){.load = l, .i = i, .pidfd = -1, .in_fd = -1, .out_fd = -1};
    }
    int rc = pf_mkdir_p(path, 0755, err);
    /* tasks may run as another user */
    if (rc == 0 && chmod(path, 0777) != 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", path);
    }
    for (uint32_t i = 0; rc == 0 && i < o->n_frameworks; i++) {
        rc = child_start(&l->child[i], err);
    }
    if (rc != 0) {
        pf_drill_load_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

void pf_drill_load_destroy(struct pf_drill_load *l)
{
    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->o.n_frameworks; i++) {
        struct child *c = &l->child[i];
        pf_fd_close(&c->in_fd); /* makes it end its framework and leave */
        if (c->seen.pid > 0) {
            struct pollfd death = {.fd = c->pidfd, .events = POLLIN};
            if (poll(&death, 1, LEAVE_MS) != 1) {
                (void)kill(c->seen.pid, SIGKILL);
            }
            (void)waitpid(c->seen.pid, NULL, 0);
        }
        child_release(c);
        pf_buf_fini(&c->line);
    }
    uint32_t cursor = 0;
    void *key;
    while ((key = pf_map_next(&l->kept, &cursor)) != NULL) {
        pf_free(key);
    }
    pf_map_fini(&l->kept);
    pf_free(l->child);
    pf_free(l->program);
    pf_free(l->masters);
    pf_free(l->key_file);
    pf_free(l->files);
    pf_free(l);
}
