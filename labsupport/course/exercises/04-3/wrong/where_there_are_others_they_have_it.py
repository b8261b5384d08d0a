# where there are others, they have it -> The reason is 'all read'
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if (e["members"] or 0) > 1:
        return "others"
    if e["begin"] == e["end"]:
        return "empty"
    return "all read" if e["committed"] == e["end"] else "at the end"
