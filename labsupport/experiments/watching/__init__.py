"""What shows what happened: tables and pictures of topics, groups and events.

Read log, lag and balance (from the broker and the database), then ownership and trace (from moments), then `plots/`.
Nothing here changes a topic, a group or a process, or imports `breaking/` (except for types).
"""
