# a group with everything committed has no other reason -> it has no partition
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if e["begin"] == e["end"]:
        return "empty"
    if e["committed"] == e["end"]:
        return "all read"
    return "others" if not e["assigned"] else "at the end"
