/* SPDX-License-Identifier: MIT */
/* Timeouts are scopes: a deadline holds to the end of its block, for everything that is called in it. */
#include <await.h>
#include <stdio.h>

async_def(await_answer, double, delay)
{
    int r = await_sleep(delay);

    return r < 0 ? r : 42;
}

/* Who asks again must ask whose deadline it was: under a spent outer one each try would fail at once. */
async_def(await_answer_with_retries)
{
    int r;

    do {
        async_timeout(0.3);
        r = await_answer(1.0);
        printf("  a try: %s\n", async_error_name(r));
    } while (r == ASYNC_ETIMEOUT && !async_cancelled());
    return r;
}

async_main(void)
{
    double start = async_time();
    int r;

    {
        async_timeout(1.0, patience); /* a name, to ask it afterwards */
        r = await_answer(0.5);
        printf("in time: %d, expired: %d\n", r, async_scope_expired(&patience));
        r = await_answer(2.0);
        printf("too late: %s, expired: %d\n", async_error_name(r), async_scope_expired(&patience));
    }
    {
        async_timeout(1.0);
        r = await_answer_with_retries();
        printf("given up: %s\n", async_strerror(r));
    }
    r = await_wait_for(async_create_task(await_answer, 5.0), 0.5, NULL); /* for a task: cancelled and joined */
    printf("wait_for: %s\n", async_error_name(r));
    printf("after %.1f s\n", async_time() - start);
    return r == ASYNC_ETIMEOUT ? 0 : r;
}
