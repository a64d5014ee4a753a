/* SPDX-License-Identifier: MIT */
/* Design notes: the timer lies in the frame that sleeps; cancelling takes it out of the heap at once. */
#include "task/wait.h"

#include <math.h>

struct sleep_wait {
    struct aw_wait wait; /* first */
    async_timer_handle timer;
};

static int sleep_over(async_handle *handle)
{
    aw_wait_wake(&AW_CONTAINER_OF(handle, struct sleep_wait, timer.handle)->wait, 0);
    return 0;
}

static void sleep_cancelled(struct aw_wait *wait, int reason)
{
    struct sleep_wait *self = (struct sleep_wait *)wait;

    if (self->timer.handle.state != AW_HANDLE_IDLE)
        async_loop_unschedule(self->timer.loop, &self->timer.handle);
    aw_wait_wake(wait, reason);
}

ASYNC_SUSPENDS static int sleep_until(async_loop *loop, int64_t when)
{
    struct sleep_wait self = {
        .wait = { .what = "await_sleep", .cancel = sleep_cancelled, .keeps_loop = when == AW_NEVER },
    };

    async_timer_handle_init(&self.timer, sleep_over);
    if (when != AW_NEVER && aw_loop_start_timer(loop, &self.timer, when) < 0)
        return aw_fail(loop, -ENOMEM, "await_sleep: no memory for one more timer");
    return aw_wait_park(&self.wait);
}

AW_NOINLINE int await_sleep(double seconds)
{
    int r = aw_await_enter_from("await_sleep", AW_FRAME);
    async_loop *loop;

    if (r < 0)
        return r;
    loop = aw_current_loop();
    if (isnan(seconds))
        return aw_fail(loop, -EINVAL, "await_sleep: the time is not a number");
    if (seconds <= 0) {
        aw_await_yield();
        return 0;
    }
    return sleep_until(loop, aw_ns_add(aw_loop_now(loop), aw_ns_from_seconds(seconds)));
}
