/* SPDX-License-Identifier: MIT */
/* Design notes: the list of backends. A new one is a line here and its own files. */
#include "backend/backend.h"

#include <string.h>

static const struct aw_backend_ops *const backends[] = { &aw_backend_linux, &aw_backend_sim };

const struct aw_backend_ops *aw_backend_find(const char *name)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(backends); i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

const char *aw_backend_names(void)
{
    return "linux, sim";
}
