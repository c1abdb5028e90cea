/* SPDX-License-Identifier: Apache-2.0 */
/* One URI after the other. */
#include "agent/fetcher/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fetcher/cache.h"
#include "agent/fetcher/copy.h"
#include "agent/fetcher/download.h"
#include "agent/fetcher/place.h"
#include "agent/fetcher/unpack.h"
#include "agent/fetcher/uri.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

struct fetch {
    struct FetchPlan plan;
    int sandbox_fd;
    struct pf_download *download;
    struct pf_cache cache;
    bool is_cache_open;
};

/* One URI on its way. */
struct item {
    struct fetch *fetch;
    enum pf_uri_kind kind;
    struct pf_buf source, name, shown;
    bool is_executable, is_cached, is_archive;
    uint64_t bytes;
    int fill_rc; /* of the download into the cache */
};

static uint64_t file_max(const struct item *it)
{
    return FetchPlan_file_max_bytes(it->fetch->plan);
}

static struct pf_str name_of(struct item *it)
{
    return (struct pf_str){pf_buf_cstr(&it->name), (uint32_t)it->name.len};
}

static int item_init(struct item *it, struct fetch *f, struct CommandInfo_URI uri,
                     struct pf_err *err)
{
    struct pf_str value = CommandInfo_URI_value(uri);
    struct pf_str output = CommandInfo_URI_output_file(uri);

    *it = (struct item){.fetch = f};
    pf_uri_show(value, &it->shown);
    int rc = pf_uri_parse(value, FetchPlan_base(f->plan), &it->kind, &it->source, err);
    if (rc != 0) {
        return rc;
    }
    if (output.len > 0) {
        pf_buf_add_str(&it->name, output);
    } else {
        rc = pf_uri_name(value, &it->name, err);
    }
    if (rc == 0) {
        rc = pf_place_check(name_of(it), err);
    }
    it->is_executable = CommandInfo_URI_executable(uri);
    it->is_cached = CommandInfo_URI_cache(uri);
    it->is_archive = !it->is_executable && CommandInfo_URI_extract(uri) &&
                     pf_unpack_kind(name_of(it)) != PF_UNPACK_NONE;
    return rc;
}

static void item_fini(struct item *it)
{
    pf_buf_fini(&it->source);
    pf_buf_fini(&it->name);
    pf_buf_fini(&it->shown);
}

static int unpack_item(struct item *it, int fd, struct pf_err *err)
{
    struct pf_str name = name_of(it);
    struct pf_unpacked done;

    for (uint32_t i = 0; i < name.len; i++) { /* contents go to the sandbox itself, as in Mesos */
        if (name.at[name.len - 1 - i] == '/') {
            name = (struct pf_str){name.at + name.len - i, i};
            break;
        }
    }
    int rc = pf_unpack(fd, name, file_max(it), &done, err);
    if (rc == 0) {
        pf_log(PF_LOG_INFO, "unpacked", "file=%s entries=%" PRIu64 " bytes=%" PRIu64,
               pf_buf_cstr(&it->name), done.n_entries, done.bytes);
    }
    return rc;
}

/* Execution by the owner goes with a copy, and with the word of the plan. */
static int set_mode(struct item *it, int from, int to, struct pf_err *err)
{
    struct stat st;

    bool is_executable = it->is_executable || (from >= 0 && it->kind == PF_URI_LOCAL &&
                                               fstat(from, &st) == 0 && (st.st_mode & 0111) != 0);
    if (is_executable && fchmod(to, 0700) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "make it executable");
    }
    return 0;
}

/* To its place in the sandbox, from the descriptor `from` or (-1) from the network. */
static int deliver(struct item *it, int from, struct pf_err *err)
{
    struct pf_place place = PF_PLACE_NONE;
    int rc = pf_place_open(it->fetch->sandbox_fd, name_of(it), &place, err);

    if (rc == 0 && from >= 0) {
        rc = pf_copy_file(from, place.fd, file_max(it), &it->bytes, err);
    } else if (rc == 0) {
        rc = pf_download_run(it->fetch->download, pf_buf_cstr(&it->source), place.fd, file_max(it),
                             &it->bytes, err);
    }
    if (rc == 0) {
        rc = set_mode(it, from, place.fd, err);
    }
    if (rc == 0) {
        rc = pf_place_commit(&place, err);
    }
    if (rc == 0 && it->is_archive) {
        rc = unpack_item(it, place.fd, err);
    }
    pf_place_fini(&place);
    return rc;
}

/* From a file that stays elsewhere: an archive needs no copy of itself in the sandbox then. */
static int deliver_shared(struct item *it, int from, struct pf_err *err)
{
    return it->is_archive && it->is_cached ? unpack_item(it, from, err) : deliver(it, from, err);
}

static int fetch_local(struct item *it, struct pf_err *err)
{
    int fd = -1;
    int rc = pf_copy_source(pf_buf_cstr(&it->source), &fd, err);

    if (rc == 0) {
        rc = deliver_shared(it, fd, err);
    }
    pf_fd_close(&fd);
    return rc;
}

static int fill_cache(void *ctx, int fd, uint64_t max_bytes, struct pf_err *err)
{
    struct item *it = ctx;
    uint64_t most = file_max(it);

    it->fill_rc =
        pf_download_run(it->fetch->download, pf_buf_cstr(&it->source), fd,
                        most != 0 && most < max_bytes ? most : max_bytes, &it->bytes, err);
    if (it->fill_rc == PF_ENOSPC || (it->fill_rc == PF_ELIMIT && (most == 0 || most > max_bytes))) {
        int rc = it->fill_rc;
        it->fill_rc = 0; /* it is the cache that has no room */
        return rc;
    }
    return it->fill_rc;
}

/* 1: the cache has no answer, whatever the reason. */
static int fetch_by_cache(struct item *it, struct pf_err *err)
{
    struct fetch *f = it->fetch;
    struct pf_cache_entry entry = PF_CACHE_ENTRY_NONE;
    struct pf_str source = {pf_buf_cstr(&it->source), (uint32_t)it->source.len};

    int rc = pf_cache_get(&f->cache, source, fill_cache, it, &entry, err);
    if (rc != 0 && it->fill_rc == 0) {
        pf_log(PF_LOG_INFO, "not cached", "uri=%s why=%s", pf_buf_cstr(&it->shown), err->msg);
        pf_err_clear(err);
        return 1;
    }
    if (rc != 0) {
        return rc;
    }
    if (entry.is_hit) {
        pf_log(PF_LOG_INFO, "in the cache", "uri=%s", pf_buf_cstr(&it->shown));
    }
    rc = deliver_shared(it, entry.fd, err);
    pf_cache_release(&entry);
    return rc;
}

static int fetch_item(struct item *it, struct pf_err *err)
{
    int64_t begin_ms = pf_now_ms();
    int rc = 1;

    pf_log(PF_LOG_INFO, "fetching", "uri=%s", pf_buf_cstr(&it->shown));
    if (it->kind == PF_URI_LOCAL) {
        rc = fetch_local(it, err);
    } else if (it->is_cached && it->fetch->is_cache_open) {
        rc = fetch_by_cache(it, err);
    }
    if (rc == 1) {
        rc = deliver(it, -1, err);
    }
    if (rc == 0) {
        pf_log(PF_LOG_INFO, "fetched", "file=%s bytes=%" PRIu64 " ms=%" PRId64,
               pf_buf_cstr(&it->name), it->bytes, pf_now_ms() - begin_ms);
    }
    return rc;
}

static int fetch_uri(struct fetch *f, struct CommandInfo_URI uri, struct pf_buf *shown,
                     struct pf_err *err)
{
    struct item it;
    int rc = item_init(&it, f, uri, err);

    if (rc == 0) {
        rc = fetch_item(&it, err);
    }
    if (rc != 0) {
        pf_buf_add(shown, it.shown.data, it.shown.len);
    }
    item_fini(&it);
    return rc;
}

/* A cache that cannot be used is a pity and no failure. */
static void open_cache(struct fetch *f)
{
    struct pf_err err = {0};
    bool is_wanted = false;

    for (uint32_t i = 0; i < FetchPlan_uris__len(f->plan); i++) {
        is_wanted = is_wanted || CommandInfo_URI_cache(FetchPlan_uris__at(f->plan, i));
    }
    if (!is_wanted || FetchPlan_cache_dir(f->plan).len == 0 ||
        FetchPlan_cache_max_bytes(f->plan) == 0) {
        return;
    }
    int rc = pf_cache_open(FetchPlan_cache_dir(f->plan).at, FetchPlan_cache_max_bytes(f->plan),
                           &f->cache, &err);
    f->is_cache_open = rc == 0;
    if (rc != 0) {
        pf_log_err(PF_LOG_WARN, "fetching without the cache", &err);
    }
}

/* -1 with errno. A directory above it may be closed to the user; then we were started in it. */
static int open_sandbox(const char *path)
{
    char here[PATH_MAX];
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES && getcwd(here, sizeof here) != NULL &&
        strcmp(here, path) == 0) {
        fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd;
}

int pf_fetch(struct FetchPlan plan, struct pf_buf *shown, struct pf_err *err)
{
    struct fetch f = {.plan = plan, .sandbox_fd = -1};
    struct pf_str sandbox = FetchPlan_sandbox(plan);
    int rc = 0;

    if (sandbox.len == 0 || sandbox.at[0] != '/') {
        return pf_err_set(err, PF_EINVAL, "the plan names no sandbox");
    }
    f.sandbox_fd = open_sandbox(sandbox.at);
    if (f.sandbox_fd < 0 || fchdir(f.sandbox_fd) != 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "enter the sandbox");
    }
    if (rc == 0) {
        rc = pf_download_create(FetchPlan_stall_ms(plan), &f.download, err);
    }
    if (rc == 0) {
        open_cache(&f);
    }
    for (uint32_t i = 0; rc == 0 && i < FetchPlan_uris__len(plan); i++) {
        rc = fetch_uri(&f, FetchPlan_uris__at(plan, i), shown, err);
    }
    if (f.is_cache_open) {
        pf_cache_close(&f.cache);
    }
    pf_download_destroy(f.download);
    pf_fd_close(&f.sandbox_fd);
    return rc;
}
