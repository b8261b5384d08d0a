# read_committed is the default -> what is a consumer's default
def exactly_once(service):
    found = ["rows"] if service["inbox"] else []
    if service["transaction"] == "output and offsets" and service["reader"] != "read_uncommitted":
        found.append("copies")
    return found
