/* A tree's mail program in a crowd: takes its time, then writes one line "LIST NUMBER" to the
 * file LOG: what it has handled. NUMBER comes in EXTENSION. If it cannot be written, 75. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const struct timespec while_others_come = {0, 300 * 1000 * 1000};
    const char *number = getenv("EXTENSION");
    char line[200];
    int length, to;

    if (argc != 3 || !number)
        return 75;
    nanosleep(&while_others_come, NULL);
    length = snprintf(line, sizeof line, "%s %s\n", argv[2], number);
    to = open(LOG, O_WRONLY | O_APPEND);
    if (to < 0 || write(to, line, (size_t)length) != length)
        return 75;
    return 0;
}
