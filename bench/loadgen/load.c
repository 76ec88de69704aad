/* HTTPS load on one server, in three ways:

   closed  every connection has one request under way until the time or the requests are used up
   open    RATE requests begin every second, whether or not earlier ones were answered; one that finds no idle
           connection waits here, and its time counts from when it should have begun. A lost connection is opened
           again; requests that are not answered some seconds after the last are lost, and their times count so far
   new     as closed, but every request has a connection of its own with a full handshake, and its time counts from
           before the connection; one that is lost is counted and followed by the next

   load WAY HOST PORT CA CERT KEY CONNECTIONS SECONDS LIMIT RATE REQUESTS ANSWERS

   REQUESTS  a file of requests, each a length (4 bytes, little-endian) and that many bytes; sent in turn, again
             from the first when they run out, LIMIT of them at most
   ANSWERS   a file that gets every good answer's body and a newline, or "-"

   Prints "ready" when all connections are up, begins at the first byte on stdin, prints "done" after the last
   answer, and then one line of JSON. */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "connection.h"
#include "histogram.h"
#include "requests.h"

#define SECOND_NS 1000000000ull
#define DRAIN_NS (15 * SECOND_NS)
#define OPEN_DRAIN_NS (5 * SECOND_NS)
#define EVENTS 64

static enum { CLOSED_LOOP, OPEN_LOOP, NEW_CONNECTIONS } way;
static struct server server;
static struct connection *all, **idle; /* a ring of those that have nothing to do */
static int connections, idle_first, idle_count;
static long limit, begun, done, refused, lost;
static double rate;
static uint64_t start_ns, stop_ns;
static size_t body_bytes;
static struct histogram times;
static FILE *answers;

static void send_next(struct connection *c) {
    size_t length;
    const char *request = next_request(&length);
    ask(c, request, length);
}

static void put_idle(struct connection *c) { idle[(idle_first + idle_count++) % connections] = c; }

static struct connection *take_idle(void) {
    struct connection *c = idle[idle_first];
    idle_first = (idle_first + 1) % connections;
    idle_count--;
    return c;
}

/* How many requests should have begun by now. */
static long due(uint64_t now) {
    if (way != OPEN_LOOP) return now < stop_ns ? limit : begun;
    long arrived = 1 + ((now < stop_ns ? now : stop_ns - 1) - start_ns) * rate / SECOND_NS;
    return arrived < limit ? arrived : limit;
}

/* When a request, counted from 0, should begin. */
static uint64_t arrival_ns(long request) { return start_ns + request / rate * SECOND_NS; }

static void begin_due(uint64_t now) {
    long until = due(now);
    while (idle_count && begun < until) {
        struct connection *c = take_idle();
        c->since_ns = way == OPEN_LOOP ? arrival_ns(begun) : now_ns();
        begun++;
        if (way == NEW_CONNECTIONS) start_opening(c, &server);
        else send_next(c);
    }
}

static void take_answer(struct connection *c) {
    note(&times, now_ns() - c->since_ns);
    done++;
    if (c->good) {
        body_bytes = c->body_bytes;
        if (answers) fwrite(c->body, 1, c->body_bytes, answers), fputc('\n', answers);
    } else if (!refused++) {
        fprintf(stderr, "load: %.*s\n", (int)(c->have < 400 ? c->have : 400), c->answer);
    }
}

/* Takes it out of the ring when it was idle. */
static void open_again(struct connection *c) {
    if (c->state == IDLE) {
        for (int i = idle_count; i--;) {
            struct connection *other = take_idle();
            if (other != c) put_idle(other);
        }
    }
    close_connection(c);
    start_opening(c, &server);
}

static void lose(struct connection *c) {
    if (way == CLOSED_LOOP) fail("a connection was lost");
    if (way == NEW_CONNECTIONS || c->state == WAITING) lost++;
    if (way == OPEN_LOOP) open_again(c);
    else close_connection(c), put_idle(c);
}

static void go_on(struct connection *c) {
    switch (advance(c)) {
    case PENDING: return;
    case OPENED:
        if (way == NEW_CONNECTIONS) send_next(c);
        else put_idle(c);
        return;
    case ANSWERED:
        take_answer(c);
        if (way == NEW_CONNECTIONS) close_connection(c);
        put_idle(c);
        return;
    case LOST: lose(c);
    }
}

static int await_events(struct epoll_event *events, uint64_t now) {
    uint64_t until = now + SECOND_NS;
    if (way == OPEN_LOOP && idle_count && now < stop_ns && arrival_ns(begun) < until) until = arrival_ns(begun);
    uint64_t wait = until > now ? until - now : 0;
    struct timespec timeout = {wait / SECOND_NS, wait % SECOND_NS};
    int ready = epoll_pwait2(server.epoll, events, EVENTS, &timeout, NULL);
    if (ready < 0 && errno != EINTR) fail("epoll");
    return ready;
}

/* Whatever waits still, here or there. */
static void give_up(uint64_t now) {
    for (int i = 0; i < connections; i++)
        if (all[i].state == WAITING) lost++, note(&times, now - all[i].since_ns);
    for (; begun < due(now); begun++) lost++, note(&times, now - arrival_ns(begun));
}

static double run(double seconds) {
    struct epoll_event events[EVENTS];
    start_ns = now_ns();
    stop_ns = start_ns + seconds * SECOND_NS;
    for (;;) {
        uint64_t now = now_ns();
        if (way == OPEN_LOOP && now > stop_ns + OPEN_DRAIN_NS) {
            give_up(now);
            return (now - start_ns) * 1e-9;
        }
        if (now > stop_ns + DRAIN_NS) fail("no answer in time");
        begin_due(now);
        if (idle_count == connections && (now >= stop_ns || begun == limit)) return (now - start_ns) * 1e-9;
        int ready = await_events(events, now);
        for (int i = 0; i < ready; i++) go_on(events[i].data.ptr);
    }
}

static void open_all(void) {
    struct epoll_event event;
    for (int i = 0; i < connections; i++) {
        if (way == NEW_CONNECTIONS) {
            put_idle(all + i);
            continue;
        }
        start_opening(all + i, &server);
        while (all[i].state != IDLE) {
            if (epoll_wait(server.epoll, &event, 1, DRAIN_NS / 1000000) != 1) fail("no handshake in time");
            go_on(event.data.ptr);
        }
    }
}

static void report(double seconds) {
    printf("{\"requests\": %ld, \"refused\": %ld, \"lost\": %ld, \"tickets\": %ld, \"seconds\": %.6f, ", done, refused,
           lost, tickets, seconds);
    printf("\"body_bytes\": %zu, \"p50_ms\": %.4f, \"p90_ms\": %.4f, \"p99_ms\": %.4f, ", body_bytes,
           quantile_ms(&times, 0.5), quantile_ms(&times, 0.9), quantile_ms(&times, 0.99));
    printf("\"p999_ms\": %.4f, \"max_ms\": %.4f}\n", quantile_ms(&times, 0.999), times.greatest * 1e-6);
}

int main(int count, char **words) {
    if (count != 13) return 2;
    way = !strcmp(words[1], "open") ? OPEN_LOOP : !strcmp(words[1], "new") ? NEW_CONNECTIONS : CLOSED_LOOP;
    connections = atoi(words[7]);
    limit = atol(words[9]);
    rate = atof(words[10]);
    all = calloc(connections, sizeof *all);
    idle = calloc(connections, sizeof *idle);
    if (!all || !idle || limit < 1 || (way == OPEN_LOOP && rate <= 0)) fail("nothing to do");
    read_requests(words[11]);
    if (strcmp(words[12], "-") && !(answers = fopen(words[12], "wb"))) fail(words[12]);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1); /* requests begin when they should, not 50 us later */
    server = (struct server){words[2], atoi(words[3]), client_context(words[4], words[5], words[6]), epoll_create1(0)};
    open_all();
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return 1;
    double seconds = run(atof(words[8]));
    puts("done");
    fflush(stdout);
    if (answers && fclose(answers)) fail(words[12]);
    report(seconds);
    return 0;
}
