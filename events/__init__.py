"""What happened: event types in the past tense, their envelope and their codec.

Imports nothing but msgspec and the standard library.
"""
