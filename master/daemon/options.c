/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "master/daemon/options.h"

#include <string.h>

#include "common/sys/parse.h"
#include "common/zk/client.h"

#define FIELD(f) offsetof(struct pf_masterd_options, f)

static const struct pf_option table[] = {
    {"listen", "HOST:PORT",
     "Address for agents, schedulers and the command line (native protocol); "
     "port 0 picks one",
     PF_OPTION_STRING, FIELD(listen), "127.0.0.1:5055", 0, 0, false},
    {"http", "HOST:PORT", "Address of the HTTP API", PF_OPTION_STRING, FIELD(http),
     "127.0.0.1:5050", 0, 0, false},
    {"advertise", "HOST:PORT",
     "Native address told to others, where it differs from --listen (address translation, relays)",
     PF_OPTION_STRING, FIELD(advertise), "", 0, 0, false},
    {"advertise-http", "HOST:PORT", "The same for --http", PF_OPTION_STRING, FIELD(advertise_http),
     "", 0, 0, false},
    {"zk", "URL",
     "Be one of several masters that keep the registry in ZooKeeper and elect a leader there: "
     "zk://[user:password@]host:port,host:port/path. Without it the master is alone. Give a URL "
     "with a password in the environment or the file of --config, not on the command line",
     PF_OPTION_STRING, FIELD(zk), "", 0, 0, false},
    {"zk-session", "TIME",
     "Session time-out asked of ZooKeeper: a leader that hangs or is cut off leads no more after "
     "it",
     PF_OPTION_DURATION, FIELD(zk_session_ms), "6s", 1000, 600000, false},
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
    {"agent-removal-rate", "N/TIME",
     "Call no more than N agents unreachable in any TIME, e.g. 10/1m", PF_OPTION_STRING,
     FIELD(removal_rate), "", 0, 0, false},
    {"recovery-removal-limit", "PERCENT",
     "After a takeover call no more than this part of the known agents unreachable because they "
     "did not come back",
     PF_OPTION_INT, FIELD(recovery_removals_percent), "100", 0, 100, false},
    {"import-registry", "DIR",
     "Bring the registry of a master that was alone (its --work-dir) into the ZooKeeper of --zk, "
     "and end; it is not served from DIR any more",
     PF_OPTION_STRING, FIELD(import_registry), "", 0, 0, false},
    {"export-registry", "DIR",
     "The way back: take the registry out of the ZooKeeper of --zk into the new directory DIR, for "
     "a master that is alone, and end; no master leads there any more",
     PF_OPTION_STRING, FIELD(export_registry), "", 0, 0, false},
    {"restore-registry", "FILE",
     "Make a registry of what 'proffer registry dump' wrote, in an empty --work-dir or, if that is "
     "said, in the ZooKeeper of --zk, and end",
     PF_OPTION_STRING, FIELD(restore_registry), "", 0, 0, false},
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

/* "10/1m" */
static int read_removal_rate(struct pf_masterd_options *o, struct pf_err *err)
{
    const char *slash = strchr(o->removal_rate, '/');
    uint64_t n = 0;
    int64_t ms = 0;

    if (o->removal_rate[0] == '\0') {
        return 0;
    }
    if (slash == NULL ||
        pf_parse_u64((struct pf_str){o->removal_rate, (uint32_t)(slash - o->removal_rate)}, &n,
                     NULL) < 0 ||
        n == 0 || n > UINT32_MAX || pf_parse_duration_ms(pf_str(slash + 1), &ms, NULL) < 0 ||
        ms <= 0) {
        return pf_err_set(err, PF_EUSAGE,
                          "--agent-removal-rate '%s' is no rate: write for example 10/1m",
                          o->removal_rate);
    }
    o->removals = (uint32_t)n;
    o->removals_ms = ms;
    return 0;
}

static int check_address(const char *option, const char *text, struct pf_err *err)
{
    struct pf_hostport hp;
    struct pf_err why = {0};
    if (text[0] == '\0') {
        return 0;
    }
    if (pf_parse_hostport(pf_str(text), 0, &hp, &why) < 0 || hp.host[0] == '\0' || hp.port == 0) {
        return pf_err_set(err, PF_EUSAGE,
                          "--%s '%s' is no address that others can reach: write for example "
                          "10.0.0.1:5055",
                          option, text);
    }
    return 0;
}

/* What goes together, and whether the URL is one. */
static int check_zk(const struct pf_masterd_options *o, struct pf_err *err)
{
    int n = (o->import_registry[0] != '\0') + (o->export_registry[0] != '\0') +
            (o->restore_registry[0] != '\0');
    struct pf_err why = {0};
    if (n > 1) {
        return pf_err_set(err, PF_EUSAGE,
                          "say one of --import-registry, --export-registry and "
                          "--restore-registry");
    }
    if (n == 1 && o->restore_registry[0] == '\0' && o->zk[0] == '\0') {
        return pf_err_set(err, PF_EUSAGE,
                          "--%s-registry needs --zk URL (or PROFFER_MASTER_ZK): the ZooKeeper it "
                          "%s",
                          o->import_registry[0] != '\0' ? "import" : "export",
                          o->import_registry[0] != '\0' ? "goes to" : "comes from");
    }
    if (o->zk[0] != '\0' && pf_zk_url_check(o->zk, &why) < 0) {
        return pf_err_set(err, PF_EUSAGE, "the URL of --zk (or PROFFER_MASTER_ZK): %s", why.msg);
    }
    return 0;
}

int pf_masterd_options_parse(int argc, char **argv, struct pf_masterd_options *out,
                             enum pf_options_verdict *out_verdict, struct pf_err *err)
{
    int first;
    int rc = pf_options_parse(&pf_masterd_option_table, argc, argv, out, out_verdict, &first, err);
    if (rc < 0 || *out_verdict != PF_OPTIONS_RUN) {
        return rc;
    }
    rc = pf_log_level_parse(out->log_level_name, &out->log_level, err);
    if (rc == 0) {
        rc = read_removal_rate(out, err);
    }
    if (rc == 0) {
        rc = check_address("advertise", out->advertise, err);
    }
    if (rc == 0) {
        rc = check_address("advertise-http", out->advertise_http, err);
    }
    if (rc == 0) {
        rc = check_zk(out, err);
    }
    if (rc < 0) {
        pf_masterd_options_fini(out);
    }
    return rc;
}

void pf_masterd_options_fini(struct pf_masterd_options *o)
{
    pf_options_fini(&pf_masterd_option_table, o);
}
