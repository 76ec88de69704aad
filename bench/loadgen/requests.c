#include "requests.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"

static char *first, *end, *next;

void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    long size = ftell(file);
    rewind(file);
    first = malloc(size + 1);
    if (!first || fread(first, 1, size, file) != (size_t)size) fail(path);
    fclose(file);
    end = first + size;
    next = first;
    if (!size) fail("no requests");
}

const char *next_request(size_t *length) {
    uint32_t bytes;
    if (next == end) next = first;
    memcpy(&bytes, next, sizeof bytes);
    const char *request = next + sizeof bytes;
    next += sizeof bytes + bytes;
    *length = bytes;
    return request;
}
