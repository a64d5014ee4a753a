/* SPDX-License-Identifier: MIT */
/* Design notes: real threads. What they post is counted by number, so that a lost, a doubled and a misplaced one show.
 */
#include "loop/loop.h"

#include <await/testing.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#define POSTERS 4
#define POSTS 100000

struct poster {
    pthread_t thread;
    async_loop *loop;
    int number;
    int seen; /* by the loop: how many have come, which is the next one's number */
};

static struct poster posters[POSTERS];
static int done_count;

/* A post is its poster and its number in one pointer. */
static int count_post(void *arg)
{
    uintptr_t post = (uintptr_t)arg;
    struct poster *poster = &posters[post % POSTERS];

    ASYNC_CHECK_EQ(post / POSTERS, poster->seen);
    if (++poster->seen == POSTS)
        done_count++;
    if (done_count == POSTERS)
        async_loop_stop(poster->loop);
    return 0;
}

static void *post_all(void *arg)
{
    struct poster *poster = arg;

    for (uintptr_t i = 0; i < POSTS; i++)
        ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(poster->loop, count_post,
                                                       (void *)(i * POSTERS + (uintptr_t)poster->number)),
                       0);
    return NULL;
}

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    return loop;
}

ASYNC_TEST_PLAIN(no_post_of_four_threads_is_lost_and_each_threads_order_is_kept)
{
    async_loop *loop = open_loop();

    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .loop = loop, .number = i };
        ASYNC_CHECK_EQ(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    while (done_count < POSTERS)
        ASYNC_CHECK_EQ(async_loop_run_forever(loop), 0);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        ASYNC_CHECK_EQ(posters[i].seen, POSTS);
    }
    async_loop_close(loop);
}

/* One thread posts only when the loop has answered, so that nearly each post finds it asleep. */
static int ping_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

static int answer(void *arg)
{
    pthread_mutex_lock(&mutex);
    ping_count++;
    pthread_cond_signal(&answered);
    pthread_mutex_unlock(&mutex);
    if (ping_count == 2000)
        async_loop_stop(arg);
    return 0;
}

static void *ping(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(arg, answer, arg), 0);
        pthread_mutex_lock(&mutex);
        while (ping_count == i)
            pthread_cond_wait(&answered, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

ASYNC_TEST_PLAIN(a_post_wakes_a_loop_that_sleeps_for_ever)
{
    async_loop *loop = open_loop();
    async_loop_statistics s = { .size = sizeof s };
    pthread_t thread;

    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, ping, loop), 0);
    ASYNC_CHECK_EQ(async_loop_run_forever(loop), 0);
    pthread_join(thread, NULL);
    ASYNC_CHECK_EQ(ping_count, 2000);
    ASYNC_CHECK_EQ(async_loop_get_statistics(loop, &s), 0);
    ASYNC_CHECK(s.wakeups > 0);
    async_loop_close(loop);
}

static char trace[100];

static int write_letter(void *arg)
{
    strcat(trace, arg);
    return 0;
}

static int write_letter_of(async_handle *handle)
{
    (void)handle;
    return write_letter("h");
}

ASYNC_TEST_PLAIN(posts_of_the_loops_own_thread_keep_their_order_behind_what_is_ready)
{
    async_loop *loop = open_loop();
    async_handle handle;

    async_handle_init(&handle, write_letter_of);
    async_loop_call_soon_threadsafe(loop, write_letter, "a");
    ASYNC_CHECK_EQ(async_loop_schedule_threadsafe(loop, &handle), 0);
    async_loop_call_soon_threadsafe(loop, write_letter, "b");
    async_loop_call_soon(loop, write_letter, "r");
    ASYNC_CHECK_EQ(async_loop_turn(loop, INFINITY), 4);
    ASYNC_CHECK_STR(trace, "rahb");
    async_loop_close(loop);
}

static void *post_one(void *arg)
{
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(arg, write_letter, "p"), 0);
    return NULL;
}

ASYNC_TEST_PLAIN(what_was_posted_before_the_loop_ran_is_run)
{
    async_loop *loop = open_loop();
    pthread_t thread;

    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, post_one, loop), 0);
    pthread_join(thread, NULL);
    ASYNC_CHECK_EQ(async_loop_turn(loop, INFINITY), 1);
    ASYNC_CHECK_STR(trace, "p");
    async_loop_close(loop);
}

/* ---- debug mode: a foreign thread ---- */

static async_loop *foreign;

static void *use_foreign_loop(void *arg)
{
    ASYNC_CHECK(!async_loop_call_soon(foreign, write_letter, "x"));
    ASYNC_CHECK_HAS(async_last_error(), "does not own the loop");
    ASYNC_CHECK(!async_loop_call_later(foreign, 0, write_letter, "x"));
    ASYNC_CHECK(!async_loop_call_at(foreign, 0, write_letter, "x"));
    ASYNC_CHECK_EQ(async_loop_add_reader(foreign, 0, write_letter, "x"), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_add_writer(foreign, 0, write_letter, "x"), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_remove_reader(foreign, 0), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_remove_writer(foreign, 0), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_turn(foreign, 0), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_run_forever(foreign), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_close(foreign), ASYNC_ETHREAD);
    ASYNC_CHECK_EQ(async_loop_call_soon_threadsafe(foreign, write_letter, "ok"), 0);
    return arg;
}

ASYNC_TEST_PLAIN(in_debug_mode_another_thread_may_post_and_nothing_else)
{
    pthread_t thread;

    foreign = open_loop();
    async_loop_set_debug(foreign, 1);
    ASYNC_CHECK_EQ(pthread_create(&thread, NULL, use_foreign_loop, NULL), 0);
    pthread_join(thread, NULL);
    ASYNC_CHECK_EQ(async_loop_turn(foreign, 0), 1);
    ASYNC_CHECK_STR(trace, "ok");
    async_loop_close(foreign);
}
