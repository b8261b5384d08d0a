def way(interaction):
    """ "ask" or "tell"."""
    needs_a_word_now = ("card", "stock", "name", "cancel")
    return "ask" if interaction in needs_a_word_now else "tell"
