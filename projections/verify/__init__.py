"""Checks log, books and read models. Nothing here asks the deciders: it tells when they are wrong."""
