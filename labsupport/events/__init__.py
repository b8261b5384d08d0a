"""The road of a record, and what the lessons are about: written here to be read."""
