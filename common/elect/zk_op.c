/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_op.h. */
#include "common/elect/zk_op.h"

const char *pf_zk_code_str(enum pf_zk_code code)
{
    switch (code) {
    case PF_ZK_OK: return "done";
    case PF_ZK_NO_NODE: return "no such node";
    case PF_ZK_NODE_EXISTS: return "the node exists";
    case PF_ZK_BAD_VERSION: return "the node was changed meanwhile";
    case PF_ZK_NOT_EMPTY: return "the node has children";
    case PF_ZK_NO_AUTH: return "no right to do that";
    case PF_ZK_NOT_SENT: return "no connection";
    case PF_ZK_UNKNOWN: return "the connection was lost before the answer";
    case PF_ZK_FAILED: return "refused";
    }
    return "?";
}

const char *pf_zk_state_str(enum pf_zk_state state)
{
    switch (state) {
    case PF_ZK_CONNECTING: return "connecting";
    case PF_ZK_CONNECTED: return "connected";
    case PF_ZK_EXPIRED: return "session expired";
    case PF_ZK_AUTH_FAILED: return "authentication failed";
    }
    return "?";
}
