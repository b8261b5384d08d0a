# a client_id belongs to every service that it begins with -> and a number
def sharing(groups, handled):
    for members in groups.values():
        found = [s for s in handled if any(m["client_id"].startswith(s) for m in members)]
        if len(found) > 1:
            return found
    return []
