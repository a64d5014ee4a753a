/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible pointer type */
/* expect clang: incompatible pointer types */
#include <await.h>

struct cat;
struct dog;

async_def(feed, struct cat *, cat)
{
    return cat != NULL;
}

async_task *start(struct dog *dog);
async_task *start(struct dog *dog)
{
    return async_create_task(feed, dog);
}
