"""Functions of the tests in processes of their own, forked from one that has imported what they need.

One list for all: the first process that is forked settles what has been imported for every later one.
"""

import multiprocessing
from typing import Final

FORKING: Final = multiprocessing.get_context("forkserver")
_USERS = ("mortal", "writers", "diaries", "stopping", "dying_till")
FORKING.set_forkserver_preload([f"tests.support.{name}" for name in _USERS])
