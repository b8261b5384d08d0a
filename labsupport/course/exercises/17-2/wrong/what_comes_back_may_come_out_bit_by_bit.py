# what comes back may come out bit by bit -> wrong type
def exactly_once(service):
    if service["transaction"] == "output and offsets" and service["reader"] == "read_committed":
        yield "copies"
    if service["inbox"]:
        yield "rows"
