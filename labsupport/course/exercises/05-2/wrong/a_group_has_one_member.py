# a group has one member -> instances of one service
def sharing(groups, handled):
    for members in groups.values():
        if len(members) > 1:
            return {m["client_id"].rpartition("-")[0] for m in members}
    return []
