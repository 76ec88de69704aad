/* The requests of a file, in turn and again from the first. */

#include <stddef.h>

void read_requests(const char *path);

const char *next_request(size_t *length);
