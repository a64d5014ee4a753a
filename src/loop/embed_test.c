/* SPDX-License-Identifier: MIT */
#include <await/embed.h>

#include <await/testing.h>
#include <string.h>

struct job {
    async_timer_handle timer; /* first: the handle too */
    async_loop *loop;
    int runs;
    int again; /* how often it schedules itself again */
};

static async_loop *open_loop(void)
{
    async_loop *loop = async_loop_new(async_test_options());

    ASYNC_CHECK(loop);
    return loop;
}

static int turn(async_loop *loop)
{
    return async_loop_turn(loop, 0);
}

static int run_job(async_handle *handle)
{
    struct job *job = (struct job *)handle;

    ASYNC_CHECK_EQ(async_handle_is_scheduled(handle), 0);
    job->runs++;
    if (job->again-- > 0)
        ASYNC_CHECK_EQ(async_loop_schedule(job->loop, handle), 0);
    return 0;
}

static struct job make_job(async_loop *loop)
{
    struct job job = { .loop = loop };

    async_timer_handle_init(&job.timer, run_job);
    return job;
}

ASYNC_TEST_PLAIN(the_header_is_the_librarys_own)
{
    ASYNC_CHECK_EQ(async_embed_check(sizeof(struct async_handle), sizeof(struct async_timer_handle)), 0);
    ASYNC_CHECK_EQ(async_embed_check(sizeof(struct async_handle) + 8, sizeof(struct async_timer_handle)), -EINVAL);
    ASYNC_CHECK_EQ(async_embed_check(sizeof(struct async_handle), 0), -EINVAL);
    ASYNC_CHECK_HAS(async_last_error(), "async_embed_check");
}

ASYNC_TEST_PLAIN(scheduling_allocates_nothing)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);
    long before;

    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, 0), 0); /* the heap's array */
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 1);
    before = async_test_allocations();
    for (int i = 0; i < 1000; i++) {
        ASYNC_CHECK_EQ(async_loop_schedule(loop, &job.timer.handle), 0);
        ASYNC_CHECK_EQ(turn(loop), 1);
        ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, async_loop_time_ns(loop)), 0);
        ASYNC_CHECK_EQ(turn(loop), 1);
        ASYNC_CHECK_EQ(async_loop_schedule_threadsafe(loop, &job.timer.handle), 0);
        ASYNC_CHECK_EQ(turn(loop), 1);
    }
    ASYNC_CHECK_EQ(job.runs, 3000);
    ASYNC_CHECK_EQ(async_test_allocations(), before);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_handle_may_schedule_itself_from_its_own_callback)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    job.again = 9;
    async_loop_schedule(loop, &job.timer.handle);
    for (int i = 1; i <= 10; i++) {
        ASYNC_CHECK_EQ(turn(loop), 1);
        ASYNC_CHECK_EQ(job.runs, i);
    }
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

static int free_job(async_handle *handle)
{
    memset(handle, 0xee, sizeof(struct job)); /* "the library does not touch it again" */
    return 0;
}

ASYNC_TEST_PLAIN(the_memory_is_the_hosts_once_the_callback_has_begun)
{
    async_loop *loop = open_loop();
    struct job jobs[3];

    for (int i = 0; i < 3; i++)
        async_timer_handle_init(&jobs[i].timer, free_job);
    async_loop_schedule(loop, &jobs[0].timer.handle);
    async_loop_schedule_at(loop, &jobs[1].timer, 0);
    async_loop_schedule_threadsafe(loop, &jobs[2].timer.handle);
    ASYNC_CHECK_EQ(turn(loop), 3);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_handle_that_is_scheduled_is_refused)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    ASYNC_CHECK_EQ(async_loop_schedule(loop, &job.timer.handle), 0);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&job.timer.handle), 1);
    ASYNC_CHECK_EQ(async_loop_schedule(loop, &job.timer.handle), -EALREADY);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, 5), -EALREADY);
    ASYNC_CHECK_HAS(async_last_error(), "scheduled already");
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, INT64_MAX), 0);
    ASYNC_CHECK_EQ(async_loop_schedule(loop, &job.timer.handle), -EALREADY);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, 0), -EALREADY);
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 1);
    ASYNC_CHECK_EQ(turn(loop), 0);
    ASYNC_CHECK_EQ(job.runs, 1);
    async_loop_close(loop);
}

/* ---- unschedule, in each state ---- */

static struct job *victim;

static int unschedule_victim(async_handle *handle)
{
    struct job *job = (struct job *)handle;

    ASYNC_CHECK_EQ(async_handle_is_scheduled(&victim->timer.handle), 1);
    ASYNC_CHECK_EQ(async_loop_unschedule(job->loop, &victim->timer.handle), 1);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&victim->timer.handle), 0);
    return 0;
}

ASYNC_TEST_PLAIN(an_idle_handle_needs_no_unscheduling)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_handle_is_unscheduled_while_it_is_ready)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    async_loop_schedule(loop, &job.timer.handle);
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 1);
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 0);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_handle_is_unscheduled_while_it_is_in_the_running_batch)
{
    async_loop *loop = open_loop();
    struct job first = make_job(loop), second = make_job(loop);

    victim = &second;
    async_handle_init(&first.timer.handle, unschedule_victim);
    async_loop_schedule(loop, &first.timer.handle);
    async_loop_schedule(loop, &second.timer.handle);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(second.runs, 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_timer_is_unscheduled_while_it_waits)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    async_loop_schedule_at(loop, &job.timer, async_loop_time_ns(loop) + 1000000);
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &job.timer.handle), 1);
    ASYNC_CHECK_EQ(async_loop_turn(loop, 0.01), 0);
    ASYNC_CHECK_EQ(job.runs, 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_timer_is_unscheduled_while_it_is_due)
{
    async_loop *loop = open_loop();
    struct job first = make_job(loop), second = make_job(loop);

    victim = &second;
    async_timer_handle_init(&first.timer, unschedule_victim);
    async_loop_schedule_at(loop, &first.timer, 1);
    async_loop_schedule_at(loop, &second.timer, 2);
    ASYNC_CHECK_EQ(turn(loop), 1);
    ASYNC_CHECK_EQ(second.runs, 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_posted_handle_is_unscheduled_before_it_has_arrived)
{
    async_loop *loop = open_loop();
    struct job jobs[3];

    for (int i = 0; i < 3; i++) {
        jobs[i] = make_job(loop);
        ASYNC_CHECK_EQ(async_loop_schedule_threadsafe(loop, &jobs[i].timer.handle), 0);
    }
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, &jobs[1].timer.handle), 1);
    ASYNC_CHECK_EQ(turn(loop), 2);
    ASYNC_CHECK_EQ(jobs[0].runs, 1);
    ASYNC_CHECK_EQ(jobs[1].runs, 0);
    ASYNC_CHECK_EQ(jobs[2].runs, 1);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_closing_loop_leaves_the_hosts_handles_idle_and_unrun)
{
    async_loop *loop = open_loop();
    struct job ready = make_job(loop), timer = make_job(loop), posted = make_job(loop);

    async_loop_schedule(loop, &ready.timer.handle);
    async_loop_schedule_at(loop, &timer.timer, INT64_MAX);
    async_loop_schedule_threadsafe(loop, &posted.timer.handle);
    async_loop_close(loop);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&ready.timer.handle), 0);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&timer.timer.handle), 0);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&posted.timer.handle), 0);
    ASYNC_CHECK_EQ(ready.runs + timer.runs + posted.runs, 0);
}

/* ---- bad input ---- */

ASYNC_TEST_PLAIN(wrong_arguments_are_refused)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop), empty = { .loop = loop };

    async_timer_handle_init(&empty.timer, NULL);
    ASYNC_CHECK_EQ(async_loop_schedule(NULL, &job.timer.handle), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule(loop, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule(loop, &empty.timer.handle), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule_at(NULL, &job.timer, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, NULL, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &empty.timer, 0), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule_threadsafe(NULL, &job.timer.handle), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_schedule_threadsafe(loop, NULL), -EINVAL);
    ASYNC_CHECK_EQ(async_loop_unschedule(loop, NULL), 0);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(NULL), 0);
    ASYNC_CHECK_EQ(turn(loop), 0);
    async_loop_close(loop);
}

ASYNC_TEST_PLAIN(a_timer_that_finds_no_memory_stays_idle)
{
    async_loop *loop = open_loop();
    struct job job = make_job(loop);

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, 0), -ENOMEM);
    ASYNC_CHECK_EQ(async_handle_is_scheduled(&job.timer.handle), 0);
    ASYNC_CHECK_EQ(async_loop_schedule_at(loop, &job.timer, 0), 0);
    ASYNC_CHECK_EQ(turn(loop), 1);
    async_loop_close(loop);
}
