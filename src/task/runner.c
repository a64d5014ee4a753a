/* SPDX-License-Identifier: MIT */
/* Design notes: from main() into tasks and back. A runner owns a loop, catches signals while it runs, and at its end
 * cancels what is left and waits for it, so that cleanup code of every task runs while there is still a loop.
 *
 * A signal is noted by the handler and reaches the main task through the queue for other threads. */
#include "task/process.h"
#include "task/task.h"
#include <await/run.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct async_runner {
    async_loop *loop;
    async_task *main;
    struct aw_process_watch watch;
    struct async_handle interrupt;
    volatile sig_atomic_t signal;
};

/* ---- signals and faults: called in signal handlers ---- */

static void note_signal(void *arg, int signal)
{
    async_runner *runner = arg;

    runner->signal = signal;
    async_loop_schedule_threadsafe(runner->loop, &runner->interrupt);
}

static int deliver_signal(async_handle *handle)
{
    async_runner *runner = AW_CONTAINER_OF(handle, async_runner, interrupt);

    async_task_cancel_message(runner->main, runner->signal == SIGINT ? "SIGINT" : "SIGTERM");
    return 0;
}

struct text {
    char *buf;
    size_t used, size;
};

static void put(struct text *text, const char *part)
{
    while (*part && text->used + 1 < text->size)
        text->buf[text->used++] = *part++;
}

static void put_number(struct text *text, size_t number)
{
    char digits[24];
    size_t i = sizeof digits;

    digits[--i] = 0;
    do
        digits[--i] = (char)('0' + number % 10);
    while (number /= 10);
    put(text, digits + i);
}

/* Without stdio and without allocation: the process is about to die of this. */
static size_t describe_overflow(void *arg, const void *address, char *buf, size_t size)
{
    const struct aw_tasks *tasks = ((async_runner *)arg)->loop->tasks;
    struct text text = { buf, 0, size };
    void *low;

    if (!tasks || !aw_stack_pool_find_guard(tasks->pool, address, &low))
        return 0;
    for (const struct aw_list *link = tasks->all.next; link != &tasks->all; link = link->next) {
        const async_task *task = AW_LIST_ENTRY(link, const async_task, all);

        if (task->stack.low != low)
            continue;
        put(&text, "libawait: stack overflow in task '");
        put(&text, task->name);
        put(&text, "', created at ");
        put(&text, task->where ? task->where : "?");
        put(&text, ": its stack has ");
        put_number(&text, (size_t)((const char *)task->stack.top - (const char *)task->stack.low));
        put(&text, " bytes (async_task_options.stack_size gives it more)\n");
        return text.used;
    }
    put(&text, "libawait: stack overflow below a task that is gone\n");
    return text.used;
}

/* ---- the runner ---- */

int async_runner_open(const async_loop_options *options, async_runner **ret_runner)
{
    async_runner *runner;
    async_loop *loop;
    int r;

    if (!ret_runner)
        return aw_note_set(-EINVAL, "async_runner_open: ret_runner is NULL");
    if (aw_thread.loop || aw_thread.task)
        return aw_note_set(-EBUSY, "async_runner_open: a loop is running on this thread already");
    r = async_loop_open(options, &loop);
    if (r < 0)
        return r;
    runner = aw_alloc_zeroed(&loop->allocator, sizeof *runner);
    if (!runner || !aw_loop_tasks(loop)) {
        aw_free(&loop->allocator, runner);
        async_loop_close(loop);
        return aw_note_set(-ENOMEM, "async_runner_open: no memory");
    }
    runner->loop = loop;
    async_handle_init(&runner->interrupt, deliver_signal);
    runner->watch = (struct aw_process_watch){
        .describe = describe_overflow,
        .describe_arg = runner,
        .interrupt = note_signal,
        .interrupt_arg = runner,
    };
    *ret_runner = runner;
    return 0;
}

/* Everybody waits for ever. The main task is told first, so that cleanup runs; if that does not help, we give up. */
static int run_main(async_runner *runner)
{
    int r = aw_run_until(runner->loop, runner->main);

    if (r != ASYNC_EDEADLOCK)
        return r;
    aw_run_report_deadlock(runner->loop);
    aw_scope_cancel(runner->main, &runner->main->root, ASYNC_EDEADLOCK);
    return aw_run_until(runner->loop, runner->main);
}

static int take_outcome(async_runner *runner, int r)
{
    async_task *task = runner->main;

    runner->main = NULL;
    if (r == 0) {
        r = task->result;
        task->retrieved = true;
        if (r < 0)
            aw_note_set(r, "%s", async_task_error(task));
    }
    async_task_unref(task);
    return r;
}

static int runner_run(async_runner *runner, async_task *task)
{
    int r;

    if (!task)
        return -ENOMEM;
    runner->main = task;
    runner->signal = 0;
    r = aw_process_enter(&runner->watch);
    if (r < 0)
        return take_outcome(runner, aw_note_set(r, "async_run: signal handlers: %s", async_strerror(r)));
    r = run_main(runner);
    aw_process_leave(&runner->watch);
    async_loop_unschedule(runner->loop, &runner->interrupt); /* a signal after the end */
    return take_outcome(runner, r);
}

int async_runner_run(async_runner *runner, int (*fn)(void *arg), void *arg)
{
    int r;

    if (!runner || !fn)
        return aw_note_set(-EINVAL, "async_runner_run: runner or function is NULL");
    r = aw_run_enter(runner->loop, "async_runner_run");
    if (r < 0)
        return r;
    r = runner_run(runner, aw_task_new(runner->loop, fn, arg, 0, "main", NULL));
    aw_run_leave(runner->loop);
    return r;
}

async_loop *async_runner_get_loop(async_runner *runner)
{
    return runner ? runner->loop : NULL;
}

int async_runner_signal(const async_runner *runner)
{
    return runner ? runner->signal : 0;
}

/* Those that are created meanwhile, too. */
static void cancel_all(struct aw_tasks *tasks)
{
    for (struct aw_list *link = tasks->all.next, *next; link != &tasks->all; link = next) {
        async_task *task = AW_LIST_ENTRY(link, async_task, all);

        next = link->next;
        if (task->cancel_requests == 0)
            async_task_cancel(task);
    }
}

static void end_tasks(async_loop *loop)
{
    struct aw_tasks *tasks = loop->tasks;

    while (tasks && tasks->live > 0) {
        int r;

        cancel_all(tasks);
        loop->stopping = false; /* cleanup code may ask for a stop; a turn of a stopped loop would not wait */
        r = aw_loop_turn(loop, AW_NEVER);
        if (r == ASYNC_EDEADLOCK) {
            aw_run_report_deadlock(loop);
            return;
        }
    }
    (void)aw_loop_turn(loop, 0); /* what their ends have scheduled */
}

void async_runner_close(async_runner *runner)
{
    struct aw_note note;
    async_loop *loop;

    if (!runner)
        return;
    loop = runner->loop;
    note = aw_note; /* what the run failed with is still to be asked */
    if (aw_run_enter(loop, "async_runner_close") == 0) {
        end_tasks(loop);
        aw_run_leave(loop);
    }
    aw_free(&loop->allocator, runner);
    async_loop_close(loop);
    aw_note = note;
}

/* ---- the one-liners ---- */

int aw_run(struct aw_call *call, const char *where)
{
    async_runner *runner;
    async_task *task;
    int r = call ? async_runner_open(NULL, &runner) : -ENOMEM;

    if (r < 0) {
        aw_call_free(call);
        return r;
    }
    aw_thread.loop = runner->loop;
    task = aw_task_new(runner->loop, call->thunk, call->args, call->size, call->name, NULL);
    r = runner_run(runner, aw_task_at(task, where));
    aw_run_leave(runner->loop);
    async_runner_close(runner);
    aw_call_free(call);
    return r;
}

struct main_call {
    int (*none)(void);
    int (*args)(int, char **);
    int argc;
    char **argv;
};

static int call_main(void *arg)
{
    struct main_call *call = arg;

    return call->none ? call->none() : call->args(call->argc, call->argv);
}

static int exit_code(int result, int signal)
{
    if (result >= 0)
        return result;
    if (result == ASYNC_ECANCELED && signal != 0)
        aw_process_die(signal);
    fflush(stdout);
    fprintf(stderr, "%s\n", *async_last_error() ? async_last_error() : async_strerror(result));
    return 1;
}

int aw_run_main(int (*none)(void), int (*args)(int, char **), int argc, char **argv)
{
    struct main_call call = { none, args, argc, argv };
    async_runner *runner;
    int signal, r;

    r = async_runner_open(NULL, &runner);
    if (r < 0)
        return exit_code(r, 0);
    r = async_runner_run(runner, call_main, &call);
    signal = async_runner_signal(runner);
    async_runner_close(runner);
    return exit_code(r, signal);
}
