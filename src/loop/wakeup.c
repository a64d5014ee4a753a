/* SPDX-License-Identifier: MIT */
/* Design notes: how other threads reach the loop. A poster pushes its handle on a stack with one compare-and-swap
 * and then looks whether the loop sleeps; only the first one that finds it asleep pays for the backend's wake().
 * The loop announces that it will sleep and then looks at the stack once more. Both sides write first and read
 * then, with sequential consistency: at least one of them sees the other (Dekker), so no wake-up is lost. The stack is
 * last in first out and is turned round when it is taken, so the order of one poster's calls is kept. */
#include "loop/wakeup.h"

int async_loop_schedule_threadsafe(async_loop *loop, async_handle *handle)
{
    struct async_handle *head;
    int asleep = AW_LOOP_SLEEPING;

    if (!loop || !handle)
        return -EINVAL; /* no sentence: it may be a signal handler */
    handle->state = AW_HANDLE_POSTED;
    head = aw_atomic_load(&loop->posted, relaxed);
    do {
        handle->next = head;
    } while (!aw_atomic_cas(&loop->posted, &head, handle, seq_cst)); /* releases the handle's content; Dekker's write */
    if (aw_atomic_load(&loop->sleeping, seq_cst) == AW_LOOP_SLEEPING &&
        aw_atomic_cas_strong(&loop->sleeping, &asleep, AW_LOOP_NOTIFIED, seq_cst))
        loop->backend->ops->wake(loop->backend);
    return 0;
}

void aw_loop_take_posted(async_loop *loop)
{
    struct async_handle *handle, *next, *reversed = NULL;

    if (!aw_atomic_load(&loop->posted, relaxed)) /* the cheap look; a late one is seen next turn or by will_sleep */
        return;
    handle = aw_atomic_exchange(&loop->posted, NULL, acquire); /* pairs with the posters' release */
    for (; handle; handle = next) {
        next = handle->next;
        handle->next = reversed;
        reversed = handle;
    }
    for (; reversed; reversed = next) {
        next = reversed->next;
        aw_loop_make_ready(loop, reversed);
    }
}

bool aw_loop_will_sleep(async_loop *loop)
{
    aw_atomic_store(&loop->sleeping, AW_LOOP_SLEEPING, seq_cst); /* Dekker's write */
    if (!aw_atomic_load(&loop->posted, seq_cst))
        return true;
    aw_atomic_store(&loop->sleeping, AW_LOOP_AWAKE, relaxed);
    return false;
}

void aw_loop_has_slept(async_loop *loop)
{
    if (aw_atomic_exchange(&loop->sleeping, AW_LOOP_AWAKE, relaxed) == AW_LOOP_NOTIFIED)
        loop->wakeups++;
}
