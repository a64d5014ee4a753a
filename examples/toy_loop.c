/* SPDX-License-Identifier: MIT */
/* A toy event loop: poll(2), a list, and three blocks of the library. docs/guide/toy-loop.md walks through it.
 *
 *     suspend   await_suspend() parks the calling task
 *     resume    async_resume() makes it runnable again
 *     delegate  a plain call: await_toy_sleep() waits, so does all that calls it
 */
#include <await.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WAITERS = 64 };

/* Somebody waits, until a time or until a descriptor can be read. Lies in the waiting task's own frame. */
struct waiter {
    async_task *task;
    double when; /* INFINITY: never */
    int fd;      /* -1: none, which poll skips */
};

struct toy_loop {
    struct waiter *waiters[MOST_WAITERS];
    int count;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void forget(struct toy_loop *toy, const struct waiter *waiter)
{
    int i = 0;

    while (toy->waiters[i] != waiter)
        i++;
    toy->waiters[i] = toy->waiters[--toy->count];
}

/* ---- suspend: everything that waits comes down to this ---- */

async_def(await_toy_event, struct toy_loop *, toy, double, when, int, fd)
{
    struct waiter self = { async_current_task(), when, fd };
    int r;

    if (toy->count == MOST_WAITERS)
        return -ENOBUFS;
    toy->waiters[toy->count++] = &self;
    r = await_suspend("await_toy_event");
    forget(toy, &self); /* resumed or cancelled: we wait no longer, and this frame is about to go */
    return r;
}

/* ---- delegate ---- */

async_def(await_toy_sleep, struct toy_loop *, toy, double, seconds)
{
    return await_toy_event(toy, now() + seconds, -1);
}

async_def(await_toy_readable, struct toy_loop *, toy, int, fd)
{
    return await_toy_event(toy, INFINITY, fd);
}

/* ---- resume: wait for the first event, wake whoever waits for it ---- */

static void wake_one(struct toy_loop *toy)
{
    struct pollfd fds[MOST_WAITERS];
    int first = 0;

    for (int i = 0; i < toy->count; i++) {
        fds[i] = (struct pollfd){ .fd = toy->waiters[i]->fd, .events = POLLIN };
        if (toy->waiters[i]->when < toy->waiters[first]->when)
            first = i;
    }
    double left = toy->waiters[first]->when - now();
    int timeout = isinf(left) ? -1 : left > 0 ? (int)(left * 1000) + 1 : 0;
    if (poll(fds, (nfds_t)toy->count, timeout) > 0)
        for (first = 0; fds[first].revents == 0;)
            first++;
    async_resume(toy->waiters[first]->task, 0);
}

static int toy_run(struct toy_loop *toy, int (*fn)(void *), void *arg)
{
    async_loop *loop = async_loop_new(NULL); /* used for one thing: to run what is ready */
    async_task *task = async_loop_create_task(loop, fn, arg, NULL);
    int result;

    for (;;) {
        while (async_loop_turn(loop, 0) > 0)
            ;
        if (async_task_done(task) || toy->count == 0)
            break;
        wake_one(toy);
    }
    int r = async_task_result(task, &result);
    async_task_unref(task);
    async_loop_close(loop);
    return r < 0 ? r : result;
}

/* ---- a program for it ---- */

async_def(say, struct toy_loop *, toy, const char *, what, double, delay)
{
    int r = await_toy_sleep(toy, delay);

    return r < 0 ? r : printf("%s\n", what);
}

async_def(send_ping, struct toy_loop *, toy, int, fd)
{
    int r = await_toy_sleep(toy, 0.15);

    return r < 0 ? r : (int)write(fd, "ping", 4);
}

async_def(receive, struct toy_loop *, toy, int, fd)
{
    char buf[10];
    int r = await_toy_readable(toy, fd);
    ssize_t n = r < 0 ? r : read(fd, buf, sizeof buf);

    return n < 0 ? (int)n : printf("Received: %.*s\n", (int)n, buf);
}

ASYNC_SUSPENDS static int toy_main(void *arg)
{
    struct toy_loop *toy = arg;
    int ends[2];

    if (pipe(ends) < 0)
        return -errno;
    return await_gather(async_create_task(say, toy, "First hello!", 0.3),
                        async_create_task(say, toy, "Second hello!", 0.05), async_create_task(receive, toy, ends[0]),
                        async_create_task(send_ping, toy, ends[1]));
}

int main(void)
{
    struct toy_loop toy = { .count = 0 };

    return toy_run(&toy, toy_main, &toy) < 0;
}
