/* A tree's CGI programs, in one: shows what it was asked, and by which release. Set-group-ID, as
 * Mailman's are.
 *
 * The list is what Mailman 2.1 takes as such: the parts of PATH_INFO up to the first byte outside
 * ! to ~, but for the empty ones; the first, in lower case.
 *
 *   listinfo LIST   a page with a form; "subscribed: X" by the cookie LIST
 *   subscribe LIST  takes the form (POST), sets the cookie, leads back to listinfo (303)
 *   admin LIST      says how many bytes came, and their sum; with the query "hold" it says so first,
 *                   and goes on once there is HOLD/go
 *
 * TREE, RELEASE and HOLD are macros. Not for use: the form has one field, and no more than 4 KiB.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static const char *var(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* Into markup. */
static void show(const char *text)
{
    for (; *text; text++) {
        if (strchr("&<>\"'", *text))
            printf("&#%d;", *text);
        else
            putchar(*text);
    }
}

static void take_list(char *list, size_t size)
{
    const char *at = var("PATH_INFO");
    size_t n = 0;
    while (*at == '/')
        at++;
    for (; *at > 0x20 && *at < 0x7f && *at != '/' && n + 1 < size; at++)
        list[n++] = (char)tolower((unsigned char)*at);
    list[n] = 0;
}

/* The value of `name` in "a=1<between>b=2", decoded; empty if it is not there. */
static void field(const char *text, const char *name, char between, char *value, size_t size)
{
    size_t length = strlen(name), n = 0;
    value[0] = 0;
    while (*text) {
        while (*text == ' ')
            text++;
        if (strncmp(text, name, length) == 0 && text[length] == '=')
            break;
        text = strchr(text, between);
        if (!text)
            return;
        text++;
    }
    if (!*text)
        return;
    for (text += length + 1; *text && *text != between && n + 1 < size; text++) {
        unsigned byte;
        if (*text == '%' && sscanf(text + 1, "%2x", &byte) == 1) {
            value[n++] = (char)byte;
            text += 2;
        } else {
            value[n++] = *text == '+' && between == '&' ? ' ' : *text;
        }
    }
    value[n] = 0;
}

static void listinfo(const char *list, const char *base)
{
    char who[200];
    field(var("HTTP_COOKIE"), list, ';', who, sizeof who);
    printf("Content-Type: text/html; charset=utf-8\r\n\r\n");
    printf("<!DOCTYPE html>\n<html><head><title>");
    show(list);
    printf("</title></head><body>\n<h1>");
    show(*list ? list : "all lists");
    printf("</h1>\n<p id=\"release\">release " RELEASE "</p>\n<p id=\"who\">subscribed: ");
    show(*who ? who : "nobody");
    printf("</p>\n<form method=\"post\" action=\"%s/subscribe/", base);
    show(list);
    printf("\"><input name=\"email\" id=\"email\"><button id=\"go\">Subscribe</button></form>\n"
           "</body></html>\n");
}

static void subscribe(const char *list, const char *base)
{
    char body[4096], who[200];
    size_t got = fread(body, 1, sizeof body - 1, stdin);
    body[got] = 0;
    field(body, "email", '&', who, sizeof who);
    /* A cookie's value has no blank, and no end of a line. */
    for (char *c = who; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("@.+-_", *c))
            *c = '_';
    printf("Status: 303 See Other\r\nSet-Cookie: %s=%s; Path=%s/\r\nLocation: %s/listinfo/%s\r\n\r\n",
           list, who, base, base, list);
}

static void admin(const char *list)
{
    unsigned long length = 0, sum = 0;
    int byte;
    printf("Content-Type: text/plain\r\n\r\ntree " TREE "\nrelease " RELEASE "\nlist %s\n", list);
    if (strcmp(var("QUERY_STRING"), "hold") == 0) {
        fflush(stdout);
        for (int n = 0; n < 1500 && access(HOLD "/go", F_OK) != 0; n++)
            usleep(20000);
    }
    while ((byte = getchar()) != EOF) {
        length++;
        sum = (sum * 31 + (unsigned long)byte) % 1000003;
    }
    printf("body %lu sum %lu\n", length, sum);
}

int main(int argc, char **argv)
{
    char list[300], base[300];
    const char *program = strrchr(argv[0], '/');
    program = program ? program + 1 : argv[0];
    take_list(list, sizeof list);
    snprintf(base, sizeof base, "%s", var("SCRIPT_NAME"));
    if (strrchr(base, '/'))
        *strrchr(base, '/') = 0;
    if (strcmp(program, "listinfo") == 0) {
        listinfo(list, base);
    } else if (strcmp(program, "subscribe") == 0) {
        subscribe(list, base);
    } else if (strcmp(program, "admin") == 0) {
        admin(list);
    } else {
        char cwd[500];
        printf("Content-Type: text/plain\r\n\r\ntree " TREE "\nprogram %s\nlist %s\nargc %d\n", program, list, argc);
        printf("cwd %s\ngroups %ld %ld\n", getcwd(cwd, sizeof cwd) ? cwd : "", (long)getgid(), (long)getegid());
        for (char **at = environ; *at; at++)
            printf("env %s\n", *at);
    }
    return 0;
}
