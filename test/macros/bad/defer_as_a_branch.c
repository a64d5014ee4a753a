/* SPDX-License-Identifier: MIT */
/* expect gcc: expected expression before 'struct' */
/* expect clang: expected expression */
#include <await.h>
#include <stdlib.h>

void use(char *p);
void use(char *p)
{
    if (p)
        async_defer(free, p);
}
