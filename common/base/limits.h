/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit of Proffer in one place, with the relations that must hold between them. */
#ifndef PF_COMMON_BASE_LIMITS_H
#define PF_COMMON_BASE_LIMITS_H

#include <stdint.h>

/* messages */
#define PF_FRAME_MAX_BYTES      (4u << 20)  /* one native frame; what mesos-go accepts too */
#define PF_HELLO_MAX_BYTES      (64u << 10) /* a frame before authentication */
#define PF_HTTP_BODY_MAX_BYTES  (4u << 20)
#define PF_HTTP_HEADER_MAX_BYTES (32u << 10)
#define PF_MSG_DEPTH_MAX        64          /* nesting of tables in a message */
#define PF_JSON_OUT_MAX_BYTES   (64u << 20)
#define PF_FIELDS_MAX           128         /* of one table */

/* ids and texts */
#define PF_ID_MAX               255
#define PF_NAME_MAX             1024
#define PF_ROLE_MAX             255
#define PF_COMMAND_SHOWN_MAX    256         /* of a command line kept for people to see */

/* resources: 10^6 of the largest amounts still add up in an int64 */
#define PF_RES_MILLI_MAX        INT64_C(4000000000000)
#define PF_RES_ITEMS_MAX        64
#define PF_RES_RANGES_MAX       1024
#define PF_RES_SET_MAX          1024

/* cluster */
#define PF_MASTERS_MAX          16
#define PF_AGENTS_MAX           65536
#define PF_FRAMEWORKS_MAX       16384
#define PF_FRAMEWORK_TASKS_MAX  1000000     /* live, of one framework */
#define PF_FRAMEWORK_OFFERS_MAX 65536
#define PF_TASKS_PER_ACCEPT_MAX 1000
#define PF_TASK_INFOS_MAX_BYTES (3u << 20)  /* of one ACCEPT, which has to fit a frame */
#define PF_OFFERS_PER_CALL_MAX  1000
#define PF_DEMANDS_MAX          64          /* of one framework */
#define PF_DEMAND_COUNT_MAX     1000000
#define PF_CONSTRAINTS_MAX      32          /* of one demand */
#define PF_ATTRIBUTES_MAX       64          /* of one agent */
#define PF_PAGE_MAX             1000        /* entries of one page of a list */
#define PF_KILL_GRACE_MS        3000        /* SIGTERM to SIGKILL when nobody says */
#define PF_DRAIN_GRACE_MAX_S    2592000     /* 30 days */
#define PF_HISTORY_FRAMEWORKS   50          /* ended frameworks kept */
#define PF_HISTORY_TASKS        1000        /* ended tasks kept of each framework */
#define PF_WATCHERS_MAX         4096        /* peers that wait for tasks */
#define PF_AGENT_INFO_MAX_BYTES (64u << 10) /* as a message: its resources and attributes */
#define PF_AGENTS_ASKED_MAX     1000        /* in one question to another master */
#define PF_FILTERS_MAX          1000000     /* decline filters of all frameworks */

/* links */
#define PF_PEERS_MAX            65536
#define PF_PEER_OUT_MAX_BYTES   (64u << 20) /* unsent bytes before a slow reader is cut off */
#define PF_HANDSHAKE_MS         10000
#define PF_HEARTBEAT_MS         5000
#define PF_LINK_SILENT_MS       30000
#define PF_AGENT_UNREACHABLE_MS 75000

/* turn and store */
#define PF_TURN_EVENTS_MAX      256
#define PF_TURN_MS_MAX          1
#define PF_BATCH_MAX_BYTES      (1u << 20)  /* rows of a turn over LMDB */
#define PF_ROW_MAX_BYTES        (1u << 20)
#define PF_TURN_HELD_MAX_BYTES  (16u << 20) /* memory of a turn that gathers, messages included */
#define PF_TURN_IN_FLIGHT_MAX   8           /* batches being stored at once */
#define PF_TASK_INFO_MAX_BYTES  (PF_ROW_MAX_BYTES - 1024) /* an agent's row holds it */
#define PF_STORE_TABLES_MAX     32          /* tables are numbered 1..32 */
#define PF_STORE_KEY_MAX_BYTES  510         /* LMDB's 511 less the table's number */

/* agent */
#define PF_AGENT_TASKS_MAX      65536
#define PF_READ_CHUNK_BYTES     (64u << 10) /* of a READ_FILE answer */
#define PF_READS_PER_PEER_MAX   4096        /* open follows */
#define PF_STDIN_CHUNK_BYTES    (64u << 10)
#define PF_SCRIPT_MAX_BYTES     (256u << 10)
#define PF_ENV_MAX_BYTES        (1u << 20)
#define PF_ARGS_MAX             4096

/* fetcher */
#define PF_FETCH_PLAN_MAX_BYTES (1u << 20)
#define PF_FETCH_STALL_MS       60000       /* unless the plan says */
#define PF_URI_MAX_BYTES        (16u << 10)
#define PF_URI_SHOWN_MAX        512         /* bytes of a URI in a reason */
#define PF_URI_REDIRECTS_MAX    10
#define PF_UNPACK_ENTRIES_MAX   1000000     /* of one archive */
#define PF_UNPACK_RATIO         1000        /* contents to archive, where no limit was given */
#define PF_UNPACK_FREE_BYTES    (UINT64_C(1) << 30) /* so much may be in any archive then */

/* executors */
#define PF_URIS_MAX             256         /* of one command */
#define PF_EXECUTOR_MESSAGE_MAX_BYTES (512u << 10) /* a framework message, either way */
#define PF_STATUS_MAX_BYTES     (256u << 10) /* message and data of one update of an executor */

_Static_assert(PF_AGENT_INFO_MAX_BYTES * 8 <= PF_BATCH_MAX_BYTES, "a step stores several");
_Static_assert(PF_ROW_MAX_BYTES <= PF_BATCH_MAX_BYTES, "a row fits a batch");
_Static_assert(PF_BATCH_MAX_BYTES <= PF_FRAME_MAX_BYTES, "a batch fits a frame");
_Static_assert(PF_READ_CHUNK_BYTES * 4 <= PF_FRAME_MAX_BYTES, "a chunk fits a frame");
_Static_assert(PF_RES_MILLI_MAX < INT64_MAX / 1000000, "amounts add up");
_Static_assert(PF_LINK_SILENT_MS > 3 * PF_HEARTBEAT_MS, "a lost heartbeat breaks no link");

#endif
