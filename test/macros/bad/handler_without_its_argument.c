/* SPDX-License-Identifier: MIT */
/* expect gcc: too few arguments to function 'chat_client__call' */
/* expect clang: too few arguments to function call */
#include <await.h>

struct chat;

async_def(chat_client, async_stream *, stream, struct chat *, chat)
{
    return stream && chat;
}

int start(async_server **ret_server);
int start(async_server **ret_server)
{
    return await_start_server(chat_client, NULL, "0", ret_server);
}
