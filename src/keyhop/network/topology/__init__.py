"""Who is joined with whom over QKD links, and how to get from one to another: no controller is needed.

    reports     what a node says of its own links, as it goes over the wire
    own_links   what this node says of its links
    own_report  when it says that, and under which version
    gossip      who tells whom what
    edges       an edge is there when both its ends say so; how much key it has
    failures    what has just failed, which is avoided for a while
    costs       what it costs to send key over an edge
    disjoint    the cheapest paths that share no node
    view        the network as this node sees it now: paths, reachable nodes, partitions

Reports, ticks and failures enter; reports to peers and paths leave. Nothing here does I/O, and nothing is kept over
a restart. Reports only suggest: a node forwards what it wants to, and whoever uses a path finds out if it works.
"""
