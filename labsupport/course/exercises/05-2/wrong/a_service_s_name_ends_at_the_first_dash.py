# a service's name ends at the first dash -> and a number
def sharing(groups, handled):
    for members in groups.values():
        services = {m["client_id"].split("-")[0] for m in members}
        if len(services) > 1:
            return sorted(services)
    return []
