/* The primitives that docs/protocol names: SHA-256 over prefixed parts, HMAC, HKDF-Expand, X25519, AES-128-GCM. */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH 32
#define TAG 16
#define SHARE 32

/* Bytes somewhere; several stand for their concatenation. */
struct part {
    const void *data;
    size_t length;
};

#define TEXT(text) ((struct part){(text), sizeof(text) - 1})
#define COUNT(parts) (sizeof(parts) / sizeof(*(parts)))

/* SHA-256(lp(parts...)): each behind its length as four bytes. */
void hash_prefixed(unsigned char hash[HASH], const struct part *parts, size_t count);

void compute_hmac(unsigned char mac[HASH], const void *key, size_t key_length, const struct part *parts, size_t count);

/* HKDF-Expand of RFC 5869, of one block: `length` is at most HASH. */
void expand_secret(unsigned char *out, size_t length, const unsigned char secret[HASH], const struct part *info,
                   size_t count);

/* One direction of AES-128-GCM; the nonce of a message is the IV exclusive-or its number. */
struct aead {
    EVP_CIPHER_CTX *context;
    unsigned char iv[12];
};

void prepare_crypto(void);
/* (Re)key for sealing or opening, from a secret: key and IV by the protocol's labels. */
void key_aead(struct aead *aead, bool sealing, const unsigned char secret[HASH]);
/* Seal `length` bytes at `data` in place and write the tag behind them. */
void seal_in_place(struct aead *aead, uint64_t number, const struct part *associated, unsigned char *data,
                   size_t length);
/* Open in place `length` bytes with the tag behind them; false for a wrong tag. */
bool open_in_place(struct aead *aead, uint64_t number, const struct part *associated, unsigned char *data,
                   size_t length);

/* A new X25519 key; write its public share. The caller frees it. */
EVP_PKEY *make_share(unsigned char share[SHARE]);
/* False for a share that gives no secret. */
bool agree_secret(unsigned char secret[SHARE], EVP_PKEY *own, const unsigned char share[SHARE]);

void fill_randomly(void *data, size_t length);
