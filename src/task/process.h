/* SPDX-License-Identifier: MIT */
/* The one file of process state: signal dispositions and alternate stacks. Installed by async_run and its
 * like only, chained to what was there, taken back at the end. */
#ifndef AW_TASK_PROCESS_H
#define AW_TASK_PROCESS_H

#include "base/base.h"

/* Called in the SIGSEGV/SIGBUS handler with the fault's address: writes one sentence into buf when it is the
 * overflow of a task's stack, else returns 0. Async-signal-safe. A newline is added if there is none. */
typedef size_t (*aw_describe_fault)(void *arg, const void *address, char *buf, size_t size);

struct aw_process_watch {
    aw_describe_fault describe; /* for faults on this thread */
    void *describe_arg;
    /* First SIGINT or SIGTERM, whose default would end the process: called in the handler, on any thread,
     * async-signal-safe. The second one is not caught. A signal that is ignored (nohup, a shell's background job) or
     * that has a handler of the program is left alone, as asyncio does. NULL: leave both alone. */
    void (*interrupt)(void *arg, int signal);
    void *interrupt_arg;
    /* private */
    struct aw_process_watch *outer; /* of the same thread */
    void *alternate;                /* our mapping; NULL: the thread had a stack that is large enough */
};

/* For the calling thread, while it runs a loop. The first watch of the process that asks for interrupts gets
 * them. 0, -ENOMEM, -errno. */
int aw_process_enter(struct aw_process_watch *watch);
/* On the thread that entered, in the reverse order. Afterwards interrupt() is not called any more. */
void aw_process_leave(struct aw_process_watch *watch);
/* After the first signal was dealt with (a runner's next run): catch the next one again. */
void aw_process_rearm(struct aw_process_watch *watch);
/* Flushes stdio and ends the process by the default action of the signal, so that its parent sees the truth. */
void aw_process_die(int signal) __attribute__((noreturn));

#endif
