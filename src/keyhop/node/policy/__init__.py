"""Why two SAEs may or may not have a key: `keyhop policy check`, and GET /v1/policy.

state   the question, and the answer step by step
story   what a configuration says
live    what a KME that runs adds
check   both, put together
route   the page of the management API
"""
