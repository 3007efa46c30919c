#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_*: HMAC by EVP costs four times as much for inputs so short */

#include "crypto.h"

#include "bytes.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

static EVP_CIPHER *aes_128_gcm;

#define LABEL TEXT("sennit smkex 2 opportunistic")

static void require(bool works)
{
    if (works)
        return;
    fprintf(stderr, "load: OpenSSL refuses a call\n");
    exit(2);
}

void prepare_crypto(void)
{
    aes_128_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    require(aes_128_gcm != NULL);
}

void hash_prefixed(unsigned char hash[HASH], const struct part *parts, size_t count)
{
    SHA256_CTX context;
    SHA256_Init(&context);
    for (size_t i = 0; i < count; i++) {
        unsigned char length[4];
        put_integer(length, parts[i].length, sizeof(length));
        SHA256_Update(&context, length, sizeof(length));
        SHA256_Update(&context, parts[i].data, parts[i].length);
    }
    SHA256_Final(hash, &context);
}

static void begin_block(SHA256_CTX *context, const unsigned char *key, size_t key_length, unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pad ^ (i < key_length ? key[i] : 0);
    SHA256_Init(context);
    SHA256_Update(context, block, sizeof(block));
}

void compute_hmac(unsigned char mac[HASH], const void *key, size_t key_length, const struct part *parts, size_t count)
{
    SHA256_CTX context;
    begin_block(&context, key, key_length, 0x36);
    for (size_t i = 0; i < count; i++)
        SHA256_Update(&context, parts[i].data, parts[i].length);
    SHA256_Final(mac, &context);
    begin_block(&context, key, key_length, 0x5c);
    SHA256_Update(&context, mac, HASH);
    SHA256_Final(mac, &context);
}

#define INFO_PARTS 6

void expand_secret(unsigned char *out, size_t length, const unsigned char secret[HASH], const struct part *info,
                   size_t count)
{
    struct part parts[INFO_PARTS];
    unsigned char block[HASH];
    memcpy(parts, info, count * sizeof(*info));
    parts[count] = TEXT("\1");
    compute_hmac(block, secret, HASH, parts, count + 1);
    memcpy(out, block, length);
}

void key_aead(struct aead *aead, bool sealing, const unsigned char secret[HASH])
{
    unsigned char key[16];
    expand_secret(key, sizeof(key), secret, (struct part[]){LABEL, TEXT(" key")}, 2);
    expand_secret(aead->iv, sizeof(aead->iv), secret, (struct part[]){LABEL, TEXT(" iv")}, 2);
    if (!aead->context) {
        aead->context = EVP_CIPHER_CTX_new();
        require(EVP_CipherInit_ex2(aead->context, aes_128_gcm, key, NULL, sealing, NULL) == 1);
    } else {
        require(EVP_CipherInit_ex2(aead->context, NULL, key, NULL, sealing, NULL) == 1);
    }
}

static void begin_message(struct aead *aead, uint64_t number, const struct part *associated)
{
    unsigned char nonce[12];
    int length;
    memcpy(nonce, aead->iv, sizeof(nonce));
    for (int i = 11; number; i--, number >>= 8)
        nonce[i] ^= number & 0xff;
    require(EVP_CipherInit_ex2(aead->context, NULL, NULL, nonce, -1, NULL) == 1);
    require(EVP_CipherUpdate(aead->context, NULL, &length, associated->data, (int)associated->length) == 1);
}

void seal_in_place(struct aead *aead, uint64_t number, const struct part *associated, unsigned char *data,
                   size_t length)
{
    int done;
    begin_message(aead, number, associated);
    require(EVP_CipherUpdate(aead->context, data, &done, data, (int)length) == 1);
    require(EVP_CipherFinal_ex(aead->context, data + length, &done) == 1);
    require(EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_GET_TAG, TAG, data + length) == 1);
}

bool open_in_place(struct aead *aead, uint64_t number, const struct part *associated, unsigned char *data,
                   size_t length)
{
    int done;
    begin_message(aead, number, associated);
    require(EVP_CipherUpdate(aead->context, data, &done, data, (int)length) == 1);
    require(EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_SET_TAG, TAG, data + length) == 1);
    return EVP_CipherFinal_ex(aead->context, data + length, &done) == 1;
}

EVP_PKEY *make_share(unsigned char share[SHARE])
{
    size_t length = SHARE;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    require(key && EVP_PKEY_get_raw_public_key(key, share, &length) == 1);
    return key;
}

bool agree_secret(unsigned char secret[SHARE], EVP_PKEY *own, const unsigned char share[SHARE])
{
    size_t length = SHARE;
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share, SHARE);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    bool works = other && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, other) == 1 &&
                 EVP_PKEY_derive(context, secret, &length) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    return works;
}

void fill_randomly(void *data, size_t length)
{
    require(RAND_bytes(data, (int)length) == 1);
}
