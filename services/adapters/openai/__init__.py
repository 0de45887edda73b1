"""OpenAI: writes prompts (prompt_writer.py), judges what sellers send (moderation.py), or says why not.

Nothing of ours fails because of OpenAI. Whatever goes wrong is one typed error, OpenAINoAnswerError, with a
reason (errors.py), and the caller goes on without: a template instead of a script, an order that is not
judged. After errors that time alone does not heal, or many in a row, breaker.py answers at once.
"""
