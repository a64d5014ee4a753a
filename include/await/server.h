/* SPDX-License-Identifier: MIT */
/* A server: one handler task for each connection.
 *
 *     async_def(echo, async_stream *, stream) { ... }
 *
 *     async_server *server;
 *     int r = await_start_server(echo, "127.0.0.1", "8888", &server);
 *     return r < 0 ? r : await_server_serve_forever(server);
 *
 * The server owns its handlers' tasks and streams: when a handler returns, its stream is flushed, closed
 * and freed. A handler that failed because its peer went away (-ECONNRESET, -EPIPE, ASYNC_EEOF and their like), or was
 * cancelled, is counted; any other failure is reported, at most ten times a minute. A peer that takes nothing of
 * what is left for half a minute loses it. A server that is never freed is freed by the loop.
 */
#ifndef AWAIT_SERVER_H
#define AWAIT_SERVER_H

#include <await/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_server async_server;

/* Zero means the default everywhere. Set `size` first. */
typedef struct async_server_options {
    size_t size;              /* sizeof(async_server_options) */
    const char *const *hosts; /* several addresses, ended by NULL; NULL or "" in a place: all interfaces */
    const char *host;         /* or one */
    const char *port;         /* "0": any free port, the same for all addresses */
    const int *fds;           /* or listening sockets that were inherited; the server owns them */
    size_t fd_count;
    int backlog;    /* default 100 */
    int reuse_port; /* 1: several processes or loops share the port */
    double grace;   /* seconds that serve_forever waits for handlers at its end; default 10,
                       negative 0 */
    size_t limit;   /* most handlers at a time; further connections wait; 0: no limit */
} async_server_options;

/* await_start_server(handler, host, port, &server)
 * await_start_server(handler, host, port, &server, arguments...)
 *
 * Listens on host and port and starts a task handler(stream, arguments...) for each connection. The handler
 * comes from async_def; its first parameter is the stream, the arguments are checked and copied.
 *
 * suspends  yes, while names resolve
 * returns   0 and *ret_server; the scope's reason; -EADDRINUSE · -EACCES · ASYNC_ENONAME · -EINVAL · -ENOMEM
 * owns      the caller: async_server_free(), or the loop at its end
 * threads   loop thread, in a task
 * asyncio   start_server()
 */
#define await_start_server(handler, host, port, ...)                                                                   \
    aw_start_server_at(host, port, AW_HANDLER(handler, __VA_ARGS__), AW_HERE)

/* await_start_server_with(&options, handler, &server, arguments...): the same with options. */
#define await_start_server_with(options, handler, ...)                                                                 \
    aw_start_server_with(options, AW_HANDLER(handler, __VA_ARGS__), AW_HERE)

/* Serves until the calling task is cancelled (SIGINT, SIGTERM under async_main). Then it stops listening, lets
 * handlers finish under the grace period (those that wait for their next request are cancelled at its end),
 * and returns 0: that is its normal end.
 *
 * suspends  yes
 * returns   0 ended by cancellation, drained; ASYNC_ETIMEOUT a deadline of the caller · ASYNC_ECLOSED
 *           async_server_close() was called meanwhile
 * owns      nothing
 * threads   loop thread, in a task
 * asyncio   Server.serve_forever()
 */
ASYNC_AWAIT int await_server_serve_forever(async_server *server);

/* Stops listening. Handlers go on. The second call does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Server.close()
 */
ASYNC_API void async_server_close(async_server *server);

/* Cancels all handlers; each gets to clean up.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Server.close_clients()
 */
ASYNC_API void async_server_close_clients(async_server *server);

/* Waits until a closed server's last handler has ended.
 *
 * suspends  yes, until then
 * returns   0; the scope's reason · ASYNC_ESTATE it is not closed
 * threads   loop thread, in a task
 * asyncio   Server.wait_closed()
 */
ASYNC_AWAIT int await_server_wait_closed(async_server *server);

/* Stops listening, cancels the handlers, gives the server back to the loop, which frees it when the last one has
 * ended. NULL does nothing.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   Server.__del__
 */
ASYNC_API void async_server_free(async_server *server);

/* suspends  no
 * returns   1 while it accepts connections, else 0
 * threads   loop thread
 * asyncio   Server.is_serving()
 */
ASYNC_API int async_server_is_serving(const async_server *server);

/* suspends  no
 * returns   the port of its first socket, 0 when it has none
 * threads   loop thread
 * asyncio   Server.sockets[0].getsockname()[1]
 */
ASYNC_API int async_server_port(const async_server *server);

/* suspends  no
 * returns   how many listening sockets there are; at most `capacity` fds are written
 * owns      the fds stay the server's
 * threads   loop thread
 * asyncio   Server.sockets
 */
ASYNC_API size_t async_server_sockets(const async_server *server, int *ret_fds, size_t capacity);

/* suspends  no
 * returns   handlers that run now / connections accepted so far
 * threads   loop thread
 * asyncio   len(Server._clients) / none
 */
ASYNC_API size_t async_server_clients(const async_server *server);
ASYNC_API uint64_t async_server_accepted(const async_server *server);

/* ---- what the macros reach; not for direct use ---- */
ASYNC_AWAIT int aw_start_server_at(const char *host, const char *port, struct aw_call *call, async_server **ret_server,
                                   const char *where);
ASYNC_AWAIT int aw_start_server_with(const async_server_options *options, struct aw_call *call,
                                     async_server **ret_server, const char *where);

#ifdef __cplusplus
}
#endif
#endif
