"""A whole running system of real processes to be struck, and the auditor who asks afterwards."""
