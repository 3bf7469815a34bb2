/* Measures programs against each other: runs each one once a round, in random order, and takes
 * its time and its peak memory. What it prints are medians over the rounds: of the time itself,
 * and of the ratio to the candidate's base *in the same round*, which a busy machine disturbs
 * least.
 *
 * usage: measure ROUNDS < CANDIDATES
 *
 * A candidate is a line: NAME TAB BASE TAB EVERY TAB PREPARE TAB PROGRAM [TAB ARGUMENT]...
 * It runs in every EVERYth round, after `sh -c PREPARE`, whose time does not count. BASE is a
 * candidate's name.
 * Output: NAME TAB runs TAB milliseconds TAB ratio to BASE TAB peak KiB, a line a candidate.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, WORDS = 16 };

struct candidate {
    char *name, *base, *prepare;
    int every;
    char *argv[WORDS];
    double *millis; /* by round; 0: did not run */
    long peak;
};

static struct candidate candidates[MOST];
static int count, rounds;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_candidates(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0 && count < MOST) {
        struct candidate *c = &candidates[count++];
        line[strcspn(line, "\n")] = 0;
        char *rest = strdup(line), *word;
        c->name = strsep(&rest, "\t");
        c->base = strsep(&rest, "\t");
        c->every = atoi(strsep(&rest, "\t"));
        c->prepare = strsep(&rest, "\t");
        for (int n = 0; (word = strsep(&rest, "\t")) && n < WORDS - 1; n++)
            c->argv[n] = word;
        c->millis = calloc((size_t)rounds, sizeof *c->millis);
    }
}

static void must_succeed(const char *name, int status)
{
    if (status == 0)
        return;
    fprintf(stderr, "measure: %s: wait status %d\n", name, status);
    exit(1);
}

static void run(struct candidate *c, int round)
{
    struct timespec from, to;
    struct rusage used;
    int status;
    must_succeed(c->prepare, system(c->prepare));
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t pid = vfork();
    if (pid == 0) {
        execvp(c->argv[0], c->argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
        die("wait");
    clock_gettime(CLOCK_MONOTONIC, &to);
    must_succeed(c->name, status);
    c->millis[round] = (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6;
    if (used.ru_maxrss > c->peak)
        c->peak = used.ru_maxrss;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of a's times, or of their ratios to b's in the rounds that both ran. */
static double median(const struct candidate *a, const struct candidate *b, int *runs)
{
    double *values = calloc((size_t)rounds, sizeof *values), middle;
    int n = 0;
    for (int i = 0; i < rounds; i++)
        if (a->millis[i] > 0 && (!b || b->millis[i] > 0))
            values[n++] = b ? a->millis[i] / b->millis[i] : a->millis[i];
    qsort(values, (size_t)n, sizeof *values, by_size);
    middle = n ? (values[n / 2] + values[(n - 1) / 2]) / 2 : 0;
    free(values);
    if (runs)
        *runs = n;
    return middle;
}

static struct candidate *named(const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(candidates[i].name, name) == 0)
            return &candidates[i];
    fprintf(stderr, "measure: no candidate %s\n", name);
    exit(1);
}

int main(int argc, char **argv)
{
    int order[MOST], quiet, runs;
    if (argc != 2 || (rounds = atoi(argv[1])) < 1)
        return 2;
    read_candidates();
    int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    if ((quiet = open("/dev/null", O_RDWR)) < 0 || out < 0)
        die("open");
    dup2(quiet, 0);
    dup2(quiet, 1);
    close(quiet);
    srandom((unsigned)time(NULL));
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int round = 0; round < rounds; round++) {
        for (int i = count - 1; i > 0; i--) {
            int j = (int)(random() % (i + 1)), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (int i = 0; i < count; i++)
            if (round % candidates[order[i]].every == 0)
                run(&candidates[order[i]], round);
    }
    FILE *report = fdopen(out, "w");
    for (int i = 0; i < count; i++) {
        struct candidate *c = &candidates[i];
        double millis = median(c, NULL, &runs), ratio = median(c, named(c->base), NULL);
        fprintf(report, "%s\t%d\t%.1f\t%.2f\t%ld\n", c->name, runs, millis, ratio, c->peak);
    }
    return fclose(report) == 0 ? 0 : 1;
}
