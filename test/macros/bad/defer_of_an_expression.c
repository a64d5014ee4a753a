/* SPDX-License-Identifier: MIT */
/* expect gcc: lvalue required as unary */
/* expect clang: cannot take the address of an rvalue */
#include <await.h>
#include <stdlib.h>

char *get(void);
void use(void);
void use(void)
{
    async_defer(free, get());
}
