/* SPDX-License-Identifier: MIT */
/* A test harness for programs that use libawait. Link with -lawait-testing, which brings main().
 *
 *     #include <await/testing.h>
 *
 *     ASYNC_TEST(sleep_takes_as_long_as_it_says)
 *     {
 *         double start = async_time();
 *
 *         ASYNC_CHECK_EQ(await_sleep(3600), 0);
 *         ASYNC_CHECK(async_time() - start >= 3600);
 *     }
 *
 * The body of ASYNC_TEST runs as a task on the simulated backend: its clock jumps when nothing is runnable,
 * so an hour takes no time, and the same seed gives the same run. Each case runs in a process of its own with a
 * time limit, and fails when it leaks tasks, descriptors or memory. Output is TAP.
 *
 *     ./my_test [--list] [--backend NAME] [--seed N] [--timeout SECONDS] [--no-fork] [--verbose]
 *               [--without PATTERN] [PATTERN...]
 *
 * A pattern is a part of a name. --no-fork is for debuggers: the first failure ends the program.
 */
#ifndef AWAIT_TESTING_H
#define AWAIT_TESTING_H

#include <await.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ASYNC_TEST(name)               a task on "sim", or on what --backend or $ASYNC_BACKEND says
 * ASYNC_TEST_ON(backend, name)   a task on that backend, whatever they say: ASYNC_TEST_ON("linux", name)
 * ASYNC_TEST_PLAIN(name)         an ordinary function on the main thread, without a loop
 */
#define ASYNC_TEST(name) AW_TEST(name, NULL, aw_test_run_task)
#define ASYNC_TEST_ON(backend, name) AW_TEST(name, backend, aw_test_run_task)
#define ASYNC_TEST_PLAIN(name) AW_TEST(name, NULL, aw_test_run_plain)

/* A failed check ends the case, wherever it is called, also on other stacks. */
#define ASYNC_CHECK(condition) ((condition) ? (void)0 : aw_test_fail(AW_HERE, "%s", #condition))
#define ASYNC_CHECK_EQ(a, b) aw_test_equal(AW_HERE, #a, #b, (long long)(a), (long long)(b))
#define ASYNC_CHECK_STR(a, b) aw_test_equal_text(AW_HERE, #a, #b, a, b)
/* The text contains the part. */
#define ASYNC_CHECK_HAS(text, part) aw_test_contains(AW_HERE, #text, text, part)
#define ASYNC_FAIL(...) aw_test_fail(AW_HERE, __VA_ARGS__)
/* Ends the case as skipped, with the reason. */
#define ASYNC_SKIP(...) aw_test_skip(__VA_ARGS__)

/* What the exception handler of the case's loop has got so far: message, task, birthplace and detail in one text. A
 * report that the case has not looked at fails it: the first function looks at all that have come, the second at one.
 *
 * suspends  no
 * returns   how many reports came; async_test_report gives the text of one, "" beyond the last
 * threads   loop thread
 * asyncio   loop.set_exception_handler(mock)
 */
ASYNC_API size_t async_test_reports(void);
ASYNC_API const char *async_test_report(size_t index);

/* The options that a loop of this case should have: its backend, seed, counting allocator and report collector. For
 * ASYNC_TEST_PLAIN cases that make their own loop.
 *
 * suspends  no
 * returns   options, valid for the whole case
 * threads   any
 * asyncio   none
 */
ASYNC_API const async_loop_options *async_test_options(void);

/* Makes the n-th allocation from now on fail (1 is the next one), and, if `persistent`, all after it. 0 ends
 * it.
 *
 * suspends  no
 * returns   nothing
 * threads   any
 * asyncio   none (_testcapi.set_nomemory)
 */
ASYNC_API void async_test_fail_allocation(long n, int persistent);

/* suspends  no
 * returns   how many allocations were made / how many are not freed, from the case's allocator
 * threads   any
 * asyncio   none
 */
ASYNC_API long async_test_allocations(void);
ASYNC_API long async_test_allocations_live(void);

/* Lets everything that can run without time passing run: returns when this task alone is runnable.
 *
 * suspends  yes
 * returns   0; the scope's reason
 * threads   loop thread, in a task
 * asyncio   none (trio.testing.wait_all_tasks_blocked)
 */
ASYNC_AWAIT int await_test_settle(void);

/* Runs fn(arg) in a child process and collects what it wrote to stderr and how it ended.
 *
 * suspends  no
 * returns   the wait status, as of waitpid; -errno
 * threads   any
 * asyncio   none
 */
ASYNC_API int async_test_death(void (*fn)(void *arg), void *arg, char *ret_stderr, size_t size);

/* ---- what the macros reach; not for direct use ---- */
struct aw_test {
    struct aw_test *next;
    const char *name, *file, *backend;
    void (*run)(const struct aw_test *test); /* a pointer, so that plain cases link without loop and tasks */
    void (*body)(void);
};
ASYNC_API void aw_test_run_task(const struct aw_test *test);
ASYNC_API void aw_test_run_plain(const struct aw_test *test);
ASYNC_API void aw_test_register(struct aw_test *test);
ASYNC_API void aw_test_fail(const char *where, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
ASYNC_API void aw_test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
ASYNC_API void aw_test_equal(const char *where, const char *a_text, const char *b_text, long long a, long long b);
ASYNC_API void aw_test_equal_text(const char *where, const char *a_text, const char *b_text, const char *a,
                                  const char *b);
ASYNC_API void aw_test_contains(const char *where, const char *text_text, const char *text, const char *part);

#define AW_TEST(name, backend, run)                                                                                    \
    static void name(void) ASYNC_SUSPENDS;                                                                             \
    static struct aw_test name##__test = { NULL, #name, __FILE__, backend, run, name };                                \
    __attribute__((constructor)) static void name##__register(void)                                                    \
    {                                                                                                                  \
        aw_test_register(&name##__test);                                                                               \
    }                                                                                                                  \
    static void name(void)

#ifdef __cplusplus
}
#endif
#endif
