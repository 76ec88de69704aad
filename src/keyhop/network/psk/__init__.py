"""A peer that is authenticated by a pre-shared key, which is refreshed from the streams.

    generations  the key's generations: which this node has, by what identity each is shown
    messages     what both ends say to each other
    refreshing   the next generation, agreed upon within the session of a pair
    fetching     fresh bytes that are relayed while no stream has any
    handshakes   what is shown, and whose key it is

Generation 0 is what the operators gave to both nodes. Each further one is derived from the one before and from 32 fresh
bytes of a stream, or of a parcel: whoever lacks either of them does not have it. An end forgets a generation once it
has been in a handshake with the next one, in which both have proved that they have that. So after any crash there is
one that both have: the node with the lower name, which dials, goes on to a generation only when it knows that the other
end has it.

A node that was restored from a backup may have generations only that the other one has forgotten. They do not meet
then, and nothing but another key from the operators helps: the first one, in the hands of somebody else, does not.
"""
