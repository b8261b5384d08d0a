def exactly_once(service):
    left = ["copies", "rows"]
    if "offsets" not in service["transaction"] or not (service["reader"] or "").endswith("_committed"):
        left.remove("copies")
    if not service["inbox"]:
        left.remove("rows")
    return frozenset(left)
