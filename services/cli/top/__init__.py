"""`neurocards top`: live view of the whole system.

model.py     what is shown, as data
collect.py   reading it: a few bounded queries and Redis round trips, whatever is away
render.py    the facts as a picture
terminal.py  the picture on a terminal, until `q`
"""
