/* A tree's mail program: writes down what it was given, one file a delivery, and says
 * nothing, as Mailman's does. The file:
 *
 *     argc NUL  each argument NUL  envc NUL  each variable NUL  uid NUL gid NUL  stdin
 *
 * It appears under its name when it is whole. If it cannot be written, 75.
 *
 * SPOOL, the directory, is a macro, since a mail program is told nothing by its caller.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void put_all(FILE *to, char **words)
{
    int n = 0;
    while (words[n])
        n++;
    fprintf(to, "%d%c", n, 0);
    for (int i = 0; i < n; i++)
        fprintf(to, "%s%c", words[i], 0);
}

int main(int argc, char **argv)
{
    char partial[200], whole[200], block[65536];
    struct timespec now;
    ssize_t got;
    (void)argc;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(partial, sizeof partial, SPOOL "/.%ld", (long)getpid());
    snprintf(whole, sizeof whole, SPOOL "/%010ld.%09ld.%ld",
             (long)now.tv_sec, now.tv_nsec, (long)getpid());
    umask(0022);
    FILE *to = fopen(partial, "wx");
    if (!to)
        return 75;
    put_all(to, argv);
    put_all(to, environ);
    fprintf(to, "%ld%c%ld%c", (long)getuid(), 0, (long)getgid(), 0);
    while ((got = read(0, block, sizeof block)) > 0)
        fwrite(block, 1, (size_t)got, to);
    if (got < 0 || fclose(to) != 0 || rename(partial, whole) != 0)
        return 75;
    return 0;
}
