/* SPDX-License-Identifier: MIT */
/* expect gcc: the variable must be a pointer */
/* expect clang: the variable must be a pointer */
#include <await.h>
#include <unistd.h>

void use(int fd);
void use(int fd)
{
    async_defer(close, fd);
}
