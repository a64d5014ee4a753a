/* SPDX-License-Identifier: MIT */
/* Design notes: most cases end a process, so they run in a child of the case. What a child wants to say goes to stderr
 * by write(2), as a handler does. */
#include "task/process.h"

#include "backend/real.h"
#include "task/stack.h"
#include "task/switch.h"
#include <await/testing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text)
{
    ASYNC_CHECK(write(STDERR_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

static char *forbidden_page(void)
{
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ASYNC_CHECK(page != MAP_FAILED);
    return page;
}

static void fault_at(char *address)
{
    *(volatile char *)address = 1;
}

/* Describes one page. */
static size_t describe_page(void *arg, const void *address, char *buf, size_t size)
{
    const char *page = arg;
    static const char text[] = "the page of the test";

    if ((const char *)address < page || (const char *)address >= page + 4096 || size < sizeof text)
        return 0;
    memcpy(buf, text, sizeof text - 1);
    return sizeof text - 1;
}

static int death(void (*fn)(void *arg), void *arg, char *text)
{
    int status = async_test_death(fn, arg, text, 1024);

    ASYNC_CHECK(status >= 0);
    return status;
}

static void check_died_by(int status, int number)
{
    ASYNC_CHECK(WIFSIGNALED(status));
    ASYNC_CHECK_EQ(WTERMSIG(status), number);
}

static void check_exited(int status, int code)
{
    ASYNC_CHECK(WIFEXITED(status));
    ASYNC_CHECK_EQ(WEXITSTATUS(status), code);
}

/* ---- faults ---- */

static void described_fault(void *arg)
{
    struct aw_process_watch watch = { .describe = describe_page, .describe_arg = forbidden_page() };

    (void)arg;
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    fault_at(watch.describe_arg);
}

ASYNC_TEST_PLAIN(a_described_fault_is_one_line_and_death_by_the_signal)
{
    char text[1024];

    check_died_by(death(described_fault, NULL, text), SIGSEGV);
    ASYNC_CHECK_STR(text, "the page of the test\n");
}

static struct {
    struct aw_stack_pool *pool;
    struct aw_stack stack;
    struct aw_context thread, task;
} overflow;

static size_t describe_guard(void *arg, const void *address, char *buf, size_t size)
{
    void *low;

    (void)arg;
    if (!aw_stack_pool_find_guard(overflow.pool, address, &low) || low != overflow.stack.low)
        return 0;
    ASYNC_CHECK(size > 16);
    memcpy(buf, "stack overflow", 14);
    return 14;
}

static __attribute__((noinline)) int recurse(volatile int *depth)
{
    volatile char frame[200];

    frame[0] = (char)++*depth;
    return *depth > 0 ? recurse(depth) + frame[0] : 0;
}

static void overflowing_task(void *arg)
{
    volatile int depth = 0;

    aw_context_entered(&overflow.task);
    (void)arg;
    recurse(&depth);
    aw_context_exit(&overflow.task, &overflow.thread);
}

static void overflow_stack(void *arg)
{
    static const struct aw_sys sys = {
        .map = aw_sys_map,
        .unmap = aw_sys_unmap,
        .guard_install = aw_sys_guard_install,
        .guard_protect = aw_sys_guard_protect,
        .discard = aw_sys_discard,
    };
    static struct aw_backend backend = { .sys = &sys };
    struct aw_process_watch watch = { .describe = describe_guard };

    (void)arg;
    ASYNC_CHECK_EQ(aw_stack_pool_open(&backend, &aw_allocator_default, &overflow.pool), 0);
    ASYNC_CHECK_EQ(aw_stack_get(overflow.pool, AW_STACK_SIZE_MIN, &overflow.stack), 0);
    aw_context_init_thread(&overflow.thread);
    aw_context_init(&overflow.task, overflow.stack.low, overflow.stack.top, overflowing_task, NULL);
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    aw_context_switch(&overflow.thread, &overflow.task);
}

ASYNC_TEST_PLAIN(an_overflown_stack_does_not_keep_the_handler_from_running)
{
    char text[1024];

    check_died_by(death(overflow_stack, NULL, text), SIGSEGV);
    ASYNC_CHECK_STR(text, "stack overflow\n");
}

static void bus_error(void *arg)
{
    struct aw_process_watch watch = { .describe = describe_page };
    int fd = memfd_create("empty", MFD_CLOEXEC);

    (void)arg;
    /* no page of the file is behind it */
    watch.describe_arg = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    fault_at(watch.describe_arg);
}

ASYNC_TEST_PLAIN(a_described_bus_error_dies_by_sigbus)
{
    char text[1024];

    check_died_by(death(bus_error, NULL, text), SIGBUS);
    ASYNC_CHECK_STR(text, "the page of the test\n");
}

/* ---- the handlers that were there before ---- */

static char *other_page;

static void previous_siginfo(int signal, siginfo_t *info, void *context)
{
    say(signal == SIGSEGV && info->si_addr == other_page && context ? "previous with info" : "wrong");
    _exit(3);
}

static void previous_simple(int signal)
{
    say(signal == SIGSEGV ? "previous" : "wrong");
    _exit(4);
}

static void note_and_return(int signal)
{
    (void)signal;
    say("noted;");
}

static void set_handler(int signal, void (*handler)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    ASYNC_CHECK_EQ(sigaction(signal, &action, NULL), 0);
}

/* Enters with that previous handler. */
static void enter_over(void (*handler)(int), int flags)
{
    static struct aw_process_watch watch = { .describe = describe_page };

    set_handler(SIGSEGV, handler, flags);
    watch.describe_arg = forbidden_page();
    other_page = forbidden_page();
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
}

static void fault_over_siginfo(void *arg)
{
    (void)arg;
    enter_over((void (*)(int))(void (*)(void))previous_siginfo, SA_SIGINFO);
    fault_at(other_page);
}

static void fault_over_simple(void *arg)
{
    (void)arg;
    enter_over(previous_simple, 0);
    fault_at(other_page);
}

static void fault_over_disposition(void *arg)
{
    enter_over(*(void (**)(int))arg, 0);
    fault_at(other_page);
}

static void kill_over_disposition(void *arg)
{
    enter_over(*(void (**)(int))arg, 0);
    kill(getpid(), SIGSEGV);
    say("alive");
}

static void kill_twice_over_once(void *arg)
{
    (void)arg;
    enter_over(note_and_return, (int)SA_RESETHAND);
    raise(SIGSEGV);
    say("alive;");
    raise(SIGSEGV);
    say("still alive");
}

ASYNC_TEST_PLAIN(other_faults_go_to_the_handler_that_was_there)
{
    char text[1024];

    check_exited(death(fault_over_siginfo, NULL, text), 3);
    ASYNC_CHECK_STR(text, "previous with info");
    check_exited(death(fault_over_simple, NULL, text), 4);
    ASYNC_CHECK_STR(text, "previous");
}

ASYNC_TEST_PLAIN(without_a_handler_other_faults_kill_silently)
{
    void (*dispositions[])(int) = { SIG_DFL, SIG_IGN };
    char text[1024];

    for (int i = 0; i < 2; i++) {
        check_died_by(death(fault_over_disposition, &dispositions[i], text), SIGSEGV);
        ASYNC_CHECK_STR(text, "");
    }
}

ASYNC_TEST_PLAIN(a_sigsegv_that_was_sent_by_kill_does_what_it_did_before)
{
    void (*dispositions[])(int) = { SIG_DFL, SIG_IGN, note_and_return };
    char text[1024];

    check_died_by(death(kill_over_disposition, &dispositions[0], text), SIGSEGV);
    ASYNC_CHECK_STR(text, "");
    check_exited(death(kill_over_disposition, &dispositions[1], text), 0);
    ASYNC_CHECK_STR(text, "alive");
    check_exited(death(kill_over_disposition, &dispositions[2], text), 0);
    ASYNC_CHECK_STR(text, "noted;alive");
}

ASYNC_TEST_PLAIN(a_one_shot_handler_is_called_once)
{
    char text[1024];

    check_died_by(death(kill_twice_over_once, NULL, text), SIGSEGV);
    ASYNC_CHECK_STR(text, "noted;alive;");
}

static void look_at_mask(int signal)
{
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    say(sigismember(&mask, SIGUSR1) ? "blocked " : "open ");
    say(sigismember(&mask, signal) ? "blocked;" : "open;");
}

static void raise_over_mask(void *arg)
{
    sigset_t mask;

    enter_over(look_at_mask, *(int *)arg);
    raise(SIGSEGV);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    say(sigismember(&mask, SIGUSR1) ? "blocked" : "open");
}

ASYNC_TEST_PLAIN(the_previous_handler_has_the_signal_mask_that_it_asked_for)
{
    int flags[] = { 0, SA_NODEFER };
    char text[1024];

    check_exited(death(raise_over_mask, &flags[0], text), 0);
    ASYNC_CHECK_STR(text, "blocked blocked;open");
    check_exited(death(raise_over_mask, &flags[1], text), 0);
    ASYNC_CHECK_STR(text, "blocked open;open");
}

/* ---- leaving ---- */

ASYNC_TEST_PLAIN(the_last_leave_puts_everything_back)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGINT, SIGTERM };
    struct aw_process_watch first = { 0 }, second = { 0 };
    struct sigaction before[4], now;
    stack_t stack_before, stack_now;

    set_handler(SIGSEGV, previous_simple, SA_RESTART);
    for (int i = 0; i < 4; i++)
        sigaction(signals[i], NULL, &before[i]);
    sigaltstack(NULL, &stack_before);

    ASYNC_CHECK_EQ(aw_process_enter(&first), 0);
    ASYNC_CHECK_EQ(aw_process_enter(&second), 0);
    sigaltstack(NULL, &stack_now);
    ASYNC_CHECK(!(stack_now.ss_flags & SS_DISABLE));
    aw_process_leave(&second);
    sigaction(SIGSEGV, NULL, &now);
    ASYNC_CHECK(now.sa_handler != previous_simple);
    aw_process_leave(&first);

    for (int i = 0; i < 4; i++) {
        sigaction(signals[i], NULL, &now);
        ASYNC_CHECK(now.sa_handler == before[i].sa_handler);
        ASYNC_CHECK_EQ(now.sa_flags & SA_RESTART, before[i].sa_flags & SA_RESTART);
        ASYNC_CHECK_EQ(now.sa_flags & SA_ONSTACK, before[i].sa_flags & SA_ONSTACK);
    }
    sigaltstack(NULL, &stack_now);
    ASYNC_CHECK(stack_now.ss_sp == stack_before.ss_sp);
    ASYNC_CHECK_EQ(stack_now.ss_flags, stack_before.ss_flags);
}

static struct sigaction below;

static void call_below(int signal, siginfo_t *info, void *context)
{
    say("above;");
    below.sa_sigaction(signal, info, context);
}

static void put_above(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = call_below;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ASYNC_CHECK_EQ(sigaction(SIGSEGV, &action, &below), 0);
}

static void leave_below_another(void *arg)
{
    struct aw_process_watch watch = { .describe = describe_page };
    struct sigaction now;

    (void)arg;
    set_handler(SIGSEGV, note_and_return, 0);
    watch.describe_arg = forbidden_page();
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    put_above();
    aw_process_leave(&watch);
    sigaction(SIGSEGV, NULL, &now);
    ASYNC_CHECK(now.sa_sigaction == call_below);
    raise(SIGSEGV); /* through us to the first one, once */
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    raise(SIGSEGV);
    fault_at(watch.describe_arg);
}

ASYNC_TEST_PLAIN(a_handler_that_somebody_put_above_ours_stays_and_still_chains)
{
    char text[1024];

    check_died_by(death(leave_below_another, NULL, text), SIGSEGV);
    ASYNC_CHECK_STR(text, "above;noted;above;noted;above;the page of the test\n");
}

static void alternate_stack_of_the_program(void *arg)
{
    static char memory[32 * 1024];
    stack_t own = { .ss_sp = memory, .ss_size = sizeof memory }, now;
    struct aw_process_watch watch = { 0 };

    (void)arg;
    sigaltstack(&own, NULL);
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    sigaltstack(NULL, &now);
    ASYNC_CHECK(now.ss_sp == memory);
    aw_process_leave(&watch);
    sigaltstack(NULL, &now);
    ASYNC_CHECK(now.ss_sp == memory);

    own.ss_size = 8 * 1024; /* too small for us, and restored */
    sigaltstack(&own, NULL);
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    sigaltstack(NULL, &now);
    ASYNC_CHECK(now.ss_sp != memory);
    aw_process_leave(&watch);
    sigaltstack(NULL, &now);
    ASYNC_CHECK(now.ss_sp == memory);
    ASYNC_CHECK_EQ(now.ss_size, 8 * 1024);
    own.ss_flags = SS_DISABLE;
    sigaltstack(&own, NULL);
    say("good");
}

ASYNC_TEST_PLAIN(an_alternate_stack_of_the_program_is_used_or_put_back)
{
    char text[1024];

    check_exited(death(alternate_stack_of_the_program, NULL, text), 0);
    ASYNC_CHECK_STR(text, "good");
}

/* ---- interrupts ---- */

static char first_name[] = "first", second_name[] = "second";

static void say_interrupted(void *arg, int signal)
{
    say(arg);
    say(signal == SIGINT ? ":INT;" : signal == SIGTERM ? ":TERM;" : ":?;");
}

static void send_twice(void *arg)
{
    struct aw_process_watch watch = { .interrupt = say_interrupted, .interrupt_arg = first_name };
    const int *signals = arg;

    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    raise(signals[0]);
    say("alive;");
    raise(signals[1]);
    say("still alive");
}

ASYNC_TEST_PLAIN(the_first_signal_interrupts_and_the_second_kills)
{
    static int pairs[][2] = { { SIGINT, SIGINT }, { SIGTERM, SIGTERM }, { SIGINT, SIGTERM }, { SIGTERM, SIGINT } };
    char text[1024];

    for (int i = 0; i < 4; i++) {
        check_died_by(death(send_twice, pairs[i], text), pairs[i][1]);
        ASYNC_CHECK_STR(text, pairs[i][0] == SIGINT ? "first:INT;alive;" : "first:TERM;alive;");
    }
}

static void rearm_and_send(void *arg)
{
    struct aw_process_watch watch = { .interrupt = say_interrupted, .interrupt_arg = first_name };

    (void)arg;
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    for (int i = 0; i < 3; i++) {
        raise(SIGINT);
        aw_process_rearm(&watch);
    }
    aw_process_leave(&watch);
    raise(SIGTERM);
}

ASYNC_TEST_PLAIN(after_rearm_the_next_signal_interrupts_again)
{
    char text[1024];

    check_died_by(death(rearm_and_send, NULL, text), SIGTERM);
    ASYNC_CHECK_STR(text, "first:INT;first:INT;first:INT;");
}

static void several_watches(void *arg)
{
    struct aw_process_watch silent = { 0 };
    struct aw_process_watch first = { .interrupt = say_interrupted, .interrupt_arg = first_name };
    struct aw_process_watch second = { .interrupt = say_interrupted, .interrupt_arg = second_name };

    (void)arg;
    ASYNC_CHECK_EQ(aw_process_enter(&silent), 0);
    ASYNC_CHECK_EQ(aw_process_enter(&first), 0);
    ASYNC_CHECK_EQ(aw_process_enter(&second), 0);
    raise(SIGINT);
    aw_process_rearm(&second); /* not its to catch */
    aw_process_leave(&second);
    aw_process_rearm(&first);
    raise(SIGINT);
    aw_process_leave(&first);
    ASYNC_CHECK_EQ(aw_process_enter(&second), 0);
    raise(SIGTERM);
    aw_process_leave(&second);
    aw_process_leave(&silent);
}

ASYNC_TEST_PLAIN(the_first_watch_that_asks_gets_the_interrupts_until_it_leaves)
{
    char text[1024];

    check_exited(death(several_watches, NULL, text), 0);
    ASYNC_CHECK_STR(text, "first:INT;first:INT;second:TERM;");
}

static void ignored_and_handled(void *arg)
{
    struct aw_process_watch watch = { .interrupt = say_interrupted, .interrupt_arg = first_name };

    (void)arg;
    set_handler(SIGINT, SIG_IGN, 0);
    set_handler(SIGTERM, note_and_return, 0);
    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    raise(SIGINT);
    raise(SIGTERM);
    aw_process_leave(&watch);
    raise(SIGINT);
    raise(SIGTERM);
}

ASYNC_TEST_PLAIN(ignored_signals_and_those_with_a_handler_are_left_alone)
{
    char text[1024];

    check_exited(death(ignored_and_handled, NULL, text), 0);
    ASYNC_CHECK_STR(text, "noted;noted;");
}

static void die_with_output(void *arg)
{
    int number = *(int *)arg;
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, number);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("last words");
    aw_process_die(number);
}

ASYNC_TEST_PLAIN(die_flushes_and_ends_by_the_signal)
{
    int signals[] = { SIGINT, SIGTERM, SIGCHLD };
    char text[1024];

    check_died_by(death(die_with_output, &signals[0], text), SIGINT);
    ASYNC_CHECK_STR(text, "last words");
    check_died_by(death(die_with_output, &signals[1], text), SIGTERM);
    check_exited(death(die_with_output, &signals[2], text), 128 + SIGCHLD);
}

/* ---- threads ---- */

static void *fault_on_thread(void *arg)
{
    described_fault(arg);
    return NULL;
}

static void fault_beside(void *arg)
{
    struct aw_process_watch watch = { .describe = describe_page, .describe_arg = forbidden_page() };
    pthread_t thread;

    ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
    pthread_create(&thread, NULL, fault_on_thread, arg);
    pthread_join(thread, NULL);
}

ASYNC_TEST_PLAIN(a_fault_is_described_by_the_watch_of_its_own_thread)
{
    char text[1024];

    check_died_by(death(fault_beside, NULL, text), SIGSEGV);
    ASYNC_CHECK_STR(text, "the page of the test\n");
}

static void count_interrupt(void *arg, int signal)
{
    (void)signal;
    ++*(volatile int *)arg;
}

static void *enter_and_leave(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        volatile int count = 0;
        struct aw_process_watch watch = { .interrupt = count_interrupt, .interrupt_arg = (void *)(uintptr_t)&count };

        ASYNC_CHECK_EQ(aw_process_enter(&watch), 0);
        aw_process_rearm(&watch);
        aw_process_leave(&watch);
        ASYNC_CHECK_EQ(count, 0);
    }
    return NULL;
}

ASYNC_TEST_PLAIN(threads_enter_and_leave_at_the_same_time)
{
    struct sigaction now;
    pthread_t threads[4];

    set_handler(SIGSEGV, previous_simple, 0);
    for (int i = 0; i < 4; i++)
        ASYNC_CHECK_EQ(pthread_create(&threads[i], NULL, enter_and_leave, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sigaction(SIGSEGV, NULL, &now);
    ASYNC_CHECK(now.sa_handler == previous_simple);
    sigaction(SIGINT, NULL, &now);
    ASYNC_CHECK(now.sa_handler == SIG_DFL);
}
