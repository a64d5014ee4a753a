/* SPDX-License-Identifier: MIT */
/* Design notes: the resolver's answer is valid during its callback only, so the callback copies it. A cancelled lookup
 * is abandoned: a thread that works on it goes on without us and touches nothing of ours. */
#include "await/lookup.h"
#include "task/wait.h"

#include <string.h>

struct lookup_wait {
    struct aw_wait wait; /* first */
    struct aw_lookup *lookup;
    async_loop *loop;
    struct aw_resolve *resolve;
    bool cut;
};

static bool has(const struct aw_lookup *lookup, const struct aw_address *address)
{
    for (size_t i = 0; i < lookup->count; i++)
        if (lookup->addresses[i].size == address->size &&
            memcmp(&lookup->addresses[i].address, &address->address, address->size) == 0)
            return true;
    return false;
}

static int append(struct aw_lookup *lookup, async_loop *loop, const struct aw_address *addresses, size_t count)
{
    struct aw_address *all =
        aw_resize(&loop->allocator, lookup->addresses, (lookup->count + count) * sizeof *lookup->addresses);

    if (!all)
        return -ENOMEM;
    lookup->addresses = all;
    for (size_t i = 0; i < count; i++)
        if (!has(lookup, &addresses[i]))
            all[lookup->count++] = addresses[i];
    return 0;
}

static void resolved(void *arg, int error, const struct aw_address *addresses, size_t count)
{
    struct lookup_wait *self = arg;

    if (error == 0 && count == 0)
        error = ASYNC_ENONAME;
    if (error == 0)
        error = append(self->lookup, self->loop, addresses, count);
    aw_wait_wake(&self->wait, error);
}

static void abandon(struct aw_wait *wait, int reason)
{
    struct lookup_wait *self = (struct lookup_wait *)wait;

    self->cut = true;
    aw_resolve_abandon(self->resolve);
    aw_wait_wake(wait, reason);
}

int aw_lookup_await(struct aw_lookup *lookup, async_loop *loop, const char *host, const char *port, bool passive,
                    const char *what)
{
    struct lookup_wait self = {
        .wait = { .what = what, .subject = host, .cancel = abandon },
        .lookup = lookup,
        .loop = loop,
    };
    int r = aw_resolve_start(loop, host, port, passive, resolved, &self, &self.resolve);

    if (r >= 0)
        r = aw_wait_park(&self.wait);
    if (r < 0 && !self.cut)
        return aw_fail(loop, r, "%s: %s:%s: %s", what, host ? host : "", port ? port : "",
                       r == -EINVAL ? "ports end at 65535" : async_strerror(r));
    return r;
}

void aw_lookup_fini(struct aw_lookup *lookup, async_loop *loop)
{
    aw_free(&loop->allocator, lookup->addresses);
    *lookup = (struct aw_lookup){ NULL, 0 };
}
