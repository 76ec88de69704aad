"""Calls of the C library that fail, for a node that is a child of ours.

A library in front of the C library's makes calls fail on files that have a file named `fault` beside them; it holds the
name of the call: `sync`, `write` or `read`; or `full`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyhop.lab import Lab

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd, const char *call) {
    char link[64], path[PATH_MAX + 8], wanted[16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length <= 0) return 0;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash) return 0;
    strcpy(slash, "/fault");
    int fault = open(path, O_RDONLY);
    if (fault < 0) return 0;
    length = read(fault, wanted, sizeof wanted - 1);
    close(fault);
    if (length < 0) return 0;
    wanted[length] = 0;
    if (strcmp(wanted, "full") == 0 && strcmp(call, "write") == 0) return ENOSPC;
    return strcmp(wanted, call) == 0 ? EIO : 0;
}

#define FAILING(result, name, what, parameters, ...)                                  \
    result name parameters {                                                          \
        int error = fails(fd, what);                                                  \
        if (error) { errno = error; return -1; }                                      \
        static result (*next) parameters;                                             \
        if (!next) next = (result (*) parameters)dlsym(RTLD_NEXT, #name);             \
        return next(__VA_ARGS__);                                                     \
    }

FAILING(int, fsync, "sync", (int fd), fd)
FAILING(int, fdatasync, "sync", (int fd), fd)
FAILING(ssize_t, pwrite, "write", (int fd, const void *from, size_t size, off_t at), fd, from, size, at)
FAILING(ssize_t, pwrite64, "write", (int fd, const void *from, size_t size, off64_t at), fd, from, size, at)
FAILING(ssize_t, write, "write", (int fd, const void *from, size_t size), fd, from, size)
FAILING(ssize_t, pread, "read", (int fd, void *into, size_t size, off_t at), fd, into, size, at)
FAILING(ssize_t, pread64, "read", (int fd, void *into, size_t size, off64_t at), fd, into, size, at)
"""


def built_shim(directory: Path) -> Path:
    """The library that makes calls fail."""
    library = directory / "faults.so"
    build = ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(build, input=SHIM, text=True, check=True, timeout=60)
    return library


@contextmanager
def own_child(lab: Lab, kme: str, preload: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The lab's node as a child of our own, whose exit status we see."""
    folder = lab.directory / "nodes" / kme
    command = [sys.executable, "-m", "keyhop", "node", "run", "--config", str(folder / "node.toml")]
    environment = os.environ | ({"LD_PRELOAD": str(preload)} if preload else {})
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    (folder / "node.pid").write_text(str(process.pid))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
