# one word is a list -> wrong type
def exactly_once(service):
    one_step = service["transaction"] == "output and offsets" and service["reader"] == "read_committed"
    return "copies" if one_step else ""
