/* SPDX-License-Identifier: MIT */
/* Design notes: failures that nobody can be told end here, in the loop's exception handler. The default handler writes
 * one paragraph to stderr and nothing else; it never fails and never allocates. */
#include "loop/loop.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static void print_report(const async_error_context *context)
{
    fprintf(stderr, "libawait: %s\n", context->message ? context->message : "(no message)");
    if (context->detail && *context->detail)
        fprintf(stderr, "    %s\n", context->detail);
}

void async_loop_call_exception_handler(async_loop *loop, const async_error_context *context)
{
    if (!loop || !context)
        return;
    if (loop->exception_handler) /* user code: may do anything but close the loop */
        loop->exception_handler(loop, context, loop->exception_handler_arg);
    else
        print_report(context);
}

void async_loop_set_exception_handler(async_loop *loop, async_exception_handler handler, void *arg)
{
    if (!loop)
        return;
    loop->exception_handler = handler;
    loop->exception_handler_arg = arg;
}

void aw_loop_report(async_loop *loop, int error, async_task *task, const char *task_name, const char *birthplace,
                    const char *detail, const char *format, ...)
{
    char message[512];
    async_error_context context = { sizeof context, message, error, loop, task, task_name, birthplace, detail };
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    async_loop_call_exception_handler(loop, &context);
}

void aw_loop_report_slow(async_loop *loop, int64_t took)
{
    /* The task floor names the task it ran; a plain callback has no name but its address is of little use. */
    const char *name = *loop->step_name ? loop->step_name : "a callback";

    aw_loop_report(loop, 0, NULL, name, NULL, NULL, "%s took %.3f s without giving way to others", name,
                   aw_seconds_from_ns(took));
}

int aw_loop_check_thread(async_loop *loop, const char *what)
{
    if (AW_LIKELY(!loop->debug) || loop->owner_thread == (uint64_t)pthread_self())
        return 0;
    return aw_fail(loop, ASYNC_ETHREAD,
                   "%s: called from a thread that does not own the loop; use async_loop_call_soon_threadsafe", what);
}
