/* SPDX-License-Identifier: MIT */
/* Intrusive circular doubly linked list. A node alone, or a list without nodes, points to itself, so
 * that removing a node needs no head and works whichever list it is on. */
#ifndef AW_BASE_LIST_H
#define AW_BASE_LIST_H

#include "base/base.h"

struct aw_list {
    struct aw_list *next, *prev;
};

#define AW_LIST_ENTRY(node, type, member) AW_CONTAINER_OF(node, type, member)

static inline void aw_list_init(struct aw_list *list)
{
    list->next = list->prev = list;
}

static inline bool aw_list_is_empty(const struct aw_list *list)
{
    return list->next == list;
}

static inline void aw_list_append(struct aw_list *list, struct aw_list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void aw_list_remove(struct aw_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    aw_list_init(node);
}

/* First node, taken off; NULL when empty. */
static inline struct aw_list *aw_list_pop(struct aw_list *list)
{
    struct aw_list *node = list->next;

    if (node == list)
        return NULL;
    aw_list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void aw_list_splice(struct aw_list *to, struct aw_list *from)
{
    if (aw_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    aw_list_init(from);
}

#endif
