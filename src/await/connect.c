/* SPDX-License-Identifier: MIT */
/* Design notes: name to addresses, then the addresses one after the other until one answers. Each wait lies in the
 * caller's frame and can be cut: a lookup is abandoned, a connector closes its socket. What an address said is
 * collected for the sentence; the code is the last one's, as a person would see it. */
#include "await/lookup.h"
#include "await/stream_core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char what[] = "await_open_connection";

/* ---- one address ---- */

struct connect_wait {
    struct aw_wait wait; /* first */
    struct aw_connector connector;
    bool cut;
};

static void connected(struct aw_connector *connector, int fd)
{
    aw_wait_wake(&AW_CONTAINER_OF(connector, struct connect_wait, connector)->wait, fd);
}

static void stop_connecting(struct aw_wait *wait, int reason)
{
    struct connect_wait *self = (struct connect_wait *)wait;

    self->cut = true;
    aw_connector_cancel(&self->connector);
    aw_wait_wake(wait, reason);
}

/* A connected fd; the scope's reason, *ret_cut; the address's failure. */
ASYNC_SUSPENDS static int connect_to(async_loop *loop, const struct aw_address *address, bool *ret_cut)
{
    struct connect_wait self = { .wait = { .what = what, .cancel = stop_connecting } };
    int r =
        aw_connector_start(&self.connector, loop, (const struct sockaddr *)&address->address, address->size, connected);

    if (r >= 0)
        r = aw_wait_park(&self.wait);
    *ret_cut = self.cut;
    return r;
}

/* ---- all of them ---- */

/* Collects "127.0.0.1:80: connection refused; ..." */
struct failures {
    char text[160];
    size_t used;
};

static AW_COLD void add_failure(struct failures *failures, const struct aw_address *address, int error)
{
    char name[AW_ADDRESS_TEXT];
    int n;

    aw_address_format(name, sizeof name, (const struct sockaddr *)&address->address, address->size);
    n = snprintf(failures->text + failures->used, sizeof failures->text - failures->used, "%s%s: %s",
                 failures->used > 0 ? "; " : "", name, async_strerror(error));
    failures->used += n > 0 ? (size_t)n : 0;
    if (failures->used >= sizeof failures->text)
        failures->used = sizeof failures->text - 1;
}

static int make_stream(async_loop *loop, int fd, const struct aw_address *address, async_stream **ret_stream)
{
    int r = aw_stream_new(loop, fd, false, (const struct sockaddr *)&address->address, address->size, ret_stream);

    if (r < 0)
        (void)loop->sys->close(loop->backend, fd);
    return r;
}

/* The addresses are named unless there was one and it is what the caller has written. */
static AW_COLD int fail(async_loop *loop, const struct failures *failures, const char *host, const char *port,
                        int error)
{
    char own[sizeof failures->text];

    snprintf(own, sizeof own, "%s:%s: %s", host, port, async_strerror(error));
    if (strcmp(own, failures->text) == 0)
        return aw_fail(loop, error, "%s: %s", what, own);
    return aw_fail(loop, error, "%s: %s (%s)", what, own, failures->text);
}

ASYNC_SUSPENDS static int connect_one_of(async_loop *loop, const struct aw_lookup *lookup, const char *host,
                                         const char *port, async_stream **ret_stream)
{
    struct failures failures = { .used = 0 };
    int r = ASYNC_ENONAME;

    failures.text[0] = '\0';
    for (size_t i = 0; i < lookup->count; i++) {
        bool cut;

        r = connect_to(loop, &lookup->addresses[i], &cut);
        if (cut)
            return r;
        if (r >= 0)
            r = make_stream(loop, r, &lookup->addresses[i], ret_stream);
        if (r >= 0)
            return 0;
        add_failure(&failures, &lookup->addresses[i], r);
    }
    return fail(loop, &failures, host, port, r);
}

int await_open_connection(const char *host, const char *port, async_stream **ret_stream)
{
    struct aw_lookup lookup = { NULL, 0 };
    int r = aw_await_enter(what);
    async_loop *loop;

    if (r < 0)
        return r;
    loop = aw_current_loop();
    if (!host || !port || !ret_stream)
        return aw_fail(loop, -EINVAL, "%s: host, port or ret_stream is NULL", what);
    r = aw_lookup_await(&lookup, loop, host, port, false, what);
    if (r >= 0)
        r = connect_one_of(loop, &lookup, host, port, ret_stream);
    aw_lookup_fini(&lookup, loop);
    return r;
}
