/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes that nobody knows: their rows went, and the agent died before they did. Looked for once
 * after each start, when it is known what runs. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/daemon/agentd_internal.h"
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/sys/log.h"

#define SWEPT_MAX 10000u /* of one start */

struct sweep {
    struct agentd *d;
    int64_t before_s; /* what was touched since is kept: outputs of executors that have ended */
    uint32_t n;
};

/* "TASK.UUID", of a launch that the core does not know. */
static bool is_unknown(const struct sweep *s, const char *name)
{
    size_t len = strlen(name);
    struct pf_buf path = {0};
    struct pf_uuid launch;

    if (len <= PF_UUID_TEXT_LEN + 1 || name[len - PF_UUID_TEXT_LEN - 1] != '.' ||
        !pf_uuid_parse(pf_str(name + len - PF_UUID_TEXT_LEN), &launch)) {
        return false;
    }
    bool is_known = pf_agent_sandbox(s->d->core, launch, &path);
    pf_buf_fini(&path);
    return !is_known;
}

static void sweep_framework(struct sweep *s, const char *dir_path)
{
    DIR *dir = opendir(dir_path);
    struct dirent *e;
    struct stat st;

    while (dir != NULL && s->n < SWEPT_MAX && (e = readdir(dir)) != NULL) {
        if (is_unknown(s, e->d_name) &&
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
            st.st_mtim.tv_sec < s->before_s) {
            struct pf_buf path = {0};
            pf_buf_printf(&path, "%s/%s", dir_path, e->d_name);
            agentd_remove_later(s->d, pf_str(pf_buf_cstr(&path)));
            pf_buf_fini(&path);
            s->n++;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir); /* only read */
    }
}

void agentd_sweep(struct agentd *d)
{
    struct sweep s = {d, (pf_wall_ms() - d->o->gc_delay_ms) / 1000, 0};
    struct pf_buf path = {0};
    struct dirent *e;

    pf_buf_printf(&path, "%s/sandboxes", d->work_dir);
    DIR *dir = opendir(pf_buf_cstr(&path)); /* none yet: nothing to do */
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.') {
            struct pf_buf one = {0};
            pf_buf_printf(&one, "%s/%s", pf_buf_cstr(&path), e->d_name);
            sweep_framework(&s, pf_buf_cstr(&one));
            pf_buf_fini(&one);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir); /* only read */
    }
    pf_buf_fini(&path);
    if (s.n > 0) {
        pf_log(PF_LOG_INFO, "sandboxes of forgotten tasks removed", "n=%" PRIu32, s.n);
    }
}
