/* SPDX-License-Identifier: MIT */
/* The story of futures_callbacks.c with tasks: each function reads from top to bottom. */
#include <await.h>
#include <stdio.h>

static char cheque[] = "a cheque over 100";

static int arrive(void *mail)
{
    async_future_set_result(mail, cheque);
    async_future_unref(mail);
    return 0;
}

static int get_lost(void *mail)
{
    async_future_set_error(mail, -EHOSTUNREACH);
    async_future_unref(mail);
    return 0;
}

async_def(await_mail, double, delay, async_callback, end, const char **, ret_letter)
{
    async_future *mail = async_future_new();
    void *letter = NULL;
    int r;

    async_defer(async_future_unref, mail);
    async_call_later(delay, end, async_future_ref(mail));
    r = await_future(mail); /* the wait ... */
    if (r < 0)
        return r;
    r = async_future_result(mail, &letter); /* ... and what came of it */
    *ret_letter = letter;
    return r;
}

async_def(cash, const char *, who, double, delay, async_callback, end)
{
    const char *letter;
    int r = await_mail(delay, end, &letter);

    if (r < 0) {
        printf("%s: %s\n", who, async_strerror(r));
        return async_cancelled(); /* a lost letter is no failure of ours, being cancelled is */
    }
    printf("%s: %s, off to the bank\n", who, letter);
    r = await_mail(1.0, arrive, &letter);
    printf("Bank: %s\n", async_strerror(r));
    return r;
}

async_main(void)
{
    puts("The cheques are in the mail");
    return await_gather(async_create_task(cash, "Alice", 2.0, arrive), async_create_task(cash, "Bob", 1.0, get_lost));
}
