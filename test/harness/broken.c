/* SPDX-License-Identifier: MIT */
/* Cases that must fail, each in a way of its own: harness.py looks for the sentence that says why. */
#include <await/testing.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

ASYNC_TEST_PLAIN(check_fails)
{
    printf("written before the failure\n");
    ASYNC_CHECK(1 + 1 == 3);
}

ASYNC_TEST_PLAIN(numbers_differ)
{
    ASYNC_CHECK_EQ(-ECONNRESET, 3);
}

ASYNC_TEST_PLAIN(texts_differ)
{
    ASYNC_CHECK_STR("one", "two");
}

ASYNC_TEST_PLAIN(part_is_missing)
{
    ASYNC_CHECK_HAS("haystack", "needle");
}

ASYNC_TEST_PLAIN(is_skipped)
{
    ASYNC_SKIP("no %s here", "moon");
}

ASYNC_TEST_PLAIN(crashes)
{
    raise(SIGKILL);
}

ASYNC_TEST_PLAIN(exits)
{
    exit(0);
}

ASYNC_TEST_PLAIN(hangs_with_a_child)
{
    if (fork() >= 0)
        for (;;)
            pause();
}

ASYNC_TEST_PLAIN(leaks_a_descriptor)
{
    ASYNC_CHECK(open("/dev/null", O_RDONLY) >= 0);
}

ASYNC_TEST_PLAIN(closes_a_descriptor)
{
    close(0);
}

ASYNC_TEST_PLAIN(leaks_memory)
{
    const async_allocator *allocator = async_test_options()->allocator;

    ASYNC_CHECK(allocator->alloc(allocator->ctx, 77) != NULL);
}

ASYNC_TEST_PLAIN(frees_foreign_memory)
{
    const async_allocator *allocator = async_test_options()->allocator;
    char block[128] = { 0 };

    allocator->free(allocator->ctx, block + 64);
}

ASYNC_TEST_PLAIN(gets_a_report)
{
    const async_error_context context = { .size = sizeof context, .message = "something went wrong", .error = -EIO };

    async_test_options()->exception_handler(NULL, &context, NULL);
}

ASYNC_TEST_PLAIN(looks_at_its_report)
{
    const async_error_context context = { .size = sizeof context, .message = "went wrong", .task_name = "say" };

    async_test_options()->exception_handler(NULL, &context, NULL);
    ASYNC_CHECK_HAS(async_test_report(0), "went wrong");
    ASYNC_CHECK_HAS(async_test_report(0), "say");
    ASYNC_CHECK_STR(async_test_report(1), "");
}

static void say_last_words(void *arg)
{
    fprintf(stderr, "last words: %s\n", (const char *)arg);
    abort();
}

static void fail_a_check(void *arg)
{
    (void)arg;
    ASYNC_FAIL("in the child");
}

ASYNC_TEST_PLAIN(death_is_told)
{
    char text[256];
    int status = async_test_death(say_last_words, "farewell", text, sizeof text);

    ASYNC_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ASYNC_CHECK_HAS(text, "last words: farewell");
    status = async_test_death(fail_a_check, NULL, text, sizeof text);
    ASYNC_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    ASYNC_CHECK_HAS(text, "in the child");
}

ASYNC_TEST_PLAIN(allocations_fail_when_told)
{
    const async_allocator *allocator = async_test_options()->allocator;
    void *first, *second;

    async_test_fail_allocation(2, 0);
    first = allocator->alloc(allocator->ctx, 1);
    ASYNC_CHECK(first != NULL);
    ASYNC_CHECK(allocator->alloc(allocator->ctx, 1) == NULL);
    second = allocator->resize(allocator->ctx, first, 100);
    ASYNC_CHECK(second != NULL);
    async_test_fail_allocation(1, 1);
    ASYNC_CHECK(allocator->resize(allocator->ctx, second, 200) == NULL);
    ASYNC_CHECK(allocator->alloc(allocator->ctx, 1) == NULL);
    ASYNC_CHECK_EQ(async_test_allocations(), 5);
    ASYNC_CHECK_EQ(async_test_allocations_live(), 1);
    allocator->free(allocator->ctx, second);
}

async_def(sleeper, double, seconds)
{
    return await_sleep(seconds) < 0;
}

async_def(failing, int, code)
{
    return code;
}

ASYNC_TEST(fails_in_a_task)
{
    ASYNC_FAIL("in the task");
}

ASYNC_TEST(leaks_a_task)
{
    async_task_unref(async_create_task(sleeper, 1000.0));
    ASYNC_CHECK_EQ(await_sleep(0), 0);
}

ASYNC_TEST(ends_with_a_task_that_is_about_to_end)
{
    async_task_unref(async_create_task(sleeper, 0.01));
    ASYNC_CHECK_EQ(await_sleep(0), 0);
}

ASYNC_TEST(an_hour_takes_no_time)
{
    double start = async_time();

    ASYNC_CHECK_EQ(await_sleep(3600), 0);
    ASYNC_CHECK(async_time() - start >= 3600);
}

async_def(count_down, int *, count)
{
    while (*count > 0) {
        int r = await_sleep(0);

        if (r < 0)
            return r;
        --*count;
    }
    return 0;
}

ASYNC_TEST(settles_when_nothing_else_can_run)
{
    int count = 300;
    async_task *task = async_create_task(count_down, &count), *late = async_create_task(sleeper, 5.0);
    double start = async_time();

    ASYNC_CHECK_EQ(await_test_settle(), 0);
    ASYNC_CHECK_EQ(count, 0);
    ASYNC_CHECK(async_task_done(task) && !async_task_done(late));
    ASYNC_CHECK(async_time() - start < 1);
    ASYNC_CHECK_EQ(await_gather(task, late), 0);
}

ASYNC_TEST(leaves_a_failure_unseen)
{
    async_task_unref(async_create_task(failing, -EIO));
    ASYNC_CHECK_EQ(await_sleep(1), 0);
}

ASYNC_TEST(waits_for_ever)
{
    ASYNC_CHECK(await_suspend("for ever") < 0);
}

ASYNC_TEST_ON("linux", runs_on_linux)
{
    ASYNC_CHECK_STR(async_loop_backend(async_get_running_loop()), "linux");
    ASYNC_CHECK_EQ(await_sleep(0.01), 0);
}
