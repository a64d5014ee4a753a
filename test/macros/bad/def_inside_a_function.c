/* SPDX-License-Identifier: MIT */
/* expect gcc:  */
/* expect clang: function definition is not allowed here */
#include <await.h>

int outer(void);
int outer(void)
{
    async_def(inner, int, a)
    {
        return a;
    }
    return 0;
}
