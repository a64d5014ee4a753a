/* SPDX-License-Identifier: MIT */
/* What every other header of libawait needs: attributes, error codes, the allocator, features.
 *
 *     int r = await_sleep(1.0);
 *     if (r < 0)
 *         fprintf(stderr, "%s\n", async_last_error());
 *
 * One law: a function whose name begins with `await_` may suspend the calling task and is a
 * cancellation point; one whose name begins with `async_` never suspends.
 * Results: >= 0 is success, a negative number is -errno or one of the ASYNC_E* codes below.
 */
#ifndef AWAIT_BASE_H
#define AWAIT_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The library is asked at run time: these are what the headers were. */
#define ASYNC_VERSION_MAJOR 0
#define ASYNC_VERSION_MINOR 1
#define ASYNC_VERSION_PATCH 0

#define ASYNC_API __attribute__((visibility("default")))
#define ASYNC_MUSTUSE __attribute__((warn_unused_result))

/* Marks a function that may suspend its task; read by the suspension lint, invisible to the ABI. */
#if defined __clang__
#define ASYNC_SUSPENDS __attribute__((annotate("async:suspends")))
#else
#define ASYNC_SUSPENDS
#endif

/* What every await_* prototype carries. */
#define ASYNC_AWAIT ASYNC_API ASYNC_SUSPENDS ASYNC_MUSTUSE

#ifdef __cplusplus
extern "C" {
#endif

typedef struct async_loop async_loop;
typedef struct async_task async_task;

/* Our own codes, already negative, outside of the range of errno. */
#define ASYNC_ECANCELED (-ECANCELED) /* the scope we are in was cancelled */
#define ASYNC_ETIMEOUT (-100001)     /* a deadline of a scope we are in has passed */
#define ASYNC_EEOF (-100002)         /* the peer promised more: it ended in the middle (IncompleteReadError) */
#define ASYNC_ENOTASK (-100003)      /* an await_* call outside of a task: use async_run(fn, ...) */
#define ASYNC_ELIMIT (-100004)       /* a line or record is longer than the stream's limit (LimitOverrunError) */
#define ASYNC_ESTATE (-100005)       /* the object is not in a state for this, e.g. has a result (InvalidStateError) */
#define ASYNC_ECLOSED (-100006)      /* the loop, stream, server or executor is closed */
#define ASYNC_ENONAME (-100007)      /* the name does not resolve: no such host or service */
#define ASYNC_EDNS (-100008)         /* the resolver failed for another reason; it may succeed later */
#define ASYNC_ENOBACKEND (-100009)   /* no backend has that name */
#define ASYNC_ETHREAD (-100010)      /* called from a thread that does not own the loop */
#define ASYNC_EDEADLOCK (-100011)    /* nothing is runnable and nothing can ever wake the loop */

/* A sentence for a code: "connection refused", "a deadline has passed".
 *
 * suspends  no
 * returns   static text, never NULL, for every int
 * threads   any
 * asyncio   str(exception)
 */
ASYNC_API const char *async_strerror(int code);

/* The name of a code as it is written in C: "-ECONNREFUSED", "ASYNC_ETIMEOUT".
 *
 * suspends  no
 * returns   static text, never NULL; "unknown error" for a number that is no code
 * threads   any
 * asyncio   type(exception).__name__
 */
ASYNC_API const char *async_error_name(int code);

/* The sentence a person wants about the newest failure in this task (outside of tasks: on this
 * thread): the operation, the host, which deadline, which task.
 *
 * suspends  no
 * returns   text that is valid until this task's next failing call; "" if nothing has failed
 * threads   any; each sees its own
 * asyncio   the traceback's last line
 */
ASYNC_API const char *async_last_error(void);

/* Where the library's memory comes from. All three functions are called on any thread that calls
 * the library; `ctx` is passed through. An allocator that returns NULL makes the call that needed
 * memory fail with -ENOMEM and nothing else.
 */
typedef struct async_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void *(*resize)(void *ctx, void *memory, size_t size); /* realloc: memory may be NULL */
    void (*free)(void *ctx, void *memory);                 /* memory may be NULL */
    void *ctx;
} async_allocator;

/* Writes what was chosen at run time, one `key=value` a line: version, switch, guard (and why not a
 * better one), backend, sanitizer.
 *
 * suspends  no
 * returns   the length of the whole text without its NUL, as snprintf does; buf may be NULL if size is 0
 * threads   any
 * asyncio   none; `python -m test.pythoninfo` comes near
 */
ASYNC_API size_t async_features(char *buf, size_t size);

/* The library's version, "0.1.0".
 *
 * suspends  no
 * returns   static text
 * threads   any
 * asyncio   sys.version
 */
ASYNC_API const char *async_version(void);

#ifdef __cplusplus
}
#endif
#endif
