"""OpenAI: writes prompts (writer.py) and judges what sellers send (moderation.py), or says why not in a word.

Nothing of ours fails because of OpenAI. Whatever goes wrong is one typed error, OpenAINoAnswerError, with a
reason
(reasons.py), and the caller goes on without: a template instead of a script, an order that is not judged.
After errors that time alone does not heal, or many in a row, the breaker (breaker.py) answers at once.
"""
