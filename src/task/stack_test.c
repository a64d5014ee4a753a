/* SPDX-License-Identifier: MIT */
/* Design notes: real mappings behind a table of system calls that counts, and fails when a case says so. */
#include "task/stack.h"

#include "backend/real.h"
#include <await/testing.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(memory, size) ((void)(memory), (void)(size))
#endif

static struct {
    size_t mapped; /* bytes now */
    unsigned maps, unmaps, discards;
    int install_error, protect_error, discard_error;
    unsigned maps_left, installs_left, protects_left; /* calls that work before the error comes */
} fake;

static void *fake_map(struct aw_backend *b, size_t size)
{
    void *memory = fake.maps_left > 0 ? aw_sys_map(b, size) : NULL;

    if (memory) {
        fake.maps_left--;
        fake.maps++;
        fake.mapped += size;
    }
    return memory;
}

static void fake_unmap(struct aw_backend *b, void *memory, size_t size)
{
    fake.unmaps++;
    fake.mapped -= size;
    aw_sys_unmap(b, memory, size);
}

static int fake_guard_install(struct aw_backend *b, void *memory, size_t size)
{
    if (fake.installs_left == 0)
        return fake.install_error;
    fake.installs_left--;
    return aw_sys_guard_install(b, memory, size);
}

static int fake_guard_protect(struct aw_backend *b, void *memory, size_t size)
{
    if (fake.protects_left == 0)
        return fake.protect_error;
    fake.protects_left--;
    return aw_sys_guard_protect(b, memory, size);
}

static int fake_discard(struct aw_backend *b, void *memory, size_t size)
{
    if (fake.discard_error < 0)
        return fake.discard_error;
    fake.discards++;
    return aw_sys_discard(b, memory, size);
}

static const struct aw_sys fake_sys = {
    .map = fake_map,
    .unmap = fake_unmap,
    .guard_install = fake_guard_install,
    .guard_protect = fake_guard_protect,
    .discard = fake_discard,
};
static struct aw_backend fake_backend = { .sys = &fake_sys };
static size_t page;

static struct aw_stack_pool *open_pool(void)
{
    struct aw_stack_pool *pool;

    page = (size_t)sysconf(_SC_PAGESIZE);
    memset(&fake, 0, sizeof fake);
    fake.maps_left = fake.installs_left = fake.protects_left = UINT32_MAX;
    ASYNC_CHECK_EQ(aw_stack_pool_open(&fake_backend, async_test_options()->allocator, &pool), 0);
    return pool;
}

static void without_madvise(void)
{
    fake.installs_left = 0;
    fake.install_error = -EINVAL;
}

static void without_guards(void)
{
    without_madvise();
    fake.protects_left = 0;
    fake.protect_error = -ENOMEM;
}

static void close_pool(struct aw_stack_pool *pool)
{
    aw_stack_pool_close(pool);
    ASYNC_CHECK_EQ(fake.mapped, 0);
}

static struct aw_stack get(struct aw_stack_pool *pool, size_t size)
{
    struct aw_stack stack;

    ASYNC_CHECK_EQ(aw_stack_get(pool, size, &stack), 0);
    return stack;
}

static struct aw_stack *get_many(struct aw_stack_pool *pool, size_t size, size_t count)
{
    struct aw_stack *stacks = malloc(count * sizeof *stacks);

    ASYNC_CHECK(stacks != NULL);
    for (size_t i = 0; i < count; i++)
        stacks[i] = get(pool, size);
    return stacks;
}

static void put_many(struct aw_stack_pool *pool, struct aw_stack *stacks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        aw_stack_put(pool, &stacks[i]);
    free(stacks);
}

/* ---- one stack ---- */

ASYNC_TEST_PLAIN(a_stack_is_as_large_as_asked_for_and_writable)
{
    static const size_t sizes[] = { AW_STACK_SIZE_MIN, AW_STACK_SIZE_MIN + 1, AW_STACK_SIZE_DEFAULT, 100000, 40 << 20 };
    struct aw_stack_pool *pool = open_pool();

    for (size_t i = 0; i < AW_ARRAY_SIZE(sizes); i++) {
        struct aw_stack stack = get(pool, sizes[i]);
        size_t size = (size_t)((char *)stack.top - (char *)stack.low);

        ASYNC_CHECK_EQ((uintptr_t)stack.low % page, 0);
        ASYNC_CHECK_EQ((uintptr_t)stack.top % 64, 0);
        ASYNC_CHECK(size + 1920 >= sizes[i]);
        ASYNC_CHECK(size < sizes[i] + page);
        memset(stack.low, 1, size);
        aw_stack_put(pool, &stack);
    }
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_size_out_of_range_is_refused)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack;

    ASYNC_CHECK_EQ(aw_stack_get(pool, 0, &stack), -EINVAL);
    ASYNC_CHECK_EQ(aw_stack_get(pool, AW_STACK_SIZE_MIN - 1, &stack), -EINVAL);
    ASYNC_CHECK_EQ(aw_stack_get(pool, (size_t)AW_STACK_SIZE_MAX + 1, &stack), -EINVAL);
    ASYNC_CHECK_EQ(aw_stack_get(pool, SIZE_MAX, &stack), -EINVAL);
    ASYNC_CHECK_EQ(aw_stack_get(pool, AW_STACK_SIZE_MAX, &stack), 0);
    aw_stack_put(pool, &stack);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(what_was_put_back_last_comes_first)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 200);

    for (int i = 0; i < 200; i++)
        aw_stack_put(pool, &stacks[(i * 7) % 200]);
    for (int i = 199; i >= 0; i--)
        ASYNC_CHECK(get(pool, AW_STACK_SIZE_DEFAULT).low == stacks[(i * 7) % 200].low);
    ASYNC_CHECK_EQ(fake.maps, 4);
    put_many(pool, stacks, 200);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(stacks_of_different_sizes_do_not_mix)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack small = get(pool, AW_STACK_SIZE_MIN), large = get(pool, AW_STACK_SIZE_DEFAULT);
    void *low = small.low;

    aw_stack_put(pool, &small);
    ASYNC_CHECK(get(pool, AW_STACK_SIZE_DEFAULT).low != low);
    ASYNC_CHECK(get(pool, AW_STACK_SIZE_MIN).low == low);
    aw_stack_put(pool, &large);
    close_pool(pool); /* two are not given back: their memory goes all the same */
}

ASYNC_TEST_PLAIN(tops_have_sixteen_colours)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 64);
    unsigned count[32] = { 0 };

    for (int i = 0; i < 64; i++)
        count[(uintptr_t)stacks[i].top % 4096 / 128]++;
    for (int i = 0; i < 32; i++)
        ASYNC_CHECK(count[i] == 0 || count[i] == 4);
    ASYNC_CHECK((uintptr_t)stacks[0].top % 4096 != (uintptr_t)stacks[1].top % 4096);
    put_many(pool, stacks, 64);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(single_stacks_have_colours_too)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack first = get(pool, 64 << 20), second = get(pool, 64 << 20);

    ASYNC_CHECK_EQ(fake.maps, 2);
    ASYNC_CHECK((uintptr_t)first.top % page != (uintptr_t)second.top % page);
    close_pool(pool);
}

/* ---- guards ---- */

static void write_below(void *arg)
{
    const struct aw_stack *stack = arg;

    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would end the process in its own way */
    ((volatile char *)stack->low)[-1] = 1;
}

/* Each stack of a slab, so that no guard was forgotten. */
static void check_guards(struct aw_stack_pool *pool, const char *name)
{
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 64);
    char text[256];

    ASYNC_CHECK_STR(aw_stack_pool_guard(pool), name);
    for (int i = 0; i < 64; i++) {
        int status = async_test_death(write_below, &stacks[i], text, sizeof text);

        ASYNC_CHECK(WIFSIGNALED(status));
        ASYNC_CHECK_EQ(WTERMSIG(status), SIGSEGV);
        ASYNC_CHECK(aw_stack_is_intact(pool, &stacks[i]));
    }
    put_many(pool, stacks, 64);
}

static bool kernel_has_guard_install(void)
{
    void *memory = aw_sys_map(NULL, 4096);
    int r = aw_sys_guard_install(NULL, memory, 4096);

    aw_sys_unmap(NULL, memory, 4096);
    return r == 0;
}

ASYNC_TEST_PLAIN(a_guard_by_madvise_stops_an_overflow)
{
    struct aw_stack_pool *pool;

    if (!kernel_has_guard_install())
        ASYNC_SKIP("MADV_GUARD_INSTALL needs Linux 6.13");
    pool = open_pool();
    check_guards(pool, "madvise");
    ASYNC_CHECK_EQ(fake.maps, 1);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_guard_by_mprotect_stops_an_overflow)
{
    struct aw_stack_pool *pool = open_pool();

    without_madvise();
    check_guards(pool, "mprotect");
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_guard_survives_that_the_slab_is_discarded)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 64);
    size_t size = (size_t)((char *)stacks[1].low - (char *)stacks[0].low) * 64;
    char text[256];
    int status;

    aw_sys_discard(NULL, (char *)stacks[0].low - page, size);
    status = async_test_death(write_below, &stacks[5], text, sizeof text);
    ASYNC_CHECK(WIFSIGNALED(status));
    put_many(pool, stacks, 64);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(without_guards_a_canary_tells_of_the_overflow)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack, neighbour;

    without_guards();
    stack = get(pool, AW_STACK_SIZE_DEFAULT);
    neighbour = get(pool, AW_STACK_SIZE_DEFAULT);
    ASYNC_CHECK_STR(aw_stack_pool_guard(pool), "canary");
    ASYNC_CHECK(aw_stack_is_intact(pool, &stack));
    memset(stack.low, 0xff, 100);
    ASYNC_CHECK(aw_stack_is_intact(pool, &stack));
    ((volatile char *)stack.low)[-1] = 1;
    ASYNC_CHECK(!aw_stack_is_intact(pool, &stack));
    ASYNC_CHECK(aw_stack_is_intact(pool, &neighbour));
    ((volatile char *)neighbour.low)[-(long)page] = 1;
    ASYNC_CHECK(!aw_stack_is_intact(pool, &neighbour));
    close_pool(pool);
}

ASYNC_TEST_PLAIN(guards_that_run_out_in_the_middle_are_replaced_by_canaries)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks;
    char text[256];

    without_madvise();
    fake.protects_left = 64 + 10;
    fake.protect_error = -ENOMEM;
    stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 128);
    ASYNC_CHECK_STR(aw_stack_pool_guard(pool), "canary");
    ASYNC_CHECK_EQ(fake.unmaps, 2); /* before mprotect, before canary: nothing half guarded is kept */
    ASYNC_CHECK(WIFSIGNALED(async_test_death(write_below, &stacks[0], text, sizeof text)));
    for (int i = 64; i < 128; i++) {
        write_below(&stacks[i]);
        ASYNC_CHECK(!aw_stack_is_intact(pool, &stacks[i]));
    }
    put_many(pool, stacks, 128);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_guard_is_found_by_its_addresses_only)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 130);
    struct aw_stack large = get(pool, 40 << 20);
    char local;
    void *low;

    for (int i = 0; i < 130; i++) {
        char *edge = stacks[i].low;

        low = NULL;
        ASYNC_CHECK(aw_stack_pool_find_guard(pool, edge - 1, &low));
        ASYNC_CHECK(low == edge);
        ASYNC_CHECK(aw_stack_pool_find_guard(pool, edge - page, &low));
        ASYNC_CHECK(!aw_stack_pool_find_guard(pool, edge, &low));
        ASYNC_CHECK(!aw_stack_pool_find_guard(pool, (char *)stacks[i].top - 1, &low));
    }
    ASYNC_CHECK(aw_stack_pool_find_guard(pool, (char *)large.low - 8, &low));
    ASYNC_CHECK(low == large.low);
    ASYNC_CHECK(!aw_stack_pool_find_guard(pool, &local, &low));
    ASYNC_CHECK(!aw_stack_pool_find_guard(pool, NULL, &low));
    put_many(pool, stacks, 130);
    close_pool(pool);
}

/* ---- failures ---- */

ASYNC_TEST_PLAIN(no_memory_for_a_slab_is_enomem_and_nothing_is_kept)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack = { .low = &page };
    long live = async_test_allocations_live();

    fake.maps_left = 0;
    ASYNC_CHECK_EQ(aw_stack_get(pool, AW_STACK_SIZE_DEFAULT, &stack), -ENOMEM);
    ASYNC_CHECK(stack.low == &page);
    ASYNC_CHECK_EQ(fake.mapped, 0);
    ASYNC_CHECK_EQ(async_test_allocations_live(), live);
    fake.maps_left = UINT32_MAX;
    stack = get(pool, AW_STACK_SIZE_DEFAULT);
    aw_stack_put(pool, &stack);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(no_memory_for_page_tables_is_enomem_and_no_weaker_guard)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack;

    fake.installs_left = kernel_has_guard_install() ? 20 : 0;
    fake.install_error = -ENOMEM;
    ASYNC_CHECK_EQ(aw_stack_get(pool, AW_STACK_SIZE_DEFAULT, &stack), -ENOMEM);
    ASYNC_CHECK_EQ(fake.mapped, 0);
    ASYNC_CHECK_STR(aw_stack_pool_guard(pool), "madvise");
    close_pool(pool);
}

ASYNC_TEST_PLAIN(each_allocation_may_fail)
{
    struct aw_stack_pool *pool;
    struct aw_stack stack;

    async_test_fail_allocation(1, 0);
    ASYNC_CHECK_EQ(aw_stack_pool_open(&fake_backend, async_test_options()->allocator, &pool), -ENOMEM);
    async_test_fail_allocation(0, 0);
    for (int n = 1; n <= 2; n++) {
        pool = open_pool();
        async_test_fail_allocation(n, 0);
        ASYNC_CHECK_EQ(aw_stack_get(pool, AW_STACK_SIZE_DEFAULT, &stack), -ENOMEM);
        async_test_fail_allocation(0, 0);
        stack = get(pool, AW_STACK_SIZE_DEFAULT);
        close_pool(pool);
    }
}

ASYNC_TEST_PLAIN(close_takes_null)
{
    aw_stack_pool_close(NULL);
}

/* ---- memory goes back ---- */

#define SLAB_BYTES ((AW_STACK_SIZE_DEFAULT + page) * 64)

ASYNC_TEST_PLAIN(a_batch_that_comes_again_and_again_maps_and_discards_nothing)
{
    struct aw_stack_pool *pool = open_pool();

    for (int i = 0; i < 10; i++)
        put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, 1000), 1000);
    ASYNC_CHECK_EQ(fake.maps, 16);
    ASYNC_CHECK_EQ(fake.discards, 0);
    ASYNC_CHECK_EQ(fake.unmaps, 0);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(idle_slabs_beyond_a_limit_are_discarded_but_stay_mapped)
{
    struct aw_stack_pool *pool = open_pool();
    size_t warm = ((size_t)256 << 20) / SLAB_BYTES;
    struct aw_stack *stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 100 * 64);

    *(char *)stacks[0].low = 1; /* in the slab that is idle first */
    put_many(pool, stacks, 100 * 64);
    ASYNC_CHECK_EQ(fake.discards, 100 - warm);
    ASYNC_CHECK_EQ(fake.unmaps, 0);

    stacks = get_many(pool, AW_STACK_SIZE_DEFAULT, 100 * 64);
    ASYNC_CHECK_EQ(fake.maps, 100);
    for (int i = 0; i < 100 * 64; i++) {
        (void)VALGRIND_MAKE_MEM_DEFINED(stacks[i].low, 1); /* the pool says that nobody has written it */
        ASYNC_CHECK_EQ(*(char *)stacks[i].low, 0);
    }
    put_many(pool, stacks, 100 * 64);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_slab_that_goes_to_and_fro_at_the_limit_stays_warm)
{
    struct aw_stack_pool *pool = open_pool();
    unsigned discards;

    put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, 100 * 64), 100 * 64);
    discards = fake.discards;
    for (int i = 0; i < 1000; i++)
        put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, 64), 64);
    ASYNC_CHECK_EQ(fake.discards, discards);
    ASYNC_CHECK_EQ(fake.maps, 100);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(discarded_slabs_beyond_a_second_limit_are_unmapped)
{
    struct aw_stack_pool *pool = open_pool();
    size_t limit = (size_t)(4 + 1) << 30;
    size_t count = limit / SLAB_BYTES + 100;

    if (!kernel_has_guard_install())
        ASYNC_SKIP("%zu slabs need MADV_GUARD_INSTALL, Linux 6.13", count);
    put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, count * 64), count * 64);
    ASYNC_CHECK(fake.unmaps >= 100);
    ASYNC_CHECK(fake.mapped < limit);
    put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, count * 64), count * 64);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(a_slab_that_cannot_be_discarded_is_unmapped)
{
    struct aw_stack_pool *pool = open_pool();

    fake.discard_error = -EINVAL;
    put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, 100 * 64), 100 * 64);
    ASYNC_CHECK_EQ(fake.unmaps, 100 - ((size_t)256 << 20) / SLAB_BYTES);
    put_many(pool, get_many(pool, AW_STACK_SIZE_DEFAULT, 100 * 64), 100 * 64);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(enormous_stacks_are_given_back_at_once)
{
    struct aw_stack_pool *pool = open_pool();

    for (int i = 0; i < 3; i++) {
        struct aw_stack stack = get(pool, AW_STACK_SIZE_MAX);

        *(char *)stack.low = 1;
        aw_stack_put(pool, &stack);
        ASYNC_CHECK_EQ(fake.discards, i + 1);
    }
    ASYNC_CHECK_EQ(fake.maps, 1);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(very_many_sizes_do_not_pile_up)
{
    struct aw_stack_pool *pool = open_pool();

    for (size_t i = 0; i < 3000; i++) {
        struct aw_stack stack = get(pool, AW_STACK_SIZE_MIN + (i + 1) * page);

        aw_stack_put(pool, &stack);
        ASYNC_CHECK(fake.mapped < (size_t)5 << 30);
    }
    ASYNC_CHECK(async_test_allocations_live() < 3000); /* of 6,000 that were made */
    close_pool(pool);
}

/* ---- scale and measuring ---- */

ASYNC_TEST_PLAIN(a_hundred_thousand_stacks_have_guards)
{
    enum { COUNT = 100000 };
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack *stacks;
    char text[256];

    if (!kernel_has_guard_install())
        ASYNC_SKIP("MADV_GUARD_INSTALL needs Linux 6.13");
    stacks = get_many(pool, AW_STACK_SIZE_MIN, COUNT);
    ASYNC_CHECK_STR(aw_stack_pool_guard(pool), "madvise");
    for (int i = 0; i < COUNT; i += COUNT / 4 - 1)
        ASYNC_CHECK(WIFSIGNALED(async_test_death(write_below, &stacks[i], text, sizeof text)));
    put_many(pool, stacks, COUNT);
    close_pool(pool);
}

ASYNC_TEST_PLAIN(the_painted_part_that_was_not_touched_is_known)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack = get(pool, AW_STACK_SIZE_DEFAULT);

    aw_stack_paint(&stack);
    ASYNC_CHECK_EQ(aw_stack_used(&stack), 0);
    ((char *)stack.top)[-1000] = 1;
    ASYNC_CHECK_EQ(aw_stack_used(&stack), 1000);
    ((char *)stack.top)[-20000] = 0; /* deeper, with a hole between */
    ASYNC_CHECK_EQ(aw_stack_used(&stack), 20000);
    *(char *)stack.low = 1;
    ASYNC_CHECK_EQ(aw_stack_used(&stack), (char *)stack.top - (char *)stack.low);
    aw_stack_put(pool, &stack);
    close_pool(pool);
}

#if AW_ASAN
static void write_into_free_stack(void *arg)
{
    *(volatile char *)arg = 1;
}

ASYNC_TEST_PLAIN(a_pointer_into_a_stack_that_was_put_back_is_reported)
{
    struct aw_stack_pool *pool = open_pool();
    struct aw_stack stack = get(pool, AW_STACK_SIZE_DEFAULT);
    char text[4096];

    aw_stack_put(pool, &stack);
    async_test_death(write_into_free_stack, (char *)stack.top - 64, text, sizeof text);
    ASYNC_CHECK_HAS(text, "use-after-poison");
    close_pool(pool);
}
#endif
