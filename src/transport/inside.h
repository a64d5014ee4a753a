/* SPDX-License-Identifier: MIT */
/* What transport.c and transport_write.c have of each other. */
#ifndef AW_TRANSPORT_INSIDE_H
#define AW_TRANSPORT_INSIDE_H

#include "transport/transport.h"

/* transport.c */

/* Something is due: it is told in the next turn. */
void aw_transport_tell(struct aw_transport *transport);
/* The end, once: closes the fd, drops what is queued, queues lost(error). */
void aw_transport_lose(struct aw_transport *transport, int error);

/* transport_write.c */

/* The kernel may take more. Calls no callback, but may queue one; the transport may be lost afterwards. */
void aw_transport_flush(struct aw_transport *transport);

/* Failures that speak of this one call and leave the stream as it was. */
static inline bool aw_is_of_the_call(ssize_t error)
{
    return error == -ENOMEM || error == -ENOBUFS || error == -EINVAL || error == -EFAULT || error == -EMSGSIZE;
}

#endif
