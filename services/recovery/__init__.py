"""`neurocards recover`: bringing streams, projections and the notifier into line with a log that went back.

evidence.py   what remembers which place, and whether the log still holds it
plan.py       what follows: what was lost, and what is to be done
repair.py     doing it
"""
