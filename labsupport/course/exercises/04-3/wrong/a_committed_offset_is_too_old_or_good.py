# a committed offset is too old, or good -> from `begin` to `end`
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if not e["assigned"]:
        return "others"
    if e["begin"] == e["end"]:
        return "empty"
    late = e["committed"] is None or e["committed"] < e["begin"]
    return "at the end" if late else "all read"
