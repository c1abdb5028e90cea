/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "master/daemon/options.h"

#define FIELD(f) offsetof(struct pf_masterd_options, f)

static const struct pf_option table[] = {
    {"listen", "HOST:PORT",
     "Address for agents, schedulers and the command line (native protocol); "
     "port 0 picks one",
     PF_OPTION_STRING, FIELD(listen), "127.0.0.1:5055", 0, 0, false},
    {"http", "HOST:PORT", "Address of the HTTP API", PF_OPTION_STRING, FIELD(http),
     "127.0.0.1:5050", 0, 0, false},
    {"work-dir", "DIR", "Where the registry is kept", PF_OPTION_STRING, FIELD(work_dir),
     "/var/lib/proffer/master", 0, 0, false},
    {"key-file", "FILE", "The cluster's key (mode 0600); needed to listen beyond this machine",
     PF_OPTION_STRING, FIELD(key_file), "", 0, 0, false},
    {"insecure", NULL, "Listen beyond this machine without a key", PF_OPTION_FLAG, FIELD(insecure),
     NULL, 0, 0, false},
    {"cluster", "NAME", "Name of the cluster; peers that say another are refused", PF_OPTION_STRING,
     FIELD(cluster), "", 0, 0, false},
    {"task-user", "USER", "User of tasks launched by peers without the key", PF_OPTION_STRING,
     FIELD(task_user), "nobody", 0, 0, false},
    {"allow-any-user", NULL, "Let peers without the key launch as any user, as Mesos does",
     PF_OPTION_FLAG, FIELD(allow_any_user), NULL, 0, 0, false},
    {"offer-timeout", "TIME", "Take back offers that are not answered for this long; 0 = never",
     PF_OPTION_DURATION, FIELD(offer_timeout_ms), "30s", 0, 0, false},
    {"agent-unreachable", "TIME", "Call an agent unreachable this long after its link broke",
     PF_OPTION_DURATION, FIELD(agent_unreachable_ms), "75s", 0, 0, false},
    {"agent-recovery", "TIME",
     "How long agents may take to come back after a restart of the master", PF_OPTION_DURATION,
     FIELD(recovery_ms), "10m", 0, 0, false},
    {"ready-fd", "N", "Write one line of JSON with addresses and pid there when ready",
     PF_OPTION_INT, FIELD(ready_fd), "-1", -1, 1 << 20, false},
    {"log-level", "LEVEL", "error, warn, info or debug", PF_OPTION_STRING, FIELD(log_level_name),
     "info", 0, 0, false},
};

const struct pf_options pf_masterd_option_table = {
    .program = "proffer-master",
    .summary = "The master of a Proffer cluster: offers the resources of agents to frameworks.",
    .options = table,
    .n_options = PF_ARRAY_LEN(table),
};

int pf_masterd_options_parse(int argc, char **argv, struct pf_masterd_options *out,
                             enum pf_options_verdict *out_verdict, struct pf_err *err)
{
    int first;
    int rc = pf_options_parse(&pf_masterd_option_table, argc, argv, out, out_verdict, &first, err);
    if (rc < 0 || *out_verdict != PF_OPTIONS_RUN) {
        return rc;
    }
    rc = pf_log_level_parse(out->log_level_name, &out->log_level, err);
    if (rc < 0) {
        pf_masterd_options_fini(out);
    }
    return rc;
}

void pf_masterd_options_fini(struct pf_masterd_options *o)
{
    pf_options_fini(&pf_masterd_option_table, o);
}
