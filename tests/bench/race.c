/* Races programs against each other: starts each one once a round, in random order, on one
 * CPU, with an MTA's environment and a message on stdin, and takes the time from the fork to
 * the exit status. What it prints are medians over the rounds: of the time itself, and of the
 * ratio to candidates 1 and 2 *in the same round*, which a busy machine disturbs least.
 *
 * usage: race ROUNDS MESSAGE [PAIR]... < CANDIDATES
 *
 * A candidate is a line: NAME TAB EVERY TAB LISTS TAB PROGRAM [TAB ARGUMENT]...
 * It runs in every EVERYth round; an argument `%` becomes a random one of the LISTS lists.
 * Each PAIR is A/B, two names.
 * Output: NAME TAB runs TAB microseconds TAB ratio to 1 TAB ratio to 2 for each candidate, then
 * `compare` TAB PAIR TAB ratio for each pair.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, WORDS = 16, WARM_UP = 3 };

struct candidate {
    char *name;
    int every;
    long lists;
    char *argv[WORDS];
    char **placeholder;
    double *micros; /* by round; 0: did not run */
};

static struct candidate candidates[MOST];
static int count, rounds;

static char *environment[] = {
    "MAIL_CONFIG=/etc/postfix", "LANG=C", "PATH=/usr/bin:/bin", "LOGNAME=toylist",
    "USER=toylist", "SENDER=sender@client.example", "RECIPIENT=toylist@lists.example",
    "LOCAL=toylist", "DOMAIN=lists.example", "ORIGINAL_RECIPIENT=toylist@lists.example",
    "CLIENT_HOSTNAME=client.example", "CLIENT_ADDRESS=192.0.2.1", "CLIENT_HELO=client.example",
    "CLIENT_PROTOCOL=ESMTP", NULL
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_candidates(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        struct candidate *c = &candidates[count++];
        line[strcspn(line, "\n")] = 0;
        char *rest = strdup(line), *word;
        c->name = strsep(&rest, "\t");
        c->every = atoi(strsep(&rest, "\t"));
        c->lists = atol(strsep(&rest, "\t"));
        int n = 0;
        while ((word = strsep(&rest, "\t")) && n < WORDS - 1) {
            if (strcmp(word, "%") == 0)
                c->placeholder = &c->argv[n];
            c->argv[n++] = word;
        }
        c->micros = calloc((size_t)rounds, sizeof *c->micros);
    }
}

static double run(struct candidate *c, int message)
{
    static char list[32];
    struct timespec from, to;
    int status;
    if (c->placeholder) {
        snprintf(list, sizeof list, "list%07ld", random() % c->lists);
        *c->placeholder = list;
    }
    lseek(message, 0, SEEK_SET);
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t pid = vfork();
    if (pid == 0) {
        execve(c->argv[0], c->argv, environment);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("wait");
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (status != 0) {
        fprintf(stderr, "race: %s: wait status %d\n", c->name, status);
        exit(1);
    }
    return (to.tv_sec - from.tv_sec) * 1e6 + (to.tv_nsec - from.tv_nsec) / 1e3;
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
        if (a->micros[i] > 0 && (!b || b->micros[i] > 0))
            values[n++] = b ? a->micros[i] / b->micros[i] : a->micros[i];
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
    fprintf(stderr, "race: no candidate %s\n", name);
    exit(1);
}

static void pin(void)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        perror("race: not pinned to a CPU");
}

int main(int argc, char **argv)
{
    int order[MOST], quiet, message, runs;
    if (argc < 3)
        return 2;
    rounds = atoi(argv[1]);
    if ((message = open(argv[2], O_RDONLY)) < 0 || (quiet = open("/dev/null", O_WRONLY)) < 0)
        die("open");
    read_candidates();
    int out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    dup2(message, 0);
    dup2(quiet, 1);
    close(message);
    close(quiet);
    pin();
    srandom((unsigned)time(NULL));
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int round = -WARM_UP; round < rounds; round++) {
        for (int i = count - 1; i > 0; i--) {
            int j = (int)(random() % (i + 1)), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (int i = 0; i < count; i++) {
            struct candidate *c = &candidates[order[i]];
            if (round < 0)
                run(c, 0);
            else if (round % c->every == 0)
                c->micros[round] = run(c, 0);
        }
    }
    FILE *report = fdopen(out, "w");
    for (int i = 0; i < count; i++) {
        struct candidate *c = &candidates[i];
        double micros = median(c, NULL, &runs);
        fprintf(report, "%s\t%d\t%.0f\t%.3f\t%.3f\n", c->name, runs, micros,
                median(c, &candidates[0], NULL), median(c, &candidates[1], NULL));
    }
    for (int i = 3; i < argc; i++) {
        char *pair = strdup(argv[i]), *other = pair;
        char *one = strsep(&other, "/");
        fprintf(report, "compare\t%s\t%.3f\n", argv[i], median(named(one), named(other), NULL));
    }
    return fclose(report) == 0 ? 0 : 1;
}
