/* SPDX-License-Identifier: Apache-2.0 */
/* proffer cp: files and directories between here and the sandbox of a task, by its agent. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/sys/fd.h"
#include "common/sys/parse.h"
#include "framework/cli/session.h"
#include "framework/cli/table.h"

enum { DEPTH_MAX = 64, CHUNK_BYTES = PF_READ_CHUNK_BYTES };

struct copy {
    struct pf_session session;
    struct pf_client *agent;
    const char *agent_address;
    struct pf_str framework_id, task_id;
    uint64_t n_files, n_bytes, n_skipped;
};

/* --- paths ------------------------------------------------------------------------------------ */

/* "TASK:PATH": the place of the ':' that ends the task, NULL for a path of this machine. One with a
 * '/' before its first ':' is ours, and so is one that begins with '.'. */
static const char *remote_colon(const char *text)
{
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
    const char *task_slash = slash != NULL && colon != NULL && slash < colon ? slash : NULL;

    if (colon == NULL || colon == text || text[0] == '.' || text[0] == '/') {
        return NULL;
    }
    /* FRAMEWORK/TASK:PATH has one '/' before */
    return task_slash == NULL || strchr(task_slash + 1, '/') == NULL ||
                   strchr(task_slash + 1, '/') > colon
               ? colon
               : NULL;
}

static const char *base_name(const char *path)
{
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    size_t from = len;
    while (from > 0 && path[from - 1] != '/') {
        from--;
    }
    return len == 0 ? "" : path + from;
}

static const char *join(struct copy *c, const char *dir, const char *name)
{
    size_t len = strlen(dir);

    return len == 0 || strcmp(dir, ".") == 0 ? pf_cli_text(c->session.cli, "%s", name)
           : dir[len - 1] == '/'             ? pf_cli_text(c->session.cli, "%s%s", dir, name)
                                             : pf_cli_text(c->session.cli, "%s/%s", dir, name);
}

static bool is_plain_name(struct pf_str name)
{
    return name.len > 0 && memchr(name.at, '/', name.len) == NULL && !pf_str_is(name, ".") &&
           !pf_str_is(name, "..");
}

static int local_error(struct pf_err *err, const char *path)
{
    return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", path);
}

/* --- from the task ---------------------------------------------------------------------------- */

static int ask_read(struct copy *c, const char *path, uint64_t offset, struct FileData *out,
                    struct pf_err *err)
{
    struct pf_msg reply;
    struct pf_fb_builder *b = pf_client_builder(c->agent);
    struct ReadFile__args args = {.framework_id = c->framework_id,
                                  .task_id = c->task_id,
                                  .path = pf_str(path),
                                  .offset = offset,
                                  .limit = CHUNK_BYTES};
    int rc = pf_client_call(c->agent, Body_ReadFile, ReadFile__put(b, &args), 0, &reply, err);

    if (rc == 0) {
        *out = Envelope_body_as_FileData(Envelope__root(reply));
    }
    return rc;
}

/* `first` is its first piece. */
static int take_file(struct copy *c, const char *path, const char *to, struct FileData first,
                     struct pf_err *err)
{
    bool is_out = strcmp(to, "-") == 0;
    const char *part = pf_cli_text(c->session.cli, "%s.part", to); /* until it is whole */
    struct FileData piece = first;
    uint64_t offset = 0;
    int rc = 0;

    int fd = is_out ? STDOUT_FILENO
                    : open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                           FileData_mode(first) & 0777u);
    if (fd < 0) {
        return local_error(err, part);
    }
    for (;;) {
        struct pf_bytes data = FileData_data(piece);
        rc = pf_fd_write_all(fd, data.at, data.len, err);
        offset += data.len;
        c->n_bytes += data.len;
        if (rc != 0 || FileData_eof(piece) || data.len == 0) {
            break;
        }
        rc = ask_read(c, path, offset, &piece, err);
        if (rc != 0) {
            break;
        }
    }
    if (!is_out && close(fd) != 0 && rc == 0) {
        rc = local_error(err, part);
    }
    if (!is_out && rc == 0 && rename(part, to) != 0) {
        rc = local_error(err, to);
    }
    if (!is_out && rc != 0) {
        (void)unlink(part); /* half a file is worse than none */
    }
    c->n_files += rc == 0 ? 1 : 0;
    return rc;
}

static int take_any(struct copy *c, const char *path, const char *to, uint32_t depth,
                    struct pf_err *err);

/* One page of a directory, copied out of the reply first: taking its entries asks again. */
static int take_page(struct copy *c, const char *path, const char *to, uint32_t depth,
                     struct FileList list, char **after, struct pf_err *err)
{
    uint32_t n = FileList_entries__len(list);
    struct pf_ptrs names = {0};
    int rc = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct FileEntry e = FileList_entries__at(list, i);
        struct pf_str name = FileEntry_name(e);
        uint32_t mode = FileEntry_mode(e);
        PF_FREE(*after);
        *after = pf_strndup(name.at, name.len);
        if (is_plain_name(name) && (S_ISREG(mode) || S_ISDIR(mode))) {
            pf_ptrs_push(&names, pf_strndup(name.at, name.len));
        } else {
            c->n_skipped++;
        }
    }
    for (uint32_t i = 0; i < names.len; i++) {
        if (rc == 0) {
            rc = take_any(c, join(c, path, names.at[i]), join(c, to, names.at[i]), depth + 1, err);
        }
        pf_free(names.at[i]);
    }
    pf_ptrs_fini(&names);
    return rc;
}

static int take_directory(struct copy *c, const char *path, const char *to, uint32_t depth,
                          struct pf_err *err)
{
    char *after = pf_strdup("");
    bool more = true;
    int rc = 0;

    if (depth == DEPTH_MAX) {
        rc = pf_err_set(err, PF_ELIMIT, "%s: directories too deep", path);
    } else if (strcmp(to, "-") == 0) {
        rc =
            pf_err_set(err, PF_EINVAL, "%s is a directory, and cannot go to standard output", path);
    } else if (mkdir(to, 0777) != 0 && errno != EEXIST) {
        rc = local_error(err, to);
    }
    while (rc == 0 && more) {
        struct pf_msg reply;
        struct pf_fb_builder *b = pf_client_builder(c->agent);
        struct ListFiles__args args = {.framework_id = c->framework_id,
                                       .task_id = c->task_id,
                                       .path = pf_str(path),
                                       .after = pf_str(after)};
        rc = pf_client_call(c->agent, Body_ListFiles, ListFiles__put(b, &args), 0, &reply, err);
        if (rc == 0) {
            struct FileList list = Envelope_body_as_FileList(Envelope__root(reply));
            more = FileList_more(list) && FileList_entries__len(list) > 0;
            rc = take_page(c, path, to, depth, list, &after, err);
        }
    }
    pf_free(after);
    return rc;
}

static int take_any(struct copy *c, const char *path, const char *to, uint32_t depth,
                    struct pf_err *err)
{
    struct FileData first;
    int rc = ask_read(c, path, 0, &first, err);

    if (rc == 0) {
        return take_file(c, path, to, first, err);
    }
    if (rc == PF_EEXIST && strstr(err->msg, "is a directory") != NULL) {
        pf_err_clear(err);
        return take_directory(c, path, to, depth, err);
    }
    pf_err_wrap(err, "%s", path);
    return rc;
}

static int take(struct copy *c, const char *path, const char *to, struct pf_err *err)
{
    struct stat st;
    const char *name = base_name(path);

    if (strcmp(to, "-") != 0 && stat(to, &st) == 0 && S_ISDIR(st.st_mode) && name[0] != '\0' &&
        strcmp(name, ".") != 0) {
        to = join(c, to, name);
    }
    return take_any(c, path[0] != '\0' ? path : ".", to, 0, err);
}

/* --- to the task ------------------------------------------------------------------------------ */

static int put(struct copy *c, const char *path, uint64_t offset, struct pf_bytes data,
               uint32_t mode, struct pf_err *err)
{
    struct pf_msg reply;
    struct pf_fb_builder *b = pf_client_builder(c->agent);
    struct WriteFile__args args = {.framework_id = c->framework_id,
                                   .task_id = c->task_id,
                                   .path = pf_str(path),
                                   .offset = offset,
                                   .data = data,
                                   .mode = mode};
    int rc =
        pf_client_call_once(c->agent, Body_WriteFile, WriteFile__put(b, &args), 0, &reply, err);

    if (rc != 0) {
        pf_err_wrap(err, "%s", path);
    }
    return rc;
}

static int give_file(struct copy *c, int fd, const char *from, const char *to, mode_t mode,
                     struct pf_err *err)
{
    static uint8_t piece[CHUNK_BYTES];
    uint64_t offset = 0;
    int rc = 0;

    for (bool is_first = true; rc == 0; is_first = false) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0) {
            return local_error(err, from);
        }
        if (n == 0 && !is_first) {
            break;
        }
        rc = put(c, to, offset, (struct pf_bytes){piece, (uint32_t)n}, (uint32_t)mode, err);
        offset += (uint64_t)n;
        c->n_bytes += (uint64_t)n;
        if (n == 0) {
            break;
        }
    }
    c->n_files += rc == 0 ? 1 : 0;
    return rc;
}

static int give_any(struct copy *c, const char *from, const char *to, uint32_t depth,
                    struct pf_err *err);

static int give_directory(struct copy *c, const char *from, const char *to, mode_t mode,
                          uint32_t depth, struct pf_err *err)
{
    DIR *dir = opendir(from);
    struct dirent *e;
    int rc = 0;

    if (dir == NULL) {
        return local_error(err, from);
    }
    if (depth == DEPTH_MAX) {
        rc = pf_err_set(err, PF_ELIMIT, "%s: directories too deep", from);
    }
    rc = rc != 0 ? rc : put(c, to, 0, (struct pf_bytes){0}, (uint32_t)mode, err);
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        if (is_plain_name(pf_str(e->d_name))) {
            rc = give_any(c, join(c, from, e->d_name), join(c, to, e->d_name), depth + 1, err);
        }
    }
    (void)closedir(dir); /* only read */
    return rc;
}

static int give_any(struct copy *c, const char *from, const char *to, uint32_t depth,
                    struct pf_err *err)
{
    bool is_in = strcmp(from, "-") == 0;
    struct stat st;

    /* what was named may be a link; what lies below it may not lead elsewhere */
    int fd = is_in ? dup(STDIN_FILENO)
                   : open(from, O_RDONLY | O_NONBLOCK | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
    if (fd < 0 && depth > 0 && errno == ELOOP) {
        c->n_skipped++;
        return 0;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        int rc = local_error(err, from);
        pf_fd_close(&fd);
        return rc;
    }
    int rc = 0;
    if (is_in || S_ISREG(st.st_mode)) {
        rc = give_file(c, fd, from, to, is_in ? 0644 : st.st_mode, err);
    } else if (S_ISDIR(st.st_mode)) {
        rc = give_directory(c, from, to, st.st_mode, depth, err);
    } else {
        c->n_skipped++;
    }
    pf_fd_close(&fd);
    return rc;
}

static bool is_remote_directory(struct copy *c, const char *path)
{
    struct pf_err ignored = {0};
    struct pf_msg reply;
    struct pf_fb_builder *b = pf_client_builder(c->agent);
    struct ListFiles__args args = {
        .framework_id = c->framework_id, .task_id = c->task_id, .path = pf_str(path), .limit = 1};

    return pf_client_call(c->agent, Body_ListFiles, ListFiles__put(b, &args), 0, &reply,
                          &ignored) == 0;
}

static int give(struct copy *c, const char *from, const char *to, struct pf_err *err)
{
    const char *name = base_name(from);

    if (to[0] == '\0' || is_remote_directory(c, to)) {
        if (strcmp(from, "-") == 0 || name[0] == '\0') {
            return pf_err_set(err, PF_EINVAL, "what comes from '%s' needs a name there", from);
        }
        to = join(c, to[0] != '\0' ? to : ".", name);
    }
    return give_any(c, from, to, 0, err);
}

/* --- the verb --------------------------------------------------------------------------------- */

static int find_task(struct copy *c, const char *task)
{
    struct pf_cli *cli = c->session.cli;
    struct pf_client *client = NULL;
    struct pf_ptrs tasks = {0};
    struct pf_args whole = cli->args;
    int status = pf_client_of(cli, &c->session.cluster, &client);

    cli->args.operand = &task;
    cli->args.n_operands = 1;
    status = status != 0 ? status : pf_session_tasks(&c->session, client, &tasks);
    cli->args = whole;
    pf_client_close(client);
    if (status == 0 && tasks.len != 1) {
        status =
            pf_cli_fail(cli, PF_EXIT_ID,
                        pf_cli_text(cli, "'%s' is not one task but %u", task, (unsigned)tasks.len),
                        "proffer ps -a lists them; a task of a run is called RUN.0, RUN.1, ...");
    }
    if (status == 0) {
        const struct pf_named_task *t = tasks.at[0];
        c->framework_id = t->framework_id;
        c->task_id = t->task_id;
        c->agent_address = pf_arena_strdup(&cli->arena, t->agent_address).at;
        if (t->agent_address.len == 0) {
            status = pf_cli_fail(cli, PF_EXIT_FAILED, "its agent is not known at the moment",
                                 "proffer agents shows whether it is back");
        }
    }
    pf_ptrs_fini(&tasks);
    return status;
}

static int copy_run(struct copy *c, const char *from, const char *to)
{
    struct pf_cli *cli = c->session.cli;
    const char *from_colon = remote_colon(from), *to_colon = remote_colon(to);
    const char *named = from_colon != NULL ? from : to;
    const char *colon = from_colon != NULL ? from_colon : to_colon;
    struct pf_err err = {0};

    int status = find_task(
        c, pf_arena_strdup(&cli->arena, (struct pf_str){named, (uint32_t)(colon - named)}).at);
    if (status != 0) {
        return status;
    }
    struct pf_client_options o = pf_client_options_of(cli, &c->session.cluster);
    o.addresses = c->agent_address;
    o.is_agent = true;
    int rc = pf_client_open(&o, &c->agent, &err);
    rc = rc != 0              ? rc
         : from_colon != NULL ? take(c, from_colon + 1, to, &err)
                              : give(c, from, to_colon + 1, &err);
    pf_client_close(c->agent);
    if (c->n_skipped > 0) {
        pf_cli_note(cli, "%" PRIu64 " left out: neither files nor directories", c->n_skipped);
    }
    if (rc != 0) {
        return pf_cli_fail(cli, rc == PF_ECONN ? PF_EXIT_UNREACHABLE : PF_EXIT_FAILED, err.msg,
                           "proffer exec TASK -- ls -l shows what is there");
    }
    if (isatty(STDERR_FILENO)) {
        char size[PF_FORMAT_BYTES_MAX];
        pf_format_bytes(c->n_bytes, size);
        pf_cli_note(cli, "%" PRIu64 " file%s, %s", c->n_files, c->n_files == 1 ? "" : "s", size);
    }
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    const char *from = cli->args.operand[0], *to = cli->args.operand[1];
    struct copy *c = pf_arena_zalloc(&cli->arena, sizeof *c);

    if ((remote_colon(from) != NULL) == (remote_colon(to) != NULL)) {
        return pf_cli_usage(cli, "one of the two must be a task's: TASK:PATH",
                            "proffer cp k7m2.0:out/result.txt . (a path of ours with a ':' in it: "
                            "./a:b)");
    }
    int status = pf_session_open(cli, &c->session);
    if (status == 0) {
        fflush(cli->out);
        status = copy_run(c, from, to);
        pf_session_close(&c->session);
    }
    return status;
}

const struct pf_command pf_cmd_cp = {
    .name = "cp",
    .group = "run",
    .summary = "copy files between here and a task's sandbox",
    .operands = "FROM TO",
    .about = "One of the two is TASK:PATH, relative to the task's sandbox. Directories are copied "
             "with what they hold; links and devices are left out. From tasks that have ended, as "
             "long as their sandboxes are kept; to tasks that run. '-' is standard input or "
             "output.",
    .min_operands = 2,
    .max_operands = 2,
    .complete = PF_COMPLETE_FILE,
    .sets = PF_SET_CLUSTER,
    .examples = {{"proffer cp last:result.csv .", "a file of the last run"},
                 {"proffer cp k7m2.0:logs ./logs", "a directory"},
                 {"proffer cp config.json k7m2.0:", "into the sandbox"}},
    .run = run,
};
