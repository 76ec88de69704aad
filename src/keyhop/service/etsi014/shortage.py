"""When there are clients to accept and nothing to accept them with: their listener stays readable all the while.

So whoever waits for it pauses, or would do nothing else.
"""

import errno

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_S = 0.1
