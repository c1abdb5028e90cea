/* SPDX-License-Identifier: Apache-2.0 */
/* See fetch.h. */
#include "agent/daemon/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/fb/build.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "schemas/fetcher.h"

struct report {
    struct pf_uuid launch; /* key of by_launch */
    bool is_old;           /* of a former life, and not spoken of yet */
};

struct pf_fetches {
    char *dir, *cache_dir, *program, *base;
    uint32_t stall_ms;
    uint64_t file_max_bytes;
    struct pf_map by_launch;
    struct pf_fb_builder builder;
    struct pf_buf text, path;
};

/* --- reports ---------------------------------------------------------------------------------- */

static const char *report_path(struct pf_fetches *f, struct pf_uuid launch)
{
    char name[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(launch, name);
    pf_buf_clear(&f->path);
    pf_buf_printf(&f->path, "%s/%s", f->dir, name);
    return pf_buf_cstr(&f->path);
}

static struct report *report_find(const struct pf_fetches *f, struct pf_uuid launch)
{
    return pf_map_get(&f->by_launch, &launch, sizeof launch);
}

static struct report *report_get(struct pf_fetches *f, struct pf_uuid launch)
{
    struct report *r = report_find(f, launch);

    if (r == NULL) {
        r = PF_NEW(struct report);
        r->launch = launch;
        pf_map_put(&f->by_launch, &r->launch, sizeof r->launch, r);
    }
    return r;
}

static void report_drop(struct pf_fetches *f, struct report *r)
{
    if (unlink(report_path(f, r->launch)) != 0 && errno != ENOENT) {
        pf_log(PF_LOG_WARN, "report of a fetcher not removed", "path=%s errno=%d",
               pf_buf_cstr(&f->path), errno);
    }
    (void)pf_map_del(&f->by_launch, &r->launch, sizeof r->launch); /* it is this one */
    pf_free(r);
}

/* Length of the UTF-8 character at `at`, 0 = none that may be shown. */
static uint32_t character_len(const uint8_t *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t n = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    uint32_t code = n == 1 ? at[0] : n == 0 ? 0 : at[0] & (0x7fu >> n);

    if (n == 0 || n > left || at[0] > 0xf4) {
        return 0;
    }
    for (uint32_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3f);
    }
    bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool is_surrogate = code >= 0xd800 && code < 0xe000;
    return is_control || is_surrogate || code < least[n] || code > 0x10ffff ? 0 : n;
}

/* Control characters become spaces, what is no UTF-8 a '?'; none at the end. */
static void add_printable(struct pf_buf *out, const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t n = character_len(text + i, len - i);
        if (n > 0) {
            pf_buf_add(out, text + i, n);
        } else {
            pf_buf_add_byte(out, text[i] < 0x80 ? ' ' : '?');
        }
        i += n > 0 ? n : 1;
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ') {
        out->len--;
    }
}

struct pf_str pf_fetches_report(struct pf_fetches *f, struct pf_uuid launch)
{
    uint8_t text[PF_FETCH_REPORT_MAX_BYTES];
    struct pf_str none = {NULL, 0};

    if (report_find(f, launch) == NULL) {
        return none;
    }
    int fd = open(report_path(f, launch), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return none;
    }
    ssize_t n = read(fd, text, sizeof text);
    pf_fd_close(&fd);
    pf_buf_clear(&f->text);
    add_printable(&f->text, text, n > 0 ? (size_t)n : 0);
    return f->text.len > 0 ? (struct pf_str){pf_buf_cstr(&f->text), (uint32_t)f->text.len} : none;
}

void pf_fetches_forget(struct pf_fetches *f, struct pf_uuid launch)
{
    struct report *r = report_find(f, launch);

    if (r != NULL) {
        report_drop(f, r);
    }
}

void pf_fetches_listed(struct pf_fetches *f, struct pf_uuid launch)
{
    struct report *r = report_find(f, launch);

    if (r != NULL) {
        r->is_old = false;
    }
}

void pf_fetches_list_end(struct pf_fetches *f)
{
    struct pf_ptrs old = {0};
    uint32_t cursor = 0;
    struct report *r;

    while ((r = pf_map_next(&f->by_launch, &cursor)) != NULL) {
        if (r->is_old) {
            pf_ptrs_push(&old, r);
        }
    }
    for (uint32_t i = 0; i < old.len; i++) {
        report_drop(f, old.at[i]);
    }
    pf_ptrs_fini(&old);
}

/* --- a start ---------------------------------------------------------------------------------- */

/* The directory of a user's cache: nobody else reads or writes there. */
static int cache_make(struct pf_fetches *f, const struct pf_user *user)
{
    struct pf_err err = {0};
    struct stat st;

    if (pf_mkdir_p(f->cache_dir, 0755, &err) != 0) {
        return err.sys != 0 ? err.sys : EIO;
    }
    pf_buf_clear(&f->path);
    pf_buf_printf(&f->path, "%s/%lu", f->cache_dir, (unsigned long)user->uid);
    const char *path = pf_buf_cstr(&f->path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return errno;
    }
    if (lstat(path, &st) != 0) {
        return errno;
    }
    if (!S_ISDIR(st.st_mode)) {
        return ENOTDIR;
    }
    return st.st_uid == user->uid || lchown(path, user->uid, user->gid) == 0 ? 0 : errno;
}

/* The plan as the core made it, with what only we know: the cache of this user, the patience. */
static struct pf_bytes plan_finish(struct pf_fetches *f, struct FetchPlan plan,
                                   const struct pf_user *user)
{
    struct pf_fb_builder *b = &f->builder;
    uint32_t n = FetchPlan_uris__len(plan);
    struct pf_str cache = FetchPlan_cache_dir(plan);

    if (cache.len > 0) {
        int sys = cache_make(f, user);
        cache = sys == 0 ? pf_str(pf_buf_cstr(&f->path)) : (struct pf_str){NULL, 0};
        if (sys != 0) {
            pf_log(PF_LOG_WARN, "no cache for fetched files", "path=%s why=%s",
                   pf_buf_cstr(&f->path), strerror(sys));
        }
    }
    pf_fb_builder_reset(b);
    struct pf_ref *uri = pf_alloc(((size_t)n + 1) * sizeof *uri);
    for (uint32_t i = 0; i < n; i++) {
        uri[i] = CommandInfo_URI__copy(b, FetchPlan_uris__at(plan, i));
    }
    struct FetchPlan__args args = {
        .uris = {uri, n},
        .sandbox = FetchPlan_sandbox(plan),
        .cache_dir = cache,
        .cache_max_bytes = FetchPlan_cache_max_bytes(plan),
        .stall_ms = f->stall_ms,
        .file_max_bytes = f->file_max_bytes,
        .base = pf_str(f->base),
    };
    struct pf_bytes bytes = pf_msg_bytes(FetchPlan__finish(b, FetchPlan__put(b, &args)));
    pf_free(uri);
    return bytes;
}

/* A file without a name that nobody can change any more. -1 with errno. */
static int plan_file(struct pf_bytes plan)
{
    struct pf_err err = {0};

    int fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -1;
    }
    if (pf_fd_write_all(fd, plan.at, plan.len, &err) != 0 || lseek(fd, 0, SEEK_SET) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        int sys = err.sys != 0 ? err.sys : errno;
        pf_fd_close(&fd);
        errno = sys;
    }
    return fd;
}

/* stdin, stdout, stderr. 0 or errno. */
static int files_open(struct pf_fetches *f, const struct pf_agent_act_fetch *act,
                      const struct pf_user *user, int file[4], const char **out_stage)
{
    struct pf_sandbox_failure failure = {0, NULL};
    int out[2];

    file[0] = plan_file(plan_finish(f, FetchPlan__root(act->plan), user));
    *out_stage = "plan";
    if (file[0] < 0) {
        return errno;
    }
    /* Said twice, the launcher ignores it, and the report must stay: it is added to. */
    file[1] = open(report_path(f, act->launch),
                   O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    *out_stage = "report";
    if (file[1] < 0) {
        return errno;
    }
    if (!pf_sandbox_open_output(act->sandbox, user, out, &failure)) {
        *out_stage = failure.stage;
        return failure.error;
    }
    pf_fd_close(&out[0]);
    file[2] = out[1];
    return 0;
}

/* What a transfer may need to know of this machine; nothing else of our environment. */
static uint32_t environment(const struct pf_agent_act_fetch *act, struct pf_buf text[],
                            struct pf_str env[], uint32_t max)
{
    static const char *const passed[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY", "ftp_proxy",     "all_proxy",
        "ALL_PROXY",  "no_proxy",    "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR",
    };
    uint32_t n = 0;

    pf_buf_printf(&text[n++], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    pf_buf_printf(&text[n++], "HOME=%.*s", PF_STR_ARG(act->sandbox));
    for (size_t i = 0; i < PF_ARRAY_LEN(passed) && n < max; i++) {
        const char *value = getenv(passed[i]);
        if (value != NULL) {
            pf_buf_printf(&text[n++], "%s=%s", passed[i], value);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        env[i] = (struct pf_str){pf_buf_cstr(&text[i]), (uint32_t)text[i].len};
    }
    return n;
}

int pf_fetches_start(struct pf_fetches *f, struct pf_launcher_link *k,
                     const struct pf_agent_act_fetch *act, const struct pf_user *user,
                     const char **out_stage)
{
    enum { ENV_MAX = 12 };
    struct pf_buf text[ENV_MAX] = {{0}};
    struct pf_str env[ENV_MAX];
    int file[4] = {-1, -1, -1, -1};

    struct report *r = report_get(f, act->launch);
    r->is_old = false;
    int sys = files_open(f, act, user, file, out_stage);
    if (sys != 0) {
        for (int i = 0; i < 4; i++) {
            pf_fd_close(&file[i]);
        }
        report_drop(f, r);
        return sys;
    }
    const struct pf_str args[] = {PF_STR("proffer-fetcher")};
    const struct pf_agent_act_start start = {
        .launch = act->launch,
        .sandbox = act->sandbox,
        .user = act->user,
        .path = pf_str(f->program),
        .args = args,
        .n_args = 1,
        .env = env,
        .n_env = environment(act, text, env, ENV_MAX),
        .container = act->container,
    };
    pf_launcher_link_start_with(k, &start, user, file);
    for (uint32_t i = 0; i < ENV_MAX; i++) {
        pf_buf_fini(&text[i]);
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static int find_old(struct pf_fetches *f, struct pf_err *err)
{
    struct pf_uuid launch;
    struct dirent *d;

    DIR *dir = opendir(f->dir);
    if (dir == NULL) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", f->dir);
    }
    while ((d = readdir(dir)) != NULL) {
        if (pf_uuid_parse(pf_str(d->d_name), &launch)) {
            report_get(f, launch)->is_old = true;
        }
    }
    (void)closedir(dir); /* only read */
    return 0;
}

int pf_fetches_create(const struct pf_fetches_options *o, struct pf_fetches **out,
                      struct pf_err *err)
{
    struct pf_fetches *f = PF_NEW(struct pf_fetches);

    pf_fb_builder_init(&f->builder, NULL);
    pf_buf_printf(&f->path, "%s/fetch", o->run_dir);
    f->dir = pf_strdup(pf_buf_cstr(&f->path));
    f->cache_dir = pf_strdup(o->cache_dir);
    f->program = pf_strdup(o->program);
    f->stall_ms = o->stall_ms;
    f->base = pf_strdup(o->base != NULL ? o->base : "");
    int rc = pf_mkdir_p(f->dir, 0700, err);
    if (rc == 0) {
        rc = find_old(f, err);
    }
    if (rc != 0) {
        pf_fetches_destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

void pf_fetches_destroy(struct pf_fetches *f)
{
    uint32_t cursor = 0;
    struct report *r;

    if (f == NULL) {
        return;
    }
    while ((r = pf_map_next(&f->by_launch, &cursor)) != NULL) {
        pf_free(r);
    }
    pf_map_fini(&f->by_launch);
    pf_fb_builder_fini(&f->builder);
    pf_buf_fini(&f->text);
    pf_buf_fini(&f->path);
    pf_free(f->dir);
    pf_free(f->cache_dir);
    pf_free(f->program);
    pf_free(f->base);
    pf_free(f);
}

void pf_fetches_set_max(struct pf_fetches *f, uint64_t file_max_bytes)
{
    f->file_max_bytes = file_max_bytes;
}
