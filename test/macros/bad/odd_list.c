/* SPDX-License-Identifier: MIT */
/* expect gcc: parameters come in pairs */
/* expect clang: parameters come in pairs */
#include <await.h>

async_def(odd, int, a, int)
{
    return a;
}
