def why_nothing(evidence):
    """'no topic', 'others', 'empty', 'all read' or 'at the end'."""
    if not evidence["topic_exists"]:
        return "no topic"
    if not evidence["assigned"]:
        return "others"
    if evidence["begin"] == evidence["end"]:
        return "empty"
    if evidence["committed"] == evidence["end"]:
        return "all read"
    return "at the end"
