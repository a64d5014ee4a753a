/* SPDX-License-Identifier: MIT */
/* The one file of process state: signal dispositions and alternate stacks. Installed by async_run and its
 * like only, chained to what was there, taken back at the end. */
#ifndef AW_TASK_PROCESS_H
#define AW_TASK_PROCESS_H

#include "base/base.h"

/* Called in the SIGSEGV/SIGBUS handler with the fault's address: writes one sentence into buf when it is the
 * overflow of a task's stack, else returns 0. Async-signal-safe. */
typedef size_t (*aw_describe_fault)(void *arg, const void *address, char *buf, size_t size);

struct aw_process_watch {
    struct aw_process_watch *next;
    aw_describe_fault describe; /* for faults on this thread */
    void *describe_arg;
    /* First SIGINT or SIGTERM: called in the handler, async-signal-safe. The second one is not caught. NULL: leave
     * those signals alone. */
    void (*interrupt)(void *arg, int signal);
    void *interrupt_arg;
    /* private */
    void *alternate_stack;
    size_t alternate_size;
    bool owns_alternate, owns_signals;
    uint64_t thread;
};

/* For the calling thread, while it runs a loop. The first watch of the process that asks for interrupts gets
 * them. 0, -ENOMEM, -errno. */
int aw_process_enter(struct aw_process_watch *watch);
void aw_process_leave(struct aw_process_watch *watch);
/* After the first signal was dealt with (a runner's next run): catch the next one again. */
void aw_process_rearm(struct aw_process_watch *watch);

#endif
