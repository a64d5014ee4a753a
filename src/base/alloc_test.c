/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <await/testing.h>
#include <string.h>

/* An allocator that notes how it was called. */
struct notes {
    int allocs, resizes, frees;
    bool full;
};

static void *noting_alloc(void *ctx, size_t size)
{
    struct notes *notes = ctx;

    notes->allocs++;
    return notes->full ? NULL : aw_alloc(&aw_allocator_default, size);
}

static void *noting_resize(void *ctx, void *memory, size_t size)
{
    struct notes *notes = ctx;

    notes->resizes++;
    return notes->full ? NULL : aw_resize(&aw_allocator_default, memory, size);
}

static void noting_free(void *ctx, void *memory)
{
    struct notes *notes = ctx;

    notes->frees++;
    aw_free(&aw_allocator_default, memory);
}

ASYNC_TEST_PLAIN(each_function_reaches_the_table_with_its_context)
{
    struct notes notes = { 0 };
    const async_allocator table = { noting_alloc, noting_resize, noting_free, &notes };
    char *memory = aw_alloc(&table, 10);

    ASYNC_CHECK(memory);
    memory = aw_resize(&table, memory, 100000);
    ASYNC_CHECK(memory);
    memset(memory, 1, 100000);
    aw_free(&table, memory);
    ASYNC_CHECK_EQ(notes.allocs, 1);
    ASYNC_CHECK_EQ(notes.resizes, 1);
    ASYNC_CHECK_EQ(notes.frees, 1);
}

ASYNC_TEST_PLAIN(zeroed_memory_is_zero)
{
    unsigned char *memory = aw_alloc_zeroed(async_test_options()->allocator, 1000);

    for (int i = 0; i < 1000; i++)
        ASYNC_CHECK_EQ(memory[i], 0);
    aw_free(async_test_options()->allocator, memory);
}

ASYNC_TEST_PLAIN(resizing_keeps_the_content)
{
    const async_allocator *table = async_test_options()->allocator;
    char *memory = aw_resize(table, NULL, 4);

    memcpy(memory, "abc", 4);
    memory = aw_resize(table, memory, 5000);
    ASYNC_CHECK_STR(memory, "abc");
    aw_free(table, memory);
}

ASYNC_TEST_PLAIN(a_copy_of_a_text_is_its_own)
{
    const async_allocator *table = async_test_options()->allocator;
    char text[] = "text";
    char *copy = aw_strdup(table, text);

    text[0] = 'n';
    ASYNC_CHECK_STR(copy, "text");
    aw_free(table, copy);
}

ASYNC_TEST_PLAIN(without_memory_each_says_null)
{
    struct notes notes = { .full = true };
    const async_allocator table = { noting_alloc, noting_resize, noting_free, &notes };

    ASYNC_CHECK(aw_alloc(&table, 1) == NULL);
    ASYNC_CHECK(aw_alloc_zeroed(&table, 1) == NULL);
    ASYNC_CHECK(aw_resize(&table, NULL, 1) == NULL);
    ASYNC_CHECK(aw_strdup(&table, "a") == NULL);
}

ASYNC_TEST_PLAIN(freeing_null_calls_nobody)
{
    struct notes notes = { 0 };
    const async_allocator table = { noting_alloc, noting_resize, noting_free, &notes };

    aw_free(&table, NULL);
    ASYNC_CHECK_EQ(notes.frees, 0);
}
