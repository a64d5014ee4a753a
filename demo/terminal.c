/* SPDX-License-Identifier: MIT */
/* Design notes: a bar is drawn over itself with \r only when stdout is a terminal. Piped, each bar is one line. */
#include "demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 32 };

int terminal_is_live(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int has_utf8(void)
{
    const char *names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8");
    }
    return 0;
}

void terminal_heading(const char *text)
{
    const char *bold = terminal_is_live() && !getenv("NO_COLOR") ? "\033[1m" : "";

    printf("\n%s%s%s\n\n", bold, text, *bold ? "\033[0m" : "");
    fflush(stdout);
}

void terminal_bar(const char *label, int done, int total, double seconds, int last)
{
    int live = terminal_is_live(), full = BAR_WIDTH * done / total;
    const char *filled = live && has_utf8() ? "█" : "#", *open = live && has_utf8() ? "░" : "-";

    if (!live && !last)
        return;
    printf("%s  %-22s ", live ? "\r" : "", label);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputs(i < full ? filled : open, stdout);
    printf(" %2d/%d %7.2f s%s", done, total, seconds, last ? "\n" : "");
    fflush(stdout);
}

const char *terminal_number(long number)
{
    static char texts[8][32];
    static unsigned next;
    char digits[24], *out = texts[next++ % 8], *start = out;
    int length = snprintf(digits, sizeof digits, "%ld", number);

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return start;
}
