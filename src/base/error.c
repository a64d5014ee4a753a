/* SPDX-License-Identifier: MIT */
/* Names and sentences of error codes. The sentences of errno come from strerrordesc_np, which, unlike
 * strerror, is thread-safe and not translated. */
#include "base/base.h"

#include <string.h>

struct own_code {
    int code;
    const char *name, *sentence;
};

static const struct own_code own_codes[] = {
    { 0, "0", "success" },
    { ASYNC_ECANCELED, "ASYNC_ECANCELED", "cancelled" },
    { ASYNC_ETIMEOUT, "ASYNC_ETIMEOUT", "a deadline has passed" },
    { ASYNC_EEOF, "ASYNC_EEOF", "the stream ended in the middle of what was asked for" },
    { ASYNC_ENOTASK, "ASYNC_ENOTASK", "an await outside of a task (use async_run)" },
    { ASYNC_ELIMIT, "ASYNC_ELIMIT", "longer than the limit" },
    { ASYNC_ESTATE, "ASYNC_ESTATE", "not in a state for this" },
    { ASYNC_ECLOSED, "ASYNC_ECLOSED", "closed" },
    { ASYNC_ENONAME, "ASYNC_ENONAME", "no such host or service" },
    { ASYNC_EDNS, "ASYNC_EDNS", "the name could not be resolved" },
    { ASYNC_ENOBACKEND, "ASYNC_ENOBACKEND", "no backend has that name" },
    { ASYNC_ETHREAD, "ASYNC_ETHREAD", "called from a thread that does not own the loop" },
    { ASYNC_EDEADLOCK, "ASYNC_EDEADLOCK", "nothing can ever wake the loop" },
};

static const struct own_code *find_own(int code)
{
    for (size_t i = 0; i < AW_ARRAY_SIZE(own_codes); i++)
        if (own_codes[i].code == code)
            return &own_codes[i];
    return NULL;
}

const char *async_strerror(int code)
{
    const struct own_code *own = find_own(code);
    const char *text;

    if (own)
        return own->sentence;
    if (code > 0)
        return "success";
    text = code > -4096 ? strerrordesc_np(-code) : NULL;
    return text ? text : "unknown error";
}

/* "-ECONNREFUSED" for every errno, made once by the preprocessor instead of at run time: the result is static. */
static const char *errno_name(int number)
{
/* clang-format off: a table */
#define NAME(e)                                                                                                        \
    case e:                                                                                                            \
        return "-" #e
    switch (number) {
        NAME(EPERM);
        NAME(ENOENT);
        NAME(ESRCH);
        NAME(EINTR);
        NAME(EIO);
        NAME(ENXIO);
        NAME(E2BIG);
        NAME(ENOEXEC);
        NAME(EBADF);
        NAME(ECHILD);
        NAME(EAGAIN);
        NAME(ENOMEM);
        NAME(EACCES);
        NAME(EFAULT);
        NAME(EBUSY);
        NAME(EEXIST);
        NAME(EXDEV);
        NAME(ENODEV);
        NAME(ENOTDIR);
        NAME(EISDIR);
        NAME(EINVAL);
        NAME(ENFILE);
        NAME(EMFILE);
        NAME(ENOTTY);
        NAME(ETXTBSY);
        NAME(EFBIG);
        NAME(ENOSPC);
        NAME(ESPIPE);
        NAME(EROFS);
        NAME(EMLINK);
        NAME(EPIPE);
        NAME(EDOM);
        NAME(ERANGE);
        NAME(EDEADLK);
        NAME(ENAMETOOLONG);
        NAME(ENOLCK);
        NAME(ENOSYS);
        NAME(ENOTEMPTY);
        NAME(ELOOP);
        NAME(EPROTO);
        NAME(EOVERFLOW);
        NAME(EILSEQ);
        NAME(ENOTSOCK);
        NAME(EDESTADDRREQ);
        NAME(EMSGSIZE);
        NAME(EPROTOTYPE);
        NAME(ENOPROTOOPT);
        NAME(EPROTONOSUPPORT);
        NAME(ESOCKTNOSUPPORT);
        NAME(EOPNOTSUPP);
        NAME(EPFNOSUPPORT);
        NAME(EAFNOSUPPORT);
        NAME(EADDRINUSE);
        NAME(EADDRNOTAVAIL);
        NAME(ENETDOWN);
        NAME(ENETUNREACH);
        NAME(ENETRESET);
        NAME(ECONNABORTED);
        NAME(ECONNRESET);
        NAME(ENOBUFS);
        NAME(EISCONN);
        NAME(ENOTCONN);
        NAME(ESHUTDOWN);
        NAME(ETOOMANYREFS);
        NAME(ETIMEDOUT);
        NAME(ECONNREFUSED);
        NAME(EHOSTDOWN);
        NAME(EHOSTUNREACH);
        NAME(EALREADY);
        NAME(EINPROGRESS);
        NAME(ESTALE);
        NAME(EDQUOT);
        NAME(EBADMSG);
        NAME(ENODATA);
        NAME(ENOTBLK);
        NAME(ENOMSG);
        NAME(EIDRM);
        NAME(ECHRNG);
        NAME(EL2NSYNC);
        NAME(EL3HLT);
        NAME(EL3RST);
        NAME(ELNRNG);
        NAME(EUNATCH);
        NAME(ENOCSI);
        NAME(EL2HLT);
        NAME(EBADE);
        NAME(EBADR);
        NAME(EXFULL);
        NAME(ENOANO);
        NAME(EBADRQC);
        NAME(EBADSLT);
        NAME(EBFONT);
        NAME(ENOSTR);
        NAME(ETIME);
        NAME(ENOSR);
        NAME(ENONET);
        NAME(ENOPKG);
        NAME(EREMOTE);
        NAME(ENOLINK);
        NAME(EADV);
        NAME(ESRMNT);
        NAME(ECOMM);
        NAME(EMULTIHOP);
        NAME(EDOTDOT);
        NAME(ENOTUNIQ);
        NAME(EBADFD);
        NAME(EREMCHG);
        NAME(ELIBACC);
        NAME(ELIBBAD);
        NAME(ELIBSCN);
        NAME(ELIBMAX);
        NAME(ELIBEXEC);
        NAME(ERESTART);
        NAME(ESTRPIPE);
        NAME(EUSERS);
        NAME(EUCLEAN);
        NAME(ENOTNAM);
        NAME(ENAVAIL);
        NAME(EISNAM);
        NAME(EREMOTEIO);
        NAME(ENOMEDIUM);
        NAME(EMEDIUMTYPE);
        NAME(ENOKEY);
        NAME(EKEYEXPIRED);
        NAME(EKEYREVOKED);
        NAME(EKEYREJECTED);
        NAME(EOWNERDEAD);
        NAME(ENOTRECOVERABLE);
        NAME(ERFKILL);
        NAME(EHWPOISON);
    default:
        return "unknown error";
    }
    /* clang-format on */
#undef NAME
}

const char *async_error_name(int code)
{
    const struct own_code *own = find_own(code);

    if (own)
        return own->name;
    return code < 0 && code > -4096 ? errno_name(-code) : "unknown error";
}
