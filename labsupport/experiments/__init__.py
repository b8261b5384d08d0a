"""Looking at what happened (and, with later lessons, hurting it): tables, pictures, the state of the broker."""
