#define _GNU_SOURCE
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_ANSWER (16u << 20)

long tickets;

void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int count_ticket(SSL *tls, SSL_SESSION *session) {
    (void)tls, (void)session;
    tickets++;
    return 0;
}

SSL_CTX *client_context(const char *ca, const char *certificate, const char *key) {
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, count_ticket);
    if (SSL_CTX_set_ciphersuites(c, "TLS_AES_256_GCM_SHA384") != 1 || SSL_CTX_load_verify_locations(c, ca, NULL) != 1)
        fail("the authority's certificate");
    if (SSL_CTX_use_certificate_chain_file(c, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
        fail("certificate and key");
    return c;
}

static void wait_for(struct connection *c, uint32_t events) {
    if (c->waits_for == events) return;
    struct epoll_event event = {.events = c->waits_for = events, .data.ptr = c};
    if (epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll");
}

void start_opening(struct connection *c, const struct server *server) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    int one = 1;
    if (inet_pton(AF_INET, server->host, &to.sin_addr) != 1) fail(server->host);
    c->server = server;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) fail("connect");
    c->tls = SSL_new(server->tls);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_connect_state(c->tls);
    if (!c->room && !(c->answer = malloc((c->room = 4096) + 1))) fail("memory");
    c->state = HANDSHAKE;
    c->waits_for = EPOLLOUT;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll");
}

void close_connection(struct connection *c) {
    SSL_shutdown(c->tls);
    SSL_free(c->tls);
    close(c->fd);
    ERR_clear_error();
    c->state = CLOSED;
}

/* Waits for what TLS wants to go on; 0 when the connection is lost. */
static int wait_as_told(struct connection *c, int returned) {
    switch (SSL_get_error(c->tls, returned)) {
    case SSL_ERROR_WANT_READ: wait_for(c, EPOLLIN); return 1;
    case SSL_ERROR_WANT_WRITE: wait_for(c, EPOLLIN | EPOLLOUT); return 1;
    default: return 0;
    }
}

static enum progress shake_hands(struct connection *c) {
    int done = SSL_connect(c->tls);
    if (done != 1) return wait_as_told(c, done) ? PENDING : LOST;
    c->state = IDLE;
    wait_for(c, EPOLLIN);
    return OPENED;
}

static int send_rest(struct connection *c) {
    while (c->unsent) {
        int sent = SSL_write(c->tls, c->request, c->unsent);
        if (sent <= 0) return wait_as_told(c, sent);
        c->request += sent;
        c->unsent -= sent;
    }
    wait_for(c, EPOLLIN);
    return 1;
}

void ask(struct connection *c, const char *request, size_t length) {
    c->state = WAITING;
    c->request = request;
    c->unsent = length;
    c->have = 0;
    send_rest(c); /* what is lost here is found lost when it is read */
}

static int is_whole(struct connection *c) {
    c->answer[c->have] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return 0;
    char *field = strcasestr(c->answer, "\r\ncontent-length:");
    if (!field || field > end) fail("an answer without a length");
    c->body_bytes = strtoul(field + 17, NULL, 10);
    c->body = end + 4;
    c->good = !strncmp(c->answer, "HTTP/1.1 200", 12);
    return c->have - (c->body - c->answer) >= c->body_bytes;
}

static enum progress read_answer(struct connection *c) {
    for (;;) {
        if (c->have == c->room) {
            c->room *= 4;
            if (c->room > MAX_ANSWER || !(c->answer = realloc(c->answer, c->room + 1))) fail("an answer too large");
        }
        int got = SSL_read(c->tls, c->answer + c->have, c->room - c->have);
        if (got <= 0) return SSL_get_error(c->tls, got) == SSL_ERROR_WANT_READ ? PENDING : LOST;
        c->have += got;
        if (c->state == WAITING && is_whole(c)) {
            c->state = IDLE;
            return ANSWERED;
        }
    }
}

enum progress advance(struct connection *c) {
    if (c->state == HANDSHAKE) return shake_hands(c);
    if (c->unsent && !send_rest(c)) return LOST;
    return read_answer(c);
}
