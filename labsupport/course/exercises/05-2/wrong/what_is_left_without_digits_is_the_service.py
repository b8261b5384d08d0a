# what is left without digits is the service -> Here mail and mail2 share
def sharing(groups, handled):
    for members in groups.values():
        services = {m["client_id"].rstrip("-0123456789") for m in members}
        if len(services) > 1:
            return sorted(services)
    return []
