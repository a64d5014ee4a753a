/* SPDX-License-Identifier: MIT */
/* Neither parameter is used. */
#include <await.h>

async_main(int argc, char **argv)
{
    return 0;
}
