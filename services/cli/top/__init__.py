"""`neurocards top`: the whole system at one look, again and again.

facts.py    what is shown, as data
looking.py  reading it: a few bounded queries and Redis round trips, whatever is away
rates.py    how fast it goes, from one look to the next
frame.py    the facts as a picture
screen.py   the picture on a terminal, until `q`
"""
