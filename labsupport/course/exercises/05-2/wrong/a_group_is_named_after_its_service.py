# a group is named after its service -> a group's name means nothing
def sharing(groups, handled):
    for group, members in groups.items():
        for m in members:
            service = m["client_id"].rpartition("-")[0]
            if service != group:
                return [group, service]
    return []
