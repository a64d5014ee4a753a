/* SPDX-License-Identifier: MIT */
/* expect gcc: incompatible pointer type */
/* expect clang: incompatible pointer types */
#include <await.h>

struct chat;
struct room;

async_def(chat_client, async_stream *, stream, struct chat *, chat)
{
    return stream && chat;
}

int start(struct room *room, async_server **ret_server);
int start(struct room *room, async_server **ret_server)
{
    return await_start_server(chat_client, NULL, "0", ret_server, room);
}
