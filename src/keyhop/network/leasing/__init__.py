"""Stream bytes → uses: leases that the follower has noted, and who waits for them.

A lease is asked for ahead of its use, sized from demand, so that a crash burns seconds of key at most and a request
normally finds its bytes in memory. Who may take how much of what there is, leased or not, is another matter.

    demand   how much to lease ahead
    ahead    leases asked for, and told to the follower until it has noted them
    shares   how much of the stock each pair of SAEs may take
    waiting  who waits, and whom that holds up
    leasing  Leasing: takes from one stream
"""

from keyhop.network.leasing.leasing import Leasing
from keyhop.network.leasing.waiting import Cancel, Use

__all__ = ["Cancel", "Leasing", "Use"]
