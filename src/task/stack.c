/* SPDX-License-Identifier: MIT */
/* Design notes: a slab is one mapping of up to 64 stacks of one size, each with a page below it as its guard. What is
 * known of a slab lies outside of it: taking and giving back a stack touches none of its pages.
 *
 * Guards. MADV_GUARD_INSTALL (Linux 6.13) costs no mapping, so a million stacks have one. mprotect splits the mapping
 * in two for each guard, and vm.max_map_count ends that near 32,000 stacks. Then nothing guards, and the guard
 * page is a canary: the kernel gave it as zeros and nobody writes there, so any other byte is an overflow. (A pattern
 * would have to be written, one page for each stack.) A strategy that failed is not tried again by this pool.
 *
 * Reuse. The free stacks of a size form one list over all slabs, last in, first out: the hottest is next. Slabs
 * without a used stack wait in pool->idle, oldest first. Beyond a limit the oldest one's pages are given back in one
 * call and it waits, mapped and guarded, in pool->cold, its stacks behind all warm ones; beyond a second limit it is
 * unmapped. So a slab that goes to and fro at the limit stays warm. Giving back each stack by itself would cost
 * more than using it.
 *
 * Rejected: an odd number of pages a stack instead of shifted tops. The cache's sets follow the offset in the page.
 *
 * A pool belongs to one thread.
 */
#include "task/stack.h"

#include "base/list.h"
#include <errno.h>
#include <unistd.h>

#if AW_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_UNDEFINED
#define VALGRIND_MAKE_MEM_UNDEFINED(memory, size) ((void)(memory), (void)(size))
#define VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_ENABLE_ERROR_REPORTING
#endif

#define STACKS_PER_SLAB 64
#define SLAB_BYTES_MAX ((size_t)32 << 20)  /* larger stacks come fewer a slab, at last one */
#define IDLE_BYTES_MAX ((size_t)256 << 20) /* address space; of 64 KiB stacks mostly one page is real: 16 MiB */
#define COLD_BYTES_MAX ((size_t)4 << 30)   /* address space with nothing behind it but page tables: 8 MiB */
#define COLOURS 16
#define COLOUR_STEP 128 /* two lines: the adjacent-line prefetcher takes pairs */
#define POISON_MAX ((size_t)1 << 20)
#define PAINT UINT64_C(0x5a5a5a5aa5a5a5a5)

enum guard { GUARD_MADVISE, GUARD_MPROTECT, GUARD_CANARY };

/* All stacks of one size. */
struct family {
    struct aw_list link; /* pool->families */
    struct aw_list free; /* entry.link, hottest first */
    size_t size, stride; /* usable bytes; with the guard */
    uint32_t per_slab, slabs;
};

struct entry {
    struct aw_list link; /* family->free, while nobody has it */
    uint32_t index;
};

struct aw_slab {
    struct aw_list all;  /* pool->slabs */
    struct aw_list link; /* pool->idle or pool->cold, while `used` is 0 */
    struct family *family;
    char *memory;
    uint32_t used, first_colour;
    enum guard guard;
    bool cold;
    struct entry entries[];
};

struct aw_stack_pool {
    struct aw_backend *backend;
    const async_allocator *allocator;
    struct family *recent; /* asked for last; NULL: none */
    size_t page;
    enum guard guard;
    uint32_t next_colour;
    size_t used_bytes, idle_bytes, cold_bytes; /* of mappings */
    struct aw_list families, slabs, idle, cold;
};

/* ---- tools ---- */

/* LSan looks for pointers in the stacks that are in use; ASan reports who reads or writes in one that is not. Only
 * the upper part is poisoned: shadow memory of a stack of 1 GiB would be 128 MiB. */
static void tool_get(const struct aw_stack *stack)
{
#if AW_ASAN
    size_t size = (size_t)((char *)stack->top - (char *)stack->low);

    __asan_unpoison_memory_region(stack->low, size);
    __lsan_register_root_region(stack->low, size);
#endif
    /* Valgrind remembers where the last user's sp was, and forbids what lies below. */
    (void)VALGRIND_MAKE_MEM_UNDEFINED(stack->low, (size_t)((char *)stack->top - (char *)stack->low));
}

static void tool_put(const struct aw_stack *stack)
{
#if AW_ASAN
    size_t size = (size_t)((char *)stack->top - (char *)stack->low);
    size_t poisoned = size < POISON_MAX ? size : POISON_MAX;

    __lsan_unregister_root_region(stack->low, size);
    __asan_poison_memory_region((char *)stack->top - poisoned, poisoned);
#else
    (void)stack;
#endif
}

static void tool_unmap(const void *memory, size_t size)
{
#if AW_ASAN
    __asan_unpoison_memory_region(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

/* ---- slabs ---- */

static size_t slab_bytes(const struct family *family)
{
    return family->stride * family->per_slab;
}

static void unmap(struct aw_stack_pool *pool, const struct family *family, void *memory)
{
    tool_unmap(memory, slab_bytes(family));
    pool->backend->sys->unmap(pool->backend, memory, slab_bytes(family));
}

static int guard_all(struct aw_stack_pool *pool, const struct family *family, char *memory)
{
    const struct aw_sys *sys = pool->backend->sys;
    int (*guard)(struct aw_backend *, void *, size_t) = sys->guard_install;

    if (pool->guard == GUARD_CANARY)
        return 0;
    if (pool->guard == GUARD_MPROTECT)
        guard = sys->guard_protect;
    for (uint32_t i = 0; i < family->per_slab; i++) {
        int r = guard(pool->backend, memory + i * family->stride, pool->page);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Each attempt has a mapping of its own: half of the guards of the one before would be in the way, and when the
 * kernel has no more mappings to give, those return that mprotect took. */
static int map_guarded(struct aw_stack_pool *pool, const struct family *family, char **ret_memory)
{
    for (;;) {
        char *memory = pool->backend->sys->map(pool->backend, slab_bytes(family));
        int r;

        if (!memory)
            return -ENOMEM;
        r = guard_all(pool, family, memory);
        if (r >= 0) {
            *ret_memory = memory;
            return 0;
        }
        unmap(pool, family, memory);
        /* the kernel has no memory for page tables: a weaker guard is no help */
        if (pool->guard == GUARD_MADVISE && r == -ENOMEM)
            return r;
        /* EINVAL before Linux 6.13; EPERM or ENOSYS in sandboxes; ENOMEM at vm.max_map_count */
        pool->guard++;
    }
}

static int add_slab(struct aw_stack_pool *pool, struct family *family)
{
    struct aw_slab *slab = aw_alloc(pool->allocator, sizeof *slab + family->per_slab * sizeof *slab->entries);
    int r;

    if (!slab)
        return -ENOMEM;
    r = map_guarded(pool, family, &slab->memory);
    if (r < 0) {
        aw_free(pool->allocator, slab);
        return r;
    }
    slab->family = family;
    slab->guard = pool->guard;
    slab->used = 0;
    slab->cold = false;
    slab->first_colour = pool->next_colour++;
    for (uint32_t i = 0; i < family->per_slab; i++) {
        slab->entries[i].index = i;
        aw_list_append(&family->free, &slab->entries[i].link);
    }
    aw_list_append(&pool->slabs, &slab->all);
    aw_list_append(&pool->idle, &slab->link); /* until the caller takes a stack, at once */
    pool->idle_bytes += slab_bytes(family);
    family->slabs++;
    return 0;
}

static void drop_slab(struct aw_stack_pool *pool, struct aw_slab *slab)
{
    struct family *family = slab->family;

    aw_list_remove(&slab->all);
    aw_list_remove(&slab->link);
    for (uint32_t i = 0; i < family->per_slab; i++)
        aw_list_remove(&slab->entries[i].link);
    unmap(pool, family, slab->memory);
    aw_free(pool->allocator, slab);
    family->slabs--;
}

/* ---- families ---- */

static struct family *add_family(struct aw_stack_pool *pool, size_t size)
{
    struct family *family = aw_alloc(pool->allocator, sizeof *family);
    size_t fitting;

    if (!family)
        return NULL;
    family->size = size;
    family->stride = size + pool->page;
    fitting = SLAB_BYTES_MAX / family->stride;
    family->per_slab = fitting > STACKS_PER_SLAB ? STACKS_PER_SLAB : fitting > 0 ? (uint32_t)fitting : 1;
    family->slabs = 0;
    aw_list_init(&family->free);
    aw_list_append(&pool->families, &family->link);
    return family;
}

/* A size that nobody uses any more is forgotten: there may be many. */
static void drop_empty_family(struct aw_stack_pool *pool, struct family *family)
{
    if (family->slabs > 0)
        return;
    if (pool->recent == family)
        pool->recent = NULL;
    aw_list_remove(&family->link);
    aw_free(pool->allocator, family);
}

static struct family *find_family(struct aw_stack_pool *pool, size_t size)
{
    for (struct aw_list *link = pool->families.next; link != &pool->families; link = link->next) {
        struct family *family = AW_LIST_ENTRY(link, struct family, link);

        if (family->size == size)
            return pool->recent = family;
    }
    return pool->recent = add_family(pool, size);
}

/* ---- idle slabs ---- */

static void cool_slab(struct aw_stack_pool *pool, struct aw_slab *slab)
{
    struct family *family = slab->family;
    size_t bytes = slab_bytes(family);

    pool->idle_bytes -= bytes;
    if (pool->backend->sys->discard(pool->backend, slab->memory, bytes) < 0) {
        drop_slab(pool, slab);
        drop_empty_family(pool, family);
        return;
    }
    slab->cold = true;
    pool->cold_bytes += bytes;
    aw_list_remove(&slab->link);
    aw_list_append(&pool->cold, &slab->link);
    for (uint32_t i = 0; i < family->per_slab; i++) {
        aw_list_remove(&slab->entries[i].link);
        aw_list_append(&family->free, &slab->entries[i].link);
    }
}

static AW_COLD void trim(struct aw_stack_pool *pool)
{
    /* a quarter of what is in use: who has 100,000 tasks may soon have them again */
    size_t idle_max = pool->used_bytes / 4 > IDLE_BYTES_MAX ? pool->used_bytes / 4 : IDLE_BYTES_MAX;

    while (pool->idle_bytes > idle_max)
        cool_slab(pool, AW_LIST_ENTRY(pool->idle.next, struct aw_slab, link));
    while (pool->cold_bytes > COLD_BYTES_MAX) {
        struct aw_slab *slab = AW_LIST_ENTRY(pool->cold.next, struct aw_slab, link);
        struct family *family = slab->family;

        pool->cold_bytes -= slab_bytes(family);
        drop_slab(pool, slab);
        drop_empty_family(pool, family);
    }
}

static __attribute__((noinline)) void slab_is_used(struct aw_stack_pool *pool, struct aw_slab *slab)
{
    size_t bytes = slab_bytes(slab->family);

    if (slab->cold)
        pool->cold_bytes -= bytes;
    else
        pool->idle_bytes -= bytes;
    slab->cold = false;
    pool->used_bytes += bytes;
    aw_list_remove(&slab->link);
}

static __attribute__((noinline)) void slab_is_idle(struct aw_stack_pool *pool, struct aw_slab *slab)
{
    size_t bytes = slab_bytes(slab->family);

    pool->used_bytes -= bytes;
    pool->idle_bytes += bytes;
    aw_list_append(&pool->idle, &slab->link);
    if (AW_UNLIKELY(pool->idle_bytes > IDLE_BYTES_MAX))
        trim(pool);
}

static void place(struct aw_slab *slab, uint32_t index, struct aw_stack *ret_stack)
{
    const struct family *family = slab->family;
    char *end = slab->memory + (size_t)(index + 1) * family->stride;

    ret_stack->low = end - family->size;
    ret_stack->top = end - (size_t)((slab->first_colour + index) % COLOURS) * COLOUR_STEP;
    ret_stack->slab = slab;
    ret_stack->index = index;
}

/* Stacks of an abandoned slab that nobody has put back. */
static void forget_used(struct aw_slab *slab)
{
    struct aw_stack stack;

    for (uint32_t i = 0; slab->used > 0; i++) {
        if (!aw_list_is_empty(&slab->entries[i].link))
            continue; /* on the list of free ones */
        place(slab, i, &stack);
        tool_put(&stack);
        slab->used--;
    }
}

/* ---- the pool ---- */

int aw_stack_pool_open(struct aw_backend *backend, const async_allocator *allocator, struct aw_stack_pool **ret_pool)
{
    struct aw_stack_pool *pool = aw_alloc_zeroed(allocator, sizeof *pool);

    if (!pool)
        return -ENOMEM;
    pool->backend = backend;
    pool->allocator = allocator;
    pool->page = (size_t)sysconf(_SC_PAGESIZE);
    pool->guard = GUARD_MADVISE;
    aw_list_init(&pool->families);
    aw_list_init(&pool->slabs);
    aw_list_init(&pool->idle);
    aw_list_init(&pool->cold);
    *ret_pool = pool;
    return 0;
}

void aw_stack_pool_close(struct aw_stack_pool *pool)
{
    struct aw_list *link;

    if (!pool)
        return;
    while ((link = aw_list_pop(&pool->slabs)) != NULL) {
        struct aw_slab *slab = AW_LIST_ENTRY(link, struct aw_slab, all);

        forget_used(slab);
        unmap(pool, slab->family, slab->memory);
        aw_free(pool->allocator, slab);
    }
    while ((link = aw_list_pop(&pool->families)) != NULL)
        aw_free(pool->allocator, AW_LIST_ENTRY(link, struct family, link));
    aw_free(pool->allocator, pool);
}

/* What aw_stack_get does when it is not just the next free one of the size that was asked for last. */
static AW_COLD int prepare_family(struct aw_stack_pool *pool, size_t size, struct family **ret_family)
{
    struct family *family = find_family(pool, size);
    int r;

    if (!family)
        return -ENOMEM;
    r = aw_list_is_empty(&family->free) ? add_slab(pool, family) : 0;
    if (r < 0) {
        drop_empty_family(pool, family);
        return r;
    }
    *ret_family = family;
    return 0;
}

int aw_stack_get(struct aw_stack_pool *pool, size_t size, struct aw_stack *ret_stack)
{
    struct family *family = pool->recent;
    struct entry *entry;
    struct aw_slab *slab;

    if (AW_UNLIKELY(size < AW_STACK_SIZE_MIN || size > AW_STACK_SIZE_MAX))
        return -EINVAL;
    size = (size + pool->page - 1) & ~(pool->page - 1);
    if (AW_UNLIKELY(!family || family->size != size || aw_list_is_empty(&family->free))) {
        int r = prepare_family(pool, size, &family);

        if (r < 0)
            return r;
    }
    entry = AW_LIST_ENTRY(family->free.next, struct entry, link);
    aw_list_remove(&entry->link);
    slab = AW_CONTAINER_OF(entry - entry->index, struct aw_slab, entries);
    if (AW_UNLIKELY(slab->used++ == 0))
        slab_is_used(pool, slab);
    place(slab, entry->index, ret_stack);
    tool_get(ret_stack);
    return 0;
}

void aw_stack_put(struct aw_stack_pool *pool, const struct aw_stack *stack)
{
    struct aw_slab *slab = stack->slab;
    uint32_t index = stack->index; /* `stack` may lie on the stack itself */

    tool_put(stack);
    aw_list_append(slab->family->free.next, &slab->entries[index].link); /* to the front */
    if (AW_UNLIKELY(--slab->used == 0))
        slab_is_idle(pool, slab);
}

/* ---- guards ---- */

const char *aw_stack_pool_guard(const struct aw_stack_pool *pool)
{
    static const char *const names[] = { "madvise", "mprotect", "canary" };

    return names[pool->guard];
}

/* Not for ASan: a frame that overflowed has left its marks there. */
__attribute__((no_sanitize("address"))) bool aw_stack_is_intact(const struct aw_stack_pool *pool,
                                                                const struct aw_stack *stack)
{
    const uint64_t *end = stack->low;

    if (stack->slab->guard != GUARD_CANARY)
        return true;
    for (const uint64_t *word = end - pool->page / sizeof *word; word < end; word++)
        if (*word != 0)
            return false;
    return true;
}

/* A walk over all slabs: slow, but a process that gets here has the time. */
bool aw_stack_pool_find_guard(const struct aw_stack_pool *pool, const void *address, void **ret_low)
{
    for (struct aw_list *link = pool->slabs.next; link != &pool->slabs; link = link->next) {
        const struct aw_slab *slab = AW_LIST_ENTRY(link, struct aw_slab, all);
        size_t offset = (size_t)((uintptr_t)address - (uintptr_t)slab->memory); /* huge when below */
        size_t inside = offset % slab->family->stride;

        if (offset >= slab_bytes(slab->family))
            continue;
        if (inside >= pool->page)
            return false;
        *ret_low = slab->memory + (offset - inside) + pool->page;
        return true;
    }
    return false;
}

/* ---- measuring ---- */

void aw_stack_paint(const struct aw_stack *stack)
{
    for (uint64_t *word = stack->low; word < (uint64_t *)stack->top; word++)
        *word = PAINT;
}

/* Not for ASan and Valgrind: it reads frames that have been left. */
__attribute__((no_sanitize("address"))) size_t aw_stack_used(const struct aw_stack *stack)
{
    const uint64_t *word = stack->low;

    VALGRIND_DISABLE_ERROR_REPORTING;
    while (word < (const uint64_t *)stack->top && *word == PAINT)
        word++;
    VALGRIND_ENABLE_ERROR_REPORTING;
    return (size_t)((const char *)stack->top - (const char *)word);
}
