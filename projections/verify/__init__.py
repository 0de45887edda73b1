"""Does the log hold, and everything made of it? Nothing here asks the deciders: it tells when they are wrong.

`run` starts three walks of one snapshot, each in a process of its own: `chain` goes hash by hash, `rules`
through what the rows say, `models` through the read models. `locate` then names what is wrong with the chain.
"""
