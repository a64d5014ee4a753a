/* SPDX-License-Identifier: MIT */
/* Design notes: a case that is a task. It is the main task of a runner, so that everything a program's main task can
 * do works here too. Apart from the rest, so that programs with plain cases only link without loop and tasks. */
#include "testing/harness.h"

#define LEFTOVER_ROUNDS 200
#define LEFTOVER_STEP 0.001
#define NAMED_MAX 8

struct body {
    const struct aw_test *test;
    bool ended;
};

static size_t count_others(async_task **tasks, size_t capacity)
{
    size_t count = async_all_tasks(async_get_running_loop(), tasks, capacity), others = 0;

    for (size_t i = 0; i < count && i < capacity; i++)
        if (tasks[i] != async_current_task())
            tasks[others++] = tasks[i];
    return count > capacity ? count - 1 : others;
}

/* Tasks that are about to end (a handler whose client has just gone) get a moment; others are leaks. */
ASYNC_SUSPENDS static void check_tasks(void)
{
    async_task *tasks[NAMED_MAX];
    char text[1024];
    size_t count, used = 0;

    async_shield();
    for (int i = 0; i < LEFTOVER_ROUNDS && count_others(tasks, NAMED_MAX) > 0; i++)
        if (await_sleep(LEFTOVER_STEP) < 0)
            break;
    count = count_others(tasks, NAMED_MAX);
    if (count == 0)
        return;
    for (size_t i = 0; i < count && i < NAMED_MAX - 1; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "\n  %.40s made at %.60s, in %.20s",
                             async_task_name(tasks[i]), async_task_birthplace(tasks[i]), async_task_waiting(tasks[i]));
    aw_test_fail("tasks", "%zu tasks have not ended at the end of the case:%s", count, text);
}

ASYNC_SUSPENDS static int run_body(void *arg)
{
    struct body *body = arg;

    body->test->body();
    check_tasks();
    body->ended = true;
    return 0;
}

void aw_test_run_task(const struct aw_test *test)
{
    struct body body = { test, false };
    async_runner *runner;
    int r = async_runner_open(async_test_options(), &runner);

    if (r < 0)
        aw_test_fail(test->name, "no loop on backend \"%s\": %s", async_test_options()->backend, async_last_error());
    r = async_runner_run(runner, run_body, &body);
    if (!body.ended)
        aw_test_fail(test->name, "the loop ended before the case: %s, %s", async_error_name(r), async_last_error());
    async_runner_close(runner);
}
