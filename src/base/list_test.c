/* SPDX-License-Identifier: MIT */
#include "base/list.h"

#include <await/testing.h>

struct item {
    int number;
    struct aw_list link;
};

static void fill(struct aw_list *list, struct item *items, int first, int count)
{
    aw_list_init(list);
    for (int i = 0; i < count; i++) {
        items[i].number = first + i;
        aw_list_append(list, &items[i].link);
    }
}

/* Forwards and backwards: the numbers first..first + count - 1. */
static void check_numbers(const struct aw_list *list, int first, int count)
{
    int expected = first;

    for (const struct aw_list *link = list->next; link != list; link = link->next)
        ASYNC_CHECK_EQ(AW_LIST_ENTRY(link, const struct item, link)->number, expected++);
    ASYNC_CHECK_EQ(expected, first + count);
    for (const struct aw_list *link = list->prev; link != list; link = link->prev)
        ASYNC_CHECK_EQ(AW_LIST_ENTRY(link, const struct item, link)->number, --expected);
    ASYNC_CHECK_EQ(expected, first);
}

ASYNC_TEST_PLAIN(a_new_list_is_empty)
{
    struct aw_list list;

    aw_list_init(&list);
    ASYNC_CHECK(aw_list_is_empty(&list));
    ASYNC_CHECK(aw_list_pop(&list) == NULL);
}

ASYNC_TEST_PLAIN(nodes_come_out_in_the_order_in_which_they_went_in)
{
    struct aw_list list;
    struct item items[5];

    fill(&list, items, 10, 5);
    check_numbers(&list, 10, 5);
    for (int i = 0; i < 5; i++)
        ASYNC_CHECK(aw_list_pop(&list) == &items[i].link);
    ASYNC_CHECK(aw_list_is_empty(&list));
}

ASYNC_TEST_PLAIN(a_node_leaves_from_anywhere_without_its_list)
{
    struct aw_list list;
    struct item items[4];

    fill(&list, items, 0, 4);
    aw_list_remove(&items[0].link);
    check_numbers(&list, 1, 3);
    aw_list_remove(&items[3].link);
    check_numbers(&list, 1, 2);
    aw_list_remove(&items[1].link);
    check_numbers(&list, 2, 1);
    aw_list_remove(&items[2].link);
    ASYNC_CHECK(aw_list_is_empty(&list));
}

ASYNC_TEST_PLAIN(removing_a_node_twice_does_nothing)
{
    struct aw_list list;
    struct item items[2];

    fill(&list, items, 0, 2);
    aw_list_remove(&items[1].link);
    aw_list_remove(&items[1].link);
    check_numbers(&list, 0, 1);
}

ASYNC_TEST_PLAIN(a_splice_moves_all_nodes_to_the_end)
{
    struct aw_list to, from;
    struct item a[2], b[3];

    fill(&to, a, 0, 2);
    fill(&from, b, 2, 3);
    aw_list_splice(&to, &from);
    check_numbers(&to, 0, 5);
    ASYNC_CHECK(aw_list_is_empty(&from));
    aw_list_splice(&to, &from);
    check_numbers(&to, 0, 5);
}

ASYNC_TEST_PLAIN(a_splice_into_an_empty_list_is_the_whole_list)
{
    struct aw_list to, from;
    struct item items[3];

    aw_list_init(&to);
    fill(&from, items, 7, 3);
    aw_list_splice(&to, &from);
    check_numbers(&to, 7, 3);
}
