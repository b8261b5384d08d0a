# a number has one digit -> instances of one service
def sharing(groups, handled):
    for members in groups.values():
        services = {m["client_id"][:-2] for m in members}
        if len(services) > 1:
            return sorted(services)
    return []
