/* SPDX-License-Identifier: MIT */
/* Design notes: options are remembered and told back. Four have an effect: SO_REUSEADDR, SO_REUSEPORT and
 * IPV6_V6ONLY on binding, SO_LINGER on closing. An option that is not in the table fails, as on a kernel without
 * it: better than to take a setting in silence. */
#include "backend/sim.h"

#include <netinet/tcp.h>
#include <string.h>

struct option {
    int level, name;
    bool is_flag; /* any number but 0 is 1 */
};

static const struct option options[AW_SIM_OPTIONS] = {
    [AW_SIM_REUSEADDR] = { SOL_SOCKET, SO_REUSEADDR, true },
    [AW_SIM_REUSEPORT] = { SOL_SOCKET, SO_REUSEPORT, true },
    [AW_SIM_V6ONLY] = { IPPROTO_IPV6, IPV6_V6ONLY, true },
    { SOL_SOCKET, SO_KEEPALIVE, true },
    { SOL_SOCKET, SO_OOBINLINE, true },
    { SOL_SOCKET, SO_RCVBUF, false },
    { SOL_SOCKET, SO_SNDBUF, false },
    { SOL_SOCKET, SO_PRIORITY, false },
    { IPPROTO_TCP, TCP_NODELAY, true },
    { IPPROTO_TCP, TCP_QUICKACK, true },
    { IPPROTO_TCP, TCP_CORK, true },
    { IPPROTO_TCP, TCP_KEEPIDLE, false },
    { IPPROTO_TCP, TCP_KEEPINTVL, false },
    { IPPROTO_TCP, TCP_KEEPCNT, false },
    { IPPROTO_TCP, TCP_USER_TIMEOUT, false },
    { IPPROTO_TCP, TCP_DEFER_ACCEPT, false },
    { IPPROTO_TCP, TCP_FASTOPEN, false },
    { IPPROTO_TCP, TCP_NOTSENT_LOWAT, false },
    { IPPROTO_IP, IP_TOS, false },
    { IPPROTO_IPV6, IPV6_TCLASS, false },
};

static int find(int level, int name)
{
    for (int i = 0; i < AW_SIM_OPTIONS; i++)
        if (options[i].level == level && options[i].name == name)
            return i;
    return -ENOPROTOOPT;
}

static int give(void *value, socklen_t *size, const void *from, socklen_t from_size)
{
    if (*size > from_size)
        *size = from_size;
    memcpy(value, from, *size);
    return 0;
}

static int give_int(void *value, socklen_t *size, int number)
{
    return give(value, size, &number, sizeof number);
}

static int get_remembered(const struct aw_sim_socket *socket, int level, int name, void *value, socklen_t *size)
{
    int i = find(level, name);

    return i < 0 ? i : give_int(value, size, socket->options[i]);
}

static int get_of_socket(struct aw_sim_socket *socket, int name, void *value, socklen_t *size)
{
    switch (name) {
    case SO_ERROR:
        return give_int(value, size, -aw_sim_socket_take_error(socket, 0));
    case SO_TYPE:
        return give_int(value, size, SOCK_STREAM);
    case SO_PROTOCOL:
        return give_int(value, size, IPPROTO_TCP);
    case SO_DOMAIN:
        return give_int(value, size, socket->family);
    case SO_ACCEPTCONN:
        return give_int(value, size, socket->state == AW_SIM_LISTENING);
    case SO_LINGER:
        return give(value, size, &socket->linger, sizeof socket->linger);
    default:
        return get_remembered(socket, SOL_SOCKET, name, value, size);
    }
}

int aw_sim_getsockopt(struct aw_sim_socket *socket, int level, int name, void *value, socklen_t *size)
{
    if (!value || !size)
        return -EFAULT;
    return level == SOL_SOCKET ? get_of_socket(socket, name, value, size)
                               : get_remembered(socket, level, name, value, size);
}

int aw_sim_setsockopt(struct aw_sim_socket *socket, int level, int name, const void *value, socklen_t size)
{
    bool is_linger = level == SOL_SOCKET && name == SO_LINGER;
    int i = is_linger ? 0 : find(level, name);
    int number;

    if (i < 0)
        return i;
    if (!value)
        return -EFAULT;
    if (size < (is_linger ? sizeof socket->linger : sizeof number))
        return -EINVAL;
    if (is_linger) {
        memcpy(&socket->linger, value, sizeof socket->linger);
        return 0;
    }
    memcpy(&number, value, sizeof number);
    socket->options[i] = options[i].is_flag ? number != 0 : number;
    return 0;
}
