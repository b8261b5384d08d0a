RULES = (
    ("offline", lambda s: s["leader"] is None, lambda s: s["elr"]),
    ("no quorum", lambda s: s["isr"] - s["alive"], lambda s: ()),
    ("refuses", lambda s: len(s["isr"]) < s["min_isr"], lambda s: s["replicas"] - s["alive"]),
    ("fine", lambda s: True, lambda s: ()),
)


def advise(state):
    return next((word, start(state)) for word, holds, start in RULES if holds(state))
