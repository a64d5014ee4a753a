/* SPDX-License-Identifier: MIT */
/* Sends a message, prints the answer: echo_client HOST PORT MESSAGE */
#include <await.h>
#include <stdio.h>
#include <string.h>

async_def(await_echo, const char *, host, const char *, port, const char *, message)
{
    async_timeout(10.0); /* for all that follows: name, connect, write and read */
    async_stream *stream = NULL;
    char buf[4096];
    ssize_t n;
    int r;

    async_defer(async_stream_free, stream);
    r = await_open_connection(host, port, &stream);
    if (r < 0)
        return r;
    printf("Send: %s\n", message);
    r = await_stream_write(stream, message, strlen(message));
    if (r < 0)
        return r;
    r = async_stream_write_eof(stream); /* that was all: the server will end, too */
    if (r < 0)
        return r;
    printf("Received: ");
    while ((n = await_stream_read(stream, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    puts("");
    return (int)n;
}

async_main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: echo_client HOST PORT MESSAGE\n");
        return 2;
    }
    return await_echo(argv[1], argv[2], argv[3]); /* a failure is printed, the exit code is 1 */
}
