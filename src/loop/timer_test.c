/* SPDX-License-Identifier: MIT */
/* Design notes: the heap is compared, step by step, with a model that cannot be wrong: an array in which the earliest
 * timer is searched. Few different deadlines, so that many are equal and their order of arrival counts. */
#include "loop/loop.h"

#include <await/testing.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_MAX 300

struct model {
    async_timer_handle timers[MODEL_MAX];
    bool in[MODEL_MAX];
    uint64_t order[MODEL_MAX]; /* of arrival */
    uint64_t next_order;
    uint32_t count;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % limit);
}

static int earliest(const struct model *model)
{
    int best = -1;

    for (int i = 0; i < MODEL_MAX; i++) {
        if (!model->in[i])
            continue;
        if (best < 0 || model->timers[i].when < model->timers[best].when ||
            (model->timers[i].when == model->timers[best].when && model->order[i] < model->order[best]))
            best = i;
    }
    return best;
}

/* Each timer knows its place, and no child is before its parent. */
static void check_shape(const struct aw_timer_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct aw_timer_entry *entry = &heap->entries[i], *parent = &heap->entries[i ? (i - 1) / 4 : 0];

        ASYNC_CHECK_EQ(entry->timer->index, i);
        ASYNC_CHECK_EQ(entry->timer->when, entry->when);
        ASYNC_CHECK(parent->when <= entry->when);
    }
}

static void add(struct aw_timer_heap *heap, struct model *model, int i, int64_t when)
{
    model->timers[i].when = when;
    ASYNC_CHECK_EQ(aw_timer_heap_add(heap, async_test_options()->allocator, &model->timers[i]), 0);
    model->in[i] = true;
    model->order[i] = model->next_order++;
    model->count++;
}

static void take(struct aw_timer_heap *heap, struct model *model, int i)
{
    aw_timer_heap_remove(heap, &model->timers[i]);
    model->in[i] = false;
    model->count--;
}

static void step(struct aw_timer_heap *heap, struct model *model)
{
    int i = (int)random_below(MODEL_MAX);
    int first = earliest(model);

    ASYNC_CHECK_EQ(heap->count, model->count);
    if (first >= 0)
        ASYNC_CHECK(heap->entries[0].timer == &model->timers[first]);
    if (first >= 0 && random_below(4) == 0)
        take(heap, model, first);
    else if (model->in[i])
        take(heap, model, i);
    else
        add(heap, model, i, random_below(50));
}

static void play(uint64_t seed, int steps)
{
    struct aw_timer_heap heap = { 0 };
    struct model *model = calloc(1, sizeof *model);

    random_state = seed;
    for (int n = 0; n < steps; n++) {
        step(&heap, model);
        if (n % 997 == 0)
            check_shape(&heap);
    }
    while (model->count > 0) {
        int first = earliest(model);

        ASYNC_CHECK(heap.entries[0].timer == &model->timers[first]);
        take(&heap, model, first);
    }
    ASYNC_CHECK_EQ(heap.count, 0);
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
    free(model);
}

ASYNC_TEST_PLAIN(the_heap_does_what_a_sorted_list_does_in_100000_random_steps)
{
    play(1, 100000);
}

ASYNC_TEST_PLAIN(the_heap_does_what_a_sorted_list_does_with_other_seeds)
{
    for (uint64_t seed = 2; seed < 12; seed++)
        play(seed, 5000);
}

ASYNC_TEST_PLAIN(a_thousand_equal_deadlines_leave_in_the_order_of_their_arrival)
{
    static async_timer_handle timers[1000];
    struct aw_timer_heap heap = { 0 };

    for (int i = 0; i < 1000; i++) {
        timers[i].when = 7;
        ASYNC_CHECK_EQ(aw_timer_heap_add(&heap, async_test_options()->allocator, &timers[i]), 0);
    }
    for (int i = 0; i < 1000; i++) {
        ASYNC_CHECK(heap.entries[0].timer == &timers[i]);
        aw_timer_heap_remove(&heap, &timers[i]);
    }
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
}

ASYNC_TEST_PLAIN(extreme_deadlines_are_ordered)
{
    static const int64_t whens[] = { AW_NEVER, INT64_MIN, 0, -1, AW_NEVER - 1, INT64_MIN + 1, 1 };
    async_timer_handle timers[AW_ARRAY_SIZE(whens)];
    struct aw_timer_heap heap = { 0 };
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < AW_ARRAY_SIZE(whens); i++) {
        timers[i].when = whens[i];
        ASYNC_CHECK_EQ(aw_timer_heap_add(&heap, async_test_options()->allocator, &timers[i]), 0);
    }
    while (heap.count > 0) {
        ASYNC_CHECK(heap.entries[0].when >= last);
        last = heap.entries[0].when;
        aw_timer_heap_remove(&heap, heap.entries[0].timer);
    }
    ASYNC_CHECK_EQ(last, AW_NEVER);
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
}

ASYNC_TEST_PLAIN(a_cancelled_timer_leaves_at_once)
{
    static async_timer_handle timers[1000];
    struct aw_timer_heap heap = { 0 };

    for (int i = 0; i < 1000; i++) {
        timers[i].when = (i * 7919) % 1000;
        ASYNC_CHECK_EQ(aw_timer_heap_add(&heap, async_test_options()->allocator, &timers[i]), 0);
    }
    for (int i = 0; i < 1000; i += 2) {
        aw_timer_heap_remove(&heap, &timers[i]);
        ASYNC_CHECK_EQ(heap.count, (uint32_t)(1000 - i / 2 - 1));
        for (uint32_t place = 0; place < heap.count; place++)
            ASYNC_CHECK(heap.entries[place].timer != &timers[i]);
    }
    check_shape(&heap);
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
}

ASYNC_TEST_PLAIN(a_heap_that_cannot_grow_says_so_and_stays_as_it_was)
{
    static async_timer_handle timers[300];
    struct aw_timer_heap heap = { 0 };
    uint32_t taken = 0, refused = 0;

    for (int i = 0; i < 300; i++) {
        int r;

        timers[i].when = (i * 7919) % 300;
        async_test_fail_allocation(1, 1);
        while ((r = aw_timer_heap_add(&heap, async_test_options()->allocator, &timers[i])) < 0) {
            ASYNC_CHECK_EQ(r, -ENOMEM);
            ASYNC_CHECK_EQ(heap.count, taken);
            check_shape(&heap);
            refused++;
            async_test_fail_allocation(0, 0);
        }
        taken++;
    }
    async_test_fail_allocation(0, 0);
    ASYNC_CHECK(refused >= 3);
    ASYNC_CHECK_EQ(heap.count, 300);
    check_shape(&heap);
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
}

ASYNC_TEST_PLAIN(timers_in_memory_that_is_gone_are_forgotten_and_the_rest_keeps_its_order)
{
    static async_timer_handle live[200], dead[200];
    struct aw_timer_heap heap = { 0 };

    for (int i = 0; i < 200; i++) {
        live[i].when = dead[i].when = i * 7919 % 20;
        ASYNC_CHECK_EQ(aw_timer_heap_add(&heap, async_test_options()->allocator, &live[i]), 0);
        ASYNC_CHECK_EQ(aw_timer_heap_add(&heap, async_test_options()->allocator, &dead[i]), 0);
    }
    memset(dead, 0xee, sizeof dead);
    aw_timer_heap_forget(&heap, dead, dead + 200);
    ASYNC_CHECK_EQ(heap.count, 200);
    check_shape(&heap);
    for (uint64_t last = 0; heap.count > 0;) {
        const async_timer_handle *first = heap.entries[0].timer;

        ASYNC_CHECK((uint64_t)first->when * 1000 + first->sequence >= last);
        last = (uint64_t)first->when * 1000 + first->sequence;
        aw_timer_heap_remove(&heap, heap.entries[0].timer);
    }
    for (size_t i = 0; i < sizeof dead; i++)
        ASYNC_CHECK_EQ(((unsigned char *)dead)[i], 0xee);
    aw_timer_heap_fini(&heap, async_test_options()->allocator);
}
