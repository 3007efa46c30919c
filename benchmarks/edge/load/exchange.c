/* The client's messages of the key exchange, mode opportunistic, group X25519, and the keys that follow from it. */

#include "bytes.h"
#include "session.h"

#include <openssl/crypto.h>

#define VERSION 2
#define OPPORTUNISTIC 1
#define AES_128_GCM 1
#define PORT_LOCATOR 1
#define X25519 0x001d
#define LABEL TEXT("sennit smkex 2 opportunistic")

static size_t finish_frame(unsigned char *frame, enum frame_type type, const unsigned char *end)
{
    frame[0] = type;
    put_integer(frame + 1, (uint64_t)(end - frame - FRAME_HEADER), 3);
    return (size_t)(end - frame);
}

void begin_exchange(struct session *session)
{
    unsigned char share[SHARE], commitment[HASH], *at = session->client_share + FRAME_HEADER;
    session->share = make_share(share);
    fill_randomly(session->id, SESSION_ID);
    fill_randomly(session->nonce, NONCE);
    struct part committed[] = {TEXT("sennit smkex 2 commitment"), {session->id, SESSION_ID}, {session->nonce, NONCE}};
    hash_prefixed(commitment, committed, COUNT(committed));
    *at++ = VERSION;
    at = put_bytes(at, session->id, SESSION_ID);
    at = put_bytes(at, (unsigned char[]){1, VERSION, 1, OPPORTUNISTIC, 1, AES_128_GCM}, 6);
    at = put_bytes(at, commitment, HASH);
    at = put_integer(at, 4 + SHARE, 2);
    at = put_integer(at, X25519, 2);
    at = put_integer(at, SHARE, 2);
    at = put_bytes(at, share, SHARE);
    at = put_integer(at, 0, 1); /* no server name */
    at = put_integer(at, 0, 2); /* no options */
    session->client_share_length = finish_frame(session->client_share, CLIENT_SHARE, at);
    at = put_bytes(session->client_nonce + FRAME_HEADER, session->id, SESSION_ID);
    finish_frame(session->client_nonce, CLIENT_NONCE, put_bytes(at, session->nonce, NONCE));
}

const char *take_server_share(struct session *session, const unsigned char *frame, size_t length, int *edge_id)
{
    /* version, mode, AEAD, edge id (2), locator kind, ingress id (2), address (vec8), port (2), group (2), share */
    const unsigned char *body = frame + FRAME_HEADER, *at = body + 8, *end = frame + length;
    if (length > SHARE_FRAME || length < FRAME_HEADER + 9 || at + 1 + *at + 6 + SHARE > end)
        return "ServerShare is too short";
    if (body[0] != VERSION || body[1] != OPPORTUNISTIC || body[2] != AES_128_GCM || body[5] != PORT_LOCATOR)
        return "ServerShare chose what was not offered";
    *edge_id = (int)read_integer(body + 3, 2);
    at += 1 + *at + 2;
    if (read_integer(at, 2) != X25519 || read_integer(at + 2, 2) != SHARE)
        return "ServerShare chose another group";
    if (!agree_secret(session->secret, session->share, at + 4))
        return "the edge's share is invalid";
    memcpy(session->server_share, frame, length);
    session->server_share_length = length;
    return NULL;
}

struct roots {
    unsigned char prk[HASH], th[HASH];
};

static void derive_root(unsigned char root[HASH], const struct roots *from, struct part purpose)
{
    expand_secret(root, HASH, from->prk, (struct part[]){LABEL, TEXT(" "), purpose, {from->th, HASH}}, 4);
}

static void key_control(struct session *session, const struct roots *from, struct part purpose, bool sealing)
{
    unsigned char root[HASH], secret[HASH], path;
    derive_root(root, from, purpose);
    for (path = 0; path < PATHS; path++) {
        struct subflow *subflow = &session->subflows[path];
        expand_secret(secret, HASH, root, (struct part[]){LABEL, TEXT(" path"), {&path, 1}}, 3);
        key_aead(sealing ? &subflow->sealing : &subflow->opening, sealing, secret);
    }
}

static void send_finished(struct session *session, const struct roots *from)
{
    unsigned char root[HASH], frame[FRAME_HEADER + 1 + HASH], path;
    derive_root(root, from, TEXT("client finished"));
    for (path = 0; path < PATHS; path++) {
        frame[FRAME_HEADER] = path;
        compute_hmac(frame + FRAME_HEADER + 1, root, HASH, (struct part[]){{&path, 1}, {from->th, HASH}}, 2);
        append_output(&session->subflows[path], frame, finish_frame(frame, FINISHED, frame + sizeof(frame)));
    }
}

const char *take_server_nonce(struct session *session, const unsigned char *frame, size_t length)
{
    /* N_S, then `rest`: ingress id (2), address (vec8), port (2), options (vec16); binding, MAC */
    unsigned char expected[HASH], root[HASH], prefixed[4 + SHARE];
    const unsigned char *binding = frame + length - 2 * HASH, *mac = frame + length - HASH;
    const unsigned char *rest = frame + FRAME_HEADER + NONCE;
    struct part first = {session->client_share, session->client_share_length};
    struct part second = {session->server_share, session->server_share_length};
    struct roots roots;
    if (length < FRAME_HEADER + NONCE + 7 + 2 * HASH)
        return "ServerNonce is too short";
    struct part bound[] = {TEXT("sennit smkex 2 opportunistic binding"),
                           {session->nonce, NONCE},
                           {frame + FRAME_HEADER, NONCE},
                           first,
                           second,
                           {rest, (size_t)(binding - rest)}};
    hash_prefixed(expected, bound, COUNT(bound));
    if (CRYPTO_memcmp(expected, binding, HASH) != 0)
        return "the binding does not match";
    struct part transcript[] = {
        first, second, {session->client_nonce, sizeof(session->client_nonce)}, {frame, length - HASH}};
    hash_prefixed(roots.th, transcript, COUNT(transcript));
    put_integer(prefixed, SHARE, 4);
    put_bytes(prefixed + 4, session->secret, SHARE);
    struct part label = LABEL, secrets = {prefixed, sizeof(prefixed)};
    compute_hmac(roots.prk, label.data, label.length, &secrets, 1);
    derive_root(root, &roots, TEXT("server mac"));
    compute_hmac(expected, root, HASH, (struct part[]){{roots.th, HASH}}, 1);
    if (CRYPTO_memcmp(expected, mac, HASH) != 0)
        return "the edge's MAC does not match";
    send_finished(session, &roots);
    key_control(session, &roots, TEXT("client control"), true);
    key_control(session, &roots, TEXT("server control"), false);
    derive_root(root, &roots, TEXT("client data"));
    start_chain(&session->out, true, root);
    derive_root(root, &roots, TEXT("server data"));
    start_chain(&session->in, false, root);
    return NULL;
}
