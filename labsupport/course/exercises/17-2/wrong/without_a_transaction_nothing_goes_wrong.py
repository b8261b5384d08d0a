# without a transaction nothing goes wrong -> between which two steps can it die
def exactly_once(service):
    if service["transaction"] == "nothing" and service["reader"] == "read_committed":
        return ["copies", "rows"]
    found = ["rows"] if service["inbox"] else []
    if service["transaction"] == "output and offsets" and service["reader"] == "read_committed":
        found.append("copies")
    return found
