/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-sim: runs the simulator for one seed, for many, or for the kept ones of a file. Of many
 * each runs in a process of its own, so that an assertion of a core is one broken seed as well.
 * Exit 1 when an invariant broke, with the command that replays it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "tests/sim/sim.h"

enum { JOBS_MAX = 64, LINE_MAX_BYTES = 512, ARGS_MAX = 24, AGAIN_EVERY = 16 };

struct job {
    pid_t pid; /* 0: free */
    int fd;
    struct sim_options o;
};

struct run {
    struct sim_options o;
    uint64_t count;
    uint32_t n_jobs;
    bool keeps_going;
    const char *kept;
    struct job job[JOBS_MAX];
    uint64_t n_seeds, n_broken;
    struct sim_result sum;
    int64_t *calm_ms;
    size_t n_calm;
};

/* --- one seed --------------------------------------------------------------------------------- */

static void print_replay(const struct sim_options *o)
{
    (void)fprintf(stderr, "replay: proffer-sim --seed %" PRIu64, o->seed);
    if (o->n_masters > 0) {
        (void)fprintf(stderr, " --masters %u", o->n_masters);
    }
    if (o->n_agents > 0) {
        (void)fprintf(stderr, " --agents %u", o->n_agents);
    }
    if (o->n_frameworks > 0) {
        (void)fprintf(stderr, " --frameworks %u", o->n_frameworks);
    }
    if (o->faults > 0) {
        (void)fprintf(stderr, " --faults 0x%x", o->faults);
    }
    if (o->chaos_ms > 0) {
        (void)fprintf(stderr, " --seconds %" PRId64, o->chaos_ms / 1000);
    }
    (void)fprintf(stderr, " -v\n");
}

/* The same seed is the same run. */
static void run_again(const struct sim_options *o, struct sim_result *r)
{
    struct sim_result again;

    sim_run(o, &again);
    if (again.digest != r->digest || again.steps != r->steps) {
        r->is_broken = true;
        (void)snprintf(r->text, sizeof r->text, "deterministic: two runs differ");
    }
}

static void run_one(const struct sim_options *o, struct sim_result *r)
{
    sim_run(o, r);
    if (!r->is_broken && o->seed % AGAIN_EVERY == 0) {
        run_again(o, r);
    }
}

/* `r` NULL: the process died, an assertion has said why. */
static void note(struct run *x, const struct sim_options *o, const struct sim_result *r)
{
    x->n_seeds++;
    if (r == NULL || r->is_broken) {
        x->n_broken++;
        (void)fprintf(stderr, "seed %" PRIu64 ": %s\n", o->seed,
                      r != NULL ? r->text : "assertion: the process ended");
        print_replay(o);
        return;
    }
    x->sum.steps += r->steps;
    x->sum.messages += r->messages;
    x->sum.takeovers += r->takeovers;
    x->sum.launches += r->launches;
    x->sum.faults += r->faults;
    x->calm_ms = pf_realloc(x->calm_ms, (x->n_calm + 1) * sizeof *x->calm_ms);
    x->calm_ms[x->n_calm++] = r->calm_ms;
}

/* --- many ------------------------------------------------------------------------------------- */

static void begin(struct run *x, struct job *j, const struct sim_options *o)
{
    int fd[2];

    (void)fflush(NULL);
    if (pipe(fd) < 0 || (j->pid = fork()) < 0) {
        perror("proffer-sim");
        exit(2);
    }
    if (j->pid == 0) {
        struct sim_result r;

        run_one(o, &r);
        _exit(write(fd[1], &r, sizeof r) == (ssize_t)sizeof r ? 0 : 2);
    }
    (void)close(fd[1]);
    j->fd = fd[0];
    j->o = *o;
    (void)x;
}

/* Waits for any of them. */
static void finish(struct run *x)
{
    int status;
    pid_t pid = wait(&status);

    for (uint32_t i = 0; i < x->n_jobs; i++) {
        struct job *j = &x->job[i];

        if (j->pid == pid && pid > 0) {
            struct sim_result r;
            bool is_whole = read(j->fd, &r, sizeof r) == (ssize_t)sizeof r;

            (void)close(j->fd);
            j->pid = 0;
            note(x, &j->o, is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? &r : NULL);
        }
    }
}

static bool is_busy(const struct run *x)
{
    for (uint32_t i = 0; i < x->n_jobs; i++) {
        if (x->job[i].pid > 0) {
            return true;
        }
    }
    return false;
}

static void drain(struct run *x)
{
    while (is_busy(x)) {
        finish(x);
    }
}

static void run(struct run *x, const struct sim_options *o)
{
    for (;;) {
        for (uint32_t i = 0; i < x->n_jobs; i++) {
            if (x->job[i].pid == 0) {
                begin(x, &x->job[i], o);
                return;
            }
        }
        finish(x);
    }
}

static void run_all(struct run *x)
{
    for (uint64_t i = 0; i < x->count && (x->keeps_going || x->n_broken == 0); i++) {
        struct sim_options o = x->o;

        o.seed += i;
        run(x, &o);
    }
    drain(x);
}

/* --- options and kept seeds ------------------------------------------------------------------- */

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

static void parse(struct run *x, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"count", required_argument, NULL, 'n'},
        {"faults", required_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 't'},
        {"masters", required_argument, NULL, 'm'},
        {"agents", required_argument, NULL, 'a'},
        {"frameworks", required_argument, NULL, 'w'},
        {"jobs", required_argument, NULL, 'j'},
        {"kept", required_argument, NULL, 'r'},
        {"keep-going", no_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    int c;

    optind = 1;
    while ((c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
        switch (c) {
        case 's': x->o.seed = number(optarg); break;
        case 'n': x->count = number(optarg); break;
        case 'f': x->o.faults = (uint32_t)number(optarg); break;
        case 't': x->o.chaos_ms = (int64_t)number(optarg) * 1000; break;
        case 'm': x->o.n_masters = (uint32_t)number(optarg); break;
        case 'a': x->o.n_agents = (uint32_t)number(optarg); break;
        case 'w': x->o.n_frameworks = (uint32_t)number(optarg); break;
        case 'j': x->n_jobs = (uint32_t)number(optarg); break;
        case 'r': x->kept = optarg; break;
        case 'k': x->keeps_going = true; break;
        case 'v': x->o.is_verbose = true; break;
        default:
            (void)fprintf(stderr,
                          "usage: proffer-sim [--seed N] [--count N] [--jobs N] [--keep-going] "
                          "[--kept FILE] [--masters N] [--agents N] [--frameworks N] "
                          "[--faults BITS] [--seconds N] [-v]\n");
            exit(2);
        }
    }
    if (optind < argc || x->n_jobs == 0 || x->n_jobs > JOBS_MAX ||
        x->o.n_masters > SIM_MASTERS_MAX || x->o.n_agents > SIM_AGENTS_MAX ||
        x->o.n_frameworks > SIM_FRAMEWORKS_MAX) {
        (void)fprintf(stderr, "at most %d jobs, %d masters, %d agents, %d frameworks\n", JOBS_MAX,
                      SIM_MASTERS_MAX, SIM_AGENTS_MAX, SIM_FRAMEWORKS_MAX);
        exit(2);
    }
}

/* Lines of the file: options, then # and what the seed found. */
static void run_kept(struct run *x)
{
    char line[LINE_MAX_BYTES];
    FILE *f = fopen(x->kept, "r");

    if (f == NULL) {
        (void)fprintf(stderr, "%s: %s\n", x->kept, strerror(errno));
        exit(2);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        struct run one = {.n_jobs = 1};
        char *arg[ARGS_MAX] = {(char *)(uintptr_t) "seeds"}, *save = NULL;
        int n = 1;

        line[strcspn(line, "#\n")] = '\0';
        for (char *at = strtok_r(line, " ", &save); at != NULL && n < ARGS_MAX - 1;
             at = strtok_r(NULL, " ", &save)) {
            arg[n++] = at;
        }
        if (n > 1) {
            parse(&one, n, arg);
            run(x, &one.o);
        }
    }
    (void)fclose(f);
    drain(x);
}

/* --- the end ---------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print_sum(struct run *x)
{
    const struct sim_result *s = &x->sum;

    (void)printf("%" PRIu64 " seeds, %" PRIu64 " broken: %" PRIu64 " steps, %" PRIu64
                 " messages, %" PRIu64 " takeovers, %" PRIu64 " launches, %" PRIu64 " faults\n",
                 x->n_seeds, x->n_broken, s->steps, s->messages, s->takeovers, s->launches,
                 s->faults);
    if (x->n_calm > 0) {
        qsort(x->calm_ms, x->n_calm, sizeof *x->calm_ms, by_size);
        (void)printf("all back after the healing, ms: p50 %" PRId64 ", p90 %" PRId64
                     ", p99 %" PRId64 ", max %" PRId64 "\n",
                     x->calm_ms[x->n_calm / 2], x->calm_ms[x->n_calm * 9 / 10],
                     x->calm_ms[x->n_calm * 99 / 100], x->calm_ms[x->n_calm - 1]);
    }
}

int main(int argc, char **argv)
{
    struct run x = {.o = {.seed = 1}, .count = 1, .n_jobs = 1};

    parse(&x, argc, argv);
    if (x.kept != NULL) {
        run_kept(&x);
    } else if (x.count > 1) {
        run_all(&x);
    } else { /* in this process, for debuggers */
        struct sim_result r;

        run_one(&x.o, &r);
        note(&x, &x.o, &r);
    }
    print_sum(&x);
    pf_free(x.calm_ms);
    return x.n_broken > 0;
}
