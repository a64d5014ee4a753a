/* SPDX-License-Identifier: MIT */
#include "transport/write_queue.h"

#include <await/testing.h>
#include <stdlib.h>
#include <string.h>

struct rig {
    async_loop loop; /* only its allocator is used */
    struct aw_transport transport;
    unsigned char written, taken; /* the next byte of an endless sequence, on either side */
};

static struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);

    ASYNC_CHECK(rig != NULL);
    rig->loop.allocator = *async_test_options()->allocator;
    rig->transport.loop = &rig->loop;
    return rig;
}

static int put(struct rig *rig, size_t size)
{
    unsigned char *data = malloc(size + 1), next = rig->written;
    struct iovec piece = { data, size };
    int r;

    for (size_t i = 0; i < size; i++)
        data[i] = next++;
    r = aw_write_queue_append(&rig->transport, (struct aw_pieces){ &piece, 1, 0 });
    if (r == 0)
        rig->written = next;
    free(data);
    return r;
}

/* Takes at most `size` bytes as a kernel would, and checks them. */
static size_t take(struct rig *rig, size_t size)
{
    struct iovec pieces[4];
    size_t asked, taken = 0;
    int count = aw_write_queue_gather(&rig->transport, pieces, 4, &asked);

    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < pieces[i].iov_len && taken < size; k++, taken++)
            ASYNC_CHECK_EQ(((unsigned char *)pieces[i].iov_base)[k], rig->taken++);
    aw_write_queue_consume(&rig->transport, taken);
    return taken;
}

ASYNC_TEST_PLAIN(bytes_leave_the_queue_in_the_order_in_which_they_came)
{
    struct rig *rig = rig_new();
    unsigned random = 1;

    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245 + 12345;
        ASYNC_CHECK_EQ(put(rig, (random >> 8) % ((random >> 24) % 8 == 0 ? 100000 : 300)), 0);
        take(rig, (random >> 4) % 20000);
    }
    while (rig->transport.queued > 0)
        ASYNC_CHECK(take(rig, 70000) > 0);
    ASYNC_CHECK_EQ(rig->taken, rig->written);
    free(rig);
}

ASYNC_TEST_PLAIN(an_empty_queue_holds_no_memory)
{
    struct rig *rig = rig_new();

    ASYNC_CHECK_EQ(put(rig, 0), 0);
    ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    ASYNC_CHECK_EQ(put(rig, 200000), 0);
    while (rig->transport.queued > 0)
        take(rig, 10000);
    ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    ASYNC_CHECK(rig->transport.queue_head == NULL && rig->transport.queue_tail == NULL);
    free(rig);
}

ASYNC_TEST_PLAIN(small_writes_share_an_allocation)
{
    struct rig *rig = rig_new();

    for (int i = 0; i < 1000; i++)
        ASYNC_CHECK_EQ(put(rig, 20), 0);
    ASYNC_CHECK(async_test_allocations() <= 5);
    aw_write_queue_drop(&rig->transport);
    ASYNC_CHECK_EQ(async_test_allocations_live(), 0);
    free(rig);
}

/* ---- memory ---- */

static size_t allocated, most_allocated;

static void *count_alloc(void *ctx, size_t size)
{
    size_t *block = malloc(sizeof *block + size);

    (void)ctx;
    ASYNC_CHECK(block != NULL);
    *block = size;
    allocated += size;
    if (allocated > most_allocated)
        most_allocated = allocated;
    return block + 1;
}

static void count_free(void *ctx, void *memory)
{
    size_t *block = (size_t *)memory - 1;

    (void)ctx;
    allocated -= *block;
    free(block);
}

ASYNC_TEST_PLAIN(memory_stays_near_to_what_is_queued)
{
    static const size_t sizes[] = { 1, 20, 700, 1000, 4097, 30000 };

    for (size_t i = 0; i < AW_ARRAY_SIZE(sizes); i++) {
        struct rig *rig = rig_new();

        rig->loop.allocator = (async_allocator){ .alloc = count_alloc, .free = count_free };
        most_allocated = 0;
        ASYNC_CHECK_EQ(put(rig, sizes[i]), 0);
        ASYNC_CHECK(allocated <= sizes[i] + 2048);
        for (int round = 0; round < 200; round++) { /* a writer that obeys the water marks */
            while (rig->transport.queued <= 64 * 1024)
                ASYNC_CHECK_EQ(put(rig, sizes[i]), 0);
            while (rig->transport.queued > 16 * 1024)
                take(rig, 10000);
        }
        ASYNC_CHECK(most_allocated < 2 * 64 * 1024 + sizes[i]);
        aw_write_queue_drop(&rig->transport);
        ASYNC_CHECK_EQ(allocated, 0);
        free(rig);
    }
}

ASYNC_TEST_PLAIN(a_long_write_gives_its_memory_back_while_it_goes_out)
{
    struct rig *rig = rig_new();

    rig->loop.allocator = (async_allocator){ .alloc = count_alloc, .free = count_free };
    ASYNC_CHECK_EQ(put(rig, 1000000), 0);
    while (rig->transport.queued > 0) {
        ASYNC_CHECK(allocated < rig->transport.queued + 2 * 32768);
        take(rig, 50000);
    }
    ASYNC_CHECK_EQ(allocated, 0);
    free(rig);
}

ASYNC_TEST_PLAIN(an_append_without_memory_takes_nothing)
{
    struct rig *rig = rig_new();
    long n = 0;
    int r;

    ASYNC_CHECK_EQ(put(rig, 100), 0);
    do {
        size_t before = rig->transport.queued;

        async_test_fail_allocation(++n, 0);
        r = put(rig, 300000);
        async_test_fail_allocation(0, 0);
        ASYNC_CHECK(r == 0 || (r == -ENOMEM && rig->transport.queued == before));
    } while (r < 0);
    ASYNC_CHECK(n > 5);
    ASYNC_CHECK_EQ(rig->transport.queued, 300100);
    while (rig->transport.queued > 0)
        take(rig, 100000);
    free(rig);
}

ASYNC_TEST_PLAIN(pieces_may_be_empty_and_begin_in_the_middle)
{
    char abc[] = "abc", defg[] = "defg";
    struct iovec iov[] = { { abc, 0 }, { abc, 3 }, { NULL, 0 }, { defg, 4 }, { NULL, 0 } };
    struct aw_pieces pieces = { iov, 5, 0 };
    struct iovec out[5];
    size_t size;

    ASYNC_CHECK_EQ(aw_pieces_size(&pieces), 7);
    ASYNC_CHECK_EQ(aw_pieces_gather(&pieces, out, 5, &size), 2);
    ASYNC_CHECK_EQ(size, 7);
    aw_pieces_skip(&pieces, 4);
    ASYNC_CHECK_EQ(aw_pieces_size(&pieces), 3);
    ASYNC_CHECK_EQ(aw_pieces_gather(&pieces, out, 5, &size), 1);
    ASYNC_CHECK(out[0].iov_len == 3 && memcmp(out[0].iov_base, "efg", 3) == 0);
    aw_pieces_skip(&pieces, 3);
    ASYNC_CHECK_EQ(aw_pieces_size(&pieces), 0);
    ASYNC_CHECK_EQ(aw_pieces_gather(&pieces, out, 5, &size), 0);
}
