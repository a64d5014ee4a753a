/* SPDX-License-Identifier: MIT */
/* echo_peek: our server without a copy and without a buffer of its own: what peek lends is the loop's hot buffer,
 * the same memory for every connection.
 */
#include "serve.h"
#include <await.h>

static async_def(echo, async_stream *, stream)
{
    const void *data;
    ssize_t n;

    while ((n = await_stream_peek(stream, &data)) > 0) {
        int r = async_stream_write(stream, data, (size_t)n); /* first: the loan ends with the next await */

        if (r < 0 || (r = async_stream_consume(stream, (size_t)n)) < 0 || (r = await_stream_drain(stream)) < 0)
            return r;
    }
    return (int)n;
}

async_main(void)
{
    async_server_options options = {
        .size = sizeof options, .host = "127.0.0.1", .port = "0", .backlog = 1024, .grace = -1
    };
    async_server *server;
    int r = await_start_server_with(&options, echo, &server);

    if (r < 0)
        return r;
    serve_ready(async_server_port(server));
    return await_server_serve_forever(server);
}
