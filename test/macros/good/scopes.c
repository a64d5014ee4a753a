/* SPDX-License-Identifier: MIT */
/* Nested, on one line, named, in loops; nothing shadows and nothing is unused. */
#include <await.h>

int await_many(void) ASYNC_SUSPENDS;
int await_many(void)
{
    async_timeout(5.0);
    async_timeout(4.0, named);
    { async_timeout(1.0); async_timeout(2.0); async_shield(); async_shield(0.5);
        int r = await_sleep(1);
        if (r < 0)
            return r;
    }
    for (int i = 0; i < 3; i++) {
        async_timeout_at(10.0);
        async_timeout_at(11.0, inner);
        async_nosuspend();
        if (async_scope_expired(&inner))
            break;
    }
    return async_scope_expired(&named) ? async_scope_reschedule(&named, 1.0) : async_cancelled();
}
