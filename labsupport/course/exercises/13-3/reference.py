def plan(producers, consumers):
    """The steps of the rename: pairs (name, release), and "wait"."""
    return [
        *((name, "both") for name in producers),
        "wait",
        *((name, "new") for name in consumers),
        *((name, "new") for name in producers),
    ]
