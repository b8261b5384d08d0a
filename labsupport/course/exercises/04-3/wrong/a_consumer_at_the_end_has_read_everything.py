# a consumer at the end has read everything -> no valid offset was committed
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if not e["assigned"]:
        return "others"
    if e["begin"] == e["end"]:
        return "empty"
    return "all read" if e["position"] == e["end"] else "at the end"
