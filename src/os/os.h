/* SPDX-License-Identifier: MIT */
/* Services of the operating system, callback half: blocking jobs and name resolution. */
#ifndef AW_OS_OS_H
#define AW_OS_OS_H

#include "loop/loop.h"

/* ---- executor (executor.c): a queue in front of the backend's threads, with a limit ---- */

struct aw_executor {
    async_loop *loop;
    struct aw_list waiting; /* aw_executor_job.job.link, FIFO */
    struct aw_list running; /* aw_executor_job.link */
    unsigned limit, active;
    bool shut_down;
    bool *gone;                                            /* set by fini, for whoever is in done() */
    void (*idle)(struct aw_executor *executor, void *arg); /* called when the last job has ended; may be NULL */
    void *idle_arg;
};

enum aw_executor_job_state { AW_JOB_IDLE, AW_JOB_WAITING, AW_JOB_RUNNING };

struct aw_executor_job {
    struct aw_job job; /* first */
    struct aw_list link;
    async_loop *loop;
    struct aw_executor *executor; /* NULL: the executor is gone, the job runs on its own */
    enum aw_executor_job_state state;
    void (*work)(struct aw_executor_job *job); /* on a thread */
    void (*done)(struct aw_executor_job *job); /* on the loop's thread; may free the job, and the executor */
};

void aw_executor_init(struct aw_executor *executor, async_loop *loop, unsigned limit); /* 0: 32 */
/* The caller has set work and done and leaves the job alone until done() or a successful cancel. 0; -EAGAIN no thread
 * to be had; ASYNC_ECLOSED shut down. */
int aw_executor_submit(struct aw_executor *executor, struct aw_executor_job *job);
/* 1: it had not begun and never will; done() is not called. 0: too late, or it is not under way. */
int aw_executor_cancel(struct aw_executor_job *job);
/* Drops what has not begun by calling done() with the job's state "never ran" (work was not called): the
 * owner tells by a flag of its own that work() sets. Running jobs go on without the executor. */
void aw_executor_fini(struct aw_executor *executor);

/* The loop's default executor and the resolver's own (a slow name server must not hold up files). Made on
 * first use, ended by async_loop_close. NULL without memory. */
struct aw_executor *aw_loop_executor(async_loop *loop);
struct aw_executor *aw_loop_resolver_executor(async_loop *loop);

/* ---- names (resolver.c) ---- */

struct aw_address {
    struct sockaddr_storage address;
    socklen_t size;
};

struct aw_resolve; /* one lookup; owns its memory, so that it can be abandoned while a thread works on it */

/* Numbers are resolved at once, names on the resolver's executor; either way done() comes later through the
 * loop: error 0 and the list, or ASYNC_ENONAME, ASYNC_EDNS, -ENOMEM, ASYNC_ECLOSED (the loop was closed before it had
 * begun). The list is valid during done(). `passive`: for listening; host NULL or "" is every interface (0.0.0.0, then
 * ::), otherwise this machine (::1, then 127.0.0.1); port NULL or "" is 0. 0, or -EINVAL a port number above 65535;
 * -ENOMEM; -EAGAIN no thread; ASYNC_ECLOSED. */
int aw_resolve_start(async_loop *loop, const char *host, const char *port, bool passive,
                     void (*done)(void *arg, int error, const struct aw_address *addresses, size_t count), void *arg,
                     struct aw_resolve **ret_resolve);
/* done() will not come; the thread, if one is at it, goes on without us. Not after or within done(). NULL is nothing.
 */
void aw_resolve_abandon(struct aw_resolve *resolve);

#endif
