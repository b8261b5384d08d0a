"""Setting the lab up, and saying what is in its way: standard library only, because nothing else may be there yet."""
