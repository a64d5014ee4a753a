/* SPDX-License-Identifier: MIT */
/* "The cheque is in the mail": futures with callbacks. futures_tasks.c is the same story told straight. */
#include <await.h>
#include <stdio.h>

static char cheque[] = "a cheque over 100", alice[] = "Alice", bob[] = "Bob", bank[] = "Bank";

static int arrive(void *mail)
{
    async_future_set_result(mail, cheque);
    async_future_unref(mail);
    return 0; /* a negative number would stop the loop */
}

static int get_lost(void *mail)
{
    async_future_set_error(mail, -EHOSTUNREACH);
    async_future_unref(mail);
    return 0;
}

/* A promise, kept or broken after `delay` seconds. The timer owns it; callbacks keep it until they have run. */
static async_future *post(async_loop *loop, double delay, async_callback end)
{
    async_future *mail = async_loop_create_future(loop);

    async_loop_call_later(loop, delay, end, mail);
    return mail;
}

static int is_cashed(async_future *mail, void *who)
{
    printf("%s: %s\n", (char *)who, async_strerror(async_future_result(mail, NULL)));
    async_stop(); /* the last step has to know that it is the last */
    return 0;
}

static int has_arrived(async_future *mail, void *who)
{
    void *letter;
    int r = async_future_result(mail, &letter);

    if (r < 0) /* errback */
        return printf("%s: %s\n", (char *)who, async_strerror(r));
    printf("%s: %s, off to the bank\n", (char *)who, (char *)letter);
    async_future_add_done_callback(post(async_get_running_loop(), 1.0, arrive), is_cashed, bank);
    return 0; /* the story goes on in is_cashed */
}

int main(void)
{
    async_loop *loop = async_loop_new(NULL);

    puts("The cheques are in the mail");
    async_future_add_done_callback(post(loop, 2.0, arrive), has_arrived, alice);
    async_future_add_done_callback(post(loop, 1.0, get_lost), has_arrived, bob);
    async_loop_run_forever(loop);
    return async_loop_close(loop) < 0;
}
