/* Sockets and their events: one epoll descriptor, one clock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SECOND 1000000000ull
#define MICROSECOND 1000ull

extern uint64_t now; /* nanoseconds of the monotonic clock, read once for each batch of events */

/* A descriptor whose events are delivered to `ready`; a closed one has -1. */
struct watch {
    int descriptor;
    void (*ready)(struct watch *watch, uint32_t events);
};

/* Begin to connect to `port` of 127.0.0.1 and watch the socket. Return false if that fails at once. */
bool connect_watched(struct watch *watch, int port);
void close_watched(struct watch *watch);
/* Whether `ready` is called for room to write too. */
void watch_writing(struct watch *watch, bool wanted);

uint64_t read_clock(void);
void prepare_watching(void);
/* Wait for events until that time at most, and deliver a batch. */
void serve_events(uint64_t until);
