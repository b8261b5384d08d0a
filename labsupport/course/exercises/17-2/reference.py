def exactly_once(service):
    """Which of "copies" and "rows" are there exactly once, wherever it crashes."""
    found = []
    one_step = service["transaction"] == "output and offsets"
    if one_step and service["reader"] == "read_committed":
        found.append("copies")
    if service["inbox"]:
        found.append("rows")
    return found
