def sharing(groups, handled):
    from itertools import combinations

    where = {}
    for group, members in groups.items():
        for member in members:
            *parts, _ = member["client_id"].split("-")
            where.setdefault("-".join(parts), set()).add(group)
    pairs = [pair for pair in combinations(where, 2) if where[pair[0]] & where[pair[1]]]
    return pairs[0] if pairs else ()
