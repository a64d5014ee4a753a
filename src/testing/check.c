/* SPDX-License-Identifier: MIT */
/* Design notes: what the ASYNC_CHECK macros reach. Each sentence holds the place, the text of the check and
 * both values, so that most failures need no debugger. */
#include "testing/harness.h"

#include <string.h>

static void end_failed(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void end_failed(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    aw_test_end(AW_TEST_FAILED, format, list);
}

void aw_test_fail(const char *where, const char *format, ...)
{
    char text[3072];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    end_failed("%s: %s", where, text);
}

void aw_test_skip(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    aw_test_end(AW_TEST_SKIPPED, format, list);
}

/* "-110 (-ETIMEDOUT)": a number that is a code says so. */
static const char *describe(char *buf, size_t size, long long value)
{
    const char *name = value < 0 && value > -200000 ? async_error_name((int)value) : "unknown error";

    if (strcmp(name, "unknown error") == 0)
        snprintf(buf, size, "%lld", value);
    else
        snprintf(buf, size, "%lld (%s)", value, name);
    return buf;
}

void aw_test_equal(const char *where, const char *a_text, const char *b_text, long long a, long long b)
{
    char a_buf[64], b_buf[64];

    if (a != b)
        aw_test_fail(where, "%s is %s, not %s (%s)", a_text, describe(a_buf, sizeof a_buf, a), b_text,
                     describe(b_buf, sizeof b_buf, b));
}

void aw_test_equal_text(const char *where, const char *a_text, const char *b_text, const char *a, const char *b)
{
    if (a != b && (!a || !b || strcmp(a, b) != 0))
        aw_test_fail(where, "%s is \"%s\", not %s (\"%s\")", a_text, a ? a : "NULL", b_text, b ? b : "NULL");
}

void aw_test_contains(const char *where, const char *text_text, const char *text, const char *part)
{
    if (!text || !part || !strstr(text, part))
        aw_test_fail(where, "%s is \"%s\" and has no \"%s\" in it", text_text, text ? text : "NULL",
                     part ? part : "NULL");
}
