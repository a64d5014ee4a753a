/* SPDX-License-Identifier: MIT */
/* A task without an end: one line every three seconds until Ctrl-C. Try it with ASYNC_BACKEND=sim, where
 * time jumps whenever there is nothing to do. */
#include <await.h>
#include <stdio.h>

async_def(print_hello)
{
    double start = async_time();

    for (;;) {
        int r;

        printf("%3.0f s  Hello\n", async_time() - start);
        r = await_sleep(3.0);
        if (r < 0)
            return r; /* the only way out */
    }
}

async_main(void)
{
    return print_hello();
}
