"""Why two SAEs may or may not have a key: `keyhop policy check`, and GET /v1/policy.

state   the question, and the answer step by step
story   what a configuration says
given   what holds for the two, and what gives it
across  what is told of SAEs in different domains
own_keys  what is told of keys that the master brings, and voids
live    what a KME that runs adds
several what is told of one key for several slaves
check   all of it, put together
page    the page of the management API
"""
