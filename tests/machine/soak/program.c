/* A tree's list manager for the soak: it takes its time, then takes a message by adding one
 * record to the file HOME/handled, whole and synced, before it ends. While HOME/mood says so it fails, always
 * before it has written: half of the messages then
 *
 *     crash   die, each in another way
 *     hang    stay, and die, or are ended by the deadline
 *     slow    are taken late
 *
 * GUARDED is 1 where mm-guard stands between: only there a status would not bounce.
 * The record is 64 bytes, so that no write is cut in two where the disk ends at a page:
 * the number in the field X-Number, the list, when the program was started, and when it
 * wrote, both in nanoseconds of CLOCK_MONOTONIC. HOME, a directory, is a macro.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 64 };

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void wait_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void be_in_mood(long number)
{
    static const int deaths[] = {SIGSEGV, SIGKILL, SIGABRT, SIGBUS};
    const struct rlimit none = {0, 0};
    char mood[16] = "";
    int file = open(HOME "/mood", O_RDONLY);
    if (file < 0)
        return;
    ssize_t got = read(file, mood, sizeof mood - 1);
    close(file);
    if (got <= 0 || number % 2 == 1)
        return;
    if (!strncmp(mood, "slow", 4)) {
        wait_ms(200 + number * 37 % 1800);
        return;
    }
    if (!strncmp(mood, "hang", 4))
        wait_ms(GUARDED ? 3600000 : 6000);
    if (GUARDED && number / 2 % 8 > 3)
        _exit((int)(1 + number % 255));
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), deaths[number / 2 % 4]);
}

int main(int argc, char **argv)
{
    static char message[65536];
    char record[RECORD + 1];
    long long started = now();
    size_t size = 0;
    ssize_t got;

    while ((got = read(0, message + size, sizeof message - 1 - size)) > 0)
        size += (size_t)got;
    char *field = strstr(message, "\nX-Number: ");
    if (argc < 3 || !field)
        return 75;
    long number = atol(field + strlen("\nX-Number: "));
    wait_ms(number % 8 == 0 ? 300 : number * 37 % 40);
    be_in_mood(number);
    int file = open(HOME "/handled", O_WRONLY | O_APPEND);
    if (file < 0)
        return 75;
    snprintf(record, sizeof record, "%-8ld %-14s %019lld %019lld\n", number, argv[2], started, now());
    if (write(file, record, RECORD) != RECORD || fsync(file) != 0)
        return 75;
    return 0;
}
