/* SPDX-License-Identifier: MIT */
#ifndef AW_LOOP_WAKEUP_H
#define AW_LOOP_WAKEUP_H

#include "loop/loop.h"

enum { AW_LOOP_AWAKE, AW_LOOP_SLEEPING, AW_LOOP_NOTIFIED };

/* Before a wait that can block: false when something was posted meanwhile, so that the wait must not block. */
bool aw_loop_will_sleep(async_loop *loop);
void aw_loop_has_slept(async_loop *loop);

#endif
