/* SPDX-License-Identifier: MIT */
/* Design notes: the life of a server: started, serving, closed, drained, gone; server_client.c has its connections and
 * server_listen.c its sockets' begin.
 *
 * A server's memory goes with its last client and the last task that waits on it, once its owner has freed it; those
 * that nobody frees go with the loop. Whoever runs user code, or waits, in the middle of something holds a pin. */
#include "await/server_core.h"

#include <await/scope.h>
#include <math.h>

#define GRACE_DEFAULT 10.0

struct server_wait {
    struct aw_wait wait; /* first */
    bool cut;
};

/* ---- life ---- */

static void wake_all(struct aw_list *waits, int result)
{
    struct aw_list *link;

    while ((link = aw_list_pop(waits)) != NULL)
        aw_wait_wake(AW_LIST_ENTRY(link, struct aw_wait, link), result);
}

static void destroy(async_server *server)
{
    aw_list_remove(&server->link);
    aw_call_free(server->call);
    aw_free(&server->loop->allocator, server);
}

void aw_server_check_idle(async_server *server)
{
    if (server->closed && server->count == 0)
        wake_all(&server->closers, 0);
}

void aw_server_unpin(async_server *server)
{
    if (--server->pins == 0 && server->disowned && server->count == 0)
        destroy(server);
}

/* ---- the loop's servers ---- */

struct servers_part {
    struct aw_loop_part part; /* first */
    struct aw_list all;
};

static void close_sockets(async_server *server)
{
    server->closed = true;
    for (size_t i = 0; i < server->socket_count; i++)
        aw_listener_close(&server->sockets[i].listener);
}

static void close_servers(struct aw_loop_part *part, async_loop *loop)
{
    struct servers_part *servers = (struct servers_part *)part;

    while (!aw_list_is_empty(&servers->all)) {
        async_server *server = AW_LIST_ENTRY(servers->all.next, async_server, link);

        server->pins = 1; /* of waiting tasks there are none any more, but we are here */
        close_sockets(server);
        aw_server_drop_clients(server);
        destroy(server);
    }
    aw_free(&loop->allocator, servers);
}

static struct servers_part *find_servers(async_loop *loop)
{
    static const char key;
    struct servers_part *servers = (struct servers_part *)aw_loop_find_part(loop, &key);

    if (servers)
        return servers;
    servers = aw_alloc_zeroed(&loop->allocator, sizeof *servers);
    if (!servers)
        return NULL;
    servers->part.key = &key;
    servers->part.close = close_servers;
    aw_list_init(&servers->all);
    aw_loop_attach_part(loop, &servers->part);
    return servers;
}

/* ---- starting ---- */

static const char start_what[] = "await_start_server";

static void set_name(async_server *server)
{
    async_loop *loop = server->loop;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    if (loop->sys->getsockname(loop->backend, server->sockets[0].listener.io.fd, (struct sockaddr *)&address, &size) <
        0)
        size = 0;
    aw_address_format(server->name, sizeof server->name, (const struct sockaddr *)&address, size);
}

static int64_t grace_of(const async_server_options *options)
{
    if (options->grace < 0)
        return 0;
    return aw_ns_from_seconds(options->grace > 0 ? options->grace : GRACE_DEFAULT);
}

static async_server *server_new(async_loop *loop, const async_server_options *options, size_t sockets,
                                const char *where)
{
    struct servers_part *servers = find_servers(loop);
    async_server *server =
        servers ? aw_alloc_zeroed(&loop->allocator, sizeof *server + sockets * sizeof server->sockets[0]) : NULL;

    if (!server) {
        aw_fail(loop, -ENOMEM, "%s: no memory", start_what);
        return NULL;
    }
    server->loop = loop;
    server->where = where;
    server->limit = options->limit;
    server->grace = grace_of(options);
    server->socket_count = sockets;
    aw_list_init(&server->clients);
    aw_list_init(&server->serving);
    aw_list_init(&server->closers);
    aw_list_append(&servers->all, &server->link);
    return server;
}

/* All sockets or none; a failure leaves them to the caller. */
static int open_listeners(async_server *server, const struct aw_server_fds *fds)
{
    for (size_t i = 0; i < fds->count; i++) {
        struct aw_server_socket *socket = &server->sockets[i];
        int r = aw_listener_open(&socket->listener, server->loop, fds->fds[i], aw_server_accepted);

        socket->server = server;
        if (r >= 0)
            continue;
        while (i-- > 0)
            aw_io_remove(server->loop, &server->sockets[i].listener.io);
        return aw_fail(server->loop, r, "%s: %s", start_what, async_strerror(r));
    }
    return 0;
}

static int check_options(async_loop *loop, const async_server_options *options, const struct aw_call *call,
                         async_server **ret_server)
{
    if (!call)
        return aw_fail(loop, -ENOMEM, "%s: no memory for the handler's arguments", start_what);
    if (!options || options->size != sizeof *options || !ret_server)
        return aw_fail(loop, -EINVAL, "%s: options.size is wrong, or options or ret_server is NULL", start_what);
    if (isnan(options->grace) || options->backlog < 0 || (options->fd_count > 0 && !options->fds))
        return aw_fail(loop, -EINVAL, "%s: grace is not a number, backlog is negative, or fds is NULL", start_what);
    return 0;
}

/* Takes the call over on success. */
ASYNC_SUSPENDS static int start(const async_server_options *options, struct aw_call *call, async_server **ret_server,
                                const char *where)
{
    struct aw_server_fds fds = { NULL, 0, false };
    int r = aw_await_enter(start_what);
    async_server *server;
    async_loop *loop;

    if (r < 0)
        return r;
    loop = aw_current_loop();
    r = check_options(loop, options, call, ret_server);
    if (r >= 0)
        r = aw_server_await_fds(loop, options, &fds);
    if (r < 0)
        return r;
    server = server_new(loop, options, fds.count, where);
    r = server ? open_listeners(server, &fds) : -ENOMEM;
    if (r < 0) {
        if (server)
            destroy(server);
        aw_server_fds_fini(loop, &fds);
        return r;
    }
    aw_free(&loop->allocator, fds.fds);
    server->call = call;
    set_name(server);
    *ret_server = server;
    return 0;
}

int aw_start_server_with(const async_server_options *options, struct aw_call *call, async_server **ret_server,
                         const char *where)
{
    int r = start(options, call, ret_server, where);

    if (r < 0)
        aw_call_free(call);
    return r;
}

int aw_start_server_at(const char *host, const char *port, struct aw_call *call, async_server **ret_server,
                       const char *where)
{
    async_server_options options = { .size = sizeof options, .host = host, .port = port };

    return aw_start_server_with(&options, call, ret_server, where);
}

/* ---- ending ---- */

void async_server_close(async_server *server)
{
    if (!server || server->closed)
        return;
    close_sockets(server);
    wake_all(&server->serving, ASYNC_ECLOSED);
    aw_server_check_idle(server);
}

void async_server_close_clients(async_server *server)
{
    if (server)
        aw_server_cancel_handlers(server);
}

void async_server_free(async_server *server)
{
    if (!server)
        return;
    server->pins++;
    async_server_close(server);
    async_server_close_clients(server);
    server->disowned = true;
    aw_server_unpin(server);
}

/* ---- waiting ---- */

static void leave_list(struct aw_wait *wait, int reason)
{
    ((struct server_wait *)wait)->cut = true;
    aw_list_remove(&wait->link);
    aw_wait_wake(wait, reason);
}

ASYNC_SUSPENDS static int park(async_server *server, struct aw_list *waits, const char *what)
{
    struct server_wait wait = { .wait = { .what = what, .subject = server, .cancel = leave_list } };
    int r;

    aw_list_append(waits, &wait.wait.link);
    r = aw_wait_park(&wait.wait);
    if (r < 0 && !wait.cut)
        return aw_fail(NULL, r, "%s: the server was closed", what);
    return r;
}

int await_server_wait_closed(async_server *server)
{
    static const char what[] = "await_server_wait_closed";
    int r;

    if (!server)
        return aw_fail(NULL, -EINVAL, "%s: server is NULL", what);
    server->pins++;
    r = aw_await_enter(what);
    if (r >= 0 && !server->closed)
        r = aw_fail(server->loop, ASYNC_ESTATE, "%s: the server on %s is not closed", what, server->name);
    else if (r >= 0 && server->count > 0)
        r = park(server, &server->closers, what);
    aw_server_unpin(server);
    return r;
}

ASYNC_SUSPENDS static int wait_idle(async_server *server)
{
    static const char what[] = "await_server_serve_forever";
    int r = aw_await_enter(what);

    return r >= 0 && server->count > 0 ? park(server, &server->closers, what) : r;
}

ASYNC_SUSPENDS static void drain(async_server *server)
{
    async_server_close(server);
    {
        async_shield(aw_seconds_from_ns(server->grace));
        if (wait_idle(server) >= 0)
            return;
    }
    async_server_close_clients(server);
    aw_server_stop_flushing(server);
    async_shield();
    (void)wait_idle(server);
}

int await_server_serve_forever(async_server *server)
{
    static const char what[] = "await_server_serve_forever";
    int r;

    if (!server)
        return aw_fail(NULL, -EINVAL, "%s: server is NULL", what);
    server->pins++;
    r = aw_await_enter(what);
    if (r >= 0)
        r = server->closed ? aw_fail(server->loop, ASYNC_ECLOSED, "%s: the server is closed", what)
                           : park(server, &server->serving, what);
    if (r == ASYNC_ECANCELED || r == ASYNC_ETIMEOUT)
        drain(server);
    aw_server_unpin(server);
    return r == ASYNC_ECANCELED ? 0 : r;
}

/* ---- asking ---- */

int async_server_is_serving(const async_server *server)
{
    return server && !server->closed;
}

int async_server_port(const async_server *server)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    async_loop *loop;

    if (!server || server->closed)
        return 0;
    loop = server->loop;
    if (loop->sys->getsockname(loop->backend, server->sockets[0].listener.io.fd, (struct sockaddr *)&address, &size) <
        0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

size_t async_server_sockets(const async_server *server, int *ret_fds, size_t capacity)
{
    if (!server || server->closed)
        return 0;
    for (size_t i = 0; i < server->socket_count && i < capacity && ret_fds; i++)
        ret_fds[i] = server->sockets[i].listener.io.fd;
    return server->socket_count;
}

size_t async_server_clients(const async_server *server)
{
    return server ? server->handlers : 0;
}

uint64_t async_server_accepted(const async_server *server)
{
    return server ? server->accepted : 0;
}
