/* SPDX-License-Identifier: MIT */
/* Design notes: the exception handler of a case's loop. Reports are kept as text, because what a context points to
 * is gone when the handler returns. One that the case did not look at is a failure that nobody expected. */
#include "testing/harness.h"

#include <stdlib.h>
#include <string.h>

#define REPORTS_MAX 256

static struct {
    char *text;
    bool seen;
} reports[REPORTS_MAX];
static size_t report_count;

/* One text with all that a check may want to find in it. */
static char *describe(const async_error_context *context)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    fputs(context->message ? context->message : "(no message)", out);
    if (context->error < 0)
        fprintf(out, " [%s]", async_error_name(context->error));
    if (context->task_name)
        fprintf(out, " task %s", context->task_name);
    if (context->birthplace)
        fprintf(out, " made at %s", context->birthplace);
    if (context->detail && context->detail[0])
        fprintf(out, "\n%s", context->detail);
    fclose(out);
    return text;
}

void aw_test_collect_report(async_loop *loop, const async_error_context *context, void *arg)
{
    char *text = describe(context);

    (void)loop;
    (void)arg;
    fprintf(stderr, "report: %s\n", text);
    if (report_count == REPORTS_MAX)
        aw_test_fail("reports", "more than %d reports, the newest: %s", REPORTS_MAX, text);
    reports[report_count].text = text;
    reports[report_count++].seen = false;
}

size_t async_test_reports(void)
{
    for (size_t i = 0; i < report_count; i++)
        reports[i].seen = true;
    return report_count;
}

const char *async_test_report(size_t index)
{
    if (index >= report_count)
        return "";
    reports[index].seen = true;
    return reports[index].text;
}

void aw_test_check_reports(void)
{
    for (size_t i = 0; i < report_count; i++)
        if (!reports[i].seen)
            aw_test_fail("reports", "the loop reported what the case did not expect: %s", reports[i].text);
    for (size_t i = 0; i < report_count; i++)
        free(reports[i].text);
    report_count = 0;
}
