/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a local cluster. */
#include "framework/cli/shape.h"

#include <inttypes.h>
#include <string.h>
#include "common/base/resources.h"
#include "common/sys/parse.h"

#define GIB (INT64_C(1) << 30)
#define MIB (INT64_C(1) << 20)

struct pf_ref pf_shape_put(struct pf_fb_builder *b, const struct pf_shape *s)
{
    struct LocalShape__args args = {
        .agents = s->agents,
        .fake_agents = s->fake_agents,
        .attributes = {s->attribute, s->n_attributes},
        .listen = pf_str(s->listen),
        .http = pf_str(s->http),
        .masters = s->masters,
        .zk_servers = s->zk_servers,
        .relays = s->has_relays,
        .hosts = s->has_hosts,
    };
    if (s->cpus_milli >= 0) {
        args.cpus_milli.has = true;
        args.cpus_milli.v = s->cpus_milli;
    }
    if (s->mem_bytes >= 0) {
        args.mem_bytes.has = true;
        args.mem_bytes.v = s->mem_bytes;
    }
    return LocalShape__put(b, &args);
}

static const char *cpus_text(struct pf_arena *arena, int64_t milli)
{
    struct pf_buf text = {0};
    if (milli < 0) {
        return "its part of the cpus";
    }
    pf_milli_format(milli, &text);
    const char *kept = pf_arena_printf(arena, "%s cpus", pf_buf_cstr(&text)).at;
    pf_buf_fini(&text);
    return kept;
}

static const char *mem_text(struct pf_arena *arena, int64_t bytes)
{
    char text[PF_FORMAT_BYTES_MAX];
    if (bytes < 0) {
        return "its part of the memory";
    }
    pf_format_bytes((uint64_t)bytes, text);
    return pf_arena_printf(arena, "%s of memory", text).at;
}

static bool same_attributes(struct LocalShape running, const struct pf_shape *asked)
{
    if (LocalShape_attributes__len(running) != asked->n_attributes) {
        return false;
    }
    for (uint32_t i = 0; i < asked->n_attributes; i++) {
        if (!pf_str_eq(LocalShape_attributes__at(running, i), asked->attribute[i])) {
            return false;
        }
    }
    return true;
}

/* An address that was not asked for is none in particular. */
static bool same_address(struct pf_str running, const char *asked)
{
    return asked == NULL || pf_str_is(running, asked);
}

static uint32_t at_least_one(uint32_t n)
{
    return n > 0 ? n : 1;
}

static const char *quorum_difference(struct LocalShape running, const struct pf_shape *asked,
                                     struct pf_arena *arena)
{
    uint32_t masters = at_least_one(LocalShape_masters(running));
    uint32_t zk = LocalShape_zk_servers(running);
    if (masters != at_least_one(asked->masters)) {
        return pf_arena_printf(arena, "%u master%s, not %u", masters, masters == 1 ? "" : "s",
                               at_least_one(asked->masters))
            .at;
    }
    if (zk != asked->zk_servers) {
        return pf_arena_printf(arena, "%u ZooKeeper server%s, not %u", zk, zk == 1 ? "" : "s",
                               asked->zk_servers)
            .at;
    }
    if (LocalShape_relays(running) != asked->has_relays) {
        return asked->has_relays ? "no relays" : "with relays";
    }
    if (LocalShape_hosts(running) != asked->has_hosts) {
        return asked->has_hosts ? "no hosts of its own" : "with hosts of its own";
    }
    return NULL;
}

const char *pf_shape_difference(struct LocalShape running, const struct pf_shape *asked,
                                struct pf_arena *arena)
{
    int64_t cpus = LocalShape__has_cpus_milli(running) ? LocalShape_cpus_milli(running) : -1;
    int64_t mem = LocalShape__has_mem_bytes(running) ? LocalShape_mem_bytes(running) : -1;
    const char *of_quorum = quorum_difference(running, asked, arena);
    if (of_quorum != NULL) {
        return of_quorum;
    }
    if (LocalShape_agents(running) != asked->agents) {
        return pf_arena_printf(arena, "%u agent%s, not %u", LocalShape_agents(running),
                               LocalShape_agents(running) == 1 ? "" : "s", asked->agents)
            .at;
    }
    if (LocalShape_fake_agents(running) != asked->fake_agents) {
        return pf_arena_printf(arena, "%u fake agents, not %u", LocalShape_fake_agents(running),
                               asked->fake_agents)
            .at;
    }
    if (cpus != asked->cpus_milli) {
        return pf_arena_printf(arena, "%s for each agent, not %s", cpus_text(arena, cpus),
                               cpus_text(arena, asked->cpus_milli))
            .at;
    }
    if (mem != asked->mem_bytes) {
        return pf_arena_printf(arena, "%s for each agent, not %s", mem_text(arena, mem),
                               mem_text(arena, asked->mem_bytes))
            .at;
    }
    if (!same_attributes(running, asked)) {
        return "other attributes";
    }
    if (!same_address(LocalShape_listen(running), asked->listen) ||
        !same_address(LocalShape_http(running), asked->http)) {
        return "other addresses";
    }
    return NULL;
}

struct pf_shape_machine pf_shape_machine_of(uint32_t cpus, uint64_t mem_bytes, uint64_t disk_bytes)
{
    int64_t mem = mem_bytes > INT64_MAX ? INT64_MAX : (int64_t)mem_bytes;
    int64_t disk = disk_bytes > INT64_MAX ? INT64_MAX : (int64_t)disk_bytes;
    return (struct pf_shape_machine){
        .cpus_milli = (int64_t)cpus * 1000,
        .mem_bytes = mem > 2 * GIB ? mem - GIB : mem / 2,
        .disk_bytes = disk > 10 * GIB ? disk - 5 * GIB : disk / 2,
        .port_begin = 31000,
        .port_end = 32000,
    };
}

static const char *amounts(struct pf_arena *arena, int64_t cpus_milli, int64_t mem_bytes,
                           int64_t disk_bytes, uint32_t port_begin, uint32_t port_end)
{
    return pf_arena_printf(arena,
                           "cpus:%" PRId64 ".%03d;mem:%" PRId64 ";disk:%" PRId64 ";ports:[%u-%u]",
                           cpus_milli / 1000, (int)(cpus_milli % 1000), mem_bytes / MIB,
                           disk_bytes / MIB, port_begin, port_end)
        .at;
}

const char *pf_shape_resources(const struct pf_shape *s, const struct pf_shape_machine *m,
                               uint32_t i, struct pf_arena *arena)
{
    PF_ASSERT(i < s->agents);
    uint32_t n_ports = m->port_end - m->port_begin + 1, each = n_ports / s->agents;
    uint32_t first = m->port_begin + i * each;
    return amounts(arena, s->cpus_milli >= 0 ? s->cpus_milli : m->cpus_milli / s->agents,
                   s->mem_bytes >= 0 ? s->mem_bytes : m->mem_bytes / s->agents,
                   m->disk_bytes / s->agents, first,
                   i + 1 == s->agents ? m->port_end : first + (each > 0 ? each - 1 : 0));
}

const char *pf_shape_fake_resources(const struct pf_shape *s, struct pf_arena *arena)
{
    return amounts(arena, s->cpus_milli >= 0 ? s->cpus_milli : 8000,
                   s->mem_bytes >= 0 ? s->mem_bytes : 16 * GIB, 100 * GIB, 31000, 32000);
}

const char *pf_shape_attributes(const struct pf_shape *s, struct pf_arena *arena)
{
    const char *all = NULL;
    for (uint32_t i = 0; i < s->n_attributes; i++) {
        const char *eq = memchr(s->attribute[i].at, '=', s->attribute[i].len);
        PF_ASSERT(eq != NULL);
        all = pf_arena_printf(
                  arena, "%s%s%.*s:%.*s", all != NULL ? all : "", all != NULL ? ";" : "",
                  (int)(eq - s->attribute[i].at), s->attribute[i].at,
                  (int)(s->attribute[i].len - (uint32_t)(eq + 1 - s->attribute[i].at)), eq + 1)
                  .at;
    }
    return all;
}
