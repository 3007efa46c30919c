/* Sockets and their events: one epoll descriptor. */

#include "watch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256

static int poller = -1;

uint64_t read_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

void prepare_watching(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        abort();
}

bool connect_watched(struct watch *watch, int port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    int on = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return false;
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((connect(made, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, made, &event) < 0) {
        close(made);
        return false;
    }
    watch->descriptor = made;
    return true;
}

void close_watched(struct watch *watch)
{
    if (watch->descriptor >= 0)
        close(watch->descriptor);
    watch->descriptor = -1;
}

void watch_writing(struct watch *watch, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = watch};
    if (watch->descriptor >= 0)
        epoll_ctl(poller, EPOLL_CTL_MOD, watch->descriptor, &event);
}

void serve_events(uint64_t until)
{
    struct epoll_event events[BATCH];
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {(time_t)(wait / SECOND), (long)(wait % SECOND)};
    int count = epoll_pwait2(poller, events, BATCH, &timeout, NULL);
    now = read_clock();
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->descriptor >= 0) /* closed by an event of the same batch */
            watch->ready(watch, events[i].events);
    }
}
