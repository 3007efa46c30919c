/* TLS 1.3 by OpenSSL, with one group and one cipher suite: X25519 and AES-128-GCM. */

#include "load.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define READ_BUFFER (128 << 10) /* bytes: several records for each system call */

struct tls_connection {
    struct connection base; /* first: both have one address */
    struct watch watch;
    SSL *ssl;
};

static SSL_CTX *context;
static struct connection *unused;
static unsigned char received[64 << 10];

static void prepare_context(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519") != 1)
        abort();
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL); /* of the chain; the server's signature is verified */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
}

static void read_records(struct tls_connection *tls)
{
    do {
        int got = SSL_read(tls->ssl, received, sizeof(received));
        if (got > 0) {
            report_received(&tls->base, received, (size_t)got);
            continue;
        }
        int error = SSL_get_error(tls->ssl, got);
        if (error != SSL_ERROR_WANT_READ)
            report_failure(&tls->base, error == SSL_ERROR_SSL ? ERR_reason_error_string(ERR_get_error())
                                                              : "the server closed the connection");
        return;
    } while (!tls->base.closed && SSL_has_pending(tls->ssl));
}

static void continue_handshake(struct tls_connection *tls)
{
    int done = SSL_do_handshake(tls->ssl);
    if (done == 1) {
        watch_writing(&tls->watch, false);
        report_established(&tls->base);
        return;
    }
    int error = SSL_get_error(tls->ssl, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        report_failure(&tls->base, "the TLS handshake failed");
    else
        watch_writing(&tls->watch, error == SSL_ERROR_WANT_WRITE);
}

static void tls_ready(struct watch *watch, uint32_t events)
{
    struct tls_connection *tls = (struct tls_connection *)((char *)watch - offsetof(struct tls_connection, watch));
    (void)events;
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        read_records(tls);
    else
        continue_handshake(tls);
}

static void begin_tls(uint64_t due)
{
    struct connection *base = unused;
    if (!context)
        prepare_context();
    if (base)
        unused = base->next;
    else
        base = malloc(sizeof(struct tls_connection));
    struct tls_connection *tls = (struct tls_connection *)base;
    *tls = (struct tls_connection){.base.began = due, .watch.ready = tls_ready, .watch.descriptor = -1};
    tls->ssl = SSL_new(context);
    if (!connect_watched(&tls->watch, options.port)) {
        report_failure(base, "cannot connect");
        return;
    }
    SSL_set_fd(tls->ssl, tls->watch.descriptor);
    SSL_set_connect_state(tls->ssl);
    continue_handshake(tls);
}

static void send_tls(struct connection *base, const void *data, size_t length)
{
    if (SSL_write(((struct tls_connection *)base)->ssl, data, (int)length) != (int)length)
        report_failure(base, "cannot send a request");
}

static void close_tls(struct connection *base)
{
    struct tls_connection *tls = (struct tls_connection *)base;
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    close_watched(&tls->watch);
}

static void reuse_tls(struct connection *base)
{
    SSL_free(((struct tls_connection *)base)->ssl);
    base->next = unused;
    unused = base;
}

static uint64_t no_timers(void)
{
    return UINT64_MAX;
}

const struct protocol tls_protocol = {begin_tls, send_tls, close_tls, reuse_tls, no_timers};
