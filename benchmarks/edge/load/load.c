/* A load generator for HTTP over TLS 1.3 and over SMKEX sessions, both ends on one host: see usage below. It prints
 * "ready" once its connections are established and warm, waits for a line, prints "done" after the load and then a line
 * of JSON. Every record is verified. The exit status is 1 if anything went wrong. */

#include "load.h"

#include "crypto.h"
#include "samples.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "usage: load tls|session PORT [OPTIONS]\n"
    "  --locator-base PORT    port locators of sessions begin here (PORT)\n"
    "  --connections N        (1)\n"
    "  --seconds S            of load (1)\n"
    "  --most N               end after N responses or handshakes, if before\n"
    "  --target PATH          what to ask for (/small)\n"
    "  --rate R               requests or handshakes a second; latency counts from when one was due (as fast as "
    "responses come)\n"
    "  --handshakes           connect, exchange keys and close, again and again\n"
    "  --one-response         with --handshakes: fetch PATH before closing\n"
    "  --confirmed PATHS      with --handshakes: wait until the edge answers on PATHS paths, 0 to 2 (0)\n"
    "  --acknowledge-us US    acknowledge after US microseconds at most (25000)\n"
    "  --acknowledge-bytes B  acknowledge B bytes without delay (262144)\n";

#define GRACE 20 /* seconds beyond those of the load until it has failed */

struct options options = {.connections = 1,
                          .seconds = 1,
                          .target = "/small",
                          .acknowledge_delay = 25000 * MICROSECOND,
                          .acknowledge_bytes = 256 << 10};
struct counters counters;
uint64_t now;

static const struct protocol *protocol;
static enum { WARMING, LOADING, OVER } phase;
static char request[1024];
static size_t request_length;
static int open_connections, warm_connections;
static struct connection *idle, *closed; /* lists; idle ones await their next request */
static uint64_t started, dispatched;     /* what was begun at a fixed rate */

/* --- what a connection does next */

static void close_connection(struct connection *connection)
{
    connection->closed = true;
    protocol->close(connection);
    connection->next = closed;
    closed = connection;
    open_connections--;
}

static void begin_connection(uint64_t due)
{
    open_connections++;
    protocol->begin(due);
}

static void send_request(struct connection *connection, uint64_t due)
{
    connection->began = due;
    protocol->send(connection, request, request_length);
}

static uint64_t due_time(void)
{
    return started + (uint64_t)((double)dispatched / options.rate * SECOND);
}

/* Begin what is due at a fixed rate, as far as connections are free. Return when the next is due. */
static uint64_t dispatch_due(void)
{
    for (; due_time() <= now; dispatched++) {
        if (options.handshakes && open_connections < options.connections) {
            begin_connection(due_time());
        } else if (!options.handshakes && idle) {
            struct connection *connection = idle;
            idle = connection->next;
            send_request(connection, due_time());
        } else {
            return UINT64_MAX; /* as soon as one is free */
        }
    }
    return due_time();
}

static void make_idle(struct connection *connection)
{
    connection->next = idle;
    idle = connection;
}

static void finish_handshake(struct connection *connection)
{
    if (phase == LOADING) {
        keep_sample(now - connection->began);
        counters.handshakes++;
    } else if (phase == WARMING) {
        warm_connections++;
    }
    close_connection(connection);
    if (phase == LOADING && options.rate == 0)
        begin_connection(now);
}

static void finish_response(struct connection *connection)
{
    counters.responses++;
    if (options.handshakes) {
        finish_handshake(connection);
    } else if (phase == WARMING) {
        warm_connections++;
        make_idle(connection);
    } else if (phase == LOADING) {
        keep_sample(now - connection->began);
        if (options.rate > 0)
            make_idle(connection);
        else
            send_request(connection, now);
    }
}

void report_established(struct connection *connection)
{
    connection->established = true;
    if (options.handshakes && !options.one_response)
        finish_handshake(connection);
    else
        protocol->send(connection, request, request_length);
}

void report_received(struct connection *connection, const unsigned char *data, size_t length)
{
    switch (take_response(&connection->response, data, length, &counters.bytes)) {
    case RESPONSE_INVALID:
        report_failure(connection, "a response is invalid");
        return;
    case RESPONSE_COMPLETE:
        finish_response(connection);
        return;
    case RESPONSE_CONTINUES:
        return;
    }
}

void report_failure(struct connection *connection, const char *reason)
{
    if (connection->closed)
        return;
    counters.errors++;
    if (!counters.first_error)
        counters.first_error = reason;
    for (struct connection **at = &idle; *at; at = &(*at)->next)
        if (*at == connection) {
            *at = connection->next;
            break;
        }
    close_connection(connection);
}

/* --- phases */

static void serve_batch(uint64_t until)
{
    uint64_t next = protocol->run_timers();
    if (phase == LOADING && options.rate > 0) {
        uint64_t due = dispatch_due();
        next = due < next ? due : next;
    }
    serve_events(next < until ? next : until);
    while (closed) {
        struct connection *connection = closed;
        closed = connection->next;
        protocol->reuse(connection);
    }
}

static void warm_up(void)
{
    for (int opened = 0; opened < options.connections && !counters.errors; opened++) {
        begin_connection(now);
        while (warm_connections <= opened && !counters.errors)
            serve_batch(now + SECOND);
    }
}

static bool enough(void)
{
    return options.most && (options.handshakes ? counters.handshakes : counters.responses) >= options.most;
}

static void run_load(void)
{
    struct connection *connection;
    counters = (struct counters){0};
    started = now = read_clock();
    uint64_t until = started + (uint64_t)(options.seconds * SECOND);
    phase = LOADING;
    for (int i = 0; options.handshakes && options.rate == 0 && i < options.connections; i++)
        begin_connection(now);
    while (options.rate == 0 && (connection = idle)) {
        idle = connection->next;
        send_request(connection, now);
    }
    while (now < until && !counters.errors && !enough())
        serve_batch(until);
    phase = OVER;
}

static double processor_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void print_result(double seconds, double cpu)
{
    printf("{\"responses\": %lu, \"handshakes\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"client_cpu\": %.6f, "
           "\"median_us\": %.1f, \"p99_us\": %.1f, \"records\": [%lu, %lu], \"repeated\": %lu, "
           "\"controls_in\": %lu, \"controls_out\": %lu, \"errors\": %lu, \"error\": \"%s\"}\n",
           counters.responses, counters.handshakes, counters.bytes, seconds, cpu, sample_quantile(0.5),
           sample_quantile(0.99), counters.records[0], counters.records[1], counters.repeated, counters.controls_in,
           counters.controls_out, counters.errors, counters.first_error ? counters.first_error : "");
}

/* --- the command line */

static void parse_options(int count, char **words)
{
    enum { BASE = 1, CONNECTIONS, SECONDS, MOST, TARGET, RATE, HANDSHAKES, ONE_RESPONSE, CONFIRMED, DELAY, BYTES };
    static const struct option known[] = {
        {"locator-base", required_argument, NULL, BASE},       {"connections", required_argument, NULL, CONNECTIONS},
        {"seconds", required_argument, NULL, SECONDS},         {"most", required_argument, NULL, MOST},
        {"target", required_argument, NULL, TARGET},           {"rate", required_argument, NULL, RATE},
        {"handshakes", no_argument, NULL, HANDSHAKES},         {"one-response", no_argument, NULL, ONE_RESPONSE},
        {"confirmed", required_argument, NULL, CONFIRMED},     {"acknowledge-us", required_argument, NULL, DELAY},
        {"acknowledge-bytes", required_argument, NULL, BYTES}, {0}};
    for (int found; (found = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (found) {
        case BASE:
            options.locator_base = atoi(optarg);
            break;
        case CONNECTIONS:
            options.connections = atoi(optarg);
            break;
        case SECONDS:
            options.seconds = atof(optarg);
            break;
        case MOST:
            options.most = strtoull(optarg, NULL, 10);
            break;
        case TARGET:
            options.target = optarg;
            break;
        case RATE:
            options.rate = atof(optarg);
            break;
        case HANDSHAKES:
            options.handshakes = true;
            break;
        case ONE_RESPONSE:
            options.one_response = true;
            break;
        case CONFIRMED:
            options.confirmed = atoi(optarg);
            break;
        case DELAY:
            options.acknowledge_delay = strtoull(optarg, NULL, 10) * MICROSECOND;
            break;
        case BYTES:
            options.acknowledge_bytes = strtoull(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
    if (count - optind != 2 || options.confirmed > 2) {
        fputs(usage, stderr);
        exit(2);
    }
    protocol = strcmp(words[optind], "session") == 0 ? &session_protocol : &tls_protocol;
    options.port = atoi(words[optind + 1]);
    if (!options.locator_base)
        options.locator_base = options.port;
    request_length = (size_t)snprintf(request, sizeof(request),
                                      "GET %s HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\n\r\n",
                                      options.target);
}

static void give_up(int number)
{
    static const char text[] = "load: no progress\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(3);
}

int main(int count, char **words)
{
    char line[16];
    parse_options(count, words);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    alarm((unsigned)options.seconds + GRACE);
    prepare_crypto();
    prepare_watching();
    now = read_clock();
    warm_up();
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 2;
    double cpu = processor_seconds();
    if (!counters.errors)
        run_load();
    cpu = processor_seconds() - cpu;
    puts("done");
    print_result((double)(read_clock() - started) / SECOND, cpu);
    fflush(stdout);
    return counters.errors ? 1 : 0;
}
