def sharing(groups, handled):
    """The names of the two services that share a group; an empty list if none do."""
    for members in groups.values():
        services = {member["client_id"].rpartition("-")[0] for member in members}
        if len(services) > 1:
            return sorted(services)
    return []
