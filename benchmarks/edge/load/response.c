#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STATUS "HTTP/1.1 200"
#define LENGTH "\r\ncontent-length:"

static bool read_head(struct response *response)
{
    response->head[response->head_length] = 0;
    if (strncmp(response->head, STATUS, sizeof(STATUS) - 1) != 0)
        return false;
    for (const char *at = response->head; (at = strchr(at, '\r')); at++) {
        if (strncasecmp(at, LENGTH, sizeof(LENGTH) - 1) != 0)
            continue;
        response->body_left = strtoull(at + sizeof(LENGTH) - 1, NULL, 10);
        return true;
    }
    return false;
}

/* Move bytes to the head until its end; return how many, 0 for a head that is invalid or too long. */
static size_t take_head(struct response *response, const unsigned char *data, size_t length)
{
    size_t old = response->head_length, room = sizeof(response->head) - 1 - old;
    size_t taken = length < room ? length : room;
    memcpy(response->head + old, data, taken);
    size_t from = old > 3 ? old - 3 : 0;
    char *end = memmem(response->head + from, old + taken - from, "\r\n\r\n", 4);
    response->head_length = old + taken;
    if (!end)
        return taken < length || taken == room ? 0 : taken;
    response->head_length = (size_t)(end + 4 - response->head);
    response->in_body = true;
    return read_head(response) ? response->head_length - old : 0;
}

enum progress take_response(struct response *response, const unsigned char *data, size_t length, uint64_t *bytes)
{
    if (!response->in_body) {
        size_t taken = take_head(response, data, length);
        if (!taken)
            return RESPONSE_INVALID;
        if (!response->in_body)
            return RESPONSE_CONTINUES;
        data += taken;
        length -= taken;
    }
    if (length > response->body_left)
        return RESPONSE_INVALID;
    response->body_left -= length;
    *bytes += length;
    if (response->body_left)
        return RESPONSE_CONTINUES;
    response->in_body = false;
    response->head_length = 0;
    return RESPONSE_COMPLETE;
}
