/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible type for argument */
/* expect clang: incompatible type */
#include <await.h>
#include <stdlib.h>

struct pair {
    int a, b;
};

void use(struct pair pair);
void use(struct pair pair)
{
    async_defer(free, pair);
}
