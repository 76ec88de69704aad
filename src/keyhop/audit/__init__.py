"""The audit log: who got which key IDs, when and over which path, in files that nobody alters unnoticed.

    chain          lines, and the hash that joins each batch of them to all before
    files          the names of the log's files, and what their first lines say
    log            appends to the files, and begins new ones
    ending         the last seal of a log, and what a crash left behind it
    verification   reads a log from its first line and says whether it is whole
    records        lines as data, and one row per key ID

What enters: records (`keyhop.core.audit`) from the journal, before the keys leave. What leaves: lines on a disk; for
auditors, a verdict and rows. The format is docs/reference/audit.md.
"""
