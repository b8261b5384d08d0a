# there are always two -> a group of its own
def sharing(groups, handled):
    return ["payments", "reports"]
