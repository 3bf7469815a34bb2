/* mail/mailman: the set-group-ID program that the MTA runs.
 *
 * In the order of the real one: is there a verb, do we know it, is the caller's real group the
 * one that was compiled in, by name. Then the real group becomes the effective one, and the
 * verb's script takes over. A script that cannot be run is no success.
 *
 * PREFIX and MAIL_GROUP are macros, as `./configure` sets them.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GROUP_MISMATCH = 2, SETREGID = 3, EXEC = 4, USAGE = 5, ILLEGAL = 6, NO_NAME = 8 };

static const char *const verbs[] = {"admin", "bounces", "confirm", "join", "leave", "owner",
                                    "post", "request", "subscribe", "unsubscribe", NULL};

static int fatal(int status, const char *what)
{
    fprintf(stderr, "%s\n", what);
    return status;
}

int main(int argc, char **argv)
{
    char *words[64] = {"/usr/bin/python3", "-S", PREFIX "/scripts/driver"};
    char *environment[] = {"PYTHONPATH=" PREFIX, "PYTHONDONTWRITEBYTECODE=1",
                           "PATH=/bin:/usr/bin", NULL};
    char said[300];
    int known = 0;

    if (argc < 2)
        return fatal(USAGE, "Usage: mailman program [args...]");
    for (int i = 0; verbs[i]; i++)
        known |= !strcmp(argv[1], verbs[i]);
    if (!known)
        return fatal(ILLEGAL, "Illegal command");
    struct group *group = getgrgid(getgid());
    if (!group)
        return fatal(NO_NAME, "Failure to find group name for the caller's gid");
    if (strcmp(group->gr_name, MAIL_GROUP)) {
        snprintf(said, sizeof said,
                 "Group mismatch error. Mailman expected the mail wrapper script to be executed "
                 "as group \"" MAIL_GROUP "\", but it was executed as group \"%s\".",
                 group->gr_name);
        return fatal(GROUP_MISMATCH, said);
    }
    if (setregid(getegid(), (gid_t)-1))
        return fatal(SETREGID, "setregid failed");
    for (int i = 1; i < argc && i < 60; i++)
        words[i + 2] = argv[i];
    execve(words[0], words, environment);
    return fatal(EXEC, "execve failed");
}
