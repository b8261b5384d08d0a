RULES = {
    "copies": lambda s: (s["transaction"], s["reader"]) == ("output and offsets", "read_committed"),
    "rows": lambda s: s["inbox"],
}


def exactly_once(service):
    return {name for name, rule in RULES.items() if rule(service)}
