/* SPDX-License-Identifier: MIT */
/* Design notes: one place makes TAP lines. What a case wrote is shown only when it failed (or with --verbose), each
 * line as a comment; of very much output the end, because that is where the reason stands. */
#include "testing/harness.h"

#include <string.h>
#include <unistd.h>

#define SHOWN_BYTES_MAX (64 * 1024)

/* Each line begins with "# "; returns whether the next character begins a line. */
static bool print_comment(const char *text, size_t size, bool at_start)
{
    for (size_t i = 0; i < size; i++) {
        if (at_start)
            fputs("# ", stdout);
        putchar(text[i]);
        at_start = text[i] == '\n';
    }
    return at_start;
}

static void print_output(int fd)
{
    char buf[4096];
    off_t size = lseek(fd, 0, SEEK_END), at = size > SHOWN_BYTES_MAX ? size - SHOWN_BYTES_MAX : 0;
    ssize_t n;
    bool at_start = true;

    if (at > 0)
        printf("# (%lld bytes before this are not shown)\n", (long long)at);
    while ((n = pread(fd, buf, sizeof buf, at)) > 0) {
        at_start = print_comment(buf, (size_t)n, at_start);
        at += n;
    }
    if (!at_start)
        putchar('\n');
}

void aw_test_print(int number, const char *name, const struct aw_test_outcome *outcome, int output)
{
    bool failed = outcome->state == AW_TEST_FAILED;

    if (outcome->state == AW_TEST_SKIPPED)
        printf("ok %d - %s # SKIP %s\n", number, name, outcome->text);
    else
        printf("%s %d - %s\n", failed ? "not ok" : "ok", number, name);
    if (failed && !print_comment(outcome->text, strlen(outcome->text), true))
        putchar('\n');
    if (output >= 0 && (failed || aw_test_settings.verbose))
        print_output(output);
    fflush(stdout);
}
