/* SPDX-License-Identifier: Apache-2.0 */
/* The relays of a local cluster that is to be drilled (tests/support/relay_main.c): one process
 * between everybody and the masters, and between the masters and ZooKeeper. */
#include "framework/cli/supervisor_internal.h"

#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"

/* ZooKeeper's client port as master `i` knows it. */
static uint16_t zk_port(const struct pf_supervisor *s, uint32_t master_i, uint32_t zk_i)
{
    return s->relay_zk[master_i][zk_i];
}

static int zk_conf_write(struct pf_supervisor *s, uint32_t i, struct pf_err *err)
{
    struct pf_zk_ports at[PF_SHAPE_ZK_MAX];
    for (uint32_t k = 0; k < s->n_zk; k++) {
        at[k] = (struct pf_zk_ports){.client = zk_port(s, i, k)};
    }
    const char *url = pf_zk_url(s->zk_password, at, s->n_zk, s->arena);
    struct pf_str text = pf_arena_printf(s->arena, "zk = %s\n", url);
    return pf_file_write(pf_supervisor_zk_conf(s, i, s->arena), text.at, text.len, 0600, err);
}

const char *pf_supervisor_zk_conf(struct pf_supervisor *s, uint32_t master_i,
                                  struct pf_arena *arena)
{
    return !s->options->shape->has_relays || s->zk_conf == NULL
               ? s->zk_conf
               : pf_arena_printf(arena, "%s/zk-master%u.conf", s->options->dir, master_i + 1).at;
}

int pf_supervisor_add_relay(struct pf_supervisor *s, struct pf_daemon *d, struct pf_err *err)
{
    int rc = 0;
    d->is_relay = true;
    s->child[d->index].tier = PF_SUP_ZOOKEEPER; /* needed by masters and agents alike */
    for (uint32_t i = 0; rc == 0 && i < s->n_masters; i++) {
        struct pf_daemon *m = &s->daemon[s->n_zk + i];
        uint16_t port = pf_port_pick(&s->ports);
        m->behind = m->native;
        m->native = pf_strdup(pf_arena_printf(s->arena, "127.0.0.1:%u", (unsigned)port).at);
        for (uint32_t k = 0; k < s->n_zk; k++) {
            port = s->relay_zk[i][k] = port != 0 ? pf_port_pick(&s->ports) : 0;
        }
        rc = port == 0 ? pf_err_set(err, PF_EBUSY, "no free TCP ports are left for relays") : 0;
        rc = rc != 0 || s->n_zk == 0 ? rc : zk_conf_write(s, i, err);
    }
    return rc;
}

void pf_supervisor_relay_args(struct pf_supervisor *s, struct pf_daemon *d, struct pf_arena *arena,
                              struct pf_spawn_args *out)
{
    pf_spawn_arg(out, pf_local_path(arena, s->options->bin_dir, "proffer-relay"));
    pf_spawn_option(out, "--control", pf_local_path(arena, d->work_dir, "control"));
    pf_spawn_option(out, "--ready-fd", pf_arena_printf(arena, "%d", PF_SPAWN_READY_FD).at);
    for (uint32_t i = 0; i < s->n_masters; i++) {
        const struct pf_daemon *m = &s->daemon[s->n_zk + i];
        pf_spawn_arg(out, pf_arena_printf(arena, "m%u=%s=%s", i + 1, m->native, m->behind).at);
        for (uint32_t k = 0; k < s->n_zk; k++) {
            pf_spawn_arg(out,
                         pf_arena_printf(arena, "m%u.zk%u=127.0.0.1:%u=127.0.0.1:%u", i + 1, k + 1,
                                         (unsigned)zk_port(s, i, k), (unsigned)s->zk[k].client)
                             .at);
        }
    }
}
