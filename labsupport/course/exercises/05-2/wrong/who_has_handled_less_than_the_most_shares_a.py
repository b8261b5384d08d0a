# who has handled less than the most shares a group -> is behind
def sharing(groups, handled):
    less = [s for s, count in handled.items() if count < 6]
    return sorted(handled)[:2] if less else []
