/* SPDX-License-Identifier: MIT */
/* libawait: asyncio for C. Everything but <await/embed.h> and <await/testing.h>. */
#ifndef AWAIT_H
#define AWAIT_H

#include <await/base.h>
#include <await/context.h>
#include <await/defer.h>
#include <await/future.h>
#include <await/group.h>
#include <await/loop.h>
#include <await/run.h>
#include <await/scope.h>
#include <await/server.h>
#include <await/stream.h>
#include <await/task.h>
#include <await/thread.h>

#endif
