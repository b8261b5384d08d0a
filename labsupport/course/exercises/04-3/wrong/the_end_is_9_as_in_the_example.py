# the end is 9, as in the example -> The reason is 'all read'
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if not e["assigned"]:
        return "others"
    if e["begin"] == e["end"]:
        return "empty"
    return "all read" if e["committed"] == 9 else "at the end"
