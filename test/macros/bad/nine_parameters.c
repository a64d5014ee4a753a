/* SPDX-License-Identifier: MIT */
/* expect gcc: at most 8 parameters */
/* expect clang: at most 8 parameters */
#include <await.h>

async_def(many, int, a, int, b, int, c, int, d, int, e, int, f, int, g, int, h, int, i)
{
    return a + b + c + d + e + f + g + h + i;
}
