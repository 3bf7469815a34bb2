/* What many sites would write instead: check the two arguments, run the program. No look-up. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789._+=-@"

static const char *const verbs[] = {
    "post", "admin", "bounces", "confirm", "join", "leave",
    "owner", "request", "subscribe", "unsubscribe"
};

int main(int argc, char **argv)
{
    if (argc == 3 && *argv[2] && strspn(argv[2], CHARACTERS) == strlen(argv[2]))
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
            if (strcmp(argv[1], verbs[i]) == 0)
                execl(PROGRAM, PROGRAM, argv[1], argv[2], (char *)NULL);
    fputs("4.3.0 wrapper: cannot run the list manager\n", stderr);
    return 75;
}
