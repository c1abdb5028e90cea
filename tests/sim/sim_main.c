/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-sim: runs the simulator for one seed or for many. Exit 1 at the first broken invariant,
 * with the command that replays it. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/sim/sim.h"

static uint64_t current_seed;

/* An assertion of a core ends the process: tell which seed it was. */
static void on_abort(int signo)
{
    char text[64];
    int n = snprintf(text, sizeof text, "seed %" PRIu64 "\n", current_seed);

    (void)!write(STDERR_FILENO, text, (size_t)n);
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

static bool run(struct sim_options *o, struct sim_result *sum)
{
    struct sim_result r, again;

    current_seed = o->seed;
    sim_run(o, &r);
    if (r.is_broken) {
        (void)fprintf(stderr, "seed %" PRIu64 ": %s\nreplay: proffer-sim --seed %" PRIu64 " -v\n",
                      o->seed, r.text, o->seed);
        return false;
    }
    if (o->seed % 16 == 0) { /* the same seed is the same run */
        sim_run(o, &again);
        if (again.digest != r.digest || again.steps != r.steps) {
            (void)fprintf(stderr, "seed %" PRIu64 ": two runs differ\n", o->seed);
            return false;
        }
    }
    sum->steps += r.steps;
    sum->messages += r.messages;
    sum->takeovers += r.takeovers;
    sum->launches += r.launches;
    sum->faults += r.faults;
    sum->calm_ms = r.calm_ms > sum->calm_ms ? r.calm_ms : sum->calm_ms;
    return true;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);

    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "'%s' is no number\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},    {"count", required_argument, NULL, 'n'},
        {"faults", required_argument, NULL, 'f'},  {"seconds", required_argument, NULL, 't'},
        {"masters", required_argument, NULL, 'm'}, {"agents", required_argument, NULL, 'a'},
        {"keep-going", no_argument, NULL, 'k'},    {NULL, 0, NULL, 0},
    };
    struct sim_options o = {.seed = 1};
    struct sim_result sum = {0};
    uint64_t count = 1, n_broken = 0;
    bool keeps_going = false;
    int c;

    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        switch (c) {
        case 's': o.seed = number(optarg); break;
        case 'n': count = number(optarg); break;
        case 'f': o.faults = (uint32_t)number(optarg); break;
        case 't': o.chaos_ms = (int64_t)number(optarg) * 1000; break;
        case 'm': o.n_masters = (uint32_t)number(optarg); break;
        case 'a': o.n_agents = (uint32_t)number(optarg); break;
        case 'k': keeps_going = true; break;
        case 'v': o.is_verbose = true; break;
        default:
            (void)fprintf(stderr, "usage: proffer-sim [--seed N] [--count N] [--faults BITS] "
                                  "[--seconds N] [--masters N] [--agents N] [--keep-going] [-v]\n");
            return 2;
        }
    }
    (void)signal(SIGABRT, on_abort);
    for (uint64_t i = 0; i < count; i++, o.seed++) {
        if (!run(&o, &sum)) {
            n_broken++;
            if (!keeps_going) {
                return 1;
            }
        }
    }
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " broken: %" PRIu64 " steps, %" PRIu64
                 " messages, %" PRIu64 " takeovers, %" PRIu64 " launches, %" PRIu64
                 " faults; all back at most %" PRId64 " ms after the healing\n",
                 count, n_broken, sum.steps, sum.messages, sum.takeovers, sum.launches, sum.faults,
                 sum.calm_ms);
    return n_broken > 0;
}
