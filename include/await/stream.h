/* SPDX-License-Identifier: MIT */
/* A stream: bytes in order, both ways. One object is reader and writer.
 *
 *     async_stream *stream = NULL;
 *     async_defer(async_stream_free, stream);
 *     if ((r = await_open_connection("example.org", "80", &stream)) < 0)
 *         return r;
 *     if ((r = await_stream_write(stream, request, sizeof request - 1)) < 0)
 *         return r;
 *     n = await_stream_read(stream, buf, sizeof buf);      // 0 at the end of the stream
 *
 * Reading without a copy: await_stream_peek() lends the loop's buffer until the caller's next await.
 * One task may read and another write at the same time; a second reader gets -EBUSY. No idle
 * stream holds a buffer. What a refused or cancelled read has not returned stays in the stream.
 */
#ifndef AWAIT_STREAM_H
#define AWAIT_STREAM_H

#include <await/task.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_stream async_stream;

/* Connects to host and port (names or numbers), trying the addresses one after the other.
 *
 * suspends  yes
 * returns   0 and *ret_stream; the scope's reason; the last address's failure
 * errors    -EINVAL · ASYNC_ENONAME · ASYNC_EDNS · -ECONNREFUSED and what else the kernel says · -ENOMEM · -EMFILE
 * owns      the caller owns the stream: await_stream_close() or async_stream_free()
 * threads   loop thread, in a task
 * asyncio   open_connection()
 */
ASYNC_AWAIT int await_open_connection(const char *host, const char *port, async_stream **ret_stream);

/* Makes a stream of a connected stream socket, pipe or tty that the caller owns. It is set to non-blocking;
 * an inherited descriptor 0, 1 or 2 gets its flags back when the stream is freed and is not closed.
 *
 * suspends  no
 * returns   0 and *ret_stream; -EINVAL · -EBADF · -EPERM not pollable · -EBUSY watched or used already · -ENOMEM
 * owns      the stream owns the fd on success, except 0, 1 and 2
 * threads   loop thread
 * asyncio   open_connection(sock=...), connect_read_pipe()
 */
ASYNC_API ASYNC_MUSTUSE int async_stream_from_fd(int fd, async_stream **ret_stream);

/* Reads what is there, at most `size` bytes; waits only when there is nothing.
 *
 * suspends  yes, when there is nothing
 * returns   the number of bytes; 0 at the end of the stream (or for size 0); the scope's reason: nothing
 *           was taken · -ECONNRESET and other failures · -EBUSY another task reads · ASYNC_ECLOSED
 * threads   loop thread, in a task
 * asyncio   StreamReader.read(n)
 */
ASYNC_AWAIT ssize_t await_stream_read(async_stream *stream, void *buf, size_t size);

/* Reads exactly `size` bytes.
 *
 * suspends  yes, until they are there
 * returns   size; otherwise nothing is taken and all bytes stay in the stream: the scope's reason;
 *           ASYNC_EEOF the stream ended before (async_stream_buffered() says how much there is);
 *           -ENOMEM · as await_stream_read
 * threads   loop thread, in a task
 * asyncio   StreamReader.readexactly()
 */
ASYNC_AWAIT ssize_t await_stream_readexactly(async_stream *stream, void *buf, size_t size);

/* Reads a line with its "\n" and a NUL behind it into buf.
 *
 * suspends  yes, until it is there
 * returns   its length; 0 at the end of the stream; otherwise nothing is taken: the scope's reason;
 *           ASYNC_EEOF the stream ended inside of a line · ASYNC_ELIMIT no line end within size - 1 bytes
 *           · as await_stream_read
 * threads   loop thread, in a task
 * asyncio   StreamReader.readline()
 */
ASYNC_AWAIT ssize_t await_stream_readline(async_stream *stream, char *buf, size_t size);

/* Reads up to and with the separator, and puts a NUL behind it.
 *
 * suspends  yes, until it is there
 * returns   as await_stream_readline; -EINVAL the separator is empty
 * threads   loop thread, in a task
 * asyncio   StreamReader.readuntil()
 */
ASYNC_AWAIT ssize_t await_stream_readuntil(async_stream *stream, const void *separator, size_t separator_size,
                                           char *buf, size_t size);

/* Lends what is there, without a copy. Take what was used with async_stream_consume(); the rest
 * stays in the stream.
 *
 * suspends  yes, when there is nothing
 * returns   the number of bytes at *ret_data; 0 at the end of the stream; as await_stream_read
 * owns      *ret_data is lent until this task's next await or next call on this stream; that await may be
 *           the await_stream_write() of these very bytes: it takes them before anybody else runs
 * threads   loop thread, in a task
 * asyncio   BufferedProtocol.buffer_updated()
 */
ASYNC_AWAIT ssize_t await_stream_peek(async_stream *stream, const void **ret_data);

/* suspends  no
 * returns   0; -EINVAL more than was lent
 * threads   loop thread
 * asyncio   none
 */
ASYNC_API int async_stream_consume(async_stream *stream, size_t size);

/* Writes all and waits until the stream's buffer is below its low-water mark (nothing to wait for when
 * the kernel takes all at once).
 *
 * suspends  yes, when more than the high-water mark is queued, before or after it
 * returns   0: all is written or queued, also when the drain was cut off; the scope's reason, refused at
 *           entry or while it waited for room: nothing was taken; -EPIPE · -ECONNRESET · ASYNC_ECLOSED · -ENOMEM ·
 *           -EINVAL
 * threads   loop thread, in a task
 * asyncio   StreamWriter.write() and drain()
 */
ASYNC_AWAIT int await_stream_write(async_stream *stream, const void *data, size_t size);
ASYNC_AWAIT int await_stream_writelines(async_stream *stream, const struct iovec *pieces, size_t count);

/* Queues without waiting: what the kernel does not take now is copied. Pair it with await_stream_drain(),
 * or a peer that does not read grows the buffer without limit.
 *
 * suspends  no
 * returns   0; -EPIPE · -ECONNRESET · ASYNC_ECLOSED · -ENOMEM (nothing was taken) · -EINVAL
 * threads   loop thread
 * asyncio   StreamWriter.write()
 */
ASYNC_API ASYNC_MUSTUSE int async_stream_write(async_stream *stream, const void *data, size_t size);

/* Waits until the stream's buffer is below its low-water mark, if it is above its high one.
 *
 * suspends  yes, when the buffer is above the high-water mark
 * returns   0; the scope's reason; the failure that ended the stream
 * threads   loop thread, in a task
 * asyncio   StreamWriter.drain()
 */
ASYNC_AWAIT int await_stream_drain(async_stream *stream);

/* Ends the writing half after what is queued; reading goes on.
 *
 * suspends  no
 * returns   0; ASYNC_ECLOSED · -EPIPE · -EINVAL · -ENOTSUP no half close
 * threads   loop thread
 * asyncio   StreamWriter.write_eof()
 */
ASYNC_API int async_stream_write_eof(async_stream *stream);

/* Begins to close: no more reads and writes, what is queued still goes out.
 *
 * suspends  no
 * returns   0, also the second time; -EINVAL
 * threads   loop thread
 * asyncio   StreamWriter.close()
 */
ASYNC_API int async_stream_close(async_stream *stream);

/* Waits until a stream that is being closed has sent what was queued and is closed.
 *
 * suspends  yes, until then
 * returns   0; the failure that ended it; the scope's reason · ASYNC_ESTATE it is not being closed
 * threads   loop thread, in a task
 * asyncio   StreamWriter.wait_closed()
 */
ASYNC_AWAIT int await_stream_wait_closed(async_stream *stream);

/* Closes, waits until all is sent, frees. NULL does nothing. For await_defer. When the scope is
 * cancelled, or its grace is over, what is queued is dropped.
 *
 * suspends  yes, while something is queued
 * returns   nothing
 * owns      the stream is gone
 * threads   loop thread, in a task
 * asyncio   writer.close(); await writer.wait_closed()
 */
ASYNC_API ASYNC_SUSPENDS void await_stream_close(async_stream *stream);

/* Frees at once; what is queued is dropped. NULL does nothing. For async_defer. A server's handler need
 * not free its stream; if it does, the server knows.
 *
 * suspends  no
 * returns   nothing
 * threads   loop thread
 * asyncio   transport.abort()
 */
ASYNC_API void async_stream_free(async_stream *stream);

/* Takes a handler's stream over from its server: it lives until its last owner frees it. The handler's own reference is
 * the server's, which gives it back when the handler returns; a handler that frees the stream without having taken a
 * reference ends it, and the server knows.
 *
 * suspends  no
 * returns   stream
 * owns      the caller owns one more reference, which async_stream_free() gives back
 * threads   loop thread
 * asyncio   none: references are counted by Python
 */
ASYNC_API async_stream *async_stream_ref(async_stream *stream);

/* suspends  no
 * returns   bytes that were received and not taken / queued and not sent
 * threads   loop thread
 * asyncio   len(reader._buffer), transport.get_write_buffer_size()
 */
ASYNC_API size_t async_stream_buffered(const async_stream *stream);
ASYNC_API size_t async_stream_write_buffer_size(const async_stream *stream);

/* suspends  no
 * returns   1 the peer has ended and everything was taken / 1 after async_stream_close() or a failure
 * threads   loop thread
 * asyncio   StreamReader.at_eof(), StreamWriter.is_closing()
 */
ASYNC_API int async_stream_at_eof(const async_stream *stream);
ASYNC_API int async_stream_is_closing(const async_stream *stream);

/* Water marks in bytes: above `high` drain waits, below `low` it goes on. Default 64 and 16 KiB.
 *
 * suspends  no
 * returns   0; -EINVAL low > high
 * threads   loop thread
 * asyncio   transport.set_write_buffer_limits()
 */
ASYNC_API int async_stream_set_write_buffer_limits(async_stream *stream, size_t high, size_t low);

/* Addresses and descriptor of a stream. Text is "127.0.0.1:8888" or "[::1]:8888", "" when unknown.
 *
 * suspends  no
 * returns   text that lives as long as the stream / the fd, -EBADF once closed
 * owns      the fd stays the stream's
 * threads   loop thread
 * asyncio   StreamWriter.get_extra_info("peername" / "sockname" / "socket")
 */
ASYNC_API const char *async_stream_peername(async_stream *stream);
ASYNC_API const char *async_stream_sockname(async_stream *stream);
ASYNC_API int async_stream_fileno(const async_stream *stream);
ASYNC_API int async_stream_getpeername(const async_stream *stream, struct sockaddr_storage *ret_address,
                                       socklen_t *ret_size);
ASYNC_API int async_stream_getsockname(const async_stream *stream, struct sockaddr_storage *ret_address,
                                       socklen_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
