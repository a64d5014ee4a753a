/* SPDX-License-Identifier: MIT */
/* Design notes: a server's connections. For each there is a client record: the handler's task while it runs, the stream
 * until it is flushed.
 *
 *     accepted -> handler runs -> its end (handler_ended) -> flushing -> gone
 *
 * The stream's first reference is the client's. A handler that frees the stream tells the record so
 * (stream_freed); one that took a reference keeps the stream, and the client only gives its own back. Flushing ends
 * when all is sent or when the peer has taken nothing for FLUSH_PATIENCE. */
#include "await/server_core.h"

#include <stdio.h>

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
    aw_server_check_idle(server);
    aw_server_unpin(server);
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
    aw_server_unpin(server);
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

void aw_server_accepted(struct aw_listener *listener, int fd, const struct sockaddr *address, socklen_t size)
{
    async_server *server = ((struct aw_server_socket *)listener)->server;
    int r = add_client(server, fd, address, size);

    server->accepted++;
    if (r < 0) {
        server->pins++;
        report(server, NULL, r, "a connection was dropped"); /* runs user code */
        aw_server_unpin(server);
        return;
    }
    server->handlers++;
    server->count++;
    set_full(server, server->limit > 0 && server->count >= server->limit);
}

/* ---- for the server ---- */

void aw_server_cancel_handlers(async_server *server)
{
    for (struct aw_list *link = server->clients.next; link != &server->clients; link = link->next)
        async_task_cancel(AW_LIST_ENTRY(link, struct client, link)->task);
}

void aw_server_stop_flushing(async_server *server)
{
    for (struct aw_list *link = server->clients.next, *next; link != &server->clients; link = next) {
        struct client *client = AW_LIST_ENTRY(link, struct client, link);

        next = link->next;
        if (!client->task && client->stream)
            drop_stream(client);
    }
}

void aw_server_drop_clients(async_server *server)
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
