# whoever has handled less shares a group -> is behind
def sharing(groups, handled):
    return sorted(s for s, count in handled.items() if count < 6)
