/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the election as bytes: written by us, and read from anybody. Whatever another
 * program left in them, the answer is a text that says what is wrong. */
#include "common/elect/elect_internal.h"

#include <stdio.h>
#include "schemas/quorum.h"

static const char *verify(struct pf_bytes node, const struct pf_fb_table_desc *desc,
                          struct pf_msg *out)
{
    if (node.len == 0 || node.at == NULL) {
        return "it is empty";
    }
    if (node.len > ELECT_NODE_BYTES) {
        return "it is too large";
    }
    return pf_fb_verify(node, desc, out, NULL) == 0 ? NULL : "it is not in our format";
}

static bool is_plain(struct pf_str s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        uint8_t c = (uint8_t)s.at[i];

        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* What does not fit is cut: only for what people read. */
static void keep_cut(char *to, size_t size, struct pf_str s)
{
    size_t n = is_plain(s) ? s.len : 0;

    n = n < size ? n : size - 1;
    if (n > 0) {
        memcpy(to, s.at, n);
    }
    to[n] = '\0';
}

static bool keep_all(char *to, size_t size, struct pf_str s)
{
    keep_cut(to, size, s);
    return s.len < size && is_plain(s);
}

static bool keep_uuid(char to[PF_UUID_TEXT_LEN + 1], struct pf_str s)
{
    struct pf_uuid u;

    keep_cut(to, PF_UUID_TEXT_LEN + 1, s);
    return s.len > 0 && pf_uuid_parse(s, &u);
}

const char *elect_epoch_parse(struct pf_bytes node, struct elect_epoch_node *out)
{
    struct pf_msg msg;
    const char *wrong = verify(node, &ZkEpoch__desc, &msg);

    if (wrong != NULL) {
        return wrong;
    }
    struct ZkEpoch x = ZkEpoch__root(msg);
    struct pf_bytes incarnation = ZkEpoch_incarnation(x);

    if (incarnation.len != sizeof out->incarnation.b) {
        return "its incarnation is no uuid";
    }
    memcpy(out->incarnation.b, incarnation.at, sizeof out->incarnation.b);
    out->epoch = ZkEpoch_epoch(x);
    if (pf_uuid_is_nil(out->incarnation)) {
        return "its incarnation is no uuid";
    }
    if (out->epoch > ELECT_EPOCH_MAX) {
        return "its epoch is out of range";
    }
    keep_cut(out->exported_to, sizeof out->exported_to, ZkEpoch_exported_to(x));
    if (out->exported_to[0] == '\0' && ZkEpoch_exported_to(x).len > 0) {
        return "where it was exported to is not printable";
    }
    return keep_all(out->cluster, sizeof out->cluster, ZkEpoch_cluster(x))
               ? NULL
               : "its cluster name is too long or not printable";
}

const char *elect_leader_parse(struct pf_bytes node, struct elect_leader *out)
{
    struct pf_msg msg;
    const char *wrong = verify(node, &ZkLeader__desc, &msg);

    if (wrong != NULL) {
        return wrong;
    }
    struct ZkLeader x = ZkLeader__root(msg);

    out->epoch = ZkLeader_epoch(x);
    if (!keep_uuid(out->instance, ZkLeader_instance(x))) {
        return "its instance is no uuid";
    }
    if (ZkLeader_place(x).len > 0 && !keep_uuid(out->place, ZkLeader_place(x))) {
        return "its place is no uuid";
    }
    if (!keep_all(out->address, sizeof out->address, ZkLeader_address(x)) ||
        out->address[0] == '\0') {
        return "its address is missing, too long or not printable";
    }
    return out->epoch > ELECT_EPOCH_MAX ? "its epoch is out of range" : NULL;
}

const char *elect_master_parse(struct pf_bytes node, struct pf_str instance, struct elect_peer *out)
{
    struct pf_msg msg;
    const char *wrong = verify(node, &ZkMaster__desc, &msg);

    if (wrong != NULL) {
        return wrong;
    }
    struct ZkMaster x = ZkMaster__root(msg);
    struct pf_elect_master *m = &out->m;

    if (!keep_uuid(m->instance, ZkMaster_instance(x)) ||
        !pf_str_eq(ZkMaster_instance(x), instance)) {
        return "it tells of another instance than its name";
    }
    if (ZkMaster_place(x).len > 0 && !keep_uuid(out->place, ZkMaster_place(x))) {
        return "its place is no uuid";
    }
    if (!keep_all(m->address, sizeof m->address, ZkMaster_address(x)) || m->address[0] == '\0' ||
        !keep_all(m->http_address, sizeof m->http_address, ZkMaster_http_address(x))) {
        return "its address is missing, too long or not printable";
    }
    keep_cut(m->version, sizeof m->version, ZkMaster_version(x));
    keep_cut(m->hostname, sizeof m->hostname, ZkMaster_hostname(x));
    m->pid = ZkMaster_pid(x);
    m->started_wall_ms = ZkMaster_started_ms(x);
    m->format_max = ZkMaster_format_max(x);
    m->suspect_until_wall_ms = ZkMaster_suspect_until_ms(x);
    return NULL;
}

struct pf_bytes elect_epoch_put(struct pf_elect *e, struct pf_uuid incarnation, uint64_t epoch,
                                const char *cluster)
{
    struct ZkEpoch__args a = {.incarnation = {incarnation.b, sizeof incarnation.b},
                              .epoch = epoch,
                              .cluster = pf_str(cluster)};

    pf_fb_builder_reset(&e->builder);
    return pf_msg_bytes(ZkEpoch__finish(&e->builder, ZkEpoch__put(&e->builder, &a)));
}

struct pf_bytes elect_leader_put(struct pf_elect *e, uint64_t epoch)
{
    struct ZkLeader__args a = {.instance = pf_str(e->instance),
                               .address = pf_str(e->address),
                               .http_address = pf_str(e->http_address),
                               .epoch = epoch,
                               .place = pf_str(e->place_id)};

    pf_fb_builder_reset(&e->builder);
    return pf_msg_bytes(ZkLeader__finish(&e->builder, ZkLeader__put(&e->builder, &a)));
}

struct pf_bytes elect_master_put(struct pf_elect *e)
{
    struct ZkMaster__args a = {.instance = pf_str(e->instance),
                               .address = pf_str(e->address),
                               .http_address = pf_str(e->http_address),
                               .hostname = pf_str(e->hostname),
                               .version = pf_str(e->version),
                               .pid = e->pid,
                               .started_ms = e->started_wall_ms,
                               .place = pf_str(e->place_id),
                               .format_min = e->format_min,
                               .format_max = e->format_max,
                               .suspect_until_ms = e->suspect_until_ms};

    pf_fb_builder_reset(&e->builder);
    return pf_msg_bytes(ZkMaster__finish(&e->builder, ZkMaster__put(&e->builder, &a)));
}
