# a transaction around the output is enough -> what does its next start do
def exactly_once(service):
    found = ["rows"] if service["inbox"] else []
    return found + ["copies"] * (service["transaction"] != "nothing" and service["reader"] == "read_committed")
