/* SPDX-License-Identifier: MIT */
/* The inside of a server, for server.c, server_client.c and server_listen.c. */
#ifndef AW_AWAIT_SERVER_CORE_H
#define AW_AWAIT_SERVER_CORE_H

#include "await/lookup.h"
#include "await/stream_core.h"
#include <await/server.h>

struct aw_server_socket {
    struct aw_listener listener; /* first */
    async_server *server;
};

struct async_server {
    struct aw_list link; /* in the loop's list of servers */
    async_loop *loop;
    struct aw_call *call; /* the handler and its further arguments */
    const char *where;
    char name[AW_ADDRESS_TEXT]; /* of its first socket */

    struct aw_list clients;
    size_t handlers; /* tasks that run */
    size_t count;    /* clients: handlers, and streams that are being flushed */
    size_t limit;    /* 0: none */
    int64_t grace;   /* ns */
    bool closed;     /* does not listen any more */
    bool disowned;   /* by async_server_free: goes with the last client and waiter */
    bool full;       /* not accepting because of `limit` */
    uint32_t pins;   /* tasks inside of an await_server_* */
    uint64_t accepted;

    struct aw_list serving; /* waits of serve_forever */
    struct aw_list closers; /* waits of wait_closed and of draining */

    int64_t reports_since; /* begin of the minute in which `reports` were made */
    unsigned reports, unreported;

    size_t socket_count;
    struct aw_server_socket sockets[];
};

/* Listening sockets before they have a server. */
struct aw_server_fds {
    int *fds;
    size_t count;
    bool inherited;
};

/* ---- server_listen.c ---- */

/* Finds or opens the sockets that the options ask for. Suspends. 0, or a failure with a sentence. */
ASYNC_SUSPENDS int aw_server_await_fds(async_loop *loop, const async_server_options *options,
                                       struct aw_server_fds *ret_fds);
/* Closes those that are not inherited, frees the array. */
void aw_server_fds_fini(async_loop *loop, struct aw_server_fds *fds);

/* ---- server.c ---- */

/* Frees the server if that was the last that kept it. */
void aw_server_unpin(async_server *server);
/* Tells those who wait for a closed server's last client. */
void aw_server_check_idle(async_server *server);

/* ---- server_client.c ---- */

void aw_server_accepted(struct aw_listener *listener, int fd, const struct sockaddr *address, socklen_t size);
void aw_server_cancel_handlers(async_server *server);
/* Drops the streams of those whose handlers have ended and whose peers do not take what is left. */
void aw_server_stop_flushing(async_server *server);
/* Frees all, when no task will run again and no handler's end will come. */
void aw_server_drop_clients(async_server *server);

#endif
