"""Conformance suites for anybody's servers, run over the network.

Each check cites its clause, says what it expects, and what it found.

    checks     what a check is, how a suite runs, the report
    https      one party's requests: its certificate, and answers that are bounded
    etsi014    ETSI GS QKD 014 V1.1.1, as two SAEs see their KMEs
    etsi020    ETSI GS QKD 020 V1.1.1, as another vendor's KMS sees a gateway; `callbacks`: where it acknowledges

A suite knows nothing of keyhop's own server. It asks for keys and spends them; it never shows one.
"""
