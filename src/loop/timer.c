/* SPDX-License-Identifier: MIT */
/* Design notes: a 4-ary heap whose entries hold the key, so that comparing touches one array and not the timers. Each
 * timer knows its place, so that a cancelled one leaves at once. Equal deadlines keep the order of their calls by a
 * sequence number, which lives in the timer: it is looked at for equal keys only. Measured against a binary heap, a
 * wheel and the peers: docs/adr and bench/timers. */
#include "loop/loop.h"

static bool is_before(const struct aw_timer_entry *a, const struct aw_timer_entry *b)
{
    if (a->when != b->when)
        return a->when < b->when;
    return a->timer->sequence < b->timer->sequence;
}

static void put(struct aw_timer_heap *heap, uint32_t place, struct aw_timer_entry entry)
{
    heap->entries[place] = entry;
    entry.timer->index = place;
}

static void move_up(struct aw_timer_heap *heap, uint32_t place, struct aw_timer_entry entry)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 4;

        if (!is_before(&entry, &heap->entries[parent]))
            break;
        put(heap, place, heap->entries[parent]);
        place = parent;
    }
    put(heap, place, entry);
}

static uint32_t first_of_children(const struct aw_timer_heap *heap, uint32_t place)
{
    uint32_t first = place * 4 + 1;
    uint32_t end = first + 4 < heap->count ? first + 4 : heap->count;
    uint32_t best = first;

    for (uint32_t child = first + 1; child < end; child++)
        if (is_before(&heap->entries[child], &heap->entries[best]))
            best = child;
    return best;
}

static void move_down(struct aw_timer_heap *heap, uint32_t place, struct aw_timer_entry entry)
{
    while (place * 4 + 1 < heap->count) {
        uint32_t child = first_of_children(heap, place);

        if (!is_before(&heap->entries[child], &entry))
            break;
        put(heap, place, heap->entries[child]);
        place = child;
    }
    put(heap, place, entry);
}

static int grow(struct aw_timer_heap *heap, const async_allocator *allocator)
{
    uint32_t capacity = heap->capacity ? heap->capacity * 2 : 64;
    struct aw_timer_entry *entries;

    if (capacity > UINT32_MAX / 8) /* children's places must fit */
        return -ENOMEM;
    entries = aw_resize(allocator, heap->entries, capacity * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

int aw_timer_heap_add(struct aw_timer_heap *heap, const async_allocator *allocator, async_timer_handle *timer)
{
    if (heap->count == heap->capacity) {
        int r = grow(heap, allocator);
        if (r < 0)
            return r;
    }
    timer->sequence = heap->sequence++;
    move_up(heap, heap->count++, (struct aw_timer_entry){ timer->when, timer });
    return 0;
}

void aw_timer_heap_remove(struct aw_timer_heap *heap, async_timer_handle *timer)
{
    uint32_t place = timer->index;
    struct aw_timer_entry last = heap->entries[--heap->count];

    if (last.timer == timer)
        return;
    if (place > 0 && is_before(&last, &heap->entries[(place - 1) / 4]))
        move_up(heap, place, last);
    else
        move_down(heap, place, last);
}

void aw_timer_heap_forget(struct aw_timer_heap *heap, const void *low, const void *end)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < heap->count; i++) {
        const char *address = (const char *)heap->entries[i].timer;

        if (address < (const char *)low || address >= (const char *)end)
            put(heap, kept++, heap->entries[i]);
    }
    heap->count = kept;
    for (uint32_t i = kept; i-- > 0;)
        move_down(heap, i, heap->entries[i]);
}

void aw_timer_heap_fini(struct aw_timer_heap *heap, const async_allocator *allocator)
{
    aw_free(allocator, heap->entries);
    *heap = (struct aw_timer_heap){ 0 };
}
