/* A tree's mail program that ends as the message asks. The message is read to its end; its
 * header says
 *
 *     X-Ends: s75         exit status 75
 *     X-Ends: k9          death by signal 9, if that is what signal 9 does to it as it was
 *                         started; else status 0
 *
 * Without such a line: 75.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    static char message[65536];
    const struct rlimit none = {0, 0};
    size_t size = 0;
    ssize_t got;

    while ((got = read(0, message + size, sizeof message - 1 - size)) > 0)
        size += (size_t)got;
    char *ends = strstr(message, "\nX-Ends: ");
    if (!ends)
        return 75;
    ends += strlen("\nX-Ends: ");
    int number = atoi(ends + 1);
    if (*ends == 's')
        return number;
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), number);
    return 0;
}
