"""The management API: what a node tells its operators, and the few things that they may tell it, as JSON over HTTP.

app     all of its pages
pages   what a page is, and the index of them
links   the pages of the QKD links, and their commands
guard   who is let in, and what may be sent

No key is shown. Whoever reaches the address may read, and start and stop links: it belongs on loopback or on a
network for management. What stands behind it are `NodeView` and `NodeControl` of `node.state`.
"""

from keyhop.node.management.app import management_app

__all__ = ["management_app"]
