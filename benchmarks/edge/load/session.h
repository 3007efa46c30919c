/* A client's session over transport tcp: two subflows, its keys, the two streams (docs/protocol, "The session"). */
#pragma once

#include "crypto.h"
#include "load.h"

#define PATHS 2
#define NONCE 32
#define SESSION_ID 16
#define FRAME_HEADER 4
#define GREATEST_BODY 65560
#define INPUT (256 << 10)
#define OUTPUT 4096
#define WINDOW (8ull << 20) /* bytes of the server's stream that may be on their way */
#define SHARE_FRAME 4096    /* the greatest ServerShare */

enum frame_type {
    CLIENT_SHARE = 1,
    SERVER_SHARE = 2,
    CLIENT_NONCE = 3,
    SERVER_NONCE = 4,
    FINISHED = 5,
    ABORT = 6,
    DATA = 16,
    CONTROL = 17,
};

/* One sender's data keys: an epoch is 16 MiB of the stream. `secret` gives the epoch after the current one. */
struct epoch_chain {
    unsigned char secret[HASH];
    uint64_t epoch;
    struct aead current, next;
    bool next_derived;
};

struct subflow {
    struct watch watch;
    struct session *session;
    unsigned char *input; /* INPUT bytes, `input_length` of them received and not processed */
    size_t input_length;
    unsigned char output[OUTPUT];
    size_t output_length;
    bool writing;                 /* waits for room in the socket */
    struct aead sealing, opening; /* of control messages */
    uint64_t sealed, opened;      /* their counters */
    uint64_t heard_at;            /* when a record or ping last came */
    uint64_t ping, pong;          /* sent and not answered; received and not answered. 0: none */
    bool ping_due;
    /* an acknowledgement is due at `due`; the delay is one, so the list of those that wait is in order */
    bool waits;
    uint64_t due;
    struct subflow *earlier, *later;
};

struct pending_record {
    uint64_t dsn;
    size_t length;
    struct pending_record *next;
    unsigned char data[];
};

struct session {
    struct connection base; /* first: both have one address */
    struct subflow subflows[PATHS];

    /* the key exchange */
    EVP_PKEY *share;
    unsigned char id[SESSION_ID], nonce[NONCE], secret[SHARE];
    unsigned char client_share[256], server_share[SHARE_FRAME], client_nonce[FRAME_HEADER + SESSION_ID + NONCE];
    size_t client_share_length, server_share_length;

    bool keyed;

    /* the streams */
    struct epoch_chain out, in;
    uint64_t sent, limit;            /* own stream: next DSN, and where the server's limit is */
    uint64_t received, acknowledged; /* the server's stream: below it all has come, and so much was stated */
    struct pending_record *pending;  /* beyond a gap, lowest first */
};

/* Key exchange. Each returns why the message is refused, or NULL. */
void begin_exchange(struct session *session);
const char *take_server_share(struct session *session, const unsigned char *frame, size_t length, int *edge_id);
const char *take_server_nonce(struct session *session, const unsigned char *frame, size_t length);

void start_chain(struct epoch_chain *chain, bool sealing, const unsigned char secret[HASH]);
/* The key of `epoch`, the current or the next; NULL for others. */
struct aead *find_epoch_key(struct epoch_chain *chain, bool sealing, uint64_t epoch);
void advance_chain(struct epoch_chain *chain, bool sealing, uint64_t epoch);

/* Append to a subflow's output: false when it is full. */
bool append_output(struct subflow *subflow, const void *data, size_t length);

/* Seal a request and append it to path 0: false when it does not fit. */
bool append_record(struct session *session, const void *data, size_t length);
/* Process a frame of type Data or Control: why it is refused, or NULL. */
const char *take_record(struct subflow *subflow, unsigned char *frame, size_t length);
const char *take_control(struct subflow *subflow, unsigned char *frame, size_t length);
/* Seal the state that is to be stated now: an acknowledgement, a ping, an answer, or `abort_code`. */
bool append_control(struct subflow *subflow, int abort_code);
void discard_pending(struct session *session);

/* Acknowledgements that wait: at most for the load's delay, in the order in which they began. */
void delay_acknowledgement(struct subflow *subflow);
void cancel_acknowledgement(struct subflow *subflow);
struct subflow *next_acknowledgement(void);
