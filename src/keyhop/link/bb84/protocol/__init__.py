"""The protocol between the two ends of a link, without I/O: messages, detections and time enter, commands leave.

engine              one end: greeting, run, and what to do when a run ends
greeting, run       how the ends find each other; one unbroken, numbered, authenticated conversation
session, transmitter, receiver                  one end of a run
round_rules, transmitter_round, receiver_round  one round: correct, compare, count, conclude
lost_keys           authentication keys that were spent in vain
messages, commands  what goes over the line, and what an end wants done
blocks              a round's key as blocks of the link
condition, line_health, statistics              what an operator sees
"""
