/* One TLS connection of the load generator: it opens, asks one request at a time, and tells when an answer is whole. */

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct server {
    const char *host;
    int port;
    SSL_CTX *tls;
    int epoll;
};

enum state { CLOSED, HANDSHAKE, IDLE, WAITING };
enum progress { PENDING, OPENED, ANSWERED, LOST };

struct connection {
    const struct server *server;
    enum state state;
    int fd;
    SSL *tls;
    const char *request;
    size_t unsent;
    char *answer, *body;
    size_t have, room, body_bytes;
    int good; /* whether the answer is a 200 */
    uint64_t since_ns;
    uint32_t waits_for;
};

/* Ends the program, saying why. */
void fail(const char *what);

/* Of a clock that only goes on. */
uint64_t now_ns(void);

/* What a client shows and trusts (PEM files). */
SSL_CTX *client_context(const char *ca, const char *certificate, const char *key);

/* Session tickets that came, on all connections so far. */
extern long tickets;

/* Begins to open; `advance` tells OPENED. */
void start_opening(struct connection *c, const struct server *server);

/* Sends a request; `advance` tells ANSWERED. */
void ask(struct connection *c, const char *request, size_t length);

/* Goes on after epoll said that it can. */
enum progress advance(struct connection *c);

void close_connection(struct connection *c);
