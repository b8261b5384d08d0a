# it does not matter who reads -> what is a consumer's default
def exactly_once(service):
    found = ["rows"] if service["inbox"] else []
    return found + ["copies"] * (service["transaction"] == "output and offsets")
