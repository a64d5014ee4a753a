/* SPDX-License-Identifier: MIT */
/* Design notes: a server owns its sockets and, for each connection, a client record: the handler's task while it
 * runs, the stream until it is flushed.
 *
 *     accepted -> handler runs -> its end (handler_ended) -> flushing -> gone
 *
 * The stream's first reference is the client's. A handler that frees the stream tells the record so
 * (stream_freed); one that took a reference keeps the stream, and the client only gives its own back. Flushing ends
 * when all is sent or when the peer has taken nothing for FLUSH_PATIENCE.
 *
 * A server's memory goes with its last client and the last task that waits on it, once its owner has freed it; those
 * that nobody frees go with the loop. */
#include "await/server_core.h"

#include <await/scope.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GRACE_DEFAULT 10.0
#define FLUSH_PATIENCE (30 * AW_NS_PER_SEC)
#define REPORTS_PER_MINUTE 10
#define MINUTE (60 * AW_NS_PER_SEC)

struct client {
    struct aw_stream_owner owner; /* first */
    struct aw_list link;
    async_server *server;
    async_stream *stream; /* NULL: freed or taken over by the handler */
    async_task *task;     /* NULL: it has ended */
    async_timer_handle patience;
    size_t unsent; /* when patience began */
};

struct server_wait {
    struct aw_wait wait; /* first */
    bool cut;
};

/* ---- life of the record ---- */

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

static void unpin(async_server *server)
{
    if (--server->pins == 0 && server->disowned && server->count == 0)
        destroy(server);
}

static void set_full(async_server *server, bool full)
{
    if (server->full == full)
        return;
    server->full = full;
    for (size_t i = 0; i < server->socket_count && !server->closed; i++)
        aw_listener_pause(&server->sockets[i].listener, full);
}

static void client_gone(struct client *client)
{
    async_server *server = client->server;

    (void)async_loop_unschedule(server->loop, &client->patience.handle);
    aw_list_remove(&client->link);
    aw_free(&server->loop->allocator, client);
    server->count--;
    server->pins++; /* until we are done with it */
    set_full(server, server->limit > 0 && server->count >= server->limit);
    if (server->closed && server->count == 0)
        wake_all(&server->closers, 0);
    unpin(server);
}

/* ---- failures of handlers ---- */

/* The peer's doing, or ours on purpose: nobody's mistake. */
static bool is_lost_peer(int result)
{
    switch (result) {
    case -ECONNRESET:
    case -EPIPE:
    case ASYNC_EEOF:
    case ASYNC_ECANCELED:
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ECONNABORTED:
        return true;
    default:
        return false;
    }
}

/* At most so many a minute; how many were left out is told with the next one. */
static bool may_report(async_server *server)
{
    int64_t now = aw_loop_now(server->loop);

    if (server->reports == 0 || now - server->reports_since >= MINUTE) {
        server->reports_since = now;
        server->reports = 0;
    }
    if (server->reports == REPORTS_PER_MINUTE) {
        server->unreported++;
        return false;
    }
    server->reports++;
    return true;
}

static void report(async_server *server, const async_task *task, int error, const char *detail)
{
    unsigned unreported = server->unreported;
    char more[64] = "";

    if (!may_report(server))
        return;
    server->unreported = 0;
    if (unreported > 0)
        snprintf(more, sizeof more, " (and %u more since the last report)", unreported);
    aw_loop_report(server->loop, error, (async_task *)(uintptr_t)task, task ? async_task_name(task) : NULL,
                   server->where, detail, "the handler %s of the server on %s failed with %s%s",
                   aw_call_name(server->call), server->name, async_error_name(error), more);
}

static void judge_result(async_server *server, const async_task *task, int result)
{
    if (is_lost_peer(result))
        server->loop->handlers_lost++;
    else if (result < 0)
        report(server, task, result, async_task_error(task)); /* runs user code */
}

/* ---- flushing ---- */

static void drop_stream(struct client *client)
{
    async_stream *stream = client->stream;

    stream->owner = NULL;
    async_stream_free(stream);
    client_gone(client);
}

static bool be_patient(struct client *client)
{
    async_loop *loop = client->server->loop;

    client->unsent = client->stream->transport.queued;
    return aw_loop_start_timer(loop, &client->patience, aw_ns_add(aw_loop_now(loop), FLUSH_PATIENCE)) >= 0;
}

static int out_of_patience(async_handle *handle)
{
    struct client *client = AW_CONTAINER_OF(handle, struct client, patience.handle);

    if (client->stream->transport.queued >= client->unsent || !be_patient(client))
        drop_stream(client);
    return 0;
}

static void flush(struct client *client)
{
    async_stream *stream = client->stream;

    if (stream->refs > 1) { /* taken over: it is not ours to close */
        drop_stream(client);
        return;
    }
    async_stream_close(stream);
    if (stream->lost || stream->transport.queued == 0 || !be_patient(client))
        drop_stream(client);
}

static void stream_freed(struct aw_stream_owner *owner)
{
    ((struct client *)owner)->stream = NULL;
}

static void stream_lost(struct aw_stream_owner *owner)
{
    struct client *client = (struct client *)owner;

    if (!client->task)
        drop_stream(client); /* all is sent; a handler that runs finds out by itself */
}

static void handler_ended(async_task *task, int result, void *arg)
{
    struct client *client = arg;
    async_server *server = client->server;

    server->pins++;
    server->handlers--;
    client->task = NULL;
    if (client->stream)
        flush(client);
    else
        client_gone(client);
    judge_result(server, task, result);
    unpin(server);
}

/* ---- accepting ---- */

static int add_client(async_server *server, int fd, const struct sockaddr *address, socklen_t size)
{
    async_loop *loop = server->loop;
    struct client *client = aw_alloc_zeroed(&loop->allocator, sizeof *client);
    int r = client ? aw_stream_new(loop, fd, false, address, size, &client->stream) : -ENOMEM;

    if (r < 0) {
        aw_free(&loop->allocator, client);
        (void)loop->sys->close(loop->backend, fd);
        return r;
    }
    client->task = aw_task_create_handler(loop, server->call, client->stream, server->where, handler_ended, client);
    if (!client->task) {
        async_stream_free(client->stream); /* closes fd, too */
        aw_free(&loop->allocator, client);
        return -ENOMEM;
    }
    client->owner = (struct aw_stream_owner){ .freed = stream_freed, .lost = stream_lost };
    client->stream->owner = &client->owner;
    client->server = server;
    async_timer_handle_init(&client->patience, out_of_patience);
    aw_list_append(&server->clients, &client->link);
    return 0;
}

static void accepted(struct aw_listener *listener, int fd, const struct sockaddr *address, socklen_t size)
{
    async_server *server = ((struct aw_server_socket *)listener)->server;
    int r = add_client(server, fd, address, size);

    server->accepted++;
    if (r < 0) {
        server->pins++;
        report(server, NULL, r, "a connection was dropped"); /* runs user code */
        unpin(server);
        return;
    }
    server->handlers++;
    server->count++;
    set_full(server, server->limit > 0 && server->count >= server->limit);
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

/* No task will run again, and no handler_ended() will come. */
static void drop_clients(async_server *server)
{
    struct aw_list *link;

    while ((link = aw_list_pop(&server->clients)) != NULL) {
        struct client *client = AW_LIST_ENTRY(link, struct client, link);

        if (client->stream)
            drop_stream(client);
        else
            client_gone(client);
    }
}

static void close_servers(struct aw_loop_part *part, async_loop *loop)
{
    struct servers_part *servers = (struct servers_part *)part;

    while (!aw_list_is_empty(&servers->all)) {
        async_server *server = AW_LIST_ENTRY(servers->all.next, async_server, link);

        server->pins = 1; /* of waiting tasks there are none any more, but we are here */
        close_sockets(server);
        drop_clients(server);
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
        int r = aw_listener_open(&socket->listener, server->loop, fds->fds[i], accepted);

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
    if (server->count == 0)
        wake_all(&server->closers, 0);
}

void async_server_close_clients(async_server *server)
{
    if (!server)
        return;
    for (struct aw_list *link = server->clients.next; link != &server->clients; link = link->next)
        async_task_cancel(AW_LIST_ENTRY(link, struct client, link)->task);
}

void async_server_free(async_server *server)
{
    if (!server)
        return;
    server->pins++;
    async_server_close(server);
    async_server_close_clients(server);
    server->disowned = true;
    unpin(server);
}

/* Those whose handlers have ended and whose peers do not take what is left. */
static void stop_flushing(async_server *server)
{
    for (struct aw_list *link = server->clients.next, *next; link != &server->clients; link = next) {
        struct client *client = AW_LIST_ENTRY(link, struct client, link);

        next = link->next;
        if (!client->task && client->stream)
            drop_stream(client);
    }
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
    unpin(server);
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
    stop_flushing(server);
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
    unpin(server);
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
