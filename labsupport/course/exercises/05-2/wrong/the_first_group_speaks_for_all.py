# the first group speaks for all -> Here order and order-archive share
def sharing(groups, handled):
    for members in groups.values():
        services = {m["client_id"].rpartition("-")[0] for m in members}
        return sorted(services) if len(services) > 1 else []
