"""What a notebook holds: the lesson it opens, and later its exercises and progress."""
