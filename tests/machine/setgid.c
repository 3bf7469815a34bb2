/* A tree's mail program as Mailman's wrapper is installed: set-group-ID. It writes down who it
 * is and what it was given, one file a delivery, and ends as the message asks:
 *
 *     X-Ends: s75         exit status 75
 *     X-Ends: never       not before somebody ends it
 *
 * The file:
 *
 *     PID PARENT UID GID EFFECTIVE-UID EFFECTIVE-GID NEWLINE  stdin
 *
 * It appears under its name, the process id, when it is whole. If it cannot be written, 75.
 * SPOOL, the directory, is a macro.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    static char message[65536];
    char partial[200], whole[200];
    size_t size = 0;
    ssize_t got;

    while ((got = read(0, message + size, sizeof message - 1 - size)) > 0)
        size += (size_t)got;
    snprintf(partial, sizeof partial, SPOOL "/.%ld", (long)getpid());
    snprintf(whole, sizeof whole, SPOOL "/%ld", (long)getpid());
    umask(0022);
    FILE *to = fopen(partial, "wx");
    if (!to)
        return 75;
    fprintf(to, "%ld %ld %ld %ld %ld %ld\n", (long)getpid(), (long)getppid(), (long)getuid(),
            (long)getgid(), (long)geteuid(), (long)getegid());
    fwrite(message, 1, size, to);
    if (fclose(to) != 0 || rename(partial, whole) != 0)
        return 75;
    char *ends = strstr(message, "\nX-Ends: ");
    if (!ends)
        return 75;
    ends += strlen("\nX-Ends: ");
    while (strncmp(ends, "never", 5) == 0)
        pause();
    return atoi(ends + 1);
}
