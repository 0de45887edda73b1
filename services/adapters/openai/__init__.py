"""OpenAI: prompt scripts (prompt_writer.py) and moderation (moderation.py).

Nothing of ours fails because of OpenAI: every failure is OpenAINoAnswerError with a reason (errors.py), and
the caller goes on without: a template instead of a script, an order that is not judged. After lasting errors,
or many in a row, breaker.py answers at once.
"""
