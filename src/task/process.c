/* SPDX-License-Identifier: MIT */
/* Design notes: all of the library's mutable process state is here, and every kernel call that changes such state. What
 * is process-wide is guarded by one mutex, but for what handlers read: that is atomic, or written before the handler is
 * installed and not changed until it is gone.
 *
 * Faults. A task that overflows its stack hits a guard, and a handler can only run on another stack: each thread
 * that runs a loop gets one. When the fault is a task's overflow, the handler writes one line, puts the default
 * action back and returns: the instruction faults again, and the core shows it. Every other fault goes to the handler
 * that was there before, on that handler's terms, as if ours did not exist.
 *
 * Interrupts. The handler puts the default action back before it calls interrupt(): so a second signal ends even a
 * process that hangs. Leaving waits for handlers that are under way on other threads, since the watch is about to go.
 *
 * When somebody has put a handler above ours, leaving takes nothing back: theirs may call ours. It then forwards only.
 */
#include "task/process.h"

#include "base/atomic.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALTERNATE_SIZE (64 * 1024) /* the frame of a signal has up to 11 KiB; chained handlers have their needs */
#define ALTERNATE_ENOUGH (16 * 1024)

static const int fault_signals[] = { SIGSEGV, SIGBUS };
static const int interrupt_signals[] = { SIGINT, SIGTERM };

/* A handler that we have put over another one. */
struct over {
    struct sigaction previous;
    bool installed;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned watch_count;
static struct over faults[AW_ARRAY_SIZE(fault_signals)];
static struct aw_process_watch *interrupt_owner;         /* from enter to leave */
static AW_ATOMIC(struct aw_process_watch *) armed_watch; /* whom the next interrupt is for */
static AW_ATOMIC(unsigned) interrupt_handlers;           /* under way */

/* Read in handlers: initial-exec, because the first touch of a lazily made variable may call malloc. */
static _Thread_local AW_ATOMIC(struct aw_process_watch *) thread_watch __attribute__((tls_model("initial-exec")));

/* ---- dispositions ---- */

static bool is_plain(const struct sigaction *action, void (*handler)(int))
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == handler;
}

static void set_default(int signal)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

/* In a handler: ends the process once the handler has returned and the signal is unblocked. */
static void die_by(int signal)
{
    set_default(signal);
    raise(signal);
}

void aw_process_die(int signal)
{
    sigset_t own;

    fflush(NULL);
    sigemptyset(&own);
    sigaddset(&own, signal);
    set_default(signal);
    raise(signal);
    pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    _exit(128 + signal); /* a signal whose default is not to end the process */
}

/* ---- faults ---- */

/* Caused by an instruction, which will do it again; not by kill(), nor by memory that went bad somewhere. */
static bool is_synchronous(int signal, const siginfo_t *info)
{
    return info->si_code > 0 && !(signal == SIGBUS && info->si_code == BUS_MCEERR_AO);
}

/* When it happens again by itself, the core shows the place. */
static void die_of_fault(int signal, const siginfo_t *info)
{
    if (is_synchronous(signal, info))
        set_default(signal);
    else
        die_by(signal);
}

/* As the kernel would have called it. Its SA_ONSTACK is not looked at: we are on an alternate stack already, or have
 * none. */
static void call_previous(struct over *over, int signal, siginfo_t *info, void *context)
{
    struct sigaction previous = over->previous;
    sigset_t own;

    if (previous.sa_flags & SA_RESETHAND) {
        over->previous.sa_flags = 0;
        over->previous.sa_handler = SIG_DFL;
    }
    sigemptyset(&own);
    sigaddset(&own, signal);
    /* the mask before is put back by the kernel when we return */
    pthread_sigmask(SIG_BLOCK, &previous.sa_mask, NULL);
    if (previous.sa_flags & SA_NODEFER)
        pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(signal, info, context);
    else
        previous.sa_handler(signal);
}

static void chain(int signal, siginfo_t *info, void *context)
{
    struct over *over = &faults[signal == fault_signals[0] ? 0 : 1];
    bool ignored = is_plain(&over->previous, SIG_IGN);

    if (ignored && !is_synchronous(signal, info))
        return;
    if (ignored || is_plain(&over->previous, SIG_DFL))
        die_of_fault(signal, info); /* a real fault cannot be ignored: the kernel does the same */
    else
        call_previous(over, signal, info, context);
}

static void write_line(char *text, size_t length)
{
    ssize_t n;

    if (text[length - 1] != '\n')
        text[length++] = '\n';
    do
        n = write(STDERR_FILENO, text, length); /* one call: lines of several threads do not mix */
    while (n < 0 && errno == EINTR);
}

static bool describe_fault(const void *address)
{
    char text[1024];
    struct aw_process_watch *watch = aw_atomic_load(&thread_watch, relaxed); /* only a handler on the same thread */

    for (; watch; watch = watch->outer) {
        /* user code: the task floor's, in a handler */
        size_t length = watch->describe ? watch->describe(watch->describe_arg, address, text, sizeof text - 1) : 0;

        if (length > 0) {
            write_line(text, length < sizeof text - 1 ? length : sizeof text - 1);
            return true;
        }
    }
    return false;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    if (is_synchronous(signal, info) && describe_fault(info->si_addr))
        die_of_fault(signal, info);
    else
        chain(signal, info, context);
    errno = saved_errno;
}

static int install_fault_handler(int signal, struct over *over)
{
    struct sigaction action, now;

    /* asked for before: the handler needs it from its first moment */
    if (sigaction(signal, NULL, &now) < 0)
        return -errno;
    if (over->installed && !is_plain(&now, SIG_DFL)) /* left below a handler of somebody else */
        return 0;
    over->previous = now;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, &action, NULL) < 0)
        return -errno;
    over->installed = true;
    return 0;
}

static void remove_fault_handler(int signal, struct over *over)
{
    struct sigaction now;

    if (!over->installed || sigaction(signal, NULL, &now) < 0)
        return;
    if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_fault)
        return;
    sigaction(signal, &over->previous, NULL);
    over->installed = false;
}

static void remove_fault_handlers(void)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(fault_signals); i++)
        remove_fault_handler(fault_signals[i], &faults[i]);
}

static int install_fault_handlers(void)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(fault_signals); i++) {
        int r = install_fault_handler(fault_signals[i], &faults[i]);

        if (r < 0) {
            remove_fault_handlers();
            return r;
        }
    }
    return 0;
}

/* ---- interrupts ---- */

static void on_interrupt(int signal);

static bool has_handler(int signal, void (*handler)(int))
{
    struct sigaction now;

    return sigaction(signal, NULL, &now) == 0 && is_plain(&now, handler);
}

/* What was there before ours was the default; what the program has set since stays. */
static void restore_interrupts(void)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(interrupt_signals); i++)
        if (has_handler(interrupt_signals[i], on_interrupt))
            set_default(interrupt_signals[i]);
}

static void on_interrupt(int signal)
{
    int saved_errno = errno;
    struct aw_process_watch *watch;

    /* seq_cst, here and in release_interrupts: one of the two sees what the other one wrote */
    aw_atomic_add(&interrupt_handlers, 1, seq_cst);
    watch = aw_atomic_exchange(&armed_watch, NULL, seq_cst);
    if (watch) {
        restore_interrupts();
        watch->interrupt(watch->interrupt_arg, signal);
    } else {
        /* a second one, on another thread at the same time, or the watch has just left: not ours to catch */
        die_by(signal);
    }
    aw_atomic_add(&interrupt_handlers, -1U, seq_cst);
    errno = saved_errno;
}

static void arm_interrupts(struct aw_process_watch *watch)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESTART | SA_ONSTACK; /* a task's stack may be too small for the frame of a signal */
    sigemptyset(&action.sa_mask);
    aw_atomic_store(&armed_watch, watch, seq_cst); /* before the handler can run */
    for (size_t i = 0; i < AW_ARRAY_SIZE(interrupt_signals); i++)
        if (has_handler(interrupt_signals[i], SIG_DFL))
            sigaction(interrupt_signals[i], &action, NULL);
}

static void release_interrupts(void)
{
    restore_interrupts();
    aw_atomic_store(&armed_watch, NULL, seq_cst);
    while (aw_atomic_load(&interrupt_handlers, seq_cst) > 0)
        sched_yield(); /* a handler on another thread has the watch; it is short */
    interrupt_owner = NULL;
}

void aw_process_rearm(struct aw_process_watch *watch)
{
    pthread_mutex_lock(&mutex);
    if (interrupt_owner == watch)
        arm_interrupts(watch);
    pthread_mutex_unlock(&mutex);
}

/* ---- alternate stacks ---- */

/* Our mapping begins with what was there before. */
struct alternate {
    stack_t previous;
};

static int enter_alternate(struct aw_process_watch *watch)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = page + ALTERNATE_SIZE;
    struct alternate *alternate;
    stack_t ours = { .ss_flags = 0 }, now;
    int r;

    watch->alternate = NULL;
    if (sigaltstack(NULL, &now) < 0)
        return -errno;
    if (!(now.ss_flags & SS_DISABLE) && now.ss_size >= ALTERNATE_ENOUGH)
        return 0;
    alternate = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (alternate == MAP_FAILED)
        return -ENOMEM;
    alternate->previous = now;
    ours.ss_sp = (char *)alternate + page;
    ours.ss_size = ALTERNATE_SIZE;
    /* read-only: it guards, too */
    if (mprotect(alternate, page, PROT_READ) < 0 || sigaltstack(&ours, NULL) < 0) {
        r = -errno;
        munmap(alternate, size);
        return r;
    }
    watch->alternate = alternate;
    return 0;
}

static void leave_alternate(struct aw_process_watch *watch)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct alternate *alternate = watch->alternate;
    stack_t now;

    if (!alternate)
        return;
    /* the program may have set one of its own meanwhile: then that stays */
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (char *)alternate + page) {
        stack_t previous = alternate->previous;

        if (previous.ss_flags & SS_DISABLE)
            previous.ss_size = MINSIGSTKSZ; /* ignored, but checked by some libraries */
        sigaltstack(&previous, NULL);
    }
    munmap(alternate, page + ALTERNATE_SIZE);
    watch->alternate = NULL;
}

/* ---- watches ---- */

static int enter_process(struct aw_process_watch *watch)
{
    int r = watch_count == 0 ? install_fault_handlers() : 0;

    if (r < 0)
        return r;
    watch_count++;
    if (watch->interrupt && !interrupt_owner) {
        interrupt_owner = watch;
        arm_interrupts(watch);
    }
    return 0;
}

static void leave_process(struct aw_process_watch *watch)
{
    if (interrupt_owner == watch)
        release_interrupts();
    if (--watch_count == 0)
        remove_fault_handlers();
}

int aw_process_enter(struct aw_process_watch *watch)
{
    int r = enter_alternate(watch);

    if (r < 0)
        return r;
    watch->outer = aw_atomic_load(&thread_watch, relaxed);
    aw_atomic_store(&thread_watch, watch, release); /* a handler on this thread may look at it from now on */
    pthread_mutex_lock(&mutex);
    r = enter_process(watch);
    pthread_mutex_unlock(&mutex);
    if (r < 0) {
        aw_atomic_store(&thread_watch, watch->outer, release);
        leave_alternate(watch);
    }
    return r;
}

void aw_process_leave(struct aw_process_watch *watch)
{
    pthread_mutex_lock(&mutex);
    leave_process(watch);
    pthread_mutex_unlock(&mutex);
    aw_atomic_store(&thread_watch, watch->outer, release); /* not before: its faults are its own until here */
    leave_alternate(watch);
}
