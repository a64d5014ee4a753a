/* SPDX-License-Identifier: MIT */
/* Planted violations of the law of the two prefixes: test/suspends.py must refuse each bad_ function here, and no
 * other. Never built. */
#include <await.h>

int bad_direct(void);
int bad_direct(void)
{
    return await_sleep(1);
}

static int bad_in_a_condition(int n)
{
    return n > 0 && await_sleep(0) == 0 ? 1 : 2;
}

static int bad_gather(async_task *task)
{
    return await_gather(task, task);
}

static void bad_defer(void)
{
    async_task_group *group = async_task_group_new();
    await_defer(await_task_group_close, group);
}

ASYNC_SUSPENDS static int good_helper(void)
{
    return await_sleep(1);
}

static int bad_by_a_helper(void)
{
    return good_helper();
}

async_def(good_task, int, n)
{
    return n ? good_helper() : await_sleep(0);
}

static int bad_direct_call_of_a_task(void)
{
    return good_task(1);
}

int async_bad_mark(void) ASYNC_SUSPENDS;
int async_bad_mark(void)
{
    return 0;
}

static async_task *good_creation(void)
{
    return async_create_task(good_task, 1);
}

static int good_run(void)
{
    return async_run(good_task, 1) + bad_in_a_condition(1) + bad_gather(good_creation()) + bad_by_a_helper() +
           bad_direct_call_of_a_task();
}

static void good_main(void)
{
    bad_defer();
    (void)good_run();
}

ASYNC_API void good_entry(void);
void good_entry(void)
{
    good_main();
}
