"""Why two SAEs may or may not have a key: `keyhop policy check`, and GET /v1/policy.

state   the question, and the answer step by step
story   what a configuration says
across  what is told of SAEs in different domains
live    what a KME that runs adds
check   both, put together
route   the page of the management API
"""
