"""What the streams hold and how far everybody is who reads them: for operators, at one look.

in_redis.py   what Redis says, in two round trips
status.py     that beside the log and the cursors: what differs, and lags in positions and in seconds
"""
