/* SPDX-License-Identifier: MIT */
/* Design notes: waiting for tasks. Joins that own their tasks (await_task, gather, wait_for) finish first: in a
 * cancelled scope they cancel the tasks and wait for their end, because a child may point into its parent's frame.
 * Waits that own nothing (shield, wait, as_completed) return at once.
 *
 * gather joins one task after the other: all have to end anyway, so nothing is lost by the order, and nothing has to be
 * allocated. */
#include "task/task.h"
#include <await/scope.h>

#include <math.h>

/* ---- one task ---- */

struct join {
    struct aw_wait wait; /* first */
    struct aw_watch watch;
    async_task *task;
    int reason; /* the scope was cancelled meanwhile */
};

static void join_fired(struct aw_watch *watch)
{
    aw_wait_wake(&AW_CONTAINER_OF(watch, struct join, watch)->wait, 0);
}

/* An owner passes the cancellation on, and stays. */
static void join_cancelled(struct aw_wait *wait, int reason)
{
    struct join *join = (struct join *)wait;

    if (join->reason == 0)
        async_task_cancel(join->task);
    join->reason = reason;
}

/* One that does not own leaves. */
static void shield_cancelled(struct aw_wait *wait, int reason)
{
    aw_list_remove(&((struct join *)wait)->watch.link);
    aw_wait_wake(wait, reason);
}

ASYNC_SUSPENDS static int join_one(async_task *task, const char *what, void (*cancel)(struct aw_wait *, int))
{
    struct join join = { .wait = { .what = what, .subject = task, .cancel = cancel },
                         .watch.fired = join_fired,
                         .task = task };
    int r;

    if (task->state == AW_TASK_DONE)
        return 0;
    aw_task_watch(task, &join.watch);
    r = aw_wait_park(&join.wait);
    if (r < 0)
        return r;
    return join.reason != 0 ? aw_scope_explain(aw_thread.task, what, join.reason) : 0;
}

static int check_joinable(const async_task *task, const char *what)
{
    if (!task)
        return aw_note_set(-ENOMEM, "%s: there was no memory for this task", what);
    if (task == aw_thread.task)
        return aw_note_set(-EDEADLK, "%s: task '%s' waits for itself", what, task->name);
    if (aw_thread.task && task->loop != aw_thread.task->loop)
        return aw_note_set(-EINVAL, "%s: task '%s' belongs to another loop", what, task->name);
    return 0;
}

static int take_result(async_task *task, int *ret_result)
{
    task->retrieved = true;
    if (ret_result)
        *ret_result = task->result;
    return 0;
}

int await_task(async_task *task, int *ret_result)
{
    int r = aw_await_enter_join("await_task");

    if (r == 0)
        r = check_joinable(task, "await_task");
    if (r == 0)
        r = join_one(task, "await_task", join_cancelled);
    if (r == 0)
        take_result(task, ret_result);
    if (r == -EDEADLK)
        return r; /* its own reference is not the caller's to give */
    if (task)
        task->retrieved |= task->state == AW_TASK_DONE;
    async_task_unref(task);
    return r;
}

int await_shield(async_task *task, int *ret_result)
{
    int r = aw_await_enter("await_shield");

    if (r == 0)
        r = check_joinable(task, "await_shield");
    if (r == 0)
        r = join_one(task, "await_shield", shield_cancelled);
    if (r < 0)
        return r;
    take_result(task, ret_result);
    async_task_unref(task);
    return 0;
}

int await_wait_for(async_task *task, double seconds, int *ret_result)
{
    async_scope scope;
    int r;

    if (isnan(seconds)) {
        async_task_cancel(task);
        r = await_task(task, NULL);
        return r == ASYNC_ENOTASK ? r : aw_note_set(-EINVAL, "await_wait_for: the time is not a number");
    }
    aw_scope_enter(&scope, seconds, "await_wait_for");
    r = await_task(task, ret_result);
    aw_scope_leave(&scope);
    return r;
}

/* ---- gather ---- */

struct task_list {
    async_task *const *tasks;
    size_t count;
};

static size_t count_tasks(async_task *const *tasks)
{
    size_t count = 0;

    while (tasks[count] != aw_end_of_tasks())
        count++;
    return count;
}

async_task *aw_end_of_tasks(void)
{
    static const char end; /* an address that no task has */

    return (async_task *)(uintptr_t)&end;
}

struct gather_join {
    struct join join; /* first */
    async_task *const *tasks;
    size_t count;
};

static void gather_cancelled(struct aw_wait *wait, int reason)
{
    struct gather_join *gather = (struct gather_join *)wait;

    if (gather->join.reason == 0)
        for (size_t i = 0; i < gather->count; i++)
            async_task_cancel(gather->tasks[i]);
    gather->join.reason = reason;
}

/* Waits for tasks[i]; tells in *reason if the scope was cancelled meanwhile. */
ASYNC_SUSPENDS static void gather_one(async_task *const *tasks, size_t i, size_t count, int *reason)
{
    struct gather_join gather = {
        .join = { .wait = { .what = "await_gather", .subject = tasks[i], .cancel = gather_cancelled },
                  .watch.fired = join_fired,
                  .task = tasks[i],
                  .reason = *reason },
        .tasks = tasks + i,
        .count = count - i,
    };

    if (async_task_done(tasks[i]))
        return;
    aw_task_watch(tasks[i], &gather.join.watch);
    (void)aw_wait_park(&gather.join.wait); /* an owner's wait ends with its task only */
    *reason = gather.join.reason;
}

ASYNC_SUSPENDS static int gather_all(async_task *const *tasks, size_t count, int *ret_first, int *ret_results)
{
    int reason = 0;

    for (size_t i = 0; i < count; i++)
        if (tasks[i] && tasks[i] != aw_thread.task)
            gather_one(tasks, i, count, &reason);
    for (size_t i = 0; i < count; i++) {
        int result = !tasks[i] ? -ENOMEM : tasks[i] == aw_thread.task ? -EDEADLK : tasks[i]->result;

        if (tasks[i] && tasks[i]->state == AW_TASK_DONE)
            tasks[i]->retrieved = true;
        if (result < 0 && *ret_first == 0) {
            *ret_first = result;
            aw_note_set(result, "await_gather: task '%s': %s", async_task_name(tasks[i]),
                        *async_task_error(tasks[i]) ? async_task_error(tasks[i]) : async_strerror(result));
        }
        if (ret_results && reason == 0)
            ret_results[i] = result;
        if (tasks[i] != aw_thread.task) /* whose own reference is not the caller's to give */
            async_task_unref(tasks[i]);
    }
    return reason != 0 ? aw_scope_explain(aw_thread.task, "await_gather", reason) : 0;
}

/* Outside of a task nothing can be waited for, but the references are given all the same. */
ASYNC_SUSPENDS static int gather_enter(async_task *const *tasks, size_t count, const char *what)
{
    int r = aw_await_enter_join(what);

    if (r == 0 && (tasks || count == 0))
        return 0;
    for (size_t i = 0; tasks && i < count; i++)
        async_task_unref(tasks[i]);
    return r < 0 ? r : aw_note_set(-EINVAL, "%s: tasks is NULL", what);
}

int await_gather_all(async_task *const *tasks, size_t count)
{
    int first = 0;
    int r = gather_enter(tasks, count, "await_gather");

    if (r < 0)
        return r;
    r = gather_all(tasks, count, &first, NULL);
    return r < 0 ? r : first;
}

int aw_gather(async_task *const *tasks)
{
    return await_gather_all(tasks, count_tasks(tasks));
}

int await_gather_results(async_task *const *tasks, size_t count, int *ret_results)
{
    int first = 0;
    int r = gather_enter(tasks, count, "await_gather_results");

    if (r < 0)
        return r;
    r = gather_all(tasks, count, &first, ret_results);
    if (r == 0)
        aw_note.code = 0; /* a failure is a result here */
    return r;
}

/* ---- wait and as_completed ---- */

struct any_wait {
    struct aw_wait wait; /* first */
    struct any_watch {
        struct aw_watch watch; /* first */
        struct any_wait *any;
        async_task *task;
    } * watches;
    struct aw_hold hold;
    async_loop *loop;
    size_t count;
    size_t pending;
    enum async_return_when when;
};

/* As in asyncio: one that was cancelled has not failed. */
static bool has_failed(const async_task *task)
{
    return !task || (task->state == AW_TASK_DONE && task->result < 0 && task->result != ASYNC_ECANCELED);
}

static bool is_enough(const struct any_wait *any, const async_task *ended)
{
    if (any->pending == 0 || any->when == ASYNC_FIRST_COMPLETED)
        return true;
    return any->when == ASYNC_FIRST_EXCEPTION && has_failed(ended);
}

static void any_fired(struct aw_watch *watch)
{
    struct any_watch *self = (struct any_watch *)watch;

    self->any->pending--;
    if (is_enough(self->any, self->task))
        aw_wait_wake(&self->any->wait, 0);
}

static void any_cancelled(struct aw_wait *wait, int reason)
{
    aw_wait_wake(wait, reason); /* the watches leave when the task runs: until then they only count */
}

/* Attaches to all that have not ended; NULLs and those that have are left out. */
static int any_attach(struct any_wait *any, async_task *const *tasks, size_t count)
{
    any->watches = aw_alloc(&any->loop->allocator, count * sizeof *any->watches);
    if (!any->watches)
        return aw_note_set(-ENOMEM, "%s: no memory to wait for %zu tasks", any->wait.what, count);
    for (size_t i = 0; i < count; i++) {
        struct any_watch *watch = &any->watches[any->count];

        if (async_task_done(tasks[i]))
            continue;
        *watch = (struct any_watch){ { .fired = any_fired }, any, tasks[i] };
        aw_task_watch(tasks[i], &watch->watch);
        any->count++;
    }
    any->pending = any->count;
    return 0;
}

static void any_detach(struct aw_hold *hold)
{
    struct any_wait *any = AW_CONTAINER_OF(hold, struct any_wait, hold);

    aw_list_remove(&hold->link);
    for (size_t i = 0; i < any->count; i++)
        aw_list_remove(&any->watches[i].watch.link);
    aw_free(&any->loop->allocator, any->watches);
}

ASYNC_SUSPENDS static int wait_any(async_task *const *tasks, size_t count, enum async_return_when when,
                                   const char *what)
{
    async_task *self = aw_thread.task;
    struct any_wait any = {
        .wait = { .what = what, .cancel = any_cancelled }, .hold.drop = any_detach, .loop = self->loop, .when = when
    };
    int r = any_attach(&any, tasks, count);

    if (r < 0)
        return r;
    aw_list_append(&self->tasks->holds, &any.hold.link);
    r = aw_wait_park(&any.wait);
    any_detach(&any.hold);
    return r;
}

ASYNC_SUSPENDS static int check_all(async_task *const *tasks, size_t count, const char *what)
{
    int r = aw_await_enter(what);

    if (r < 0)
        return r;
    if (!tasks && count > 0)
        return aw_note_set(-EINVAL, "%s: tasks is NULL", what);
    for (size_t i = 0; i < count; i++)
        if (tasks[i] && (r = check_joinable(tasks[i], what)) < 0)
            return r;
    return 0;
}

/* How many are done, and whether that is enough already. */
static bool enough_done(async_task *const *tasks, size_t count, enum async_return_when when, size_t *ret_done)
{
    bool failed = false;

    *ret_done = 0;
    for (size_t i = 0; i < count; i++) {
        if (!async_task_done(tasks[i]))
            continue;
        ++*ret_done;
        failed |= has_failed(tasks[i]);
    }
    if (*ret_done == count)
        return true;
    return (when == ASYNC_FIRST_COMPLETED && *ret_done > 0) || (when == ASYNC_FIRST_EXCEPTION && failed);
}

int await_wait(async_task *const *tasks, size_t count, enum async_return_when when)
{
    size_t done;
    int r = check_all(tasks, count, "await_wait");

    if (r < 0)
        return r;
    if (when != ASYNC_ALL_COMPLETED && when != ASYNC_FIRST_COMPLETED && when != ASYNC_FIRST_EXCEPTION)
        return aw_note_set(-EINVAL, "await_wait: %d is no enum async_return_when", (int)when);
    if (enough_done(tasks, count, when, &done))
        return (int)done;
    r = wait_any(tasks, count, when, "await_wait");
    if (r < 0)
        return r;
    (void)enough_done(tasks, count, when, &done);
    return (int)done;
}

/* The one that ended first; a task that found no memory counts as ended before all others. */
static size_t first_ended(async_task *const *tasks, size_t count)
{
    size_t best = count;

    for (size_t i = 0; i < count; i++) {
        if (!tasks[i] || tasks[i]->state != AW_TASK_DONE)
            continue;
        if (best == count || tasks[i]->done_order < tasks[best]->done_order)
            best = i;
    }
    return best;
}

static bool all_given(async_task *const *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (tasks[i])
            return false;
    return true;
}

int await_as_completed(async_task **tasks, size_t count, async_task **ret_task)
{
    size_t found;
    int r = check_all(tasks, count, "await_as_completed");

    if (r < 0)
        return r;
    if (!ret_task)
        return aw_note_set(-EINVAL, "await_as_completed: ret_task is NULL");
    if (all_given(tasks, count))
        return 0;
    found = first_ended(tasks, count);
    if (found == count) {
        r = wait_any(tasks, count, ASYNC_FIRST_COMPLETED, "await_as_completed");
        if (r < 0)
            return r;
        found = first_ended(tasks, count);
    }
    *ret_task = tasks[found];
    tasks[found] = NULL;
    return 1;
}
