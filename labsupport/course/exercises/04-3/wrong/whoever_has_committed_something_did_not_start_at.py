# whoever has committed something did not start at the end -> no valid offset was committed
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if not e["assigned"]:
        return "others"
    if e["begin"] == e["end"]:
        return "empty"
    return "at the end" if e["committed"] is None else "all read"
