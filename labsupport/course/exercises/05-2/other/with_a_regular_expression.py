def sharing(groups, handled):
    import re

    found = set()
    for group in groups:
        names = {re.sub("-[0-9]+$", "", member["client_id"]) for member in groups[group]}
        found |= names if len(names) == 2 else set()
    return found
