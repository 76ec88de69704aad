"""Links whose keys come from another maker's devices: ETSI GS QKD 014, ETSI GS QKD 004, or files in a directory.

A device gives each end *pieces*: key bytes under a name that both devices know. One end, the initiator, takes pieces
from its device and names them to the other, the follower, which gets its copies from its own device. What both have
becomes blocks.

    settings        what can be configured of each kind
    device          what every kind of device does for an adapter
    adapter         the LinkAdapter around a device: life, retries, what operators see
    initiator, follower, messages, sealing       the agreement between both ends, without I/O
    initiator_end, follower_end                  the tasks that join agreement and device
    etsi014, files, etsi004                      the devices (and etsi014_*, key_files, etsi004_*, which they need)
    tls                                          who they are to us, and we to them
    attempts, backoff                            trying again
    disagreement                                 devices that give different bytes
    health, telling                              what operators see of one end, and what the far end is told of it
    failures                                     what went wrong on the way to a device, in words
"""
