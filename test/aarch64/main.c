/* SPDX-License-Identifier: MIT */
/* Design notes: stands in for the harness, whose processes and sanitizers mean little in an emulator: runs plain cases
 * one after the other, and ends at the first failure. */
#include <await/testing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct aw_test *first;
static int count, number;

void aw_test_register(struct aw_test *test)
{
    struct aw_test **place = &first;

    while (*place)
        place = &(*place)->next;
    *place = test;
    count++;
}

void aw_test_run_plain(const struct aw_test *test)
{
    test->body();
}

static void print_and_end(const char *where, const char *format, va_list list)
{
    printf("not ok %d\n# %s: ", number, where);
    vprintf(format, list);
    putchar('\n');
    exit(1);
}

void aw_test_fail(const char *where, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    print_and_end(where, format, list);
    va_end(list);
    abort();
}

void aw_test_equal(const char *where, const char *a_text, const char *b_text, long long a, long long b)
{
    if (a != b)
        aw_test_fail(where, "%s is %lld, not %s (%lld)", a_text, a, b_text, b);
}

void aw_test_equal_text(const char *where, const char *a_text, const char *b_text, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        aw_test_fail(where, "%s is \"%s\", not %s", a_text, a, b_text);
}

int main(void)
{
    printf("TAP version 13\n1..%d\n", count);
    for (struct aw_test *test = first; test; test = test->next) {
        number++;
        test->run(test);
        printf("ok %d - %s\n", number, test->name);
    }
    return 0;
}
