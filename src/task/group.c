/* SPDX-License-Identifier: MIT */
/* Design notes: a group is a list of tasks that it owns. A task knows its group, so that adding one allocates nothing.
 * The first failure (not a cancellation) cancels the rest and is the group's; a task that ends leaves the group, and
 * its record goes. The waiter is woken when the list is empty. */
#include "task/task.h"
#include <await/scope.h>

struct async_task_group {
    async_loop *loop;
    struct aw_list link;  /* of tasks->groups: what a closing loop frees */
    struct aw_list tasks; /* async_task.group_link, those that have not ended */
    size_t pending;
    int failure;
    char *failure_text;
    bool cancelled;
    struct aw_wait *waiter;
};

async_task_group *async_task_group_new(void)
{
    async_loop *loop = aw_current_loop();
    struct aw_tasks *tasks = loop ? aw_loop_tasks(loop) : NULL;
    async_task_group *group;

    if (!loop) {
        aw_note_set(ASYNC_ENOTASK, "async_task_group_new: no loop is running on this thread");
        return NULL;
    }
    group = tasks ? aw_alloc_zeroed(&loop->allocator, sizeof *group) : NULL;
    if (!group) {
        aw_note_set(-ENOMEM, "async_task_group_new: no memory");
        return NULL;
    }
    group->loop = loop;
    aw_list_init(&group->tasks);
    aw_list_append(&tasks->groups, &group->link);
    return group;
}

static void group_free(async_task_group *group)
{
    aw_list_remove(&group->link);
    aw_free(&group->loop->allocator, group->failure_text);
    aw_free(&group->loop->allocator, group);
}

void aw_groups_fini(struct aw_tasks *tasks)
{
    while (!aw_list_is_empty(&tasks->groups))
        group_free(AW_LIST_ENTRY(tasks->groups.next, async_task_group, link));
}

void async_task_group_cancel(async_task_group *group)
{
    if (!group || group->cancelled)
        return;
    group->cancelled = true;
    for (struct aw_list *link = group->tasks.next, *next; link != &group->tasks; link = next) {
        next = link->next;
        async_task_cancel(AW_LIST_ENTRY(link, async_task, group_link));
    }
}

static void fail(async_task_group *group, int code, const char *text)
{
    if (group->failure == 0) {
        group->failure = code;
        group->failure_text = aw_strdup(&group->loop->allocator, text); /* without memory: the code alone */
    }
    async_task_group_cancel(group);
}

static void take_outcome(async_task_group *group, async_task *task)
{
    task->retrieved = true;
    if (task->result < 0 && task->result != ASYNC_ECANCELED) /* being cancelled is no failure */
        fail(group, task->result, aw_task_error(task));
}

/* Runs while the task ends, on its stack: the reference that is given back here is not the last one. */
void aw_group_task_done(async_task *task)
{
    async_task_group *group = task->group;

    aw_list_remove(&task->group_link);
    task->group = NULL;
    group->pending--;
    take_outcome(group, task);
    async_task_unref(task);
    if (group->pending == 0 && group->waiter)
        aw_wait_wake(group->waiter, 0);
}

int async_task_group_add(async_task_group *group, async_task *task)
{
    if (!group) {
        async_task_cancel(task);
        async_task_unref(task);
        return aw_note_set(-ENOMEM, "async_task_group_add: there was no memory for the group");
    }
    if (!task) {
        fail(group, -ENOMEM, "there was no memory for a task");
        return aw_note_set(-ENOMEM, "async_task_group_add: there was no memory for the task");
    }
    if (task->group || task->loop != group->loop || task == aw_thread.task)
        return aw_note_set(-EINVAL, "async_task_group_add: task '%s' is in a group, of another loop, or the caller",
                           task->name);
    if (task->state == AW_TASK_DONE) {
        take_outcome(group, task);
        async_task_unref(task);
        return 0;
    }
    task->group = group;
    aw_list_append(&group->tasks, &task->group_link);
    group->pending++;
    if (group->cancelled)
        async_task_cancel(task);
    return 0;
}

size_t async_task_group_pending(const async_task_group *group)
{
    return group ? group->pending : 0;
}

/* ---- waiting ---- */

struct group_wait {
    struct aw_wait wait; /* first */
    async_task_group *group;
    int reason;
};

static void group_wait_cancelled(struct aw_wait *wait, int reason)
{
    struct group_wait *self = (struct group_wait *)wait;

    self->reason = reason;
    async_task_group_cancel(self->group);
}

ASYNC_SUSPENDS static int wait_until_empty(async_task_group *group)
{
    struct group_wait self = { .wait = { .what = "await_task_group", .subject = group, .cancel = group_wait_cancelled },
                               .group = group };

    group->waiter = &self.wait;
    (void)aw_wait_park(&self.wait); /* ends with the last task only */
    group->waiter = NULL;
    return self.reason;
}

ASYNC_SUSPENDS static int group_join(async_task_group *group)
{
    int reason = 0;

    while (group->pending > 0) { /* others may have added some between the last end and our turn */
        int r = wait_until_empty(group);

        if (r < 0)
            reason = r;
    }
    return reason;
}

int await_task_group(async_task_group *group)
{
    int r = aw_await_enter_join("await_task_group");

    if (r < 0)
        return r;
    if (!group)
        return aw_note_set(-ENOMEM, "await_task_group: there was no memory for the group");
    if (group->waiter)
        return aw_note_set(-EBUSY, "await_task_group: another task waits for this group");
    r = group_join(group);
    if (r < 0)
        return aw_scope_explain(aw_thread.task, "await_task_group", r);
    r = group->failure;
    if (r < 0)
        aw_note_set(r, "await_task_group: %s", group->failure_text ? group->failure_text : async_strerror(r));
    /* Ready for the next batch. */
    aw_free(&group->loop->allocator, group->failure_text);
    group->failure_text = NULL;
    group->failure = 0;
    group->cancelled = false;
    return r;
}

void await_task_group_close(async_task_group *group)
{
    if (!group)
        return;
    if (aw_thread.task && group->pending > 0 && !group->waiter) {
        async_scope shield;

        async_task_group_cancel(group);
        aw_shield_enter(&shield, -0.0, "await_task_group_close");
        (void)group_join(group);
        aw_scope_leave(&shield);
    }
    if (group->failure < 0)
        aw_loop_report(group->loop, group->failure, NULL, NULL, NULL, group->failure_text,
                       "a task group was closed with a failure (%s) that nobody waited for",
                       async_error_name(group->failure));
    if (group->pending > 0 || group->waiter) /* outside of a task, or another one waits: the loop frees the group */
        async_task_group_cancel(group);
    else
        group_free(group);
}
