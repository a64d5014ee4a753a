/* SPDX-License-Identifier: MIT */
/* What does one switch between two stacks cost? The bare switch, no loop, no task; glibc's swapcontext as the
 * peer, which makes a system call for the signal mask each time.
 */
#include "task/switch.h"
#include "bench.h"
#include <stdlib.h>
#include <ucontext.h>

enum { STACK = 64 * 1024, OWN_ROUNDS = 5000000, PEER_ROUNDS = 200000 };

static struct aw_context thread, other;
static ucontext_t peer_thread, peer_other;
static char stack[STACK] __attribute__((aligned(64)));
static char peer_stack[STACK] __attribute__((aligned(64)));

static void bounce(void *arg)
{
    (void)arg;
    aw_context_entered(&other);
    for (;;)
        aw_context_switch(&other, &thread);
}

static void peer_bounce(void)
{
    for (;;)
        swapcontext(&peer_other, &peer_thread);
}

static double own(void)
{
    int64_t start = bench_cpu();

    for (int i = 0; i < OWN_ROUNDS; i++)
        aw_context_switch(&thread, &other);
    return (double)(bench_cpu() - start) / (2.0 * OWN_ROUNDS);
}

static double peer(void)
{
    int64_t start = bench_cpu();

    for (int i = 0; i < PEER_ROUNDS; i++)
        swapcontext(&peer_thread, &peer_other);
    return (double)(bench_cpu() - start) / (2.0 * PEER_ROUNDS);
}

int main(void)
{
    aw_context_init_thread(&thread);
    BENCH_CHECK(aw_context_init(&other, stack, stack + STACK, bounce, NULL));
    bench_row("switch", "libawait", "ns", 7, own);

    getcontext(&peer_other);
    peer_other.uc_stack.ss_sp = peer_stack;
    peer_other.uc_stack.ss_size = sizeof peer_stack;
    makecontext(&peer_other, peer_bounce, 0);
    bench_row("switch", "swapcontext", "ns", 7, peer);
    return 0;
}
