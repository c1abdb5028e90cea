/* SPDX-License-Identifier: Apache-2.0 */
/* What is done on a new session before CONNECTED is told: the rights under the prefix are probed by
 * making and removing a node in one multi (nobody ever sees it) and by reading the prefix; if the
 * prefix is missing, it is made, part by part, and probed again. */
#include <inttypes.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/zk/client_internal.h"

enum { SETUP_PROBE = 1, SETUP_READ, SETUP_CREATE }; /* ids of its requests */

void zk_acl_init(struct pf_zk *z)
{
    if (z->url.auth == NULL) {
        z->acls = ZOO_OPEN_ACL_UNSAFE;
        return;
    }
    z->acl[0] = (struct ACL){ZOO_PERM_ALL, ZOO_AUTH_IDS};
    z->acl[1] = (struct ACL){ZOO_PERM_READ, ZOO_ANYONE_ID_UNSAFE};
    z->acls = (struct ACL_vector){2, z->acl};
}

char *zk_path_join(const struct pf_zk *z, struct pf_str path)
{
    size_t n = strlen(z->url.path);
    char *joined = pf_alloc(n + path.len + 1);
    memcpy(joined, z->url.path, n);
    if (path.len > 0) {
        memcpy(joined + n, path.at, path.len);
    }
    return joined;
}

static struct zk_request *setup_request(struct zk_session *s, uint64_t id, uint32_t n_results)
{
    struct zk_request *r = zk_request_new(s, id, n_results);
    r->is_setup = true;
    return r;
}

static void setup_probe(struct zk_session *s)
{
    char name[40];
    (void)snprintf(name, sizeof name, "/probe-%016" PRIx64,
                   (uint64_t)zoo_client_id(s->zh)->client_id);
    char *path = zk_path_join(s->z, pf_str(name));
    zoo_op_t ops[2];
    zoo_create_op_init(&ops[0], path, "", 0, &s->z->acls, ZOO_EPHEMERAL, NULL, 0);
    zoo_delete_op_init(&ops[1], path, -1);
    s->setup_rc = ZOK;
    s->setup_answered = false;
    struct zk_request *r = setup_request(s, SETUP_PROBE, 2);
    zk_request_sent(r, zoo_amulti(s->zh, 2, ops, r->result, zk_request_done_void, r));
    r = setup_request(s, SETUP_READ, 0);
    zk_request_sent(r, zoo_aget(s->zh, s->z->url.path, 0, zk_request_done_data, r));
    pf_free(path);
}

static void setup_create(struct zk_session *s)
{
    char path[PF_ZK_PATH_MAX + 1];
    (void)snprintf(path, sizeof path, "%s", s->z->url.path); /* it fits */
    s->setup_denied = false;
    for (char *at = path; at != NULL;) {
        char *next = strchr(at + 1, '/');
        if (next != NULL) {
            *next = '\0';
        }
        struct zk_request *r = setup_request(s, SETUP_CREATE, 0);
        zk_request_sent(r,
                        zoo_acreate(s->zh, path, "", 0, &s->z->acls, 0, zk_request_done_string, r));
        if (next != NULL) {
            *next = '/';
        }
        at = next;
    }
}

void zk_setup_answer(struct zk_session *s, const struct zk_request *r, int rc)
{
    if (r->id == SETUP_CREATE) {
        s->setup_denied = s->setup_denied || rc == ZNOAUTH;
        return;
    }
    s->setup_rc = s->setup_rc == ZOK ? rc : s->setup_rc;
    s->setup_answered = r->id == SETUP_READ;
}

static void setup_refuse(struct zk_session *s)
{
    const char *path = s->z->url.path, *auth = s->z->url.auth;
    if (s->setup_rc != ZNOAUTH && !(s->setup_rc == ZNONODE && s->setup_denied)) {
        (void)snprintf(s->denied, sizeof s->denied, "ZooKeeper refuses to work under %.120s: %s",
                       path, zerror(s->setup_rc));
    } else if (auth != NULL) {
        (void)snprintf(s->denied, sizeof s->denied,
                       "ZooKeeper's user '%.*s' may not create, read and delete under %.120s: "
                       "wrong password, or another user owns it",
                       (int)(strchr(auth, ':') - auth > 60 ? 60 : strchr(auth, ':') - auth), auth,
                       path);
    } else {
        (void)snprintf(s->denied, sizeof s->denied,
                       "without a user nobody may create, read and delete under %.120s: write "
                       "zk://user:password@...",
                       path);
    }
    s->phase = ZK_DEAD;
    s->stats.auth_failures++;
    zk_session_tell(s, PF_ZK_AUTH_FAILED, s->denied);
}

void zk_setup_step(struct zk_session *s)
{
    if (s->phase != ZK_SETUP) {
        return;
    }
    if (s->setup == ZK_SETUP_WANTED) {
        s->setup = ZK_SETUP_PROBED;
        setup_probe(s);
    } else if (s->setup_answered && s->setup_rc == ZOK) {
        s->setup = ZK_SETUP_NONE;
        s->phase = ZK_UP;
        s->prepared_id = (uint64_t)zoo_client_id(s->zh)->client_id;
        zk_session_tell(s, PF_ZK_CONNECTED, "");
    } else if (s->setup_answered && s->setup_rc == ZNONODE && s->setup == ZK_SETUP_PROBED) {
        s->setup = ZK_SETUP_CREATED;
        setup_create(s);
        setup_probe(s);
    } else if (s->setup_answered) {
        setup_refuse(s);
    }
}
