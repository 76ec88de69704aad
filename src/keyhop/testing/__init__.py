"""What tests of keyhop, and of adapters and stores by others, need: shipped.

virtual              a clock that a test moves, entropy that repeats
virtual_time         a clock that asyncio code sleeps on
kme                  one KME's production state machines on virtual time, which can crash
audit                an audit log in memory, which says who was given which keys
network              two KMEs, for tests that go step by step
paced_network        a network whose links bring key at the rates of real ones
distance             the same, where messages take time
history              the promises, checked against what SAEs saw; material: where bytes come from, and their one use;
                     handed_over: what two domains say to each other of keys
hybrid_keys          keys that are combined with ML-KEM, made anew from what the reference says
simulation           whole networks on machines that fail, drawn from a seed, with every promise checked
shown_node           what a node that there is not shows of itself
store_conformance    what every KeyStore does
link_conformance     what every LinkAdapter does
conformance          what servers of ETSI GS QKD 014 and 020 do, tried over the network
kms                  two KMSs joined by ETSI GS QKD 020, on virtual time; domains: two domains joined by their gateways
bb84_link            both ends of a BB84 link without asyncio, on a wire that a test may disturb
bb84_faults          everything that can befall them, drawn at random, and what must hold all the same
vendor_device        both devices of a vendor's link; foreign_kmes, key_stream_devices: behind their own protocols
randomness           NIST's tests of random bits
link_end             both ends of a link: a channel that a test may disturb, memories that survive
"""
