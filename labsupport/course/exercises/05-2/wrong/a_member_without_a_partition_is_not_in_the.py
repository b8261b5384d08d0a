# a member without a partition is not in the group -> without a partition is still a member
def sharing(groups, handled):
    for members in groups.values():
        services = {m["client_id"].rpartition("-")[0] for m in members if m["partitions"]}
        if len(services) > 1:
            return sorted(services)
    return []
