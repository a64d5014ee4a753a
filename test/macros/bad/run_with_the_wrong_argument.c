/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible type for argument 1 of 'nap__call' */
/* expect clang: passing 'struct pair' to parameter of incompatible type */
#include <await.h>

struct pair {
    int a, b;
};

async_def(nap, double, seconds)
{
    return await_sleep(seconds);
}

int start(struct pair pair);
int start(struct pair pair)
{
    return async_run(nap, pair);
}
