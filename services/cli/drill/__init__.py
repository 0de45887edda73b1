"""`neurocards drill`: something breaks on purpose under load, and everybody is served all the same.

local.py     the running system, and why a drill refuses any other
load.py      sellers who come one after another
strikes.py   what breaks, and what an operator does then
run.py       before, strike, after, checks
"""
