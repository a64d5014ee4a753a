/* SPDX-License-Identifier: MIT */
/* Design notes: which loop and which task run on this thread, and the short forms that act on them. Thread-local state
 * of the library is here (and in base/note.c, a failure's sentence) and nowhere else: the floors below take their loop
 * as an argument, so that a host with a notion of its own of "running" can use them. */
#include "task/task.h"

#include <math.h>

_Thread_local struct aw_thread aw_thread;

async_loop *aw_current_loop(void)
{
    return aw_thread.task ? aw_thread.task->loop : aw_thread.loop;
}

async_loop *async_get_running_loop(void)
{
    return aw_current_loop();
}

void async_set_running_loop(async_loop *loop)
{
    aw_thread.loop = loop;
}

async_task *async_current_task(void)
{
    return aw_thread.task;
}

const char *async_last_error(void)
{
    if (aw_note.code != 0)
        return aw_note.text;
    return aw_thread.task ? aw_task_error(aw_thread.task) : "";
}

static async_loop *need_loop(const char *what)
{
    async_loop *loop = aw_current_loop();

    if (!loop)
        aw_note_set(ASYNC_ENOTASK, "%s: no loop is running on this thread", what);
    return loop;
}

async_handle *async_call_soon(async_callback callback, void *arg)
{
    async_loop *loop = need_loop("async_call_soon");

    return loop ? async_loop_call_soon(loop, callback, arg) : NULL;
}

async_handle *async_call_later(double delay, async_callback callback, void *arg)
{
    async_loop *loop = need_loop("async_call_later");

    return loop ? async_loop_call_later(loop, delay, callback, arg) : NULL;
}

async_handle *async_call_at(double when, async_callback callback, void *arg)
{
    async_loop *loop = need_loop("async_call_at");

    return loop ? async_loop_call_at(loop, when, callback, arg) : NULL;
}

int async_add_reader(int fd, async_callback callback, void *arg)
{
    async_loop *loop = need_loop("async_add_reader");

    return loop ? async_loop_add_reader(loop, fd, callback, arg) : ASYNC_ENOTASK;
}

int async_add_writer(int fd, async_callback callback, void *arg)
{
    async_loop *loop = need_loop("async_add_writer");

    return loop ? async_loop_add_writer(loop, fd, callback, arg) : ASYNC_ENOTASK;
}

int async_remove_reader(int fd)
{
    async_loop *loop = need_loop("async_remove_reader");

    return loop ? async_loop_remove_reader(loop, fd) : ASYNC_ENOTASK;
}

int async_remove_writer(int fd)
{
    async_loop *loop = need_loop("async_remove_writer");

    return loop ? async_loop_remove_writer(loop, fd) : ASYNC_ENOTASK;
}

double async_time(void)
{
    async_loop *loop = need_loop("async_time");

    return loop ? async_loop_time(loop) : NAN;
}

void async_stop(void)
{
    async_loop_stop(aw_current_loop());
}
