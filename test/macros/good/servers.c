/* SPDX-License-Identifier: MIT */
/* Handlers with and without context. */
#include <await.h>

struct chat {
    int count;
};

async_def(echo, async_stream *, stream)
{
    return stream != NULL;
}

async_def(chat_client, async_stream *, stream, struct chat *, chat, int, limit)
{
    return stream && chat->count < limit;
}

async_main(void)
{
    struct chat chat = { 0 };
    async_server *server;
    async_server_options options = { .size = sizeof options, .port = "0" };
    int r = await_start_server(echo, "127.0.0.1", "0", &server);
    if (r < 0)
        return r;
    r = await_start_server(chat_client, "127.0.0.1", "0", &server, &chat, 20);
    if (r < 0)
        return r;
    r = await_start_server_with(&options, chat_client, &server, &chat, 20);
    return r < 0 ? r : await_server_serve_forever(server);
}
