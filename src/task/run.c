/* SPDX-License-Identifier: MIT */
/* Design notes: running a loop on this thread: it becomes the running one, a second one is refused, and a loop that
 * nothing can ever wake is said so with the names of those who wait. */
#include "task/task.h"

int aw_run_enter(async_loop *loop, const char *what)
{
    int r;

    if (!loop)
        return aw_note_set(-EINVAL, "%s: loop is NULL", what);
    if ((r = aw_loop_check_thread(loop, what)) < 0)
        return r;
    if (loop->closed)
        return aw_note_set(ASYNC_ECLOSED, "%s: the loop is closed", what);
    if (loop->is_running || loop->in_turn || aw_thread.loop || aw_thread.task)
        return aw_note_set(-EBUSY, "%s: a loop is running on this thread already", what);
    aw_thread.loop = loop;
    return 0;
}

void aw_run_leave(async_loop *loop)
{
    (void)loop;
    aw_thread.loop = NULL;
}

void aw_run_report_deadlock(async_loop *loop)
{
    char list[2048] = "";

    if (loop->tasks)
        aw_tasks_list(loop->tasks, list, sizeof list);
    aw_loop_report(loop, ASYNC_EDEADLOCK, NULL, NULL, NULL, list,
                   "nothing is runnable, and nothing can ever wake the loop: no timer, no descriptor, no job, no other "
                   "thread");
}

int async_loop_run_forever(async_loop *loop)
{
    int r = aw_run_enter(loop, "async_loop_run_forever");

    if (r < 0)
        return r;
    r = aw_loop_run_forever(loop);
    aw_run_leave(loop);
    if (r == ASYNC_EDEADLOCK)
        aw_run_report_deadlock(loop);
    return r;
}

struct until {
    struct aw_watch watch; /* first */
    async_loop *loop;
    bool ended;
};

static void until_ended(struct aw_watch *watch)
{
    struct until *until = (struct until *)watch;

    until->ended = true;
    until->loop->stopping = true;
}

int aw_run_until(async_loop *loop, async_task *task)
{
    struct until until = { { .fired = until_ended }, loop, false };
    int r;

    if (task->state == AW_TASK_DONE)
        return 0;
    aw_task_watch(task, &until.watch);
    r = aw_loop_run_forever(loop);
    if (until.ended)
        return 0;
    aw_list_remove(&until.watch.link);
    return r < 0 ? r : aw_note_set(ASYNC_ESTATE, "the loop was stopped before task '%s' had ended", task->name);
}

int async_loop_run_until_complete(async_loop *loop, async_task *task, int *ret_result)
{
    int r;

    if (loop && !task)
        return aw_note_set(-ENOMEM, "async_loop_run_until_complete: there was no memory for this task");
    r = aw_run_enter(loop, "async_loop_run_until_complete");
    if (r < 0)
        return r;
    r = aw_run_until(loop, task);
    aw_run_leave(loop);
    if (r == ASYNC_EDEADLOCK)
        aw_run_report_deadlock(loop);
    if (r < 0)
        return r;
    task->retrieved = true;
    if (ret_result)
        *ret_result = task->result;
    async_task_unref(task);
    return 0;
}
