/* Closed-loop HTTPS load: every connection has one request under way until the time or the requests are used up.

   load HOST PORT CA CERT KEY CONNECTIONS SECONDS LIMIT REQUESTS ANSWERS

   REQUESTS  a file of requests, each a length (4 bytes, little-endian) and that many bytes; sent in turn, again
             from the first when they run out, LIMIT of them at most
   ANSWERS   a file that gets every answer's body and a newline, or "-"

   Prints "ready" when all connections are up, begins at the first byte on stdin, prints "done" after the last
   answer, and then one line of JSON. `load_python.py` does the same, slower. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_S 15.0
#define MAX_ANSWER (16u << 20)

struct connection {
    int fd;
    SSL *tls;
    const char *request;
    size_t unsent;
    char *answer;
    size_t have, room;
    double sent_at;
    uint32_t waits_for;
};

static char *requests, *requests_end, *next_request;
static float *latency_ms;
static long limit, begun, done, refused;
static size_t body_bytes;
static FILE *answers;
static int epoll;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    long size = ftell(file);
    rewind(file);
    requests = malloc(size + 1);
    if (!requests || fread(requests, 1, size, file) != (size_t)size) fail(path);
    fclose(file);
    requests_end = requests + size;
    next_request = requests;
}

static SSL_CTX *context(const char *ca, const char *certificate, const char *key) {
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_ciphersuites(c, "TLS_AES_256_GCM_SHA384") != 1 || SSL_CTX_load_verify_locations(c, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(c, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
        fail("certificates");
    return c;
}

static void open_connection(struct connection *c, SSL_CTX *tls, const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) fail(host);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->tls = SSL_new(tls);
    SSL_set_fd(c->tls, c->fd);
    if (SSL_connect(c->tls) != 1) fail("handshake");
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK)) fail("fcntl");
    c->room = 4096;
    c->answer = malloc(c->room + 1);
    c->waits_for = EPOLLIN;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!c->answer || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll");
}

static void wait_for(struct connection *c, uint32_t events) {
    if (c->waits_for == events) return;
    struct epoll_event event = {.events = c->waits_for = events, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll");
}

static void send_rest(struct connection *c) {
    while (c->unsent) {
        int sent = SSL_write(c->tls, c->request, c->unsent);
        if (sent <= 0) {
            if (SSL_get_error(c->tls, sent) != SSL_ERROR_WANT_WRITE) fail("write");
            wait_for(c, EPOLLIN | EPOLLOUT);
            return;
        }
        c->request += sent;
        c->unsent -= sent;
    }
    wait_for(c, EPOLLIN);
}

static void begin_request(struct connection *c) {
    uint32_t length;
    if (next_request == requests_end) next_request = requests;
    memcpy(&length, next_request, sizeof length);
    c->request = next_request + sizeof length;
    c->unsent = length;
    c->have = 0;
    next_request += sizeof length + length;
    begun++;
    c->sent_at = now();
    send_rest(c);
}

/* Whether the answer is whole; then it is counted. */
static int take_answer(struct connection *c) {
    c->answer[c->have] = 0;
    char *body = strstr(c->answer, "\r\n\r\n");
    if (!body) return 0;
    char *field = strcasestr(c->answer, "\r\ncontent-length:");
    if (!field || field > body) fail("an answer without a length");
    size_t length = strtoul(field + 17, NULL, 10);
    body += 4;
    if (c->have - (body - c->answer) < length) return 0;
    latency_ms[done++] = (now() - c->sent_at) * 1e3;
    if (strncmp(c->answer, "HTTP/1.1 200", 12)) {
        if (!refused++) fprintf(stderr, "load: %.*s\n", (int)(c->have < 400 ? c->have : 400), c->answer);
    } else {
        body_bytes = length;
        if (answers) fwrite(body, 1, length, answers), fputc('\n', answers);
    }
    return 1;
}

static int read_answer(struct connection *c) {
    for (;;) {
        if (c->have == c->room) {
            c->room *= 4;
            if (c->room > MAX_ANSWER || !(c->answer = realloc(c->answer, c->room + 1))) fail("an answer too large");
        }
        int got = SSL_read(c->tls, c->answer + c->have, c->room - c->have);
        if (got <= 0) {
            if (SSL_get_error(c->tls, got) != SSL_ERROR_WANT_READ) fail("read");
            return 0;
        }
        c->have += got;
        if (take_answer(c)) return 1;
    }
}

static double run(struct connection *all, int count, double seconds) {
    struct epoll_event events[64];
    double start = now(), stop = start + seconds;
    for (int i = 0; i < count && begun < limit; i++) begin_request(all + i);
    while (done < begun) {
        int ready = epoll_wait(epoll, events, 64, 1000);
        if (now() > stop + DRAIN_S) fail("no answer in time");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c);
            if (read_answer(c) && begun < limit && now() < stop) begin_request(c);
        }
    }
    return now() - start;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int count, char **words) {
    if (count != 11) return 2;
    int connections = atoi(words[6]);
    struct connection *all = calloc(connections, sizeof *all);
    limit = atol(words[8]);
    latency_ms = malloc(sizeof *latency_ms * limit);
    epoll = epoll_create1(0);
    read_requests(words[9]);
    if (!all || !latency_ms || next_request == requests_end) fail("nothing to do");
    if (strcmp(words[10], "-") && !(answers = fopen(words[10], "wb"))) fail(words[10]);
    SSL_CTX *tls = context(words[3], words[4], words[5]);
    for (int i = 0; i < connections; i++) open_connection(all + i, tls, words[1], atoi(words[2]));
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF) return 1;
    double seconds = run(all, connections, atof(words[7]));
    puts("done");
    fflush(stdout);
    qsort(latency_ms, done, sizeof *latency_ms, by_size);
    printf("{\"requests\": %ld, \"refused\": %ld, \"seconds\": %.6f, \"body_bytes\": %zu, ", done, refused, seconds,
           body_bytes);
    printf("\"p50_ms\": %.4f, \"p99_ms\": %.4f}\n", latency_ms[done / 2], latency_ms[done * 99 / 100]);
    return 0;
}
