/* What the two protocols and the load share: options, counters, responses, connections. */
#pragma once

#include "watch.h"

#include <stddef.h>

struct options {
    int port;         /* of 127.0.0.1: the service port */
    int locator_base; /* a session's second subflow goes to this port plus the edge's id */
    int connections;
    double seconds;
    uint64_t most;              /* responses or handshakes after which the load ends before its time; 0: no limit */
    double rate;                /* requests or handshakes a second; 0: the next follows each */
    const char *target;         /* of the requests, as in the request line */
    bool handshakes;            /* connect again and again */
    bool one_response;          /* with `handshakes`: fetch `target` once before closing */
    int confirmed;              /* with `handshakes`: paths whose ping is answered before closing, 0 to 2 */
    uint64_t acknowledge_delay; /* nanoseconds from the first record not acknowledged */
    uint64_t acknowledge_bytes; /* acknowledged without delay */
};

struct counters {
    uint64_t responses, handshakes, bytes, errors;
    uint64_t records[2]; /* received, by path */
    uint64_t repeated;   /* records received again */
    uint64_t controls_in, controls_out;
    const char *first_error;
};

extern struct options options;
extern struct counters counters;

/* One HTTP response: the rest of its head, then the rest of its body. */
struct response {
    char head[2048];
    size_t head_length;
    uint64_t body_left;
    bool in_body;
};

enum progress { RESPONSE_CONTINUES, RESPONSE_COMPLETE, RESPONSE_INVALID };

/* Take received bytes of a response to a request that was alone on its connection; add the body's to `bytes`. */
enum progress take_response(struct response *response, const unsigned char *data, size_t length, uint64_t *bytes);

struct connection {
    struct response response;
    uint64_t began; /* when its request was due, or it began to connect */
    bool established, closed;
    struct connection *next; /* in the list that it is on */
};

/* What a protocol does for the load. A connection that is closed or has failed is not touched again before the next
 * batch of events. */
struct protocol {
    void (*begin)(uint64_t due); /* when it was to begin */
    void (*send)(struct connection *connection, const void *data, size_t length);
    void (*close)(struct connection *connection);
    void (*reuse)(struct connection *connection); /* closed in an earlier batch */
    uint64_t (*run_timers)(void);                 /* return when to call it next */
};

extern const struct protocol tls_protocol, session_protocol;

/* What a protocol reports. Each may close the connection. */
void report_established(struct connection *connection);
void report_received(struct connection *connection, const unsigned char *data, size_t length);
void report_failure(struct connection *connection, const char *reason);
