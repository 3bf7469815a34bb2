/* The least that replacing a file can cost: read it, write it beside, fsync, rename, fsync the
 * directory. Nothing in it is looked at.
 *
 * usage: copy FILE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    char beside[4096], whole[4096];
    snprintf(beside, sizeof beside, "%s.copy", argv[1]);
    snprintf(whole, sizeof whole, "%s", argv[1]);
    int from = open(argv[1], O_RDONLY), to = open(beside, O_WRONLY | O_CREAT | O_EXCL, 0644);
    struct stat status;
    if (from < 0 || to < 0 || fstat(from, &status) != 0)
        die("open");
    char *bytes = malloc((size_t)status.st_size + 1);
    ssize_t size = 0, done = 0, n;
    while ((n = read(from, bytes + size, (size_t)(status.st_size - size))) > 0)
        size += n;
    while (done < size && (n = write(to, bytes + done, (size_t)(size - done))) > 0)
        done += n;
    if (size != status.st_size || done != size || fsync(to) != 0)
        die("copy");
    if (rename(beside, argv[1]) != 0)
        die("rename");
    int directory = open(dirname(whole), O_RDONLY | O_DIRECTORY);
    if (directory < 0 || fsync(directory) != 0)
        die("fsync");
    return 0;
}
