"""What may happen, and the record of it.

Pure deciders (`account`, `job`, `decide`) say which events a command makes; the log (`log`, `appender`)
writes them in one order, under one lock, into one hash chain.
"""
