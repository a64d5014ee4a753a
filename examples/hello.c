/* SPDX-License-Identifier: MIT */
/* The smallest program. async_main is asyncio.run(main()): its body is the first task. */
#include <await.h>
#include <stdio.h>

async_main(void)
{
    int r;

    puts("Hello");
    r = await_sleep(1.0); /* others could run now */
    if (r < 0)
        return r; /* Ctrl-C: the process ends by SIGINT, as it should */
    puts("... World!");
    return 0;
}
