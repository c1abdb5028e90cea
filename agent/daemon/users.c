/* SPDX-License-Identifier: Apache-2.0 */
/* See users.h. */
#include "agent/daemon/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"

#define USERS_KEEP_MS     30000
#define USERS_MAX         256
#define USERS_GROUPS_MAX  65536
#define USERS_ENTRY_MAX_BYTES (1u << 20)

struct user_entry {
    char *name;
    int64_t until_ms;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    int n_groups;
};

static void entry_destroy(struct user_entry *e)
{
    pf_free(e->name);
    pf_free(e->groups);
    pf_free(e);
}

static void users_clear(struct pf_users *u)
{
    struct pf_ptrs all = {0};
    uint32_t cursor = 0;
    struct user_entry *e;

    while ((e = pf_map_next(&u->by_name, &cursor)) != NULL) {
        pf_ptrs_push(&all, e);
    }
    for (uint32_t i = 0; i < all.len; i++) {
        e = all.at[i];
        (void)pf_map_del(&u->by_name, e->name, (uint32_t)strlen(e->name));
        entry_destroy(e);
    }
    pf_ptrs_fini(&all);
}

void pf_users_fini(struct pf_users *u)
{
    users_clear(u);
    pf_map_fini(&u->by_name);
}

static int passwd_read(const char *name, uid_t *uid, gid_t *gid)
{
    struct passwd pw;
    struct passwd *found = NULL;
    struct pf_buf text = {.limit = USERS_ENTRY_MAX_BYTES};
    size_t bytes = 1024;
    int sys;

    do {
        if (!pf_buf_reserve(&text, bytes)) {
            sys = ERANGE;
            break;
        }
        sys = getpwnam_r(name, &pw, (char *)text.data, bytes, &found);
        bytes *= 2;
    } while (sys == ERANGE || sys == EINTR);
    if (sys == 0 && found != NULL) {
        *uid = pw.pw_uid;
        *gid = pw.pw_gid;
    }
    pf_buf_fini(&text);
    /* POSIX leaves open what "no such user" looks like. */
    return found != NULL ? 0 : sys == 0 || sys == ESRCH || sys == EPERM ? ENOENT : sys;
}

static int groups_read(struct user_entry *e)
{
    int n = 32;

    for (;;) {
        int have = n;
        e->groups = pf_realloc(e->groups, (size_t)have * sizeof e->groups[0]);
        if (getgrouplist(e->name, e->gid, e->groups, &n) >= 0) {
            e->n_groups = n;
            return 0;
        }
        n = n > have ? n : 2 * have;
        if (n > USERS_GROUPS_MAX) {
            return E2BIG;
        }
    }
}

static int entry_create(struct pf_str name, struct user_entry **out)
{
    struct user_entry *e = PF_NEW(struct user_entry);

    e->name = pf_strndup(name.at, name.len);
    int sys = passwd_read(e->name, &e->uid, &e->gid);
    if (sys == 0) {
        sys = groups_read(e);
    }
    if (sys != 0) {
        entry_destroy(e);
        return sys;
    }
    *out = e;
    return 0;
}

int pf_users_find(struct pf_users *u, struct pf_str name, int64_t now_ms, struct pf_user *out)
{
    if (name.len == 0) {
        *out = (struct pf_user){.uid = geteuid(), .gid = getegid(), .is_own = true};
        return 0;
    }
    struct user_entry *e = pf_map_get_str(&u->by_name, name);
    if (e != NULL && e->until_ms < now_ms) {
        (void)pf_map_del(&u->by_name, e->name, (uint32_t)strlen(e->name));
        entry_destroy(e);
        e = NULL;
    }
    if (e == NULL) {
        int sys = memchr(name.at, '\0', name.len) != NULL ? ENOENT : entry_create(name, &e);
        if (sys != 0) {
            return sys;
        }
        if (u->by_name.len >= USERS_MAX) {
            users_clear(u);
        }
        e->until_ms = now_ms + USERS_KEEP_MS;
        pf_map_put(&u->by_name, e->name, (uint32_t)strlen(e->name), e);
    }
    *out = (struct pf_user){.uid = e->uid,
                            .gid = e->gid,
                            .groups = e->groups,
                            .n_groups = (uint32_t)e->n_groups,
                            .is_own = e->uid == geteuid()};
    return 0;
}
