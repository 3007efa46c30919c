/* Records of both streams, and control messages: sealed, opened, put in order, acknowledged. */

#include "bytes.h"
#include "session.h"

#include <stdlib.h>

#define EPOCH_SHIFT 24
#define PREFIX (FRAME_HEADER + 8)
#define RANGES 31

enum item { ACKNOWLEDGE = 1, FINAL = 2, ABORT_CODE = 3, RANGE = 4, PING = 5, PONG = 6 };

static void expand_next(struct epoch_chain *chain, bool sealing, struct aead *key)
{
    key_aead(key, sealing, chain->secret);
}

static void follow_secret(struct epoch_chain *chain)
{
    unsigned char next[HASH];
    expand_secret(next, HASH, chain->secret, (struct part[]){TEXT("sennit smkex 2 opportunistic"), TEXT(" next")}, 2);
    memcpy(chain->secret, next, HASH);
}

void start_chain(struct epoch_chain *chain, bool sealing, const unsigned char secret[HASH])
{
    memcpy(chain->secret, secret, HASH);
    expand_next(chain, sealing, &chain->current);
    follow_secret(chain);
    chain->epoch = 0;
    chain->next_derived = false;
}

struct aead *find_epoch_key(struct epoch_chain *chain, bool sealing, uint64_t epoch)
{
    if (epoch == chain->epoch)
        return &chain->current;
    if (epoch != chain->epoch + 1)
        return NULL;
    if (!chain->next_derived)
        expand_next(chain, sealing, &chain->next);
    chain->next_derived = true;
    return &chain->next;
}

void advance_chain(struct epoch_chain *chain, bool sealing, uint64_t epoch)
{
    while (chain->epoch < epoch) {
        struct aead passed = chain->current;
        if (!chain->next_derived)
            expand_next(chain, sealing, &chain->next);
        chain->current = chain->next;
        chain->next = passed; /* its context is keyed anew when it is needed */
        chain->next_derived = false;
        follow_secret(chain);
        chain->epoch++;
    }
}

/* --- records */

static void deliver(struct session *session, const unsigned char *data, size_t length)
{
    session->received += length;
    advance_chain(&session->in, false, session->received >> EPOCH_SHIFT);
    report_received(&session->base, data, length);
}

static void deliver_pending(struct session *session)
{
    struct pending_record *first;
    while (!session->base.closed && (first = session->pending) && first->dsn == session->received) {
        session->pending = first->next;
        deliver(session, first->data, first->length);
        free(first);
    }
}

static const char *keep_pending(struct session *session, uint64_t dsn, const unsigned char *data, size_t length)
{
    struct pending_record **at = &session->pending;
    while (*at && (*at)->dsn < dsn) {
        if ((*at)->dsn + (*at)->length > dsn)
            return "records overlap";
        at = &(*at)->next;
    }
    if (*at && (*at)->dsn == dsn) {
        counters.repeated++;
        return NULL;
    }
    if (*at && dsn + length > (*at)->dsn)
        return "records overlap";
    struct pending_record *kept = malloc(sizeof(*kept) + length);
    *kept = (struct pending_record){.dsn = dsn, .length = length, .next = *at};
    memcpy(kept->data, data, length);
    *at = kept;
    return NULL;
}

void discard_pending(struct session *session)
{
    while (session->pending) {
        struct pending_record *first = session->pending;
        session->pending = first->next;
        free(first);
    }
}

const char *take_record(struct subflow *subflow, unsigned char *frame, size_t length)
{
    struct session *session = subflow->session;
    if (length <= PREFIX + TAG)
        return "a record carries no data";
    uint64_t dsn = read_integer(frame + FRAME_HEADER, 8);
    size_t data_length = length - PREFIX - TAG;
    counters.records[subflow - session->subflows]++;
    subflow->heard_at = now;
    if (dsn >> EPOCH_SHIFT >= session->in.epoch) {
        struct aead *key = find_epoch_key(&session->in, false, dsn >> EPOCH_SHIFT);
        if (!key || dsn + data_length > session->received + WINDOW)
            return "a record lies beyond the window";
        if (!open_in_place(key, dsn, &(struct part){frame, PREFIX}, frame + PREFIX, data_length))
            return "a record has a wrong tag";
    }
    if (dsn + data_length <= session->received) {
        counters.repeated++;
        for (int path = 0; path < PATHS; path++) /* the other end does not know that it has arrived */
            if (!append_control(&session->subflows[path], 0))
                return "a subflow is lost";
        return NULL;
    }
    if (dsn < session->received)
        return "records overlap";
    delay_acknowledgement(subflow);
    if (dsn > session->received)
        return keep_pending(session, dsn, frame + PREFIX, data_length);
    deliver(session, frame + PREFIX, data_length);
    deliver_pending(session);
    return NULL;
}

bool append_record(struct session *session, const void *data, size_t length)
{
    unsigned char frame[2048];
    if (length > sizeof(frame) - PREFIX - TAG || session->sent + length > session->limit)
        return false;
    frame[0] = DATA;
    put_integer(frame + 1, 8 + length + TAG, 3);
    put_integer(frame + FRAME_HEADER, session->sent, 8);
    memcpy(frame + PREFIX, data, length);
    struct aead *key = find_epoch_key(&session->out, true, session->sent >> EPOCH_SHIFT);
    seal_in_place(key, session->sent, &(struct part){frame, PREFIX}, frame + PREFIX, length);
    session->sent += length;
    advance_chain(&session->out, true, session->sent >> EPOCH_SHIFT);
    return append_output(&session->subflows[0], frame, PREFIX + length + TAG);
}

/* --- control messages */

static unsigned char *put_acknowledgement(struct subflow *subflow, unsigned char *at)
{
    struct session *session = subflow->session;
    uint64_t waited = now > subflow->heard_at ? (now - subflow->heard_at) / MICROSECOND : 0;
    *at++ = ACKNOWLEDGE;
    *at++ = 20;
    at = put_integer(at, session->received, 8);
    at = put_integer(at, session->received + WINDOW, 8);
    at = put_integer(at, waited < UINT32_MAX ? waited : UINT32_MAX, 4);
    session->acknowledged = session->received;
    cancel_acknowledgement(subflow);
    if (!session->pending)
        return at;
    unsigned char *length = at + 1, *ranges = at + 2;
    *at = RANGE;
    at = ranges;
    for (struct pending_record *each = session->pending; each && at < ranges + 8 * RANGES;) {
        uint64_t from = each->dsn, to = from;
        for (; each && each->dsn == to; each = each->next)
            to += each->length;
        at = put_integer(at, from - session->received, 4);
        at = put_integer(at, to - from, 4);
    }
    *length = (unsigned char)(at - ranges);
    return at;
}

bool append_control(struct subflow *subflow, int abort_code)
{
    unsigned char frame[512], *at = frame + FRAME_HEADER;
    if (abort_code) {
        at = put_bytes(at, (unsigned char[]){ABORT_CODE, 2}, 2);
        at = put_integer(at, (uint64_t)abort_code, 2);
    } else {
        at = put_acknowledgement(subflow, at);
        if (subflow->pong) {
            at = put_bytes(at, (unsigned char[]){PONG, 8}, 2);
            at = put_integer(at, subflow->pong, 8);
            subflow->pong = 0;
        }
        if (subflow->ping_due) {
            subflow->ping_due = false;
            at = put_bytes(at, (unsigned char[]){PING, 8}, 2);
            at = put_integer(at, subflow->ping, 8);
        }
    }
    size_t items = (size_t)(at - frame - FRAME_HEADER);
    frame[0] = CONTROL;
    put_integer(frame + 1, items + TAG, 3);
    seal_in_place(&subflow->sealing, subflow->sealed++, &(struct part){frame, FRAME_HEADER}, frame + FRAME_HEADER,
                  items);
    counters.controls_out++;
    return append_output(subflow, frame, FRAME_HEADER + items + TAG);
}

static const char *take_item(struct subflow *subflow, enum item type, const unsigned char *value, size_t length)
{
    struct session *session = subflow->session;
    static const size_t lengths[] = {[ACKNOWLEDGE] = 20, [FINAL] = 8, [ABORT_CODE] = 2, [PING] = 8, [PONG] = 8};
    if (type < sizeof(lengths) / sizeof(*lengths) && lengths[type] && length != lengths[type])
        return "an item has another length";
    switch (type) {
    case ACKNOWLEDGE:
        if (read_integer(value, 8) > session->sent)
            return "the edge acknowledged what was never sent";
        if (read_integer(value + 8, 8) > session->limit)
            session->limit = read_integer(value + 8, 8);
        return NULL;
    case FINAL:
        return "the edge ended the stream";
    case ABORT_CODE:
        return "the edge aborted the session";
    case PING:
        subflow->pong = read_integer(value, 8);
        subflow->heard_at = now;
        return append_control(subflow, 0) ? NULL : "a subflow is lost";
    case PONG:
        if (!subflow->ping || read_integer(value, 8) != subflow->ping)
            return "the edge answered a ping that was never sent";
        subflow->ping = 0;
        if (!session->base.established && !session->subflows[0].ping && !session->subflows[1].ping)
            report_established(&session->base);
        return NULL;
    default:
        return NULL;
    }
}

const char *take_control(struct subflow *subflow, unsigned char *frame, size_t length)
{
    unsigned char *at = frame + FRAME_HEADER, *end = frame + length - TAG;
    if (length < FRAME_HEADER + TAG || length > FRAME_HEADER + 512)
        return "a control message is too short or too long";
    if (!open_in_place(&subflow->opening, subflow->opened++, &(struct part){frame, FRAME_HEADER}, at,
                       (size_t)(end - at)))
        return "a control message has a wrong tag";
    counters.controls_in++;
    while (at < end && !subflow->session->base.closed) {
        if (end - at < 2 || end - at < 2 + at[1])
            return "a control message is cut short";
        const char *refused = take_item(subflow, at[0], at + 2, at[1]);
        if (refused)
            return refused;
        at += 2 + at[1];
    }
    return NULL;
}

/* --- acknowledgements that wait */

static struct subflow *first_waiting, *last_waiting;

void delay_acknowledgement(struct subflow *subflow)
{
    if (subflow->waits)
        return;
    subflow->waits = true;
    subflow->due = now + options.acknowledge_delay;
    subflow->earlier = last_waiting;
    subflow->later = NULL;
    *(last_waiting ? &last_waiting->later : &first_waiting) = subflow;
    last_waiting = subflow;
}

void cancel_acknowledgement(struct subflow *subflow)
{
    if (!subflow->waits)
        return;
    subflow->waits = false;
    *(subflow->earlier ? &subflow->earlier->later : &first_waiting) = subflow->later;
    *(subflow->later ? &subflow->later->earlier : &last_waiting) = subflow->earlier;
}

struct subflow *next_acknowledgement(void)
{
    return first_waiting;
}
