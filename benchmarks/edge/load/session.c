/* The subflows of a session on their sockets: frames in, output out, the order of the key exchange. */

#include "session.h"

#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CANCELLED 22
#define EARLY_BYTES (64 << 10)

static struct connection *unused;

bool append_output(struct subflow *subflow, const void *data, size_t length)
{
    if (length > OUTPUT - subflow->output_length)
        return false;
    memcpy(subflow->output + subflow->output_length, data, length);
    subflow->output_length += length;
    return true;
}

static bool flush_output(struct subflow *subflow)
{
    if (!subflow->output_length)
        return true;
    ssize_t sent = send(subflow->watch.descriptor, subflow->output, subflow->output_length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return false;
    if (sent > 0) {
        subflow->output_length -= (size_t)sent;
        memmove(subflow->output, subflow->output + sent, subflow->output_length);
    }
    bool writing = subflow->output_length > 0;
    if (writing != subflow->writing)
        watch_writing(&subflow->watch, writing);
    subflow->writing = writing;
    return true;
}

static void flush_session(struct session *session)
{
    for (int path = 0; path < PATHS && !session->base.closed; path++)
        if (!flush_output(&session->subflows[path]))
            report_failure(&session->base, "a subflow is lost");
}

/* --- the key exchange */

static const char *take_share(struct session *session, const unsigned char *frame, size_t length)
{
    int edge_id;
    const char *refused = take_server_share(session, frame, length, &edge_id);
    if (refused)
        return refused;
    struct subflow *second = &session->subflows[1];
    if (!edge_id || options.locator_base + edge_id > UINT16_MAX)
        return "the edge's id has no locator";
    if (!connect_watched(&second->watch, options.locator_base + edge_id))
        return "cannot connect to the locator";
    append_output(second, session->client_nonce, sizeof(session->client_nonce));
    return NULL;
}

static const char *take_nonce(struct session *session, const unsigned char *frame, size_t length)
{
    const char *refused = take_server_nonce(session, frame, length);
    if (refused)
        return refused;
    for (int path = 0; path < options.confirmed; path++) {
        struct subflow *subflow = &session->subflows[path];
        subflow->ping = (uint64_t)path + 1;
        subflow->ping_due = true;
        append_control(subflow, 0);
    }
    if (!options.confirmed)
        report_established(&session->base);
    return NULL;
}

static const char *take_frame(struct subflow *subflow, unsigned char *frame, size_t length)
{
    struct session *session = subflow->session;
    bool first = subflow == &session->subflows[0], keyed = session->keyed;
    switch ((enum frame_type)frame[0]) {
    case DATA:
        return keyed ? take_record(subflow, frame, length) : "a record came before the keys";
    case CONTROL:
        return keyed ? take_control(subflow, frame, length) : "a control message came before the keys";
    case SERVER_SHARE:
        return first && !session->server_share_length ? take_share(session, frame, length) : "a second ServerShare";
    case SERVER_NONCE:
        if (first || keyed)
            return "a second ServerNonce";
        session->keyed = true;
        return take_nonce(session, frame, length);
    case ABORT:
        return "the edge aborted the key exchange";
    default:
        return "a frame of another type";
    }
}

/* --- input */

static void take_frames(struct subflow *subflow)
{
    struct session *session = subflow->session;
    unsigned char *at = subflow->input, *end = at + subflow->input_length;
    while (end - at >= FRAME_HEADER && !session->base.closed) {
        size_t body = (size_t)read_integer(at + 1, 3);
        const char *refused = body > GREATEST_BODY ? "a frame is too long" : NULL;
        if (!refused && (size_t)(end - at) < FRAME_HEADER + body)
            break;
        if (!refused)
            refused = take_frame(subflow, at, FRAME_HEADER + body);
        if (refused) {
            report_failure(&session->base, refused);
            return;
        }
        at += FRAME_HEADER + body;
    }
    subflow->input_length = (size_t)(end - at);
    if (at != subflow->input)
        memmove(subflow->input, at, subflow->input_length);
}

/* Bytes that are acknowledged without delay: fewer at first, when the edge's window is small. */
static uint64_t greatest_delayed(const struct session *session)
{
    uint64_t early = EARLY_BYTES + session->received / 4;
    return early < options.acknowledge_bytes ? early : options.acknowledge_bytes;
}

static void subflow_ready(struct watch *watch, uint32_t events)
{
    struct subflow *subflow = (struct subflow *)((char *)watch - offsetof(struct subflow, watch));
    struct session *session = subflow->session;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        size_t room = INPUT - subflow->input_length;
        ssize_t got = recv(watch->descriptor, subflow->input + subflow->input_length, room, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            report_failure(&session->base, "the edge closed a subflow");
            return;
        }
        if (got > 0) {
            subflow->input_length += (size_t)got;
            take_frames(subflow);
        }
    }
    if (!session->base.closed && session->received - session->acknowledged >= greatest_delayed(session))
        append_control(subflow, 0);
    flush_session(session);
}

/* --- what the load calls */

static struct session *make_session(void)
{
    struct session *session = calloc(1, sizeof(*session));
    for (int path = 0; path < PATHS; path++)
        session->subflows[path].input = malloc(INPUT);
    return session;
}

/* A closed session begins anew; its buffers and cipher contexts are kept. */
static void reset_session(struct session *session)
{
    session->base = (struct connection){0};
    for (int path = 0; path < PATHS; path++) {
        struct subflow *subflow = &session->subflows[path];
        subflow->watch = (struct watch){-1, subflow_ready};
        subflow->session = session;
        subflow->input_length = subflow->output_length = 0;
        subflow->sealed = subflow->opened = subflow->ping = subflow->pong = 0;
        subflow->ping_due = subflow->writing = false;
        subflow->heard_at = now;
    }
    session->server_share_length = 0;
    session->keyed = false;
    session->sent = session->received = session->acknowledged = 0;
    session->limit = WINDOW;
}

static void begin_session(uint64_t due)
{
    struct session *session = (struct session *)unused;
    if (session)
        unused = session->base.next;
    else
        session = make_session();
    reset_session(session);
    session->base.began = due;
    begin_exchange(session);
    struct subflow *first = &session->subflows[0];
    if (!connect_watched(&first->watch, options.port)) {
        report_failure(&session->base, "cannot connect");
        return;
    }
    append_output(first, session->client_share, session->client_share_length);
    flush_session(session);
}

static void send_session(struct connection *base, const void *data, size_t length)
{
    struct session *session = (struct session *)base;
    struct subflow *first = &session->subflows[0];
    if (!append_record(session, data, length)) {
        report_failure(base, "a request does not fit in the window");
        return;
    }
    /* what half of the delay has passed goes along */
    if (first->waits && first->due <= now + options.acknowledge_delay / 2)
        append_control(first, 0);
    flush_session(session);
}

static void close_session(struct connection *base)
{
    struct session *session = (struct session *)base;
    for (int path = 0; path < PATHS; path++) {
        struct subflow *subflow = &session->subflows[path];
        if (session->keyed && append_control(subflow, CANCELLED))
            flush_output(subflow);
        cancel_acknowledgement(subflow);
        close_watched(&subflow->watch);
    }
}

static void reuse_session(struct connection *base)
{
    struct session *session = (struct session *)base;
    discard_pending(session);
    EVP_PKEY_free(session->share);
    base->next = unused;
    unused = base;
}

/* Send the acknowledgements that are due. */
static uint64_t run_timers(void)
{
    struct subflow *subflow;
    while ((subflow = next_acknowledgement()) && subflow->due <= now) {
        append_control(subflow, 0);
        flush_session(subflow->session);
    }
    return subflow ? subflow->due : UINT64_MAX;
}

const struct protocol session_protocol = {begin_session, send_session, close_session, reuse_session, run_timers};
