/* SPDX-License-Identifier: MIT */
/* echo_libuv: the same server on libuv, on its fast path: one shared read buffer and uv_try_write, a real
 * write request only for what the kernel did not take.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER = 256 * 1024 };

struct rest {
    uv_write_t request;
    char data[];
};

static char buffer[BUFFER];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)handle;
    (void)suggested;
    *ret_buf = uv_buf_init(buffer, sizeof buffer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static void write_rest(uv_stream_t *stream, const char *data, size_t size)
{
    struct rest *rest = malloc(sizeof *rest + size);
    uv_buf_t buf;

    if (rest == NULL) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    memcpy(rest->data, data, size);
    buf = uv_buf_init(rest->data, (unsigned)size);
    if (uv_write(&rest->request, stream, &buf, 1, on_written) < 0) {
        free(rest);
        uv_close((uv_handle_t *)stream, on_closed);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    uv_buf_t out;
    int sent;

    if (n == 0)
        return;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    out = uv_buf_init(buf->base, (unsigned)n);
    sent = uv_try_write(stream, &out, 1);
    if (sent == n)
        return;
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        uv_close((uv_handle_t *)stream, on_closed);
    else
        write_rest(stream, buf->base + sent, (size_t)(n - sent));
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *tcp = status < 0 ? NULL : malloc(sizeof *tcp);

    if (tcp == NULL || uv_tcp_init(listener->loop, tcp) < 0)
        return;
    if (uv_accept(listener, (uv_stream_t *)tcp) < 0) {
        uv_close((uv_handle_t *)tcp, on_closed);
        return;
    }
    uv_tcp_nodelay(tcp, 1);
    uv_read_start((uv_stream_t *)tcp, on_alloc, on_read);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in address;
    int size = sizeof address;

    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_init(loop, &listener) < 0 || uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0) < 0 ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection) < 0 ||
        uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &size) < 0)
        return 1;
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
