# a log is empty if its end is 0 -> the log holds no record
def why_nothing(e):
    if not e["topic_exists"]:
        return "no topic"
    if not e["assigned"]:
        return "others"
    if e["end"] == 0:
        return "empty"
    return "all read" if e["committed"] == e["end"] else "at the end"
