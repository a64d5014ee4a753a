/* SPDX-License-Identifier: MIT */
/* Names to addresses, for those who connect and listen. */
#ifndef AW_AWAIT_LOOKUP_H
#define AW_AWAIT_LOOKUP_H

#include "os/os.h"

struct aw_lookup {
    struct aw_address *addresses;
    size_t count;
};

/* Appends the addresses of host and port to `lookup`, leaving out those that it has. Suspends. 0; the scope's reason;
 * ASYNC_ENONAME · ASYNC_EDNS · -ENOMEM and so on, with a sentence that begins with `what`. */
ASYNC_SUSPENDS int aw_lookup_await(struct aw_lookup *lookup, async_loop *loop, const char *host, const char *port,
                                   bool passive, const char *what);
void aw_lookup_fini(struct aw_lookup *lookup, async_loop *loop);

#endif
