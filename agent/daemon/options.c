/* SPDX-License-Identifier: Apache-2.0 */
/* See options.h. */
#include "agent/daemon/options.h"

#include <string.h>

#include "common/sys/parse.h"

#define FIELD(f)     offsetof(struct pf_agentd_options, f)
#define SIMULATE_MAX 65536
#define HOUR_MS      (INT64_C(3600) * 1000)
#define YEAR_MS      (366 * 24 * HOUR_MS)
#define LOG_MIN      (INT64_C(64) << 10) /* below, cutting would be all that is done */

static const struct pf_option table[] = {
    {"master", "LIST", "Masters as HOST:PORT,...; any of them will do, it names the others",
     PF_OPTION_LIST, FIELD(masters), "127.0.0.1:5055", 0, 0, false},
    {"listen", "HOST:PORT", "Address for the command line (native protocol); port 0 picks one",
     PF_OPTION_STRING, FIELD(listen), "127.0.0.1:5056", 0, 0, false},
    {"http", "HOST:PORT", "Address of the executor API, /health, /version and /metrics",
     PF_OPTION_STRING, FIELD(http), "127.0.0.1:5051", 0, 0, false},
    {"work-dir", "DIR", "Where state and sandboxes are kept", PF_OPTION_STRING, FIELD(work_dir),
     "/var/lib/proffer/agent", 0, 0, false},
    {"resources", "TEXT", "What to offer, as \"cpus:4;mem:2048;ports:[31000-32000]\" (mem and disk "
     "in MB); what is not named is detected", PF_OPTION_STRING, FIELD(resources), "", 0, 0, false},
    {"attributes", "TEXT", "What schedulers may ask for, as \"rack:a;zone:west\"",
     PF_OPTION_STRING, FIELD(attributes), "", 0, 0, false},
    {"hostname", "NAME", "Name told to others; default: of this machine", PF_OPTION_STRING,
     FIELD(hostname), "", 0, 0, false},
    {"key-file", "FILE", "The cluster's key (mode 0600); needed to listen beyond this machine",
     PF_OPTION_STRING, FIELD(key_file), "", 0, 0, false},
    {"insecure", NULL, "Listen beyond this machine without a key", PF_OPTION_FLAG, FIELD(insecure),
     NULL, 0, 0, false},
    {"min-free", "SIZE", "Refuse launches when less disk is free, so that ends still fit",
     PF_OPTION_SIZE, FIELD(min_free_bytes), "64M", 0, 0, false},
    {"cluster", "NAME", "Name of the cluster; masters that say another are refused",
     PF_OPTION_STRING, FIELD(cluster), "", 0, 0, false},
    {"task-user", "USER", "User of tasks launched by peers without the key", PF_OPTION_STRING,
     FIELD(task_user), "nobody", 0, 0, false},
    {"allow-any-user", NULL, "Let peers without the key launch as any user, as Mesos does",
     PF_OPTION_FLAG, FIELD(allow_any_user), NULL, 0, 0, false},
    {"launcher", "PATH", "The program proffer-launcher; default: beside this one; external: only "
     "connect to the one that systemd starts", PF_OPTION_STRING, FIELD(launcher), "", 0, 0, false},
    {"fetcher", "PATH", "The program proffer-fetcher; default: beside this one", PF_OPTION_STRING,
     FIELD(fetcher), "", 0, 0, false},
    {"recover", "HOW", "reconnect: take over what runs; cleanup: end it, as tasks of a former life",
     PF_OPTION_STRING, FIELD(recover), "reconnect", 0, 0, false},
    {"reconfiguration-policy", "POLICY", "What a restart may change of hostname, resources and "
     "attributes: any (all), additive (only add) or equal (nothing)", PF_OPTION_STRING,
     FIELD(reconfiguration), "any", 0, 0, false},
    {"executor-registration-timeout", "TIME", "How long an executor may take to subscribe",
     PF_OPTION_DURATION, FIELD(executor_subscribe_ms), "1m", 1, 24 * HOUR_MS, false},
    {"executor-reregistration-timeout", "TIME", "The same after a restart of the agent",
     PF_OPTION_DURATION, FIELD(executor_resubscribe_ms), "2s", 1, 24 * HOUR_MS, false},
    {"executor-shutdown-grace-period", "TIME", "From an executor's SHUTDOWN to its SIGKILL, unless "
     "it says another", PF_OPTION_DURATION, FIELD(executor_shutdown_ms), "5s", 1, 24 * HOUR_MS,
     false},
    {"authenticate-executors", NULL, "Refuse HTTP calls of executors without the token that the "
     "agent gave them", PF_OPTION_FLAG, FIELD(authenticates_executors), NULL, 0, 0, false},
    {"gc-delay", "TIME", "How long the sandbox of an ended task is kept, if the disk does not get "
     "full before", PF_OPTION_DURATION, FIELD(gc_delay_ms), "7d", 0, 10 * YEAR_MS, false},
    {"log-max-bytes", "SIZE", "Kept of a task's stdout, and of its stderr: what is older goes; 0 "
     "keeps all", PF_OPTION_SIZE, FIELD(log_max_bytes), "64M", 0, INT64_MAX, false},
    {"fetch-cache-bytes", "SIZE", "Room for fetched files that are kept, for each user; 0: none",
     PF_OPTION_SIZE, FIELD(fetch_cache_bytes), "2G", 0, INT64_MAX, false},
    {"fetch-max-bytes", "SIZE", "Larger files, and larger contents of archives, are not fetched; "
     "0: only the disk and --min-free bound them", PF_OPTION_SIZE, FIELD(fetch_max_bytes), "0", 0,
     INT64_MAX, false},
    {"frameworks-home", "DIR", "Put before relative paths of files that tasks want fetched",
     PF_OPTION_STRING, FIELD(frameworks_home), "", 0, 0, false},
    {"fetch-stall", "TIME", "A transfer without progress fails after this", PF_OPTION_DURATION,
     FIELD(fetch_stall_ms), "60s", 1, 24 * HOUR_MS, false},
    {"isolation", "HOW", "auto: tasks are held to their limits by cgroups where that is permitted; "
     "cgroups: or do not start; none", PF_OPTION_STRING, FIELD(isolation_name), "auto", 0, 0,
     false},
    {"cgroups-enable-cfs", NULL, "A task never gets more cpu than its resources say",
     PF_OPTION_FLAG, FIELD(limits_cpu_hard), NULL, 0, 0, false},
    {"task-pids-max", "N",
     "Processes and threads of a task, at most one for each 128 KiB of its memory; 0: any",
     PF_OPTION_INT, FIELD(task_pids_max), "4096", 0, INT64_C(1) << 22, false},
    {"ready-fd", "N", "Write one line of JSON with addresses and pid there when ready",
     PF_OPTION_INT, FIELD(ready_fd), "-1", -1, 1 << 20, false},
    {"ready-when", "WHEN", "When to say so: listening, or registered at a master",
     PF_OPTION_STRING, FIELD(ready_when), "listening", 0, 0, false},
    {"stop-launcher", NULL,
     "End the launcher of the work directory and every task it runs, and exit",
     PF_OPTION_FLAG, FIELD(stop_launcher), NULL, 0, 0, false},
    {"simulate", "N", "Be N agents that start nothing: tasks end at once, or after the time of "
     "their sleep", PF_OPTION_INT, FIELD(simulate), "0", 0, SIMULATE_MAX, false},
    {"log-level", "LEVEL", "error, warn, info or debug", PF_OPTION_STRING, FIELD(log_level_name),
     "info", 0, 0, false},
};

const struct pf_options pf_agentd_option_table = {
    .program = "proffer-agent",
    .summary = "The agent of a Proffer cluster: offers this machine's resources and runs tasks.",
    .options = table,
    .n_options = PF_ARRAY_LEN(table),
};

static int masters_check(const struct pf_agentd_options *o, struct pf_err *err)
{
    if (o->masters.len == 0) {
        return pf_err_set(err, PF_EUSAGE, "--master is empty; name at least one HOST:PORT");
    }
    for (uint32_t i = 0; i < o->masters.len; i++) {
        struct pf_hostport hp;
        if (pf_parse_hostport(pf_str(o->masters.at[i]), 0, &hp, err) != 0) {
            pf_err_wrap(err, "--master");
            if (err != NULL) {
                err->code = PF_EUSAGE;
            }
            return PF_EUSAGE;
        }
    }
    return 0;
}

/* One of two words. `*out_second`: it is the second. */
static int word_of(const char *option, const char *value, const char *first, const char *second,
                   bool *out_second, struct pf_err *err)
{
    *out_second = strcmp(value, second) == 0;
    if (*out_second || strcmp(value, first) == 0) {
        return 0;
    }
    return pf_err_set(err, PF_EUSAGE, "--%s is '%s'; write %s or %s", option, value, first,
                      second);
}

static int isolation_check(struct pf_agentd_options *o, struct pf_err *err)
{
    static const char *const words[] = {
        [PF_ISOLATION_AUTO] = "auto", [PF_ISOLATION_CGROUPS] = "cgroups",
        [PF_ISOLATION_NONE] = "none"};

    for (size_t i = 0; i < PF_ARRAY_LEN(words); i++) {
        if (strcmp(o->isolation_name, words[i]) == 0) {
            o->isolation = (enum pf_isolation)i;
            return 0;
        }
    }
    return pf_err_set(err, PF_EUSAGE, "--isolation is '%s'; write auto, cgroups or none",
                      o->isolation_name);
}

static int policy_of(struct pf_agentd_options *o, struct pf_err *err)
{
    static const char *const words[] = {"any", "additive", "equal"};

    for (size_t i = 0; i < PF_ARRAY_LEN(words); i++) {
        if (strcmp(o->reconfiguration, words[i]) == 0) {
            o->policy = (int)i;
            return 0;
        }
    }
    return pf_err_set(err, PF_EUSAGE,
                      "--reconfiguration-policy is '%s'; write any, additive or equal",
                      o->reconfiguration);
}

static int words_check(struct pf_agentd_options *o, struct pf_err *err)
{
    int rc = word_of("ready-when", o->ready_when, "listening", "registered", &o->waits_registered,
                     err);
    if (rc == 0) {
        rc = word_of("recover", o->recover, "reconnect", "cleanup", &o->cleans_up, err);
    }
    if (rc == 0) {
        rc = policy_of(o, err);
    }
    if (rc == 0) {
        rc = isolation_check(o, err);
    }
    if (rc == 0 && o->log_max_bytes > 0 && o->log_max_bytes < LOG_MIN) {
        rc = pf_err_set(err, PF_EUSAGE, "--log-max-bytes is below 64K; write 0 to keep all");
    }
    return rc;
}

int pf_agentd_options_parse(int argc, char **argv, struct pf_agentd_options *out,
                            enum pf_options_verdict *out_verdict, struct pf_err *err)
{
    int first;
    int rc = pf_options_parse(&pf_agentd_option_table, argc, argv, out, out_verdict, &first, err);
    if (rc < 0 || *out_verdict != PF_OPTIONS_RUN) {
        return rc;
    }
    rc = pf_log_level_parse(out->log_level_name, &out->log_level, err);
    if (rc < 0) {
        if (err != NULL) {
            err->code = PF_EUSAGE;
        }
        rc = PF_EUSAGE;
    }
    if (rc == 0) {
        rc = masters_check(out, err);
    }
    if (rc == 0) {
        rc = words_check(out, err);
    }
    if (rc < 0) {
        pf_agentd_options_fini(out);
    }
    return rc;
}

void pf_agentd_options_fini(struct pf_agentd_options *o)
{
    pf_options_fini(&pf_agentd_option_table, o);
}
